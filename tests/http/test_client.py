"""Requests and answers of the HTTP client, against servers on real sockets."""

from __future__ import annotations

from typing import Any

import pytest

from aind_capsule.errors import SettingsError
from aind_capsule.http.client import (
    HttpAnswer,
)
from tests.http.servers import (
    NO_CONTENT,
    MakeClient,
    RawServer,
    StartServer,
    answer,
    build_answer,
    fail,
)


def test_a_request_arrives_as_it_was_given(start: StartServer, make: MakeClient) -> None:
    """Method, path with query, headers and body arrive; the answer's status, text and headers come back."""
    server = start(answer(build_answer("grüße".encode(), "201 Created", X_Test="1")))
    client = make(server, headers={"Authorization": "Bearer hunter2", "X-Scope-OrgID": "tenant"})
    given = client.request(
        "POST",
        "/a/b?c=%7Bd%7D&e=f",
        body=b"\x00\xff" * 9,
        headers={"Content-Type": "application/json"},
    )
    assert given == HttpAnswer(201, {"content-length": "7", "x-test": "1"}, "grüße".encode())
    assert given.text == "grüße"
    (seen,) = server.seen
    assert seen.line == "POST /a/b?c=%7Bd%7D&e=f HTTP/1.1"
    assert seen.body == b"\x00\xff" * 9
    assert seen.headers["host"] == server.address
    assert seen.headers["user-agent"].startswith("aind-capsule/")
    assert seen.headers["authorization"] == "Bearer hunter2"
    assert seen.headers["x-scope-orgid"] == "tenant"
    assert seen.headers["content-type"] == "application/json"


def test_a_requests_header_replaces_the_clients(start: StartServer, make: MakeClient) -> None:
    """A header of a request takes the place of the client's of that name, however it is spelled."""
    server = start(answer(NO_CONTENT))
    client = make(server, headers={"X-A": "1", "USER-AGENT": "mine", "host": "virtual"})
    client.request("GET", "/", headers={"x-a": "2"})
    headers = server.seen[0].headers
    assert (headers["x-a"], headers["user-agent"], headers["host"]) == ("2", "mine", "virtual")


def test_one_connection_serves_many_requests(start: StartServer, make: MakeClient) -> None:
    """The connection is kept between requests, whatever kind of answer came."""
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    server = start(
        answer(NO_CONTENT, build_answer(b"abc"), chunked, build_answer(b"", "500 Oh"), NO_CONTENT)
    )
    client = make(server)
    answers = [client.request("POST", "/", body=b"x") for _ in range(6)]
    assert [given.status for given in answers] == [204, 200, 200, 500, 204, 204]
    assert [given.text for given in answers] == ["", "abc", "abcde", "", "", ""]
    assert server.connections == 1


def test_a_server_that_ends_each_connection_is_served(start: StartServer, make: MakeClient) -> None:
    """`Connection: close`, HTTP/1.0 and a body without length that ends with the connection all work."""
    for text in (
        build_answer(b"abc", Connection="close"),
        b"HTTP/1.0 200 OK\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
    ):
        server = start(answer(text, ends=True))
        client = make(server)
        assert [client.request("GET", "/").text for _ in range(2)] == ["abc", "abc"]
        assert server.connections == 2


def test_close_is_no_end(start: StartServer, make: MakeClient) -> None:
    """`close` may be called twice, and a later request opens another connection."""
    server = start(answer(NO_CONTENT))
    client = make(server)
    client.request("GET", "/")
    client.close()
    client.close()
    assert client.request("GET", "/").status == 204
    assert server.connections == 2


def test_redirects_are_not_followed(start: StartServer, make: MakeClient) -> None:
    """A redirect comes back as the answer that it is: credentials go nowhere else."""
    server = start(answer(build_answer(b"", "302 Found", Location="http://127.0.0.1:1/")))
    given = make(server, headers={"Authorization": "Bearer hunter2"}).request("GET", "/")
    assert (given.status, given.headers["location"]) == (302, "http://127.0.0.1:1/")
    assert len(server.seen) == 1


def test_bytes_that_are_no_text_are_replaced(start: StartServer, make: MakeClient) -> None:
    """An answer that is not UTF-8 is no error."""
    assert make(start(answer(build_answer(b"a\xff\xfeb")))).request("GET", "/").text == "a��b"


def test_interim_answers_are_skipped(start: StartServer, make: MakeClient) -> None:
    """`100 Continue`, `102 Processing` and `103 Early Hints` are not the answer."""
    interim = b"".join(
        b"HTTP/1.1 %d Wait\r\nLink: x\r\n\r\n" % status for status in (100, 103, 102, 100)
    )
    server = start(answer(interim + NO_CONTENT))
    assert make(server).request("POST", "/", body=b"x").status == 204


def test_a_path_cannot_end_its_line(start: StartServer, make: MakeClient) -> None:
    """What a path cannot hold is percent-encoded, so that it adds no header."""
    server = start(answer(NO_CONTENT))
    client = make(server)
    client.request("GET", "/a b\r\nX-Evil: 1\r\n/ü%20#")
    assert server.seen[0].line == "GET /a%20b%0D%0AX-Evil:%201%0D%0A/%C3%BC%20%23 HTTP/1.1"
    assert "x-evil" not in server.seen[0].headers
    with pytest.raises(ValueError, match="slash"):
        client.request("GET", "http://elsewhere/")


