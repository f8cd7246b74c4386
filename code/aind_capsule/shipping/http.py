"""The toolkit's one HTTP client: requests to one server, each bounded in time, by one connection.

By hand on the standard library's `http.client`, for what it costs: a POST of 100 KB takes 0.16 ms
of CPU where requests takes 1.08 (urllib3 0.39, httpx 0.65), and none of these bounds a whole
request. Called by the destinations. It follows no redirect, logs nothing, retries nothing but an
idle connection that turned out to be dead, and puts no credentials into messages.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import http.client
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from aind_capsule.errors import SettingsError
from aind_capsule.shipping.addresses import (
    DEFAULT_PORTS,
    Proxy,
    find_proxy,
    format_address,
    parse_origin,
)
from aind_capsule.shipping.connections import (
    Deadline,
    HttpError,
    Line,
    Request,
    open_connection,
    start_tls,
)
from aind_capsule.shipping.tls import TlsOptions, build_tls_context, is_certificate_refused
from aind_capsule.version import __version__

__all__ = ["HttpAnswer", "HttpClient", "HttpError", "TlsOptions", "parse_retry_after"]

DEFAULT_MAX_ANSWER_BYTES = 64 * 1024
#: A server that asks for a longer pause is asked again after this one.
MAX_RETRY_AFTER_S = 3600.0
_READ_BYTES = 64 * 1024
#: Most that is received for each byte of an answer's text, in chunks of one byte; and for the rest.
_CHUNK_OVERHEAD = 8
_HEAD_BYTES = 1024 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What stays as it is in a path with its query, besides letters, digits and `_.-~`.
_PATH_CHARACTERS = "/%?&=:@!$'()*+,;"
_FRAMING = ("content-length", "transfer-encoding")
#: Control characters, and halves of characters.
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A server's answer.

    Attributes:
        status: Its status, 200 or more.
        text: Its body, as UTF-8 with replacements; cut where it is too long.
        headers: Its headers, by their names in lower case; of equal names the last.
        retry_after_s: How long the server asks us to wait, if it does; 1 h at most.
    """

    status: int
    text: str
    headers: Mapping[str, str]
    retry_after_s: float | None = None


