"""Connections that end in time: sockets, plain or TLS, that one deadline bounds.

Called by `http` only. A socket's own timeout bounds one call, and a server that sends a byte a
second keeps each call short and the whole endless; here each call gets what is left of the
request's time. Works in any thread, needs none of its own, and no signal.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from aind_capsule.shipping.tls import describe_tls_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class HttpError(Exception):
    """No whole answer came.

    Args:
        message: What failed, with host and port, for people; holds no credentials.
        may_have_arrived: Whether the server may have taken the request all the same.
    """

    def __init__(self, message: str, *, may_have_arrived: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.may_have_arrived = may_have_arrived


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of the time that a request has.

    Attributes:
        timeout_s: The whole time.
        end_s: When it ends, by `time.monotonic`.
    """

    timeout_s: float
    end_s: float

    @classmethod
    def start(cls, timeout_s: float) -> Deadline:
        """The deadline that lies so far ahead."""
        return cls(timeout_s, time.monotonic() + timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self.end_s

    def get_left_s(self) -> float:
        """The time that is left, more than 0.

        Raises:
            TimeoutError: There is none.
        """
        left_s = self.end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "no time is left")
        return left_s


class BoundedSocket(io.RawIOBase):
    """A connected socket with the few methods that `http.client` calls, all ended by a deadline.

    Args:
        connected: The socket; it is closed by `hang_up` and by nothing else.

    Attributes:
        received_bytes: What has come since the last `begin`.
        is_at_end: Whether the other side has ended its stream.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.received_bytes = 0
        self.is_at_end = False
        self._socket = connected
        self._deadline: Deadline | None = None
        self._max_bytes = 0
        self._reader = _LastingReader(self)

    def begin(self, deadline: Deadline, max_bytes: int) -> None:
        """Start an exchange that ends by then, and in which so much is received at most."""
        self._deadline = deadline
        self._max_bytes = max_bytes
        self.received_bytes = 0

    def is_quiet(self) -> bool:
        """Whether the connection is open with nothing to read, as it is between two exchanges.

        Never waits. A server that has closed it, or said something unasked, is noticed here.
        """
        self._deadline = None
        with contextlib.suppress(OSError):
            return not self._reader.peek(1) and not self.is_at_end
        return False

    def sendall(self, data: ReadableBuffer) -> None:
        """Send all of it.

        Raises:
            OSError: The connection broke, or time is up.
        """
        assert self._deadline is not None
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                self._socket.settimeout(self._deadline.get_left_s())
                sent += self._socket.send(view[sent:])

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The one reader of this connection: what it reads ahead is not lost between answers."""
        return self._reader

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Receive some bytes; 0 at the end, None where it would have to wait and must not.

        Raises:
            OSError: The connection broke, time is up, or too much has come.
        """
        left_s = 0.0 if self._deadline is None else self._deadline.get_left_s()
        self._socket.settimeout(left_s)
        try:
            count = self._socket.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        self.is_at_end = self.is_at_end or count == 0
        self.received_bytes += count
        if self._deadline is not None and self.received_bytes > self._max_bytes:
            # http.client has no bound for a chunk whose size it takes for -1.
            raise OSError(errno.EMSGSIZE, "it sends too much")
        return count

    def close(self) -> None:
        """Nothing: `http.client` closes its socket while the answer is still to be read."""

    def hang_up(self) -> None:
        """Close the connection."""
        self._socket.close()


class _LastingReader(io.BufferedReader):
    def close(self) -> None:
        """Nothing: `http.client` closes its reader behind each answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent.

    Attributes:
        method: Its method.
        target: What stands behind the method.
        headers: All of them, `Host` included.
        body: Its body.
    """

    method: str
    target: str
    headers: Mapping[str, bytes]
    body: bytes | None = None


class Line(http.client.HTTPConnection):
    """`http.client`'s view of a connection that is open already.

    Attributes:
        socket: The connection.
        is_whole: Whether the last request was sent to its end.
    """

    auto_open = 0

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("", 0)  # a host and a port are needed to connect, and that is done
        self.socket = BoundedSocket(connected)
        self.sock = cast("Any", self.socket)
        self.is_whole = False

    def ask(self, request: Request) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer.

        Raises:
            OSError: The connection broke, or time is up.
            http.client.HTTPException: What came is no answer, or not all of its head.
        """
        self.is_whole = False
        # A server that refuses a body may answer and hang up before it has read all of it.
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.request(request.method, request.target, request.body, request.headers)
            self.is_whole = True
        response = self.getresponse()
        if self.socket.is_at_end:  # http.client takes it for the empty line behind the headers
            raise http.client.IncompleteRead(b"")
        if response.status < 200:
            raise http.client.HTTPException("an interim answer that nobody asked for")
        return response

    def describe(self, error: Exception, whom: str, deadline: Deadline) -> str:
        """What kept an exchange by this connection from its end, for people."""
        has_begun = self.socket.received_bytes > 0
        if deadline.is_over:
            what = "did not finish its answer" if has_begun else "did not answer"
            return f"{whom} {what} within {deadline.timeout_s:g} s"
        is_end = isinstance(error, (ConnectionError, http.client.IncompleteRead, ssl.SSLEOFError))
        if is_end or self.socket.is_at_end:
            when = "in mid-answer" if has_begun else "before it answered"
            return f"{whom} closed the connection {when}"
        if isinstance(error, ssl.SSLError):
            return describe_tls_error(error, whom)
        if isinstance(error, OSError):
            return f"The connection to {whom} broke ({error.strerror or error})"
        return f"{whom} does not answer as HTTP has it ({type(error).__name__})"