def test_a_long_answer_is_an_error_or_is_cut(start: StartServer, make: MakeClient) -> None:
    """Beyond the limit a 200 is an error and any other answer is cut; the connection is not used again."""
    server = start(
        answer(
            build_answer(b"x" * 101), build_answer(b"x" * 100), build_answer(b"y" * 101, "500 Oh")
        )
    )
    client = make(server)
    error = fail(client, max_answer_bytes=100)
    assert "more than 100 bytes" in error.message
    assert error.may_have_arrived
    server = start(
        answer(build_answer(b"x" * 100), build_answer(b"y" * 100_000, "500 Oh"), NO_CONTENT)
    )
    client = make(server)
    assert client.request("GET", "/", max_answer_bytes=100).text == "x" * 100
    assert client.request("GET", "/", max_answer_bytes=100).text == "y" * 100
    assert client.request("GET", "/", max_answer_bytes=100).text == "x" * 100
    assert server.connections == 2


@pytest.mark.parametrize("status", ["200 OK", "500 Oh"])
@pytest.mark.parametrize("size", ["-1", "7fffffffffffffff"])
def test_an_endless_answer_is_bounded(
    start: StartServer, make: MakeClient, size: str, status: str
) -> None:
    """A server that sends without end, also by a chunk without a size, takes a bounded memory of ours."""

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(
            f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n".encode()
        )
        while True:
            connection.sendall(b"x" * 65536)

    client = make(start(serve))
    if size == "-1" or status == "200 OK":
        fail(client, max_answer_bytes=1000)
    else:
        assert client.request("GET", "/", max_answer_bytes=1000).text == "x" * 1000


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 204 No Content\r\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    ],
)
def test_a_torn_answer_is_no_answer(start: StartServer, make: MakeClient, part: bytes) -> None:
    """An answer that breaks off anywhere is an error that says so; the request may have arrived, and is
    not repeated."""
    server = start(answer(part, ends=True))
    error = fail(make(server))
    assert "closed the connection in mid-answer" in error.message
    assert error.may_have_arrived
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n" + b"x\r\n" * 9,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + NO_CONTENT,
    ],
    ids=["ssh", "status", "long", "many", "chunk", "switching"],
)
def test_what_is_not_http_is_an_error(start: StartServer, make: MakeClient, text: bytes) -> None:
    """A server that speaks something else gives the one error that callers expect."""
    error = fail(make(start(answer(text))))
    assert "HTTP" in error.message or "mid-answer" in error.message
    assert error.may_have_arrived


def test_an_early_refusal_is_heard(start: StartServer, make: MakeClient) -> None:
    """A server that refuses a body before it has read it, and hangs up, is understood all the same."""

    def serve(server: RawServer, connection: Any) -> None:
        connection.recv(1000)
        connection.sendall(build_answer(b"too large", "413 Too Large", Connection="close"))

    server = start(serve)
    client = make(server)
    for _ in range(2):
        given = client.request("POST", "/", body=b"x" * 8_000_000)
        assert (given.status, given.text) == (413, "too large")


@pytest.mark.parametrize(
    "origin",
    ["", "loki:3100", "ftp://loki", "http://", "http://:3100", "http://loki:port", "http://loki:70000",
     "http://[::1", "http://[::x]", "http://lo ki", "http://loki/path", "http://loki?query", "http://loki#x",
     "http://me:s3cr3t@loki", "http://.loki", f"http://{'a' * 64}", "http://loki\\@x"],
)  # fmt: skip
def test_an_origin_is_an_address_and_nothing_else(make: MakeClient, origin: str) -> None:
    """What is no address is a wrong setting at once; a password in it is not repeated."""
    with pytest.raises(SettingsError, match="is no address") as caught:
        make(origin)
    assert "s3cr3t" not in caught.value.message + caught.value.hint


def test_origins_of_all_kinds(make: MakeClient) -> None:
    """Usual ports may be left out, and names outside ASCII are encoded."""
    addresses = {
        "http://loki": "loki:80", "https://loki/": "loki:443", "http://LOKI_1:3100": "loki_1:3100",
        "https://[fe80::1]": "[fe80::1]:443", "http://münchen.de": "xn--mnchen-3ya.de:80",
    }  # fmt: skip
    assert {origin: make(origin).address for origin in addresses} == addresses


@pytest.mark.parametrize(
    ("name", "value"),
    [("Authorization", "Bearer hunter2\n"), ("X", "hunter2\r\nX-Evil: 1"), ("X", "hunter2\n folded"),
     ("X", "hunter2\x00"), ("X", "hunter2\udc80"), ("X Y", "1"), ("X\r\nY", "1"), ("", "1"), ("Ü", "1"),
     ("Content-Length", "5"), ("transfer-encoding", "chunked")],
)  # fmt: skip
def test_no_header_breaks_the_request(
    start: StartServer, make: MakeClient, name: str, value: str
) -> None:
    """A header that would end its line or its request is a wrong setting; its value is not repeated."""
    server = start(answer(NO_CONTENT))
    with pytest.raises(SettingsError, match="header") as caught:
        make(server, headers={name: value})
    assert "hunter2" not in caught.value.message + caught.value.hint
    with pytest.raises(SettingsError, match="header"):
        make(server).request("GET", "/", headers={name: value})
    assert server.connections == 0


def test_a_header_beyond_ascii_is_sent_as_utf8(start: StartServer, make: MakeClient) -> None:
    """A tenant's name with an umlaut arrives as UTF-8."""
    server = start(answer(NO_CONTENT))
    make(server, headers={"X-Scope-OrgID": "Zürich\t1"}).request("GET", "/")
    assert server.seen[0].headers["x-scope-orgid"] == "Zürich\t1"
