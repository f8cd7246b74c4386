"""The toolkit's one HTTP client: requests to one server, each bounded in time, by one connection.

On `http.client.HTTPResponse`, which parses the answers. The request is written here, head and body
by one call: `http.client.HTTPConnection` sends them one after the other, and costs a third more.
The client follows no redirect, logs nothing, puts no credentials into messages, and repeats nothing
but a request that a kept connection has lost.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aind_capsule.http.answers import BodyError, HttpAnswer, limit_received, read_body, read_piece
from aind_capsule.http.bounded import BoundedSocket, Deadline, HttpError
from aind_capsule.http.connect import HEAD_BYTES, Route, describe_failure, read_head
from aind_capsule.http.heads import HeadBuilder
from aind_capsule.http.proxies import DEFAULT_PORTS, find_proxy, parse_origin
from aind_capsule.http.retry_after import parse_retry_after
from aind_capsule.http.tls import TlsOptions, build_tls_context, is_certificate_refused

__all__ = ["HttpAnswer", "HttpClient", "HttpError", "TlsOptions"]

DEFAULT_TIMEOUT_S = 60.0
DEFAULT_MAX_ANSWER_BYTES = 64 * 1024
#: The pieces of a streamed body.
PIECE_BYTES = 1024 * 1024
#: A body up to this size is sent together with its head.
_JOINED_BYTES = 64 * 1024
#: Methods whose repetition changes nothing.
_REPEATABLE = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
#: What an exchange may fail with.
_FAILURES = (BodyError, OSError, http.client.HTTPException)


@dataclass(slots=True)  # frozen, it would take four times as long to make
class _Request:
    """A request as it is sent.

    Attributes:
        method: Its method.
        head: The head, to the empty line behind it.
        body: The body.
        timeout_s: How long an exchange may take.
        max_answer_bytes: The longest body that is kept in an answer.
        take: Where the body of a successful answer goes instead.
        note_head: Called with status and headers before that.
    """

    method: str
    head: bytes
    body: bytes | memoryview
    timeout_s: float
    max_answer_bytes: int
    take: Callable[[bytes], object] | None = None
    note_head: Callable[[int, Mapping[str, str]], object] | None = None


class HttpClient:
    """Sends requests to one server by one connection, which is kept between them.

    One request at a time, from whichever thread.

    Args:
        origin: `http://host`, `https://host:port`, `https://[::1]:3100`.
        headers: Sent with every request.
        tls: For https. A context is for many clients: to build one takes 20 ms.
        timeout_s: How long a request may take, all in all.
        environ: Where proxies are named. A server on this machine is reached directly.
        read_clock_s: Seconds since 1970, to understand a date in `Retry-After`.

    Raises:
        SettingsError: The origin is none, a header would break the request, a file for TLS cannot
            be used, or the environment names a proxy of an unknown kind.

    Attributes:
        address: Host and port.
    """

    def __init__(
        self,
        origin: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: TlsOptions | ssl.SSLContext | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        environ: Mapping[str, str] = os.environ,
        read_clock_s: Callable[[], float] = time.time,
    ) -> None:
        scheme, host, port = parse_origin(origin)
        context = tls if isinstance(tls, ssl.SSLContext) else None
        if scheme == "https" and context is None:
            context = build_tls_context(tls if isinstance(tls, TlsOptions) else TlsOptions())
        elif scheme == "http":
            context = None
        proxy = find_proxy(scheme, host, port, environ)
        self._route = Route(host, port, proxy, context)
        self.address = self._route.address
        self._timeout_s = timeout_s
        self._read_clock_s = read_clock_s
        self._connection: BoundedSocket | None = None
        is_usual_port = port == DEFAULT_PORTS[scheme]
        own_headers = {"Host": self.address.rpartition(":")[0] if is_usual_port else self.address}
        target = ""
        if proxy is not None and context is None:
            # An http request names its server to the proxy. An https one goes through a tunnel.
            target = f"http://{own_headers['Host']}"
            if proxy.authorization is not None:
                own_headers["Proxy-Authorization"] = proxy.authorization
        self._heads = HeadBuilder(target, own_headers, headers or {})

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | memoryview = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
        is_repeatable: bool | None = None,
    ) -> HttpAnswer:
        """Send a request, and read its answer.

        A request on a kept connection that breaks before anything of an answer has come is sent
        once more, on a new connection: servers close idle connections when they like.

        Args:
            method: `GET`, `POST`, …
            path: With its query, from the slash on. What a URL may hold is sent exactly as given,
                and the rest is percent-encoded.
            body: What is sent.
            headers: Besides those of every request, or instead of them.
            timeout_s: How long it may take, from the connection to the answer's last byte, in place
                of the client's. Only the look-up of the host's name may take longer: no portable
                call bounds that.
            max_answer_bytes: A successful answer that is longer is an error. Any other is cut.
            is_repeatable: Whether a request that may have arrived is sent again. None for: where
                the method says so (GET, HEAD, OPTIONS, PUT, DELETE). One of which no byte was sent
                is sent again in any case.

        Raises:
            HttpError: No whole answer came.
            SettingsError: A header would break the request.
            ValueError: The path has no slash in front.
        """
        head = self._heads.build(method, path, headers, len(body))
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        request = _Request(method, head, body, timeout_s, max_answer_bytes)
        return self._send(
            request, method in _REPEATABLE if is_repeatable is None else is_repeatable
        )

    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        take: Callable[[bytes], object],
        note_head: Callable[[int, Mapping[str, str]], object] | None = None,
    ) -> HttpAnswer:
        """Send a request, and hand the body of a successful answer on as it comes.

        Args:
            method: `GET`, as a rule.
            path: See `request`.
            headers: See `request`.
            timeout_s: How long the answer's head may take, and then each piece.
            take: Called with each piece of the body, of `PIECE_BYTES` but for the last. Nothing is
                decoded. Not called where the status is no success: that body is in the answer.
            note_head: Called with the status and the headers of a success, before its body. What
                this or `take` raises ends the request, and is raised as it is.

        Raises:
            HttpError: No whole answer came. Pieces may have been taken.
            SettingsError: A header would break the request.
            ValueError: The path has no slash in front.
        """
        head = self._heads.build(method, path, headers, 0)
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        request = _Request(method, head, b"", timeout_s, DEFAULT_MAX_ANSWER_BYTES, take, note_head)
        return self._send(request, method in _REPEATABLE)

    def close(self) -> None:
        """Close the connection. A later request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.hang_up()

    def _send(self, request: _Request, is_repeatable: bool) -> HttpAnswer:
        deadline = Deadline.start(request.timeout_s)
        is_sent = False
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_idle():
            connection.hang_up()
        elif connection is not None:
            try:
                return self._exchange(connection, request, deadline)
            except HttpError:
                is_sent = connection.has_sent
                if connection.has_received or deadline.is_over or (is_sent and not is_repeatable):
                    raise
        try:
            return self._exchange(self._route.open(deadline), request, deadline)
        except HttpError as error:
            error.may_have_arrived = error.may_have_arrived or is_sent
            raise

    def _exchange(
        self, connection: BoundedSocket, request: _Request, deadline: Deadline
    ) -> HttpAnswer:
        """Send a request by a connection, and keep the connection if it is good for another."""
        connection.begin(deadline, HEAD_BYTES)
        is_reusable = False
        body = b""
        try:
            try:
                _write(connection, request)
                response = read_head(connection, request.method)
                # As they came: `items` looks at each for what no answer's head can hold.
                headers = {name.lower(): value for name, value in response.headers.raw_items()}
                is_streamed = request.take is not None and response.status // 100 == 2
                if not is_streamed:
                    connection.allow(deadline, limit_received(request.max_answer_bytes))
                    body = read_body(response, request.max_answer_bytes)
            except _FAILURES as error:
                raise self._explain(error, connection, deadline) from error
            if is_streamed:
                self._take_body(connection, request, response, headers)
            is_reusable = response.isclosed() and not response.will_close
        finally:
            if is_reusable:
                self._connection = connection
            else:
                connection.hang_up()
        wait = headers.get("retry-after")
        wait_s = None if wait is None else parse_retry_after(wait, self._read_clock_s())
        return HttpAnswer(response.status, headers, body, wait_s)

    def _take_body(
        self,
        connection: BoundedSocket,
        request: _Request,
        response: http.client.HTTPResponse,
        headers: Mapping[str, str],
    ) -> None:
        """Hand the body of a successful answer on, piece by piece."""
        assert request.take is not None
        if request.note_head is not None:
            request.note_head(response.status, headers)
        while not response.isclosed():
            deadline = Deadline.start(request.timeout_s)
            connection.allow(deadline, limit_received(PIECE_BYTES))
            try:
                piece = read_piece(response, PIECE_BYTES)
            except _FAILURES as error:
                raise self._explain(error, connection, deadline) from error
            if piece:
                request.take(piece)

    def _explain(
        self, error: Exception, connection: BoundedSocket, deadline: Deadline
    ) -> HttpError:
        """Return what failed in an exchange as an error for people."""
        if isinstance(error, BodyError):
            return HttpError(f"{self.address} {error}")
        message = describe_failure(error, connection, self.address, deadline)
        may_have_arrived = connection.has_sent and not is_certificate_refused(error)
        return HttpError(message, may_have_arrived=may_have_arrived)


def _write(connection: BoundedSocket, request: _Request) -> None:
    """Send a request, as far as the server takes it.

    A server that refuses a body may answer and hang up before it has read all of it.

    Raises:
        OSError: Time is up.
    """
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        if len(request.body) <= _JOINED_BYTES:
            connection.send(request.head + request.body)
        else:
            connection.send(request.head)
            connection.send(request.body)
