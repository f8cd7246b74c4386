"""Addresses of servers, and the one rule for the proxies that lead to them.

Proxies come from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. The standard library and
botocore know neither `ALL_PROXY` nor networks in `NO_PROXY`. The system settings of macOS and
Windows are not read. Called by `client`, and by `storage` for boto3. An address may hold a
password, which no message shows.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from aind_capsule.errors import SettingsError

DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_.-]+")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that is spoken to in plain HTTP.

    Attributes:
        host: Its name or address.
        port: Its port.
        authorization: The value of `Proxy-Authorization`, where it wants a password.
        variable: The variable that names it.
        url: All of it, with the password.
    """

    host: str
    port: int
    authorization: str | None = field(repr=False)
    variable: str
    url: str = field(repr=False)


def parse_origin(origin: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a server's address, which has nothing else.

    Raises:
        SettingsError: It is none.

    >>> parse_origin("https://loki.example.org"), parse_origin("http://[::1]:3100/")
    (('https', 'loki.example.org', 443), ('http', '::1', 3100))
    """
    try:
        parts = urlsplit(origin)
        host, port = _parse_host(parts.hostname), parts.port
    except ValueError:
        host = ""
    if (
        not host
        or parts.scheme not in DEFAULT_PORTS
        or parts.username is not None
        or (parts.path.strip("/"), parts.query, parts.fragment) != ("", "", "")
    ):
        given = repr(origin) if "@" not in origin else "The address (it has an @)"
        raise SettingsError(
            f"{given} is no address of an HTTP server",
            hint="Write it as https://host:port or http://host:port; user and password go apart.",
        )
    return parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port


def find_proxy(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that leads to a server, or None where the way is direct.

    This machine is always reached directly.

    Args:
        scheme: `http` or `https`.
        host: The server's name or address, in lower case.
        port: The server's port.
        environ: The environment. Of two spellings the lower-case one holds.

    Raises:
        SettingsError: The variable names no proxy that can be used.
    """
    if _is_loopback(host) or _is_excepted(host, port, _read(environ, "NO_PROXY")[1]):
        return None
    for name in (f"{scheme.upper()}_PROXY", "ALL_PROXY"):
        variable, value = _read(environ, name)
        if value:
            return _parse_proxy(variable, value)
    return None


def list_proxies(origin: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy that leads to a server, by scheme, as botocore's `Config` wants it.

    Empty where the way is direct: botocore then looks for none itself. It holds the password.

    Raises:
        SettingsError: The origin is none, or a variable names no proxy that can be used.

    >>> list_proxies("http://s3:9000", {"http_proxy": "127.0.0.1:8112", "NO_PROXY": "10.0.0.0/8"})
    {'http': 'http://127.0.0.1:8112'}
    >>> list_proxies("http://10.1.2.3:9000", {"ALL_PROXY": "proxy", "NO_PROXY": "10.0.0.0/8"})
    {}
    """
    scheme, host, port = parse_origin(origin)
    proxy = find_proxy(scheme, host, port, environ)
    return {} if proxy is None else {scheme: proxy.url}


def format_address(host: str, port: int) -> str:
    """Return host and port as one word.

    >>> format_address("loki", 3100), format_address("::1", 80)
    ('loki:3100', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse_host(host: str | None) -> str:
    """Return a host as it is looked up and sent: plain ASCII.

    Raises:
        ValueError: It is none.
    """
    if host and ":" in host:
        ipaddress.IPv6Address(host)
        return host
    plain = (host or "").encode("idna").decode()
    if _HOST.fullmatch(plain) is None:
        raise ValueError("a host has letters, digits, dashes and dots")
    return plain


def _read(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return a variable's spelling and value. An empty one is as good as none."""
    names = set(environ)  # on Windows `in environ` takes both spellings for the same
    if name.lower() in names:
        return name.lower(), environ[name.lower()].strip()
    # In a CGI program it may be a client's header `Proxy` (CVE-2016-1000110).
    if name in names and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in names):
        return name, environ[name].strip()
    return name, ""


def _parse_proxy(variable: str, value: str) -> Proxy:
    """Read a proxy's address. What may be a password is kept out of the messages."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = _parse_host(parts.hostname), parts.port
    except ValueError:
        host = ""
    if not host:
        raise SettingsError(
            f"The variable {variable} holds no address of a proxy",
            hint="Write it as http://host:port or http://user:password@host:port, with"
            " characters such as / and @ in the password percent-encoded.",
        )
    if parts.scheme != "http":
        raise SettingsError(
            f"The variable {variable} names a proxy by {parts.scheme}://, and only http:// proxies"
            " can be used (they carry https as well)",
            hint="Name an http:// proxy, or list the server in NO_PROXY.",
        )
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        coded = base64.b64encode(pair.encode("utf-8", "surrogateescape")).decode()
        authorization = f"Basic {coded}"
    port = 80 if port is None else port
    user = f"{parts.netloc.rpartition('@')[0]}@" if parts.username is not None else ""
    url = f"http://{user}{format_address(host, port)}"
    return Proxy(host, port, authorization, variable, url)


def _is_loopback(host: str) -> bool:
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _parse_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Return whether `NO_PROXY` lists a server: by a name, one above it, an address, a network."""
    address = _parse_address(host)
    for entry in re.split(r"[,\s]+", exceptions.lower()):
        if entry == "*":
            return True
        name, entry_port = _split_port(entry)
        if not name or entry_port not in ("", str(port)):
            continue
        if address is None:
            plain, listed = host.rstrip("."), name.removeprefix("*").strip(".")
            if plain == listed or plain.endswith(f".{listed}"):
                return True
        elif _is_within(address, name):
            return True
    return False


def _split_port(entry: str) -> tuple[str, str]:
    """Split an entry such as `host`, `host:80`, `::1`, `[::1]:80` or `10.0.0.0/8`."""
    found = re.fullmatch(r"\[([^]]*)\](?::(\d+))?|([^:]*):(\d+)", entry)
    if found is None:
        return entry, ""
    return found[1] or found[3] or "", found[2] or found[4] or ""


def _is_within(address: _Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parse_address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
