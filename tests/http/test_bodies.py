"""Bodies: streams, compressed answers, answers without one, and what is sent."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from aind_capsule.http.answers import HttpAnswer
from aind_capsule.http.client import PIECE_BYTES, HttpClient, HttpError, TlsOptions
from aind_capsule.http.tls import build_tls_context
from tests.http.servers import (
    GENEROUS_S,
    NO_CONTENT,
    SHORT_S,
    MakeClient,
    RawServer,
    StartServer,
    answer,
    build_answer,
    fail,
    trickle,
)
from tests.shipping.certificates import Certificates

DATA = bytes(range(256)) * 12_000  # about three pieces


def chunk(data: bytes, size: int) -> bytes:
    """The data as a chunked answer."""
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    text = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + text + b"0\r\nT: 1\r\n\r\n"


# Streams.


@pytest.mark.parametrize("kind", ["length", "chunks", "large chunks", "until the end"])
def test_a_stream_arrives_in_pieces(start: StartServer, make: MakeClient, kind: str) -> None:
    """The body comes as it was sent, in pieces of a bounded size, however the server frames it; the connection is
    good for another request where the server keeps it."""
    text = {
        "length": build_answer(DATA, ETag='"e"'),
        "chunks": chunk(DATA, 1000),
        "large chunks": chunk(DATA, PIECE_BYTES + 7),
        "until the end": b"HTTP/1.1 200 OK\r\n\r\n" + DATA,
    }[kind]
    server = start(answer(text, ends=kind == "until the end"))
    client = make(server)
    for _ in range(2):
        pieces: list[bytes] = []
        given = client.stream("GET", "/", take=pieces.append)
        assert b"".join(pieces) == DATA
        assert [len(piece) for piece in pieces[:-1]] == [PIECE_BYTES] * (len(pieces) - 1)
        assert (given.status, given.body) == (200, b"")
    assert server.connections == (2 if kind == "until the end" else 1)


def test_a_stream_says_its_head_first(start: StartServer, make: MakeClient) -> None:
    """Status and headers come before the first piece, of a success only."""
    server = start(
        answer(build_answer(b"ab", "206 Partial", X_A="1"), build_answer(b"", "404 Not Found"))
    )
    client = make(server)
    seen: list[object] = []

    def note(status: int, headers: Mapping[str, str]) -> None:
        seen.append((status, headers["x-a"]))

    client.stream("GET", "/", take=seen.append, note_head=note)
    assert seen == [(206, "1"), b"ab"]
    assert client.stream("GET", "/", take=seen.append, note_head=note).status == 404
    assert len(seen) == 2


def test_a_refused_stream_has_its_body(start: StartServer, make: MakeClient) -> None:
    """What is no success is no piece: its body is in the answer, bounded, and the next request goes on."""
    server = start(
        answer(build_answer(b"<Error/>", "404 Not Found"), build_answer(b"y" * 999_999, "500 Oh"))
    )
    client = make(server)
    pieces: list[bytes] = []
    assert client.stream("GET", "/", take=pieces.append).body == b"<Error/>"
    assert client.stream("GET", "/", take=pieces.append).body == b"y" * 65536
    assert pieces == []
    assert server.connections == 1


@pytest.mark.parametrize("error", [OSError(28, "disk full"), ValueError("x"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["take", "note_head"])
def test_an_error_of_the_taker_is_its_own(
    start: StartServer, make: MakeClient, error: BaseException, place: str
) -> None:
    """A full disk is no fault of the connection's; what is left of the body is no answer to the next request."""

    def serve(server: RawServer, connection: Any) -> None:
        is_first = server.connections == 1
        while server.read(connection) is not None:
            connection.sendall(build_answer(DATA if is_first else b"second"))

    server = start(serve)
    client = make(server)

    def refuse(*_: object) -> None:
        raise error

    takers = {"take": lambda _: None, place: refuse}
    with pytest.raises(type(error)) as caught:
        client.stream("GET", "/", **takers)
    assert caught.value is error
    assert client.request("GET", "/").body == b"second"
    assert server.connections == 2


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_torn_stream_is_an_error(start: StartServer, make: MakeClient, framing: str) -> None:
    """A body that breaks off is an error that comes after the pieces before it; it is not asked for again."""
    text = build_answer(DATA) if framing == "length" else chunk(DATA, 10_000)
    server = start(answer(text[: PIECE_BYTES * 2 + 5000], ends=True))
    pieces: list[bytes] = []
    with pytest.raises(HttpError, match="mid-answer"):
        make(server).stream("GET", "/", take=pieces.append)
    assert b"".join(pieces) == DATA[: PIECE_BYTES * 2][: sum(map(len, pieces))]
    assert len(pieces) >= 1
    assert len(server.seen) == 1


