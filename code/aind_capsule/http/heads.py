"""The head of a request: what must not be in it, and how it is sent. Called by `client`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import quote

from aind_capsule.errors import SettingsError
from aind_capsule.version import __version__

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What stays as it is in a path with its query, besides letters, digits and `_.-~`.
_PATH_CHARACTERS = "/%?&=:@!$'()*+,;"
_PATH = re.compile(r"[A-Za-z0-9_.~/%?&=:@!$'()*+,;-]*")
_FRAMING = ("content-length", "transfer-encoding")
#: Control characters, and halves of characters.
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
#: Methods whose request has no length where it has no body.
_WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS")


class HeadBuilder:
    """Builds the heads of requests to one server.

    Args:
        target: What stands before the path: nothing, or the server's address for a proxy.
        own_headers: Sent with every request.
        headers: The same, and of equal names these hold.

    Raises:
        SettingsError: A header would break the request.
    """

    def __init__(
        self, target: str, own_headers: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        self._target = target
        self._headers = _merge(
            {"User-Agent": f"aind-capsule/{__version__}", "Accept-Encoding": "identity"},
            own_headers,
            headers,
        )
        self._names = frozenset(name.lower() for name in self._headers)
        self._fields = _format(self._headers)

    def build(
        self, method: str, path: str, headers: Mapping[str, str] | None, body_bytes: int
    ) -> bytes:
        """Build a head, to the empty line behind it.

        Raises:
            SettingsError: A header would break the request.
            ValueError: The path has no slash in front, or the method is none.
        """
        if not path.startswith("/"):
            raise ValueError("The path of a request begins with a slash")
        if not _is_token(method):
            raise ValueError(f"{method!r} is no method of HTTP")
        if _PATH.fullmatch(path) is None:
            path = quote(path, _PATH_CHARACTERS, errors="replace")
        fields = self._fields
        if headers:
            if self._names.isdisjoint([name.lower() for name in headers]):
                fields += _format(headers)
            else:
                fields = _format(_merge(self._headers, headers))
        if body_bytes or method not in _WITHOUT_BODY:
            fields += f"Content-Length: {body_bytes}\r\n"
        return f"{method} {self._target}{path} HTTP/1.1\r\n{fields}\r\n".encode()


def _merge(*headers: Mapping[str, str]) -> dict[str, str]:
    """Return all headers. Of equal names the last one holds, however it is spelled."""
    named = {name.lower(): (name, value) for some in headers for name, value in some.items()}
    return dict(named.values())


def _format(headers: Mapping[str, str]) -> str:
    """Return headers as they are sent. No value reaches a message.

    Raises:
        SettingsError: One of them would end its line, or the request before its end.
    """
    if not (
        all(map(_is_header_name, headers)) and _UNSENDABLE.search("".join(headers.values())) is None
    ):
        _refuse(headers)
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


@functools.lru_cache(256)
def _is_header_name(name: str) -> bool:
    return _is_token(name) and name.lower() not in _FRAMING


def _refuse(headers: Mapping[str, str]) -> NoReturn:
    for name, value in headers.items():
        if not _is_header_name(name):
            raise SettingsError(
                f"{name!r} cannot be given as an HTTP header",
                hint="Names have letters, digits and dashes; the body's length is not given.",
            )
        if _UNSENDABLE.search(value) is not None:
            break
    raise SettingsError(
        f"The value of the HTTP header {name} holds a line break or another character"
        " that cannot be sent",
        hint="Look for a newline at the end of the file or variable that it comes from.",
    )


@functools.lru_cache(256)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None
