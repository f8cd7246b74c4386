"""The HTTP client and the compression, against servers on real sockets that behave as servers may."""

from __future__ import annotations

import base64
import contextlib
import gc
import gzip
import importlib
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from aind_capsule.errors import SettingsError
from aind_capsule.http.bounded import BoundedSocket, Deadline
from aind_capsule.http.client import (
    HttpAnswer,
    HttpClient,
    HttpError,
    TlsOptions,
)
from aind_capsule.http.proxies import Proxy, find_proxy
from aind_capsule.http.retry_after import parse_retry_after
from aind_capsule.shipping import compress as compress_module
from tests.conftest import wait_until
from tests.shipping.certificates import Certificates, make_certificates

#: Far more than anything here takes; a request that is not bounded takes longer.
GENEROUS_S = 10.0
SHORT_S = 0.3
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
HOST = "loki.example.org"  # never looked up: it is reached by a proxy
SECRETS = ("hunter2", "s3cr3t", base64.b64encode(b"me:s3cr3t").decode())


@dataclass
class Seen:
    """A request as a server has read it."""

    line: str
    headers: dict[str, str]
    body: bytes


class RawServer:
    """A server whose every connection is handed to a function, in a thread of its own.

    Args:
        serve: Called with the server and a connection, which is closed when it returns.
        context: The server's side of TLS, where it speaks that.

    Attributes:
        seen: The requests that `read` has read.
        connections: How many there were.
        stopping: Set at the end of the test.
    """

    def __init__(
        self, serve: Callable[[RawServer, Any], None], context: ssl.SSLContext | None = None
    ) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._serve = serve
        self._context = context
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._start(self._accept)

    def read(self, connection: Any) -> Seen | None:
        """The next request, or None at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers: dict[str, str] = {}
        for field in fields:
            name, _, value = field.partition(": ")
            assert name.lower() not in headers, f"{name} stands twice"
            headers[name.lower()] = value
        while len(body) < int(headers.get("content-length", 0)):
            more = connection.recv(65536)
            if not more:
                return None
            body += more
        self.seen.append(Seen(line, headers, body))
        return self.seen[-1]

    def refuse(self) -> None:
        """Take no further connection."""
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def stop(self) -> None:
        """End all connections."""
        self.stopping.set()
        with contextlib.suppress(OSError):  # wakes it where that does not
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self.refuse()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(GENEROUS_S)
            assert not thread.is_alive()

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                connection, _ = self._listener.accept()
                if self.stopping.is_set():
                    connection.close()
                    return
                self.connections += 1
                self._open.append(connection)
                self._start(partial(self._handle, connection))

    def _handle(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if self._context is not None:
                connection = stack.enter_context(
                    self._context.wrap_socket(connection, server_side=True)
                )
                self._open.append(connection)
            self._serve(self, connection)


StartServer = Callable[..., RawServer]


@pytest.fixture
def start() -> Iterator[StartServer]:
    """Starts servers, which end with the test."""
    with contextlib.ExitStack() as stack:

        def start_server(
            serve: Callable[[RawServer, Any], None], context: ssl.SSLContext | None = None
        ) -> RawServer:
            server = RawServer(serve, context)
            stack.callback(server.stop)
            return server

        yield start_server
    gc.collect()  # a socket that was not closed shows here


MakeClient = Callable[..., HttpClient]


@pytest.fixture
def make() -> Iterator[MakeClient]:
    """Makes clients, which end with the test, before the servers."""
    with contextlib.ExitStack() as stack:

        def make_client(
            server: RawServer | str, *, tls: TlsOptions | None = None, **more: Any
        ) -> HttpClient:
            origin = server if isinstance(server, str) else f"http://{server.address}"
            client = HttpClient(
                origin, tls=tls or TlsOptions(), **{"timeout_s": GENEROUS_S, "environ": {}, **more}
            )
            stack.callback(client.close)
            return client

        yield make_client


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(
        tmp_path_factory.mktemp("certificates"), "localhost", "127.0.0.1", HOST
    )


def answer(*answers: bytes, ends: bool = False) -> Callable[[RawServer, Any], None]:
    """Serves these answers, one for each request, the last for all that follow; then may hang up."""

    def serve(server: RawServer, connection: Any) -> None:
        left = list(answers)
        while server.read(connection) is not None:
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])
            if ends and len(left) == 1:
                return

    return serve


def build_answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    fields = {
        "Content-Length": str(len(body)),
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def fail(client: HttpClient, method: str = "POST", **more: Any) -> HttpError:
    """The error of a request that fails, after checking that it came in time and gives nothing away."""
    started_s = time.monotonic()
    with pytest.raises(HttpError) as caught:
        client.request(method, "/push", **{"body": b"a line", **more})
    assert time.monotonic() - started_s < GENEROUS_S
    assert client.address.rpartition(":")[2] in caught.value.message
    assert not any(secret in caught.value.message for secret in SECRETS)
    assert str(caught.value) == caught.value.message
    return caught.value


# Requests and answers.


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


# Answers that are too long, or not whole.


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


# Time.


def _trickle(head: bytes) -> Callable[[RawServer, Any], None]:
    """Sends a byte often enough that no single read waits long, for ever."""

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(head)
        while not server.stopping.wait(0.02):
            connection.sendall(b"a")

    return serve


def _hang(server: RawServer, connection: Any) -> None:
    server.stopping.wait()


def _hang_after(part: bytes) -> Callable[[RawServer, Any], None]:
    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(part)
        server.stopping.wait()

    return serve


def _continue_for_ever(server: RawServer, connection: Any) -> None:
    server.read(connection)
    while not server.stopping.wait(0.001):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)


def _read_slowly(server: RawServer, connection: Any) -> None:
    while not server.stopping.wait(0.02):
        connection.recv(4096)


SLOW_SERVERS = {
    "never answers": (_hang_after(b""), b"x"),
    "trickles its status": (_trickle(b""), b"x"),
    "trickles its headers": (_trickle(b"HTTP/1.1 200 OK\r\nX: "), b"x"),
    "hangs in its headers": (_hang_after(b"HTTP/1.1 200 OK\r\nX: "), b"x"),
    "trickles its body": (_trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"), b"x"),
    "trickles without length": (_trickle(b"HTTP/1.1 200 OK\r\n\r\n"), b"x"),
    "trickles a chunk": (
        _trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"),
        b"x",
    ),
    "hangs in its body": (_hang_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), b"x"),
    "says continue for ever": (_continue_for_ever, b"x"),
    "never reads": (_hang, b"x" * 16_000_000),
    "reads slowly": (_read_slowly, b"x" * 16_000_000),
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
    server = start(_hang)
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_connecting_ends_in_time(make: MakeClient) -> None:
    """A host that swallows packets takes no more than the time; nothing arrived."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(3):  # nobody accepts: the queue is full, and what comes next is not answered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        error = fail(make(f"http://127.0.0.1:{address[1]}"), timeout_s=SHORT_S)
    assert "cannot be reached within 0.3 s" in error.message
    assert not error.may_have_arrived