def test_the_bound_holds_for_each_piece(start: StartServer, make: MakeClient) -> None:
    """A long stream takes as long as it takes; a piece that does not come ends it."""
    pauses = [0.0, 0.5, 0.5, 0.5, GENEROUS_S * 2]

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (PIECE_BYTES * 9))
        for pause_s in pauses:
            server.stopping.wait(pause_s)
            connection.sendall(b"x" * PIECE_BYTES)

    pieces: list[bytes] = []
    with pytest.raises(HttpError, match="did not finish its answer within 1 s"):
        make(start(serve)).stream("GET", "/", timeout_s=1.0, take=pieces.append)
    assert len(pieces) == 4


def test_a_trickled_piece_is_bounded(start: StartServer, make: MakeClient) -> None:
    """A piece that comes byte by byte takes no longer than its time."""
    client = make(start(trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n")))
    pieces: list[bytes] = []
    with pytest.raises(HttpError, match=r"within 0\.3 s"):
        client.stream("GET", "/", timeout_s=SHORT_S, take=pieces.append)
    assert pieces == []


def test_a_chunk_without_end_bounds_a_stream(start: StartServer, make: MakeClient) -> None:
    """A chunk whose size is less than nothing takes no memory without bound."""

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        while not server.stopping.is_set():
            connection.sendall(b"x" * 65536)

    with pytest.raises(HttpError, match="too much"):
        make(start(serve)).stream("GET", "/", take=lambda _: None)


def test_a_stream_is_not_decoded(start: StartServer, make: MakeClient) -> None:
    """An object that is stored compressed comes as it is stored."""
    packed = gzip.compress(b"x" * 1000, mtime=0)
    pieces: list[bytes] = []
    client = make(start(answer(build_answer(packed, Content_Encoding="gzip"))))
    client.stream("GET", "/", take=pieces.append)
    assert b"".join(pieces) == packed


def test_a_stream_that_a_kept_connection_loses_is_asked_for_again(
    start: StartServer, make: MakeClient
) -> None:
    """No piece was taken, so that nothing comes twice."""

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(build_answer(b"whole"))
        server.read(connection)

    server = start(serve)
    client = make(server)
    for _ in range(2):
        pieces: list[bytes] = []
        client.stream("GET", "/", take=pieces.append)
        assert pieces == [b"whole"]
    assert len(server.seen) == 3


# Compressed answers.


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"grammar", mtime=0)),
        ("GZIP", gzip.compress(b"gram", mtime=0) + gzip.compress(b"mar", mtime=0)),
        ("x-gzip", gzip.compress(b"grammar", mtime=0)),
        ("deflate", zlib.compress(b"grammar")),
        ("identity", b"grammar"),
    ],
    ids=["gzip", "members", "x-gzip", "deflate", "identity"],
)
def test_a_compressed_answer_is_decoded(
    start: StartServer, make: MakeClient, encoding: str, packed: bytes, status: str
) -> None:
    """None is asked for, and one that comes all the same is understood."""
    server = start(answer(build_answer(packed, status, Content_Encoding=encoding)))
    assert make(server).request("GET", "/").text == "grammar"
    assert server.seen[0].headers["accept-encoding"] == "identity"


def test_the_limit_is_of_what_is_decoded(start: StartServer, make: MakeClient) -> None:
    """Of a compressed answer the limit counts the text: a success beyond it is an error, and the rest is cut."""
    packed = gzip.compress(b"x" * 1000, mtime=0)
    for size in (999, 1000):
        success = answer(build_answer(packed, Content_Encoding="gzip"))
        client = make(start(success))
        if size < 1000:
            assert "more than 999 bytes" in fail(client, "GET", max_answer_bytes=size).message
        else:
            assert client.request("GET", "/", max_answer_bytes=size).body == b"x" * 1000
        failure = answer(build_answer(packed, "500 Oh", Content_Encoding="gzip"))
        given = make(start(failure)).request("GET", "/", max_answer_bytes=size)
        assert given.body == b"x" * size


def test_a_compressed_error_that_is_cut_is_decoded_as_far_as_it_goes(
    start: StartServer, make: MakeClient
) -> None:
    """An error's compressed body beyond the limit gives its beginning."""
    noise = b"".join(b"%d " % (number * 7919 % 10007) for number in range(5000))
    packed = gzip.compress(noise)
    assert len(packed) > 2000
    server = start(answer(build_answer(packed, "500 Oh", Content_Encoding="gzip")))
    given = make(server).request("GET", "/", max_answer_bytes=2000)
    assert given.body == noise[:2000]


