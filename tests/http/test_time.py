"""Every request ends in time, whatever the server does."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aind_capsule.http.bounded import BoundedSocket, Deadline
from aind_capsule.http.client import (
    HttpClient,
    HttpError,
    TlsOptions,
)
from tests.http.servers import (
    GENEROUS_S,
    NO_CONTENT,
    SHORT_S,
    MakeClient,
    RawServer,
    StartServer,
    answer,
    build_answer,
    continue_for_ever,
    fail,
    hang,
    hang_after,
    read_slowly,
    trickle,
)
from tests.shipping.certificates import Certificates

SLOW_SERVERS = {
    "never answers": (hang_after(b""), b"x"),
    "trickles its status": (trickle(b""), b"x"),
    "trickles its headers": (trickle(b"HTTP/1.1 200 OK\r\nX: "), b"x"),
    "hangs in its headers": (hang_after(b"HTTP/1.1 200 OK\r\nX: "), b"x"),
    "trickles its body": (trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"), b"x"),
    "trickles without length": (trickle(b"HTTP/1.1 200 OK\r\n\r\n"), b"x"),
    "trickles a chunk": (
        trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"),
        b"x",
    ),
    "hangs in its body": (hang_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), b"x"),
    "says continue for ever": (continue_for_ever, b"x"),
    "never reads": (hang, b"x" * 16_000_000),
    "reads slowly": (read_slowly, b"x" * 16_000_000),
}


@pytest.mark.parametrize("over_tls", [False, True], ids=["http", "https"])
def test_a_request_ends_in_time(
    start: StartServer, make: MakeClient, certificates: Certificates, over_tls: bool
) -> None:
    """A request takes no longer than it may in all, whatever the server does, in any thread."""
    scheme = "https" if over_tls else "http"
    errors: dict[str, HttpError] = {}

    def ask(name: str, client: HttpClient, body: bytes) -> None:
        errors[name] = fail(client, body=body, timeout_s=1.0)

    threads = []
    for name, (serve, body) in SLOW_SERVERS.items():
        server = start(serve, certificates.make_server_context() if over_tls else None)
        client = make(f"{scheme}://{server.address}", tls=TlsOptions(ca_file=str(certificates.ca)))
        threads.append(threading.Thread(target=ask, args=(name, client, body)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * GENEROUS_S)
    assert errors.keys() == SLOW_SERVERS.keys()
    assert {
        name: error.message for name, error in errors.items() if "within 1 s" not in error.message
    } == {}
    assert {name for name, error in errors.items() if not error.may_have_arrived} == set()


def test_sending_ends_in_time() -> None:
    """A receiver that takes a little every now and then does not make the time longer."""
    ours, theirs = socket.socketpair()
    stopping = threading.Event()

    def receive() -> None:
        while not stopping.wait(0.02):
            theirs.recv(4096)

    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        bounded = BoundedSocket(ours)
        started_s = time.monotonic()
        bounded.begin(Deadline.start(SHORT_S), 1000)
        with pytest.raises(TimeoutError):
            bounded.send(b"x" * 16_000_000)
        assert time.monotonic() - started_s < GENEROUS_S
        stopping.set()
        thread.join(GENEROUS_S)


def test_a_tls_handshake_ends_in_time(start: StartServer, make: MakeClient) -> None:
    """A server that is silent in the TLS handshake takes no more than the time either; nothing arrived."""
    server = start(hang)
    error = fail(make(f"https://{server.address}"), timeout_s=SHORT_S)
    assert "TLS handshake within 0.3 s" in error.message
    assert not error.may_have_arrived


def test_a_trickled_tls_handshake_ends_in_time(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """Nor does one that sends the handshake a byte at a time."""
    inner = start(answer(NO_CONTENT), certificates.make_server_context())

    def serve(server: RawServer, connection: Any) -> None:
        with socket.create_connection(("127.0.0.1", inner.port)) as other:
            other.sendall(connection.recv(65536))
            while not server.stopping.wait(0.02):
                connection.sendall(other.recv(1))

    server = start(serve)
    client = make(f"https://{server.address}", tls=TlsOptions(ca_file=str(certificates.ca)))
    error = fail(client, timeout_s=SHORT_S)
    assert "TLS handshake within 0.3 s" in error.message
    assert not error.may_have_arrived


@contextlib.contextmanager
def swallow_packets() -> Iterator[int]:
    """A port of 127.0.0.1 that answers no connection: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address[1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_connecting_ends_in_time(make: MakeClient) -> None:
    """A host that swallows packets takes no more than the time; nothing arrived."""
    with swallow_packets() as port:
        error = fail(make(f"http://127.0.0.1:{port}"), timeout_s=SHORT_S)
    assert "cannot be reached within 0.3 s" in error.message
    assert not error.may_have_arrived


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
@pytest.mark.parametrize("is_reached", [True, False])
def test_addresses_of_a_name_share_the_time(
    start: StartServer, make: MakeClient, monkeypatch: pytest.MonkeyPatch, is_reached: bool
) -> None:
    """One of several addresses that swallows packets leaves time for the next; all of them together take no more
    than the time."""
    server = start(answer(NO_CONTENT))
    with swallow_packets() as dead_port:
        ports = [dead_port, dead_port, server.port if is_reached else dead_port]

        def look_up(*_: object, **__: object) -> list[Any]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
            return [(*kind, ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        client = make("http://several.example.org:1234")
        if is_reached:
            assert client.request("GET", "/", timeout_s=3.0).status == 204
        else:
            error = fail(client, timeout_s=SHORT_S)
            assert "cannot be reached within 0.3 s" in error.message
            assert not error.may_have_arrived


def test_no_time_is_no_request(start: StartServer, make: MakeClient) -> None:
    """With no time left nothing is sent."""
    server = start(answer(NO_CONTENT))
    client = make(server)
    assert not fail(client, timeout_s=0).may_have_arrived
    assert server.seen == []
    client.request("GET", "/")
    assert not fail(client, timeout_s=0).may_have_arrived  # by the kept connection
    assert len(server.seen) == 1


def test_a_late_answer_is_not_taken_for_the_next(start: StartServer, make: MakeClient) -> None:
    """After a timeout the connection is given up, so that no request gets another's answer."""
    is_late = threading.Event()

    def serve(server: RawServer, connection: Any) -> None:
        while (seen := server.read(connection)) is not None:
            if seen.body == b"first":
                is_late.wait(GENEROUS_S)
            connection.sendall(build_answer(seen.body))

    client = make(start(serve))
    fail(client, body=b"first", timeout_s=SHORT_S)
    is_late.set()
    assert client.request("POST", "/", body=b"second").text == "second"
