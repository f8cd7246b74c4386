"""Hostile servers, all at once: each request ends in time, and no secret is said."""

from __future__ import annotations

import contextlib
import gzip
import resource
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from aind_capsule.http.client import HttpAnswer, HttpClient, HttpError, TlsOptions
from tests.http.servers import (
    GENEROUS_S,
    HOST,
    NO_CONTENT,
    SECRETS,
    RawServer,
    StartServer,
    answer,
    build_answer,
    continue_for_ever,
    hang,
    hang_after,
    trickle,
    tunnel_to,
)
from tests.shipping.certificates import Certificates

TIMEOUT_S = 1.0
#: An answer, or what its error says; and whether the request may have arrived.
MAY, NOT = True, False
_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#: 250 MB of text in 300 kB.
_BOMB = gzip.compress(b"z" * 1024 * 1024) * 250


def _send_for_ever(head: bytes, piece: bytes) -> Callable[[RawServer, Any], None]:
    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(head)
        while not server.stopping.is_set():
            connection.sendall(piece)

    return serve


def _reset(server: RawServer, connection: Any) -> None:
    server.read(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang_up(server: RawServer, connection: Any) -> None:
    """Closes the connection before anything is read."""


def _hang_up_after_hello(server: RawServer, connection: Any) -> None:
    connection.recv(65536)


def _answer_plainly(server: RawServer, connection: Any) -> None:
    connection.recv(65536)
    connection.sendall(build_answer(b"", "400 Bad Request"))
    connection.recv(65536)


def _refuse_in_the_body(server: RawServer, connection: Any) -> None:
    connection.recv(1000)
    connection.sendall(build_answer(b"", "403 Forbidden", Connection="close"))


def _redirect(location: str) -> Callable[[RawServer, Any], None]:
    return answer(build_answer(b"", "302 Found", Location=location))


@dataclass(frozen=True)
class Case:
    """A server, and what is expected of a request to it.

    Attributes:
        serve: What it does with a connection; None where there is no server.
        expected: The status of the answer, or words of the error.
        arrived: Whether the error says that the request may have arrived.
        tls: Whether the server speaks TLS, by this certificate.
        scheme: How it is asked.
        proxy: Whether it is a proxy.
        trusts: Whether the client knows the authority.
        body: What is sent.
    """

    serve: Callable[[RawServer, Any], None] | None
    expected: int | str
    arrived: bool = MAY
    tls: str = ""
    scheme: str = ""
    proxy: bool = False
    trusts: bool = True
    body: bytes = field(default=b"hello", repr=False)

    def make_context(self, certificates: Certificates) -> ssl.SSLContext | None:
        """The server's side of TLS."""
        return (
            certificates.make_server_context(getattr(certificates, self.tls)) if self.tls else None
        )


LATE, LATE_BODY = "did not answer within 1 s", "did not finish its answer within 1 s"
BEFORE, MID = "closed the connection before it answered", "closed the connection in mid-answer"
INVALID, MUCH = "sent an invalid HTTP response", "more than 65536 bytes"
HANDSHAKE = "did not finish the TLS handshake within 1 s"
CLOSED_HANDSHAKE = "closed the connection in the TLS handshake"
CASES = {
    "nothing listens": Case(None, "refuses the connection", NOT),
    "hangs behind the request": Case(hang_after(b""), LATE),
    "hangs behind the status": Case(hang_after(b"HTTP/1.1 200 OK\r\n"), LATE_BODY),
    "hangs behind the headers": Case(hang_after(_LENGTH), LATE_BODY),
    "never reads": Case(hang, LATE, body=b"x" * 16_000_000),
    "trickles its status": Case(trickle(b""), LATE_BODY),
    "trickles a header": Case(trickle(b"HTTP/1.1 200 OK\r\nX: "), LATE_BODY),
    "trickles its body": Case(trickle(_LENGTH), LATE_BODY),
    "trickles its body, TLS": Case(trickle(_LENGTH), LATE_BODY, tls="server"),
    "trickles a chunk": Case(trickle(_CHUNKED + b"ffff\r\n"), LATE_BODY),
    "trickles a body without length": Case(trickle(b"HTTP/1.1 200 OK\r\n\r\n"), LATE_BODY),
    "says continue for ever": Case(continue_for_ever, LATE_BODY),
    "closes in a header": Case(answer(b"HTTP/1.1 200 OK\r\nConte", ends=True), MID),
    "closes in the body": Case(answer(_LENGTH + b"abc", ends=True), MID),
    "closes in a chunk": Case(answer(_CHUNKED + b"ff\r\nabc", ends=True), MID),
    "closes behind the request": Case(answer(b"", ends=True), BEFORE),
    "resets behind the request": Case(_reset, BEFORE),
    "answers in the body and closes": Case(_refuse_in_the_body, 403, body=b"x" * 8_000_000),
    "garbage": Case(answer(b"\x00\x01\x02garbage\r\n\r\n" * 9, ends=True), INVALID),
    "an SSH banner": Case(hang_after(b"SSH-2.0-OpenSSH_9.2\r\n"), INVALID),
    "a status that is none": Case(answer(b"HTTP/1.1 abc\r\n\r\n"), INVALID),
    "headers without end": Case(_send_for_ever(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 99), INVALID),
    "a line without end": Case(_send_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536), INVALID),
    "chunks without end": Case(_send_for_ever(_CHUNKED, b"400\r\n" + b"y" * 1024 + b"\r\n"), MUCH),
    "chunks of a byte": Case(_send_for_ever(_CHUNKED, b"1\r\ny\r\n" * 999), MUCH),
    "a chunk of less than nothing": Case(_send_for_ever(_CHUNKED + b"-1\r\n", b"y" * 65536), "too much"),
    "trailers without end": Case(_send_for_ever(_CHUNKED + b"0\r\n", b"a: b\r\n" * 999), "too much"),
    "a body of 10 GB": Case(
        _send_for_ever(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", b"x" * 65536), MUCH
    ),
    "a gzip bomb": Case(answer(build_answer(_BOMB, Content_Encoding="gzip")), MUCH),
    "no gzip": Case(answer(build_answer(b"abc", Content_Encoding="gzip")), "is not gzip"),
    "an encoding unasked": Case(answer(build_answer(b"abc", Content_Encoding="br")), "encoding 'br'"),
    "a redirect with a secret": Case(_redirect("http://me:s3cr3t@evil.example/p?t=s3cr3t"), 302),
    "interim answers": Case(answer(b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\n\r\n" + NO_CONTENT), 204),
    "another protocol": Case(answer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), INVALID),
    "an unknown authority": Case(
        answer(NO_CONTENT), "is not trusted", NOT, tls="server", trusts=False
    ),
    "another name": Case(answer(NO_CONTENT), "does not hold", NOT, tls="elsewhere"),
    "an old certificate": Case(answer(NO_CONTENT), "does not hold", NOT, tls="expired"),
    "hangs in the handshake": Case(hang, HANDSHAKE, NOT, scheme="https"),
    "trickles in the handshake": Case(trickle(b"\x16\x03\x03\x40\x00"), HANDSHAKE, NOT, scheme="https"),
    "closes before the handshake": Case(_hang_up, CLOSED_HANDSHAKE, NOT, scheme="https"),
    "closes in the handshake": Case(_hang_up_after_hello, CLOSED_HANDSHAKE, NOT, scheme="https"),
    "http where https is due": Case(_answer_plainly, "does not speak TLS", NOT, scheme="https"),
    "https where http is due": Case(answer(NO_CONTENT), "", tls="server", scheme="http"),
    "a proxy that wants a password, https": Case(
        answer(build_answer(b"", "407 Authenticate")), "answers 407", NOT, scheme="https", proxy=True
    ),
    "a proxy that wants a password": Case(
        answer(build_answer(b"", "407 Authenticate")), 407, scheme="http", proxy=True
    ),
    "a proxy that hangs": Case(hang_after(b""), LATE, NOT, scheme="https", proxy=True),
    "a proxy that trickles": Case(
        trickle(b"HTTP/1.1 200 OK\r\nX: "), LATE_BODY, NOT, scheme="https", proxy=True
    ),
    "a proxy that hangs behind its tunnel": Case(
        hang_after(b"HTTP/1.1 200 OK\r\n\r\n"), HANDSHAKE, NOT, scheme="https", proxy=True
    ),
    "a proxy that sends without end": Case(
        _send_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536), INVALID, NOT, scheme="https", proxy=True
    ),
    "a proxy that is not there": Case(None, "refuses the connection", NOT, scheme="https", proxy=True),
}  # fmt: skip


@dataclass
class Ended:
    """How a request ended."""

    given: HttpAnswer | HttpError
    took_s: float


def _ask(case: Case, client: HttpClient) -> Ended:
    started_s = time.monotonic()
    try:
        given: HttpAnswer | HttpError = client.request("POST", "/p", body=case.body)
    except HttpError as error:
        given = error
    finally:
        client.close()
    return Ended(given, time.monotonic() - started_s)


def test_each_hostile_server_is_survived(start: StartServer, certificates: Certificates) -> None:
    """Whatever a server or a proxy does, the request ends within its time with an answer or the one error, which
    says what happened and whether it may have arrived, and holds no secret; memory stays small."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        closed_port = listener.getsockname()[1]
    ended: dict[str, Ended] = {}
    threads = []
    for name, case in CASES.items():
        port = closed_port
        if case.serve is not None:
            port = start(case.serve, case.make_context(certificates)).port
        scheme = case.scheme or ("https" if case.tls else "http")
        environ = {"ALL_PROXY": f"http://me:s3cr3t@127.0.0.1:{port}"} if case.proxy else {}
        client = HttpClient(
            f"{scheme}://{HOST if case.proxy else f'127.0.0.1:{port}'}",
            headers={"Authorization": "Bearer hunter2"},
            tls=TlsOptions(ca_file=str(certificates.ca if case.trusts else certificates.other_ca)),
            timeout_s=TIMEOUT_S,
            environ=environ,
        )

        def run(name: str = name, case: Case = case, client: HttpClient = client) -> None:
            ended[name] = _ask(case, client)

        threads.append(threading.Thread(target=run))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GENEROUS_S)
    assert ended.keys() == CASES.keys()
    for name, case in CASES.items():
        given = ended[name].given
        assert ended[name].took_s < GENEROUS_S, name
        if isinstance(case.expected, int):
            assert isinstance(given, HttpAnswer), (name, given)
            assert given.status == case.expected, name
            said = given.location
        else:
            assert isinstance(given, HttpError), (name, given)
            assert case.expected in given.message, (name, given.message)
            assert given.may_have_arrived == case.arrived, (name, given.message)
            said = given.message
        assert not any(secret in said for secret in SECRETS), name
    # The bombs, each in a thread: none of them was taken whole.
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < 200 * 1024


def test_a_tunnel_to_a_hostile_server(start: StartServer, certificates: Certificates) -> None:
    """Behind a proxy's tunnel the time is the same one: a server that trickles there is bounded as well."""
    server = start(trickle(_LENGTH), certificates.make_server_context())
    proxy = start(tunnel_to(server.port))
    client = HttpClient(
        f"https://{HOST}",
        tls=TlsOptions(ca_file=str(certificates.ca)),
        timeout_s=TIMEOUT_S,
        environ={"https_proxy": proxy.address},
    )
    with contextlib.closing(client), pytest.raises(HttpError, match=LATE_BODY) as caught:
        client.request("GET", "/")
    assert caught.value.may_have_arrived