def open_connection(host: str, port: int, whom: str, deadline: Deadline) -> socket.socket:
    """Connect to a host, by each of its addresses in turn.

    The time that is left is shared among the addresses, so that one which swallows packets does
    not take it all. Only the look-up of the name is not bounded: no portable call bounds it.

    Args:
        host: Its name or address.
        port: Its port.
        whom: What it is called in messages.
        deadline: When the attempt must have ended.

    Raises:
        HttpError: There is no connection.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"{whom} cannot be found: its name is not resolved ({error.strerror})"
        raise HttpError(message, may_have_arrived=False) from error
    failure = OSError("it has no address")
    for index, (family, kind, protocol, _, address) in enumerate(found):
        try:
            share_s = deadline.get_left_s() / (len(found) - index)
            return _connect(socket.socket(family, kind, protocol), address, share_s)
        except OSError as error:
            failure = error
    if isinstance(failure, ConnectionRefusedError):
        message = f"{whom} refuses the connection: nothing listens there"
    elif isinstance(failure, TimeoutError):
        message = f"{whom} cannot be reached within {deadline.timeout_s:g} s"
    else:
        message = f"{whom} cannot be reached ({failure.strerror or failure})"
    raise HttpError(message, may_have_arrived=False) from failure


def start_tls(
    connected: socket.socket, context: ssl.SSLContext, host: str, whom: str, deadline: Deadline
) -> ssl.SSLSocket:
    """Make a connection a TLS connection; it is closed where that fails.

    Raises:
        HttpError: There is no TLS connection.
    """
    try:
        connected.settimeout(deadline.get_left_s())  # bounds the handshake as a whole
        return context.wrap_socket(connected, server_hostname=host)
    except OSError as error:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            message = describe_tls_error(error, whom)
        elif isinstance(error, TimeoutError):
            message = f"{whom} did not finish the TLS handshake within {deadline.timeout_s:g} s"
        else:
            message = f"{whom} closed the connection in the TLS handshake"
        raise HttpError(message, may_have_arrived=False) from error
    finally:
        connected.close()  # an empty shell where all went well


def _connect(opened: socket.socket, address: Any, timeout_s: float) -> socket.socket:
    try:
        opened.settimeout(timeout_s)
        opened.connect(address)
        # Headers and body are sent one after the other: the second must not wait for an answer.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:  # raised again
        opened.close()
        raise
    return opened