def test_no_time_is_no_request(start: StartServer, make: MakeClient) -> None:
    """With no time left nothing is sent."""
    server = start(answer(NO_CONTENT))
    assert not fail(make(server), timeout_s=0).may_have_arrived
    assert server.seen == []


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


# Connections that were idle.


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


def _lose_the_second(server: RawServer, connection: Any) -> None:
    """Answers the first request of a connection, and hangs up on the next one once it was read."""
    if server.read(connection) is not None:
        connection.sendall(NO_CONTENT)
        server.read(connection)


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
    server = start(_lose_the_second)
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


def test_what_comes_unasked_is_not_an_answer(start: StartServer, make: MakeClient) -> None:
    """What a server says between two requests (408 before it hangs up) is taken for no answer."""
    both = build_answer(b"first") + build_answer(b"", "408 Request Timeout")
    server = start(answer(both, build_answer(b"second")))
    client = make(server)
    assert client.request("GET", "/").text == "first"
    assert client.request("GET", "/").text == "first"
    assert server.connections == 2


# What cannot be reached.


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


# TLS.


def test_a_private_authority_is_trusted(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """With the CA's file its servers are trusted, by name and by address, and connections are kept."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    for host in ("localhost", "127.0.0.1"):
        client = make(f"https://{host}:{server.port}", tls=TlsOptions(ca_file=str(certificates.ca)))
        assert [client.request("POST", "/", body=b"x" * 300_000).status for _ in range(2)] == [
            204,
            204,
        ]
    assert server.connections == 2
    assert {len(seen.body) for seen in server.seen} == {300_000}


def test_the_servers_own_certificate_is_enough(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """The file may hold the server's own certificate instead of its CA's, on every Python."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    client = make(f"https://{server.address}", tls=TlsOptions(ca_file=str(certificates.server)))
    assert client.request("GET", "/").status == 204


def test_an_untrusted_server_hears_nothing(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """A certificate of an unknown CA is refused before anything is sent, and the cure is named."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    for tls in (TlsOptions(), TlsOptions(ca_file=str(certificates.other_ca))):
        error = fail(
            make(f"https://{server.address}", tls=tls, headers={"Authorization": "hunter2"})
        )
        assert f"The TLS certificate of {server.address} is not trusted" in error.message
        assert "give the server's CA" in error.message
        assert not error.may_have_arrived
    assert server.seen == []


@pytest.mark.parametrize(("which", "words"), [("elsewhere", "mismatch"), ("expired", "expired")])
def test_a_certificate_must_hold(
    start: StartServer, make: MakeClient, certificates: Certificates, which: str, words: str
) -> None:
    """A certificate for another name, or one that has expired, is refused for that reason."""
    server = start(
        answer(NO_CONTENT), certificates.make_server_context(getattr(certificates, which))
    )
    error = fail(make(f"https://{server.address}", tls=TlsOptions(ca_file=str(certificates.ca))))
    assert "does not hold" in error.message
    assert words in error.message
    assert "give the server's CA" not in error.message
    assert not error.may_have_arrived
    assert server.seen == []


def test_verification_can_be_switched_off(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """With `verify` off any certificate will do."""
    server = start(answer(NO_CONTENT), certificates.make_server_context(certificates.expired))
    assert (
        make(f"https://{server.address}", tls=TlsOptions(verify=False)).request("GET", "/").status
        == 204
    )


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_shown(
    start: StartServer, make: MakeClient, certificates: Certificates, newest: ssl.TLSVersion
) -> None:
    """A server that wants a certificate gets it, key in a file of its own or not; without one the error
    names the cure, and nothing has arrived."""
    context = certificates.make_server_context(wants_client=True, newest=newest)
    server = start(answer(NO_CONTENT), context)
    ca, cert, key = str(certificates.ca), str(certificates.client), str(certificates.client_key)
    for tls in (
        TlsOptions(True, ca, cert, key),
        TlsOptions(True, ca, str(certificates.client_both)),
    ):
        assert make(f"https://{server.address}", tls=tls).request("GET", "/").status == 204
    error = fail(make(f"https://{server.address}", tls=TlsOptions(True, ca)))
    # The server hangs up as it refuses: its reason may be lost on the way.
    if "closed the connection" not in error.message:
        assert "give a client certificate and key" in error.message
        assert not error.may_have_arrived
    assert len(server.seen) == 2


def test_https_to_a_plain_server(start: StartServer, make: MakeClient) -> None:
    """An https address of a server that speaks http is named as such."""

    def serve(server: RawServer, connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(build_answer(b"", "400 Bad Request"))
        connection.recv(65536)

    server = start(serve)
    error = fail(make(f"https://{server.address}"))
    assert error.message == f"{server.address} does not speak TLS: is it an http:// address?"
    assert not error.may_have_arrived


def test_a_server_that_hangs_up_in_the_handshake(start: StartServer, make: MakeClient) -> None:
    """A connection that is closed in the handshake is an error, and nothing has arrived."""

    def serve(server: RawServer, connection: Any) -> None:
        connection.recv(65536)

    error = fail(make(f"https://{start(serve).address}"))
    assert "closed the connection in the TLS handshake" in error.message
    assert not error.may_have_arrived


def test_files_for_tls_are_checked_at_once(
    make: MakeClient, certificates: Certificates, tmp_path: Path
) -> None:
    """A file that is missing, or is not what it should be, is a wrong setting that names the file; an
    encrypted key does not ask for its passphrase."""
    ca, cert, key = str(certificates.ca), str(certificates.client), str(certificates.client_key)
    missing, empty = str(tmp_path / "missing.pem"), str(tmp_path / "empty.pem")
    Path(empty).write_text("nothing\n")
    for tls, name, words in (
        (TlsOptions(ca_file=missing), missing, "cannot be read"),
        (TlsOptions(ca_file=str(tmp_path)), str(tmp_path), "cannot be read"),
        (TlsOptions(ca_file=empty), empty, "holds no certificate"),
        (TlsOptions(client_cert=missing, client_key=key), missing, "cannot be read"),
        (TlsOptions(client_cert=cert, client_key=missing), missing, "cannot be read"),
        (TlsOptions(client_cert=empty, client_key=key), empty, "cannot be used"),
        (TlsOptions(client_cert=cert), cert, "cannot be used"),
        (TlsOptions(client_cert=ca, client_key=key), key, "cannot be used"),
        (
            TlsOptions(client_cert=cert, client_key=str(certificates.encrypted_key)),
            "encrypted.key",
            "is encrypted",
        ),
        (TlsOptions(client_key=key), "", "no client certificate"),
    ):
        with pytest.raises(SettingsError, match=words) as caught:
            make("https://localhost", tls=tls)
        assert name in caught.value.message
        assert caught.value.hint
    make("http://localhost", tls=TlsOptions(ca_file=missing))  # not needed


# Settings.


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


# Retry-After.

NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [(None, None), ("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("9" * 400, 3600), ("3601", 3600),
     ("-1", None), ("nan", None), ("inf", None), ("1e3", None), ("٣", None), ("", None), ("soon", None),
     ("Tue, 14 Nov 2023 22:13:50 GMT", 30), ("Tue, 14 Nov 2023 22:13:50 -0000", 30),
     ("Tuesday, 14-Nov-23 22:13:50 GMT", 30), ("Tue, 14 Nov 2023 22:13:10 GMT", None),
     ("Thu, 14 Nov 2093 22:13:50 GMT", 3600), ("Tue, 99 Nov 2023 22:13:50 GMT", None),
     (f"Tue, 14 Nov {'9' * 20} 22:13:50 GMT", None), (f"Tue, 14 Nov 2023 22:13:50 +{'9' * 20}", None)],
)  # fmt: skip
def test_retry_after(value: str | None, wait_s: float | None) -> None:
    """Seconds and dates are understood, 1 h is the most, and nonsense and the past are nothing."""
    assert parse_retry_after(value, NOW_S) == wait_s


@hypothesis.given(strategies.text() | strategies.from_regex(r"[\w ,:+-]{0,40}"))
def test_no_retry_after_is_too_strange(value: str) -> None:
    """Whatever a server sends, it is a number within bounds or nothing."""
    wait_s = parse_retry_after(value, NOW_S)
    assert wait_s is None or 0 <= wait_s <= 3600


def test_retry_after_is_read_by_our_clock(start: StartServer, make: MakeClient) -> None:
    """The answer tells how long to wait, from now."""
    text = build_answer(
        b"slow down", "429 Too Many Requests", Retry_After="Tue, 14 Nov 2023 22:14:20 GMT"
    )
    given = make(start(answer(text)), read_clock_s=lambda: NOW_S).request("GET", "/")
    assert (given.status, given.retry_after_s) == (429, 60)


# Proxies.


def test_http_through_a_proxy(start: StartServer, make: MakeClient) -> None:
    """A proxy gets the whole address and its own password, and keeps the connection."""
    proxy = start(answer(NO_CONTENT))
    environ = {"HTTP_PROXY": f"http://me:s3cr3t@{proxy.address}"}
    client = make(
        f"http://{HOST}:3100", environ=environ, headers={"Authorization": "Bearer hunter2"}
    )
    assert [client.request("POST", "/push", body=b"x").status for _ in range(2)] == [204, 204]
    assert proxy.connections == 1
    seen = proxy.seen[0]
    assert seen.line == f"POST http://{HOST}:3100/push HTTP/1.1"
    assert seen.headers["host"] == f"{HOST}:3100"
    assert seen.headers["proxy-authorization"] == f"Basic {SECRETS[2]}"
    assert seen.headers["authorization"] == "Bearer hunter2"


def _tunnel_to(port: int) -> Callable[[RawServer, Any], None]:
    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        with socket.create_connection(("127.0.0.1", port)) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
            back = threading.Thread(target=copy, args=(other, connection), daemon=True)
            back.start()
            copy(connection, other)
            back.join(GENEROUS_S)

    return serve


def test_https_through_a_proxy(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """An https server is reached by a tunnel: the proxy gets its password and nothing else, and the
    server's certificate is checked by the server's name."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    proxy = start(_tunnel_to(server.port))
    environ = {"https_proxy": f"me:s3cr3t@{proxy.address}"}
    client = make(
        f"https://{HOST}", environ=environ, tls=TlsOptions(ca_file=str(certificates.ca)),
        headers={"Authorization": "Bearer hunter2"},
    )  # fmt: skip
    assert [client.request("POST", "/push", body=b"x").status for _ in range(2)] == [204, 204]
    (asked,) = proxy.seen
    assert asked.line == f"CONNECT {HOST}:443 HTTP/1.1"
    assert asked.headers == {
        "host": f"{HOST}:443", "proxy-authorization": f"Basic {SECRETS[2]}", "accept-encoding": "identity",
    }  # fmt: skip
    seen = server.seen[0]
    assert (seen.line, seen.headers["host"]) == ("POST /push HTTP/1.1", HOST)
    assert "proxy-authorization" not in seen.headers
    assert seen.headers["authorization"] == "Bearer hunter2"
    other = make(
        "https://other.example.org", environ=environ, tls=TlsOptions(ca_file=str(certificates.ca))
    )
    assert "does not hold" in fail(other).message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            build_answer(b"", "407 Proxy Authentication Required"),
            "(it answers 407): give its user and password in",
        ),
        (build_answer(b"", "403 Forbidden"), "opens no tunnel (it answers 403)"),
        (b"HTTP/1.1 20", "closed the connection in mid-answer"),
    ],
)
def test_a_proxy_that_opens_no_tunnel(
    start: StartServer, make: MakeClient, text: bytes, words: str
) -> None:
    """A proxy's refusal is told with its address, its variable and without its password."""
    proxy = start(answer(text, ends=True))
    environ = {"ALL_PROXY": f"http://me:s3cr3t@{proxy.address}"}
    error = fail(make(f"https://{HOST}", environ=environ))
    assert f"the proxy {proxy.address} (ALL_PROXY) to {HOST}:443 " in error.message
    assert words in error.message
    assert not error.may_have_arrived


