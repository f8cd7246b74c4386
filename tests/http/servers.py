"""Servers on real sockets that behave as servers may, and what the tests of the client share."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from aind_capsule.http.client import (
    HttpClient,
    HttpError,
)

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


MakeClient = Callable[..., HttpClient]


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


def trickle(head: bytes) -> Callable[[RawServer, Any], None]:
    """Sends a byte often enough that no single read waits long, for ever."""

    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(head)
        while not server.stopping.wait(0.02):
            connection.sendall(b"a")

    return serve


def hang(server: RawServer, connection: Any) -> None:
    server.stopping.wait()


def hang_after(part: bytes) -> Callable[[RawServer, Any], None]:
    def serve(server: RawServer, connection: Any) -> None:
        server.read(connection)
        connection.sendall(part)
        server.stopping.wait()

    return serve


def continue_for_ever(server: RawServer, connection: Any) -> None:
    server.read(connection)
    while not server.stopping.wait(0.001):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)


def read_slowly(server: RawServer, connection: Any) -> None:
    while not server.stopping.wait(0.02):
        connection.recv(4096)


def tunnel_to(port: int) -> Callable[[RawServer, Any], None]:
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


def lose_the_second(server: RawServer, connection: Any) -> None:
    """Answers the first request of a connection, and hangs up on the next one once it was read."""
    if server.read(connection) is not None:
        connection.sendall(NO_CONTENT)
        server.read(connection)
