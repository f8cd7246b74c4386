"""Kept connections, what is repeated on them, and what cannot be reached."""

from __future__ import annotations

import io
import socket
import struct
import threading
from typing import Any

import pytest

from aind_capsule.http.bounded import BoundedSocket
from aind_capsule.http.client import (
    TlsOptions,
)
from tests.conftest import wait_until
from tests.http.servers import (
    GENEROUS_S,
    NO_CONTENT,
    MakeClient,
    RawServer,
    StartServer,
    answer,
    build_answer,
    fail,
    lose_the_second,
)
from tests.shipping.certificates import Certificates


def test_an_idle_connection_that_was_closed_is_replaced(
    start: StartServer, make: MakeClient
) -> None:
    """A connection that the server closed meanwhile costs nothing: the next request opens another."""
    closed = threading.Event()

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(NO_CONTENT)
        connection.shutdown(socket.SHUT_WR)
        closed.set()
        assert connection.recv(1) == b""  # nothing more is sent by it

    server = start(serve)
    client = make(server)
    for _ in range(3):
        closed.clear()
        assert client.request("POST", "/", body=b"x").status == 204
        assert closed.wait(GENEROUS_S)
    wait_until(lambda: server.connections == 3)
    assert len(server.seen) == 3


@pytest.mark.parametrize("over_tls", [False, True], ids=["http", "https"])
def test_a_request_that_a_kept_connection_loses_is_repeated(
    start: StartServer, make: MakeClient, certificates: Certificates, over_tls: bool
) -> None:
    """A kept connection that breaks after the request was sent, before any answer: it is sent once more."""

    def serve(server: RawServer, connection: Any) -> None:
        if server.read(connection) is not None:
            connection.sendall(NO_CONTENT)
            server.read(connection)  # and no answer

    server = start(serve, certificates.make_server_context() if over_tls else None)
    origin = f"{'https' if over_tls else 'http'}://{server.address}"
    client = make(origin, tls=TlsOptions(ca_file=str(certificates.ca)))
    for number in range(3):
        assert client.request("PUT", "/", body=str(number).encode()).status == 204
    assert [seen.body for seen in server.seen] == [b"0", b"1", b"1", b"2", b"2"]


@pytest.mark.parametrize(
    ("method", "is_repeatable", "count"),
    [
        ("GET", None, 3), ("HEAD", None, 3), ("PUT", None, 3), ("DELETE", None, 3), ("OPTIONS", None, 3),
        ("POST", None, 2), ("PATCH", None, 2), ("POST", True, 3), ("PUT", False, 2), ("GET", False, 2),
    ],
)  # fmt: skip
def test_what_is_repeated(
    start: StartServer, make: MakeClient, method: str, is_repeatable: bool | None, count: int
) -> None:
    """A request that may have arrived is sent again only where that changes nothing: by its method, or by
    what the caller says."""
    server = start(lose_the_second)
    client = make(server)
    client.request("GET", "/")
    if count == 3:
        given = client.request(method, "/x", body=b"x", is_repeatable=is_repeatable)
        assert given.status == 204
    else:
        error = fail(client, method, is_repeatable=is_repeatable)
        assert "before it answered" in error.message
        assert error.may_have_arrived
    assert len(server.seen) == count


def test_a_request_of_which_nothing_was_sent_is_sent_again(
    start: StartServer, make: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POST that a kept connection refuses at once did not arrive: it goes by a new connection."""
    closed = threading.Event()

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(NO_CONTENT)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        closed.set()

    server = start(serve)
    client = make(server)
    client.request("POST", "/", body=b"0")
    assert closed.wait(GENEROUS_S)
    # The server's reset comes between the look at the connection and the first byte.
    monkeypatch.setattr(BoundedSocket, "is_idle", lambda _: True)
    assert client.request("POST", "/", body=b"1").status == 204
    assert [seen.body for seen in server.seen] == [b"0", b"1"]


def test_a_request_is_repeated_once(start: StartServer, make: MakeClient) -> None:
    """The second try is the last one; a new connection that breaks is no reason to repeat."""
    answers = [NO_CONTENT]

    def serve(server: RawServer, connection: Any) -> None:
        while server.read(connection) is not None and answers:
            connection.sendall(answers.pop())

    server = start(serve)
    client = make(server)
    client.request("POST", "/", body=b"0")
    for count in (3, 4):
        error = fail(client, is_repeatable=True)
        assert "before it answered" in error.message
        assert error.may_have_arrived
        assert len(server.seen) == count


def test_a_lost_request_may_have_arrived_although_the_second_try_did_not(
    start: StartServer, make: MakeClient
) -> None:
    """Where the second try finds nobody, the first may have arrived still."""

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(NO_CONTENT)
        server.read(connection)
        server.refuse()

    client = make(start(serve))
    client.request("POST", "/", body=b"0")
    error = fail(client, is_repeatable=True)
    assert "refuses the connection" in error.message
    assert error.may_have_arrived
    assert not fail(client).may_have_arrived


@pytest.mark.parametrize("over_tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("size", [5, 9000, io.DEFAULT_BUFFER_SIZE - len(build_answer(b"")) - 3])
def test_what_comes_unasked_is_not_an_answer(
    start: StartServer, make: MakeClient, certificates: Certificates, over_tls: bool, size: int
) -> None:
    """What a server says between two requests (408 before it hangs up) is taken for no answer, also where it
    came together with the answer before it."""
    both = build_answer(b"x" * size) + build_answer(b"", "408 Request Timeout")
    server = start(answer(both), certificates.make_server_context() if over_tls else None)
    origin = f"{'https' if over_tls else 'http'}://{server.address}"
    client = make(origin, tls=TlsOptions(ca_file=str(certificates.ca)))
    for _ in range(3):
        assert client.request("GET", "/").status == 200
    assert server.connections == 3


def test_a_connection_that_the_server_closes_is_not_used_again(
    start: StartServer, make: MakeClient
) -> None:
    """`Connection: close` holds even before the server has closed it: what is sent then may be lost."""

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(build_answer(b"once", Connection="close"))
        server.stopping.wait()

    server = start(serve)
    client = make(server)
    for _ in range(2):
        assert client.request("POST", "/", body=b"x", timeout_s=3.0).text == "once"
    assert server.connections == 2


def test_nobody_there(make: MakeClient) -> None:
    """A refused connection and an unknown name are told apart, and nothing has arrived."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = fail(make(f"http://127.0.0.1:{port}", headers={"Authorization": "hunter2"}))
    assert error.message == f"127.0.0.1:{port} refuses the connection: nothing listens there"
    assert not error.may_have_arrived
    error = fail(make("http://nowhere.invalid:3100"))
    assert error.message.startswith(
        "nowhere.invalid:3100 cannot be found: its name is not resolved ("
    )
    assert not error.may_have_arrived


def test_a_name_with_several_addresses_is_tried_by_each(
    start: StartServer, make: MakeClient
) -> None:
    """`localhost` works where it is ::1 first, and the server listens on 127.0.0.1 only."""
    server = start(answer(NO_CONTENT))
    assert make(f"http://localhost:{server.port}").request("GET", "/").status == 204
    assert server.seen[0].headers["host"] == f"localhost:{server.port}"


def test_an_ipv6_address_is_reached(make: MakeClient) -> None:
    """An origin with an IPv6 address in brackets works, and is so named in `Host`."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    seen: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(connection.recv(65536))
            connection.sendall(NO_CONTENT)

    with listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        assert make(f"http://[::1]:{port}").request("GET", "/").status == 204
        thread.join(GENEROUS_S)
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in seen[0]