class HttpClient:
    """Sends requests to one server by one connection, which is kept between them.

    One request at a time, from whichever thread.

    Args:
        origin: `http://host`, `https://host:port`, `https://[::1]:3100`.
        headers: Sent with every request.
        tls: For https.
        timeout_s: How long a request may take, all in all.
        environ: Where proxies are named; the server is asked through them but on this machine.
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
        headers: Mapping[str, str] = {},
        tls: TlsOptions,
        timeout_s: float,
        environ: Mapping[str, str],
        read_clock_s: Callable[[], float] = time.time,
    ) -> None:
        scheme, self._host, self._port = parse_origin(origin)
        self.address = format_address(self._host, self._port)
        self._timeout_s = timeout_s
        self._read_clock_s = read_clock_s
        self._context = build_tls_context(tls) if scheme == "https" else None
        self._proxy = find_proxy(scheme, self._host, self._port, environ)
        self._line: Line | None = None
        is_usual_port = self._port == DEFAULT_PORTS[scheme]
        host = self.address.rpartition(":")[0] if is_usual_port else self.address
        self._target = ""
        own_headers = {"Host": host, "User-Agent": f"aind-capsule/{__version__}"}
        if self._proxy is not None and self._context is None:
            # An http request names its server to the proxy; an https one goes through a tunnel.
            self._target = f"http://{host}"
            own_headers |= _build_proxy_headers(self._proxy)
        self._headers = _check_headers(own_headers) | _check_headers(headers)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        timeout_s: float | None = None,
        max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
    ) -> HttpAnswer:
        """Send a request that is safe to repeat, and read its answer.

        A request on a kept connection that breaks before anything of an answer has come is sent
        once more, on a new connection: servers close idle connections when they like.

        Args:
            method: `GET`, `POST`, …
            path: With its query, from the slash on; what a path cannot hold is percent-encoded.
            body: What is sent.
            headers: Besides those of every request, or instead of them.
            timeout_s: How long it may take, from the connection to the answer's last byte, in place
                of the client's. Only the look-up of the host's name may take longer: no portable
                call bounds that.
            max_answer_bytes: An answer with status 200 that is longer is an error; any other is
                cut.

        Raises:
            HttpError: No whole answer came.
            SettingsError: A header would break the request.
            ValueError: The path has no slash in front.
        """
        if not path.startswith("/"):
            raise ValueError("The path of a request begins with a slash")
        deadline = Deadline.start(self._timeout_s if timeout_s is None else timeout_s)
        all_headers = self._headers | _check_headers(headers)
        target = self._target + quote(path, _PATH_CHARACTERS, errors="replace")
        request = Request(method, target, dict(all_headers.values()), body)
        is_sent = False
        line, self._line = self._line, None
        if line is not None and line.socket.is_quiet():
            try:
                return self._exchange(line, request, deadline, max_answer_bytes)
            except HttpError:
                if line.socket.received_bytes or deadline.is_over:
                    raise
                is_sent = True
        elif line is not None:
            line.socket.hang_up()
        try:
            return self._exchange(self._open(deadline), request, deadline, max_answer_bytes)
        except HttpError as error:
            error.may_have_arrived = error.may_have_arrived or is_sent
            raise

    def close(self) -> None:
        """Close the connection; a later request opens another."""
        line, self._line = self._line, None
        if line is not None:
            line.socket.hang_up()

    def _open(self, deadline: Deadline) -> Line:
        """A new connection to the server, by way of the proxy where there is one."""
        proxy = self._proxy
        if proxy is None:
            connected = open_connection(self._host, self._port, self.address, deadline)
        else:
            name = format_address(proxy.host, proxy.port)
            whom = f"the proxy {name} ({proxy.variable}) to {self.address}"
            connected = open_connection(proxy.host, proxy.port, whom, deadline)
            if self._context is not None:
                self._open_tunnel(Line(connected), proxy, whom, deadline)
        if self._context is not None:
            connected = start_tls(connected, self._context, self._host, self.address, deadline)
        return Line(connected)

    def _open_tunnel(self, line: Line, proxy: Proxy, whom: str, deadline: Deadline) -> None:
        """Have the proxy connect us to the server; the connection is closed where it does not."""
        line.socket.begin(deadline, _HEAD_BYTES)
        headers = _check_headers({"Host": self.address, **_build_proxy_headers(proxy)})
        request = Request("CONNECT", self.address, dict(headers.values()))
        is_open = False
        try:
            response = line.ask(request)
            is_open = response.status // 100 == 2
            if not is_open:
                cure = ""
                if response.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
                    cure = f": give its user and password in {proxy.variable}"
                message = f"{whom} opens no tunnel (it answers {response.status}){cure}"
                raise HttpError(message, may_have_arrived=False)
        except (OSError, http.client.HTTPException) as error:
            message = line.describe(error, whom, deadline)
            raise HttpError(message, may_have_arrived=False) from error
        finally:
            if not is_open:
                line.socket.hang_up()

    def _exchange(
        self, line: Line, request: Request, deadline: Deadline, max_bytes: int
    ) -> HttpAnswer:
        """Send a request by a connection, and keep the connection where it is good for another."""
        line.socket.begin(deadline, max_bytes * _CHUNK_OVERHEAD + _HEAD_BYTES)
        is_reusable = False
        try:
            response = line.ask(request)
            data = _read_body(response, max_bytes)
            is_reusable = line.is_whole and response.isclosed() and not response.will_close
        except (OSError, http.client.HTTPException) as error:
            message = line.describe(error, self.address, deadline)
            may_have_arrived = not is_certificate_refused(error)
            raise HttpError(message, may_have_arrived=may_have_arrived) from error
        finally:
            if is_reusable:
                self._line = line
            else:
                line.socket.hang_up()
        if response.status == 200 and len(data) > max_bytes:
            message = f"{self.address} answers with more than {max_bytes} bytes"
            raise HttpError(message, may_have_arrived=True)
        text = data[:max_bytes].decode("utf-8", "replace")
        named = {name.lower(): value for name, value in response.getheaders()}
        wait_s = parse_retry_after(named.get("retry-after"), self._read_clock_s())
        return HttpAnswer(response.status, text, named, wait_s)


def parse_retry_after(value: str | None, now_s: float) -> float | None:
    """The seconds that a `Retry-After` asks for, as a number or a date; None where it is nonsense.

    >>> parse_retry_after("120", 0.0), parse_retry_after("Thu, 01 Jan 1970 00:00:30 GMT", 10.0)
    (120.0, 20.0)
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value.strip()) is not None:
        wait_s = float(value)
    else:
        try:
            date = email.utils.parsedate_to_datetime(value)
            if date.tzinfo is None:  # "-0000"; a date of HTTP is always in UTC
                date = date.replace(tzinfo=dt.timezone.utc)
            wait_s = date.timestamp() - now_s
        except (ValueError, OverflowError):
            return None
    return min(wait_s, MAX_RETRY_AFTER_S) if wait_s >= 0 else None


def _read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """An answer's body to its end, or one byte more than is wanted.

    Raises:
        OSError: The connection broke, or time is up.
        http.client.HTTPException: It ends too early, or its chunks are none.
    """
    parts: list[bytes] = []
    left = max_bytes + 1
    try:
        while left and (part := response.read(min(left, _READ_BYTES))):
            parts.append(part)
            left -= len(part)
    except ValueError as error:
        raise http.client.HTTPException("a chunk has no size") from error
    if left and response.length:  # `read` is silent about it
        raise http.client.IncompleteRead(b"")
    return b"".join(parts)


def _build_proxy_headers(proxy: Proxy) -> dict[str, str]:
    if proxy.authorization is None:
        return {}
    return {"Proxy-Authorization": proxy.authorization}


def _check_headers(headers: Mapping[str, str]) -> dict[str, tuple[str, bytes]]:
    """Headers as they are sent, by their names in lower case; no value reaches a message.

    Raises:
        SettingsError: One of them would end its line, or the request before its end.
    """
    checked = {}
    for name, value in headers.items():
        if _TOKEN.fullmatch(name) is None or name.lower() in _FRAMING:
            raise SettingsError(
                f"{name!r} cannot be given as an HTTP header",
                hint="Names have letters, digits and dashes; the body's length is not given.",
            )
        if _UNSENDABLE.search(value) is not None:
            raise SettingsError(
                f"The value of the HTTP header {name} holds a line break or another character"
                " that cannot be sent",
                hint="Look for a newline at the end of the file or variable that it comes from.",
            )
        checked[name.lower()] = (name, value.encode())
    return checked