@pytest.mark.parametrize(
    ("encoding", "packed", "words"),
    [
        ("gzip", b"no gzip", "is not gzip"),
        ("gzip", gzip.compress(b"x" * 1000, mtime=0)[:-5], "closed the connection in mid-answer"),
        ("br", b"abc", "the encoding 'br', which was not asked for"),
        ("gzip, gzip", b"abc", "the encoding 'gzip, gzip'"),
    ],
    ids=["no gzip", "torn gzip", "br", "twice"],
)
def test_an_encoding_that_is_none(
    start: StartServer, make: MakeClient, encoding: str, packed: bytes, words: str
) -> None:
    """What cannot be decoded is the one error, not a traceback and not half an answer."""
    server = start(answer(build_answer(packed, Content_Encoding=encoding)))
    error = fail(make(server))
    assert words in error.message
    assert error.may_have_arrived


# Answers without a body.


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("PUT", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body(
    start: StartServer, make: MakeClient, method: str, text: bytes
) -> None:
    """HEAD, 204 and 304 have none, whatever their headers say: nothing is waited for, and the connection goes on."""
    server = start(answer(text))
    client = make(server)
    for _ in range(2):
        given = client.request(method, "/", timeout_s=GENEROUS_S)
        assert given.body == b""
        pieces: list[bytes] = []
        client.stream(method, "/", take=pieces.append)
        assert pieces == []
    assert server.connections == 1
    if method == "HEAD" and b"Length" in text:
        assert given.headers["content-length"] == "5"


# What is sent.


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_bodies_of_all_sizes_arrive(
    start: StartServer, make: MakeClient, size: int, kind: type
) -> None:
    """A body arrives whole with its length, sent together with its head or behind it; a PUT of nothing says 0."""
    server = start(answer(NO_CONTENT))
    body = (DATA * 2)[:size]
    make(server).request("PUT", "/", body=kind(body))
    (seen,) = server.seen
    assert seen.body == body
    assert seen.headers["content-length"] == str(size)


def test_a_get_says_no_length(start: StartServer, make: MakeClient) -> None:
    """What has no body has no `Content-Length`: some signatures and proxies mind."""
    server = start(answer(NO_CONTENT))
    client = make(server)
    for method in ("GET", "DELETE"):
        client.request(method, "/")
    assert not any("content-length" in seen.headers for seen in server.seen)


@pytest.mark.parametrize(
    "path",
    [
        "/b/a%20b%2Fc?list-type=2&prefix=x%2F&delimiter=%2F",
        "/b/%C3%BC/%7E~-_.!'()*?uploads",
        "/b//a/../b/./c?x=1&x=2&=&a=",
        "/b/k?partNumber=1&uploadId=a+b%2B==",
        "/b/k:@,;$&=",
    ],
)
def test_a_path_is_sent_exactly_as_given(start: StartServer, make: MakeClient, path: str) -> None:
    """A signature covers path and query: nothing of them is decoded, sorted, or encoded again."""
    server = start(answer(NO_CONTENT))
    make(server).request("GET", path)
    assert server.seen[0].line == f"GET {path} HTTP/1.1"


@pytest.mark.parametrize("method", ["", "GET /", "GET\r\nX: 1", "Ü"])
def test_a_method_cannot_end_its_line(start: StartServer, make: MakeClient, method: str) -> None:
    """A method is one word: what is none is a fault of the caller's."""
    server = start(answer(NO_CONTENT))
    with pytest.raises(ValueError, match="no method"):
        make(server).request(method, "/")
    assert server.connections == 0


# Redirects.


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://me:s3cr3t@h.org:1/a?token=s3cr3t#s3cr3t", "https://h.org:1/a"),
        ("/elsewhere?x=s3cr3t", "/elsewhere"),
        ("http://[::1", ""),
        (None, ""),
    ],
)
def test_where_a_redirect_leads(location: str | None, shown: str) -> None:
    """What is shown of it holds no user, no query and no fragment."""
    headers = {} if location is None else {"location": location}
    assert HttpAnswer(302, headers).location == shown


# One context for many clients.


def test_clients_share_a_context(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """A context that was built once serves many clients, in many threads; an http client needs none."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    context = build_tls_context(TlsOptions(ca_file=str(certificates.ca)))
    clients = [make(f"https://{server.address}", tls=context) for _ in range(3)]
    seen: list[int] = []
    threads = [
        threading.Thread(
            target=lambda client=client: seen.append(client.request("GET", "/").status)
        )
        for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GENEROUS_S)
    assert seen == [204, 204, 204]
    plain = start(answer(NO_CONTENT))
    assert make(plain, tls=context).request("GET", "/").status == 204


def test_without_options_the_systems_authorities_are_trusted(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """A client that was given nothing about TLS verifies."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    client = HttpClient(f"https://{server.address}")
    assert "is not trusted" in fail(client).message
    client.close()
