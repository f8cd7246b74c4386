"""Opening a connection: addresses in turn, a proxy's tunnel, TLS. Called by `client`."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import Any, cast

from aind_capsule.http.bounded import BoundedSocket, Deadline, HttpError
from aind_capsule.http.proxies import Proxy, format_address
from aind_capsule.http.tls import describe_tls_error

#: Most that is received of a head.
HEAD_BYTES = 1024 * 1024
#: How a TLS connection may end. Python 3.11.2 has the second in the handshake.
_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a server.

    Attributes:
        host: The server's name or address.
        port: Its port.
        proxy: What leads there, if anything does.
        context: For TLS, if the server speaks it.
    """

    host: str
    port: int
    proxy: Proxy | None
    context: ssl.SSLContext | None

    @property
    def address(self) -> str:
        """Host and port, as messages name the server."""
        return format_address(self.host, self.port)

    def open(self, deadline: Deadline) -> BoundedSocket:
        """Open a connection to the server.

        Raises:
            HttpError: There is no connection.
        """
        proxy = self.proxy
        if proxy is None:
            connected = _connect(self.host, self.port, self.address, deadline)
        else:
            whom = f"the proxy {format_address(proxy.host, proxy.port)} ({proxy.variable})"
            whom = f"{whom} to {self.address}"
            connected = _connect(proxy.host, proxy.port, whom, deadline)
            if self.context is not None:
                _open_tunnel(connected, proxy, self.address, whom, deadline)
        if self.context is not None:
            connected = _start_tls(connected, self.context, self.host, self.address, deadline)
        return BoundedSocket(connected)


def read_head(connection: BoundedSocket, method: str) -> http.client.HTTPResponse:
    """Read the head of the final answer to a request. Interim answers are skipped.

    Raises:
        OSError: The connection broke, or time is up.
        http.client.HTTPException: What came is no answer, or not all of its head.
    """
    while True:
        response = http.client.HTTPResponse(cast("Any", connection), method=method)
        response.begin()
        if connection.is_at_end:  # http.client takes it for the empty line behind the headers
            raise http.client.IncompleteRead(b"")
        if response.status >= 200:
            return response
        if response.status == http.client.SWITCHING_PROTOCOLS:
            raise http.client.HTTPException("it switches to a protocol that nobody asked for")


def describe_failure(
    error: Exception, connection: BoundedSocket, whom: str, deadline: Deadline
) -> str:
    """Return what kept an exchange by an open connection from its end, for people."""
    has_begun = connection.has_received
    if deadline.is_over:
        what = "did not finish its answer" if has_begun else "did not answer"
        return f"{whom} {what} within {deadline.timeout_s:g} s"
    ends = (ConnectionError, http.client.IncompleteRead, *_TLS_ENDS)
    if connection.is_at_end or isinstance(error, ends):
        when = "in mid-answer" if has_begun else "before it answered"
        return f"{whom} closed the connection {when}"
    if isinstance(error, ssl.SSLError):
        return describe_tls_error(error, whom)
    if isinstance(error, OSError):
        return f"The connection to {whom} broke ({error.strerror or error})"
    return f"{whom} sent an invalid HTTP response ({type(error).__name__})"


def _connect(host: str, port: int, whom: str, deadline: Deadline) -> socket.socket:
    """Connect by each of a host's addresses in turn.

    They share the time that is left, so that one which swallows packets does not take it all. Only
    the look-up of the name is not bounded: no portable call bounds it.

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
            return _open_socket(socket.socket(family, kind, protocol), address, share_s)
        except OSError as error:
            failure = error
    if isinstance(failure, ConnectionRefusedError):
        message = f"{whom} refuses the connection: nothing listens there"
    elif isinstance(failure, TimeoutError):
        message = f"{whom} cannot be reached within {deadline.timeout_s:g} s"
    else:
        message = f"{whom} cannot be reached ({failure.strerror or failure})"
    raise HttpError(message, may_have_arrived=False) from failure


def _open_socket(opened: socket.socket, address: Any, timeout_s: float) -> socket.socket:
    try:
        opened.settimeout(timeout_s)
        opened.connect(address)
        # A large body follows its head: it must not wait for the head's acknowledgement.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:  # raised again
        opened.close()
        raise
    return opened


def _open_tunnel(
    connected: socket.socket, proxy: Proxy, target: str, whom: str, deadline: Deadline
) -> None:
    """Have the proxy connect us to the server. The connection is closed where it does not.

    Raises:
        HttpError: There is no tunnel.
    """
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nAccept-Encoding: identity\r\n"
    if proxy.authorization is not None:
        head += f"Proxy-Authorization: {proxy.authorization}\r\n"
    connection = BoundedSocket(connected)
    connection.begin(deadline, HEAD_BYTES)
    is_open = False
    try:
        connection.send(f"{head}\r\n".encode())
        status = read_head(connection, "CONNECT").status
        is_open = status // 100 == 2
    except (OSError, http.client.HTTPException) as error:
        message = describe_failure(error, connection, whom, deadline)
        raise HttpError(message, may_have_arrived=False) from error
    finally:
        if not is_open:
            connection.hang_up()
    if not is_open:
        cure = ""
        if status == http.client.PROXY_AUTHENTICATION_REQUIRED:
            cure = f": give its user and password in {proxy.variable}"
        message = f"{whom} opens no tunnel (it answers {status}){cure}"
        raise HttpError(message, may_have_arrived=False, proxy_status=status)


def _start_tls(
    connected: socket.socket, context: ssl.SSLContext, host: str, whom: str, deadline: Deadline
) -> ssl.SSLSocket:
    """Make a connection a TLS connection. It is closed where that fails.

    Raises:
        HttpError: There is no TLS connection.
    """
    try:
        connected.settimeout(deadline.get_left_s())  # bounds the handshake as a whole
        return context.wrap_socket(connected, server_hostname=host)
    except OSError as error:
        if isinstance(error, ssl.SSLError) and not isinstance(error, _TLS_ENDS):
            message = describe_tls_error(error, whom)
        elif isinstance(error, TimeoutError):
            message = f"{whom} did not finish the TLS handshake within {deadline.timeout_s:g} s"
        else:
            message = f"{whom} closed the connection in the TLS handshake"
        raise HttpError(message, may_have_arrived=False) from error
    finally:
        connected.close()  # an empty shell where all went well
