"""A server's answer: its body within a limit, decoded where it was compressed.

Called by `client`.
"""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_READ_BYTES = 64 * 1024
#: Most that is received for each byte of a body, which may come in chunks of one byte.
_CHUNK_OVERHEAD = 8
#: zlib's window size for gzip and for zlib's own format, by the name of the encoding.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class BodyError(Exception):
    """An answer's body cannot be taken. The message says why, for people."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A server's answer.

    Attributes:
        status: Its status, 200 or more.
        headers: Its headers, by their names in lower case. Of equal names the last one.
        body: Its body, cut where it is too long and the status is no success.
        retry_after_s: How long the server asks us to wait, if it does. 1 h at most.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return self.status // 100 == 2

    @property
    def text(self) -> str:
        """The body as UTF-8, with replacements."""
        return self.body.decode("utf-8", "replace")

    @property
    def location(self) -> str:
        """Where the answer redirects to, without user, query and fragment."""
        try:
            parts = urlsplit(self.headers.get("location", ""))
        except ValueError:
            return ""
        return parts._replace(
            netloc=parts.netloc.rpartition("@")[2], query="", fragment=""
        ).geturl()


def limit_received(max_bytes: int) -> int:
    """Return how much may be received for a body of `max_bytes`."""
    return max_bytes * _CHUNK_OVERHEAD + _READ_BYTES


def read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """Read an answer's body to its end, or the first `max_bytes` of an answer that is no success.

    Raises:
        BodyError: It is too long, or its encoding is none that can be decoded.
        OSError: The connection broke, or time is up.
        http.client.HTTPException: It ends too early, or its chunks are none.
    """
    body = read_piece(response, max_bytes + 1)
    is_cut = len(body) > max_bytes
    encoding = response.headers.get("content-encoding")
    if encoding is not None and body:
        # Nobody asked for it, and yet some proxies compress.
        body, is_whole = _decode(body, encoding.strip().lower(), max_bytes)
        if not is_whole and not is_cut and len(body) <= max_bytes:
            raise http.client.IncompleteRead(b"")
        is_cut = is_cut or len(body) > max_bytes
    if is_cut and response.status // 100 == 2:
        raise BodyError(f"answers with more than {max_bytes} bytes")
    return body[:max_bytes]


def read_piece(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """Read the next `max_bytes` of a body as they come, fewer only at its end.

    Raises:
        OSError: The connection broke, or time is up.
        http.client.HTTPException: It ends too early, or its chunks are none.
    """
    if response.length is not None:
        max_bytes = min(max_bytes, response.length)
    try:
        body = response.read(max_bytes)
    except ValueError as error:
        raise http.client.HTTPException("a chunk has no size") from error
    if len(body) < max_bytes and response.length:  # `read` is silent about it
        raise http.client.IncompleteRead(b"")
    return body


def _decode(data: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    """Decode up to one byte more than `max_bytes`, and whether the data ended as they should.

    Raises:
        BodyError: The encoding is unknown, or the data are not of it.
    """
    if encoding in ("", "identity"):
        return data, True
    if encoding not in _WINDOWS:
        raise BodyError(f"answers in the encoding {encoding[:40]!r}, which was not asked for")
    parts: list[bytes] = []
    left = max_bytes + 1
    is_whole = False
    try:
        while data and left:  # gzip may have several members
            decoder = zlib.decompressobj(_WINDOWS[encoding])
            parts.append(decoder.decompress(data, left))
            left -= len(parts[-1])
            is_whole, data = decoder.eof, decoder.unused_data
            if not is_whole:
                break
    except zlib.error as error:
        raise BodyError(f"answers with a body that is not {encoding}") from error
    return b"".join(parts), is_whole
