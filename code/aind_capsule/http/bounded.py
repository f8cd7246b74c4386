"""A connected socket whose every call ends by one deadline. Called by `client` and `connect`.

A socket's own timeout bounds one call. A server that sends a byte a second keeps each call short
and the exchange endless, so each call here gets the time that is left. Works in any thread and
needs no thread or signal of its own.
"""

from __future__ import annotations

import contextlib
import errno
import io
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: A socket's timeout is set anew only when it is this far off: setting it is a system call.
_SLACK_S = 0.05


class HttpError(Exception):
    """No whole answer came.

    Args:
        message: What failed, with host and port, for people. It holds no credentials.
        may_have_arrived: Whether the server may have received the request all the same.
        proxy_status: The answer of a proxy that opens no tunnel; 0 for any other failure.
    """

    def __init__(
        self, message: str, *, may_have_arrived: bool = True, proxy_status: int = 0
    ) -> None:
        super().__init__(message)
        self.message = message
        self.proxy_status = proxy_status
        self.may_have_arrived = may_have_arrived


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of the time that an exchange has.

    Attributes:
        timeout_s: The whole time.
        end_s: When it ends, by `time.monotonic`.
    """

    timeout_s: float
    end_s: float

    @classmethod
    def start(cls, timeout_s: float) -> Deadline:
        """Return the deadline that lies `timeout_s` ahead."""
        return cls(timeout_s, time.monotonic() + timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self.end_s

    def get_left_s(self) -> float:
        """Return the time that is left, more than 0.

        Raises:
            TimeoutError: There is none.
        """
        left_s = self.end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "no time is left")
        return left_s


class BoundedSocket(io.RawIOBase):
    """A connected socket as `http.client.HTTPResponse` reads from it.

    Args:
        connected: The socket, plain or TLS. Only `hang_up` closes it.

    Attributes:
        has_received: Whether anything has come since the last `begin`.
        has_sent: Whether anything was sent since the last `begin`.
        is_at_end: Whether the other side has ended its stream.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.has_received = False
        self.has_sent = False
        self.is_at_end = False
        self._socket = connected
        self._deadline: Deadline | None = None
        self._timeout_s = connected.gettimeout() or 0.0
        self._bytes_left = 0
        self._reader = _LastingReader(self)

    def begin(self, deadline: Deadline, max_bytes: int) -> None:
        """Begin an exchange that ends by a deadline and receives at most `max_bytes`."""
        self.has_received = self.has_sent = False
        self.allow(deadline, max_bytes)

    def allow(self, deadline: Deadline, max_bytes: int) -> None:
        """Let the exchange go on until another deadline, and receive `max_bytes` from here on."""
        self._deadline = deadline
        self._bytes_left = max_bytes

    def is_idle(self) -> bool:
        """Return whether the connection is open with nothing to read, without waiting.

        A server that has closed it, or sent something unasked, is noticed here.
        """
        self._deadline = None
        with contextlib.suppress(OSError):
            return not self._reader.peek(1) and not self.is_at_end
        return False

    def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`.

        Raises:
            OSError: The connection broke, or time is up.
        """
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                self._bound()
                sent += self._socket.send(view[sent:] if sent else view)
                self.has_sent = True

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the one reader of this connection, which keeps what it has read ahead."""
        return self._reader

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Receive some bytes. Return 0 at the end, and None when `is_idle` would have to wait.

        Raises:
            OSError: The connection broke, time is up, or too much has come.
        """
        if self._deadline is not None:
            self._bound()
        elif not _has_input(self._socket):
            return None
        else:
            self._timeout_s = 0.0
            self._socket.settimeout(0)
        try:
            count = self._socket.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        if count == 0:
            self.is_at_end = True
        else:
            self.has_received = True
            self._bytes_left -= count
            if self._bytes_left < 0 and self._deadline is not None:
                # http.client has no bound for a chunk whose size is -1.
                raise OSError(errno.EMSGSIZE, "it sends too much")
        return count

    def close(self) -> None:
        """Do nothing: `http.client` closes its socket behind each answer."""

    def hang_up(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _bound(self) -> None:
        """Make the next call end by the deadline, with `_SLACK_S` at most on top."""
        assert self._deadline is not None
        left_s = self._deadline.get_left_s()
        # A little more than is left: the next exchange with the same timeout need not set it.
        if not left_s <= self._timeout_s <= left_s + 2 * _SLACK_S:
            self._timeout_s = left_s + _SLACK_S
            self._socket.settimeout(self._timeout_s)


class _LastingReader(io.BufferedReader):
    def close(self) -> None:
        """Do nothing: `http.client` closes its reader behind each answer."""


def _has_input(connected: socket.socket) -> bool:
    """Return whether a socket has something to read. Sending does not change the answer."""
    if isinstance(connected, ssl.SSLSocket) and connected.pending():
        return True
    if not hasattr(select, "poll"):  # Windows: its `select` takes any socket
        return bool(select.select([connected], [], [], 0)[0])
    poller = select.poll()
    poller.register(connected, select.POLLIN)
    return bool(poller.poll(0))
