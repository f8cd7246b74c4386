"""A proxy in front of an S3 server that fails as networks and servers do, on demand."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    size: int


#: The connection is cut: before anything is passed on; after half of the body; when the server has
#: answered, so that the answer is lost. Or it is reset.
CUT, CUT_BODY, CUT_ANSWER, RESET = "cut", "cut in the body", "cut before the answer", "reset"


def answer(status: int, code: str) -> tuple[int, bytes]:
    """An answer of the server's that is none."""
    return status, f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()


class FaultyProxy:
    """Passes requests on, but for those that `decide` has something else for.

    Attributes:
        seen: All requests.
        decide: Given a request, an answer, one of the cuts, or None.
        before: Called before each request is passed on.
        after: Called when the server has answered it.
    """

    def __init__(self, target: str) -> None:
        self.seen: list[Request] = []
        self.decide: Callable[[Request], tuple[int, bytes] | str | None] = lambda request: None
        self.before: Callable[[Request], object] = lambda request: None
        self.after: Callable[[Request], object] = lambda request: None
        self._target = urlsplit(target)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, method: str) -> int:
        """Requests of a method."""
        return sum(request.method == method for request in self.seen)

    def _make_handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def handle_any(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, size
                )
                proxy.seen.append(request)
                fault = proxy.decide(request)
                if fault == CUT:
                    return self.cut()
                if fault == RESET:
                    self.connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    return self.cut()
                if fault == CUT_BODY:
                    self.rfile.read(size // 2)
                    return self.cut()
                body = self.rfile.read(size)
                if isinstance(fault, tuple):
                    return self.reply(fault[0], [("Content-Type", "application/xml")], fault[1])
                proxy.before(request)
                target = http.client.HTTPConnection(
                    proxy._target.hostname, proxy._target.port, timeout=30
                )
                with contextlib.closing(target):
                    target.request(self.command, self.path, body, dict(self.headers.items()))
                    response = target.getresponse()
                    data = response.read()
                proxy.after(request)
                if fault == CUT_ANSWER:
                    return self.cut()
                skipped = ("transfer-encoding", "content-length", "connection", "date", "server")
                headers = [(k, v) for k, v in response.getheaders() if k.lower() not in skipped]
                length = response.getheader("content-length") if self.command == "HEAD" else None
                return self.reply(response.status, headers, data, length)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

            def reply(
                self,
                status: int,
                headers: list[tuple[str, str]],
                data: bytes,
                length: str | None = None,
            ) -> None:
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", length or str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    with contextlib.suppress(
                        BrokenPipeError, ConnectionResetError
                    ):  # it was killed
                        self.wfile.write(data)

            def cut(self) -> None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

        return Handler