def test_a_proxy_is_bounded_in_time(start: StartServer, make: MakeClient) -> None:
    """A proxy that trickles its answer to CONNECT takes no more than the time; nothing arrived."""
    proxy = start(_trickle(b"HTTP/1.1 200 OK\r\nX: "))
    error = fail(make(f"https://{HOST}", environ={"ALL_PROXY": proxy.address}), timeout_s=SHORT_S)
    assert "did not finish its answer within 0.3 s" in error.message
    assert not error.may_have_arrived


def test_this_machine_is_never_reached_by_a_proxy(start: StartServer, make: MakeClient) -> None:
    """A proxy is not asked for what runs on this machine."""
    server = start(answer(NO_CONTENT))
    client = make(
        server, environ={"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}
    )
    assert client.request("GET", "/").status == 204


PROXY = {"HTTP_PROXY": "http://a", "HTTPS_PROXY": "http://b:1", "ALL_PROXY": "http://c:2"}


@pytest.mark.parametrize(
    ("scheme", "environ", "host_port"),
    [
        ("http", {}, None),
        ("http", PROXY, ("a", 80)),
        ("https", PROXY, ("b", 1)),
        ("http", {"ALL_PROXY": "http://c:2"}, ("c", 2)),
        ("http", {"HTTPS_PROXY": "http://b:1"}, None),
        ("http", {**PROXY, "http_proxy": "http://d:3"}, ("d", 3)),
        ("http", {**PROXY, "http_proxy": ""}, ("c", 2)),
        ("http", {"HTTP_PROXY": " ", "all_proxy": ""}, None),
        ("http", {"HTTP_PROXY": "[::1]:3128"}, ("::1", 3128)),
        ("http", {"HTTP_PROXY": "http://a", "REQUEST_METHOD": "GET"}, None),
        ("http", {"http_proxy": "http://a", "REQUEST_METHOD": "GET"}, ("a", 80)),
        ("https", {"HTTPS_PROXY": "http://a", "REQUEST_METHOD": "GET"}, ("a", 80)),
    ],
)
def test_which_proxy(
    scheme: str, environ: dict[str, str], host_port: tuple[str, int] | None
) -> None:
    """The scheme's own variable comes first, the lower-case spelling before the other; a CGI program does
    not trust what a client may have set."""
    proxy = find_proxy(scheme, HOST, 3100, environ)
    assert (proxy and (proxy.host, proxy.port)) == host_port


@pytest.mark.parametrize(
    ("host", "exceptions", "is_direct"),
    [
        (HOST, "", False), (HOST, "*", True), (HOST, "other,*", True), (HOST, HOST, True),
        (HOST, "x, example.org", True), (HOST, ".EXAMPLE.org", True), (HOST, "*.example.org", True),
        (HOST, "ample.org", False), (HOST, "oki.example.org", False), (HOST, f"{HOST}:3100", True),
        (HOST, f"{HOST}:3101", False), (f"{HOST}.", "example.org", True), (HOST, "a b example.org", True),
        (HOST, ".", False), (HOST, ",,", False), (HOST, "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True), ("10.1.2.3", "10.0.0.0/8", True), ("10.1.2.3", "10.0.0.0/16", False),
        ("10.1.2.3", "10.1.2.3:3100", True), ("10.1.2.3", "2.3", False), ("fd00::5", "fd00::/8", True),
        ("fd00::5", "[fd00:0::5]:3100", True), ("fd00::5", "[fd00::5]:1", False), ("fd00::5", "fd00::5", True),
        ("localhost", "", True), ("loki.localhost", "", True), ("localhost.", "", True), ("127.9.9.9", "", True),
        ("::1", "", True), ("::ffff:127.0.0.1", "", True), ("localhost.example.org", "", False),
        ("notlocalhost", "", False),
    ],
)  # fmt: skip
def test_which_hosts_need_no_proxy(host: str, exceptions: str, is_direct: bool) -> None:
    """NO_PROXY lists names with what is below them, addresses, networks and ports; this machine needs none."""
    found = find_proxy("http", host, 3100, {"HTTP_PROXY": "http://a", "no_proxy": exceptions})
    assert (found is None) == is_direct


@pytest.mark.parametrize(
    "value",
    ["socks5://me:s3cr3t@a:1080", "https://me:s3cr3t@a", "http://me:s3cr3t@", "http://me:s3cr3t@a:port",
     "http://me:s3cr3t/x@a", "http://me:s3cr3t@a b", f"http://me:s3cr3t@{'a' * 64}", "me:s3cr3t@[::1"],
)  # fmt: skip
def test_a_proxy_of_no_known_kind(make: MakeClient, value: str) -> None:
    """A proxy that cannot be used is a wrong setting that names the variable, and not the password."""
    with pytest.raises(SettingsError, match="ALL_PROXY") as caught:
        make(f"http://{HOST}", environ={"ALL_PROXY": value})
    assert "s3cr3t" not in caught.value.message + caught.value.hint
    assert caught.value.hint
    make(f"http://{HOST}", environ={"ALL_PROXY": value, "NO_PROXY": "example.org"})


def test_a_proxys_password_is_not_shown() -> None:
    """Percent-encoded credentials are decoded, and stay out of the `repr`."""
    proxy = find_proxy("http", HOST, 80, {"http_proxy": "http://m%40e:s3cr3t%2F@a"})
    assert isinstance(proxy, Proxy)
    assert proxy.authorization == "Basic " + base64.b64encode(b"m@e:s3cr3t/").decode()
    assert proxy.authorization not in repr(proxy)


# Compression.


@pytest.fixture(params=[True, False], ids=["isal", "zlib"])
def compress(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes], bytes]]:
    """The function, with the fast library and without."""
    if request.param:
        pytest.importorskip("isal")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
    yield importlib.reload(compress_module).compress
    monkeypatch.undo()
    importlib.reload(compress_module)


@hypothesis.given(data=strategies.binary(max_size=2000))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_gzip_round_trip(compress: Callable[[bytes], bytes], data: bytes) -> None:
    """What is compressed is gzip of the same data."""
    assert gzip.decompress(compress(data)) == data


def test_equal_data_give_equal_bytes(compress: Callable[[bytes], bytes]) -> None:
    """No time and no name is in it, and text becomes much smaller."""
    data = b"".join(b'{"level":"INFO","message":"trial %d"}\n' % number for number in range(20_000))
    packed = compress(data)
    assert packed == compress(data)
    assert packed[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert len(packed) < len(data) / 4
