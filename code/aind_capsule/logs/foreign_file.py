"""A log file of another program as lines: unpacked, in UTF-8, and in pieces where they are huge.

Read by `foreign_records`. UTF-8 with or without a byte order mark, UTF-16 with one, and gzip behind
a name that ends with `.gz`. Never holds more than some megabytes.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from aind_capsule.errors import LogFileError
from aind_capsule.records.redaction.stream import LOOK_AHEAD_BYTES

#: A longer line comes in pieces.
MAX_LINE_BYTES = 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_SUFFIX = ".gz"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A line without its end, or a piece of one that is too long.

    Attributes:
        text: UTF-8, as far as the file is.
        is_first: Whether the line begins with it.
        is_last: Whether the line ends with it.
    """

    text: bytes
    is_first: bool = True
    is_last: bool = True


class ForeignFile:
    """Reads a file, once, and knows what it has read.

    Args:
        path: The file.
        max_bytes: Reads no further than this: the file may grow; None for all that is in it now.

    Attributes:
        size_bytes: Bytes that were read, unpacked.
    """

    def __init__(self, path: str, max_bytes: int | None = None) -> None:
        self.path = path
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of what was read, unpacked."""
        return self._hash.hexdigest()

    def read_chunks(self) -> Iterator[bytes]:
        """The file's text in UTF-8, without a byte order mark.

        Raises:
            LogFileError: The file cannot be read or unpacked.
        """
        chunks = self._read_raw()
        head = next(chunks, b"")
        mark, encoding = next((pair for pair in _MARKS if head.startswith(pair[0])), (b"", "utf-8"))
        if encoding == "utf-8":
            yield head[len(mark) :]
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        yield decoder.decode(head).encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()

    def _read_raw(self) -> Iterator[bytes]:
        try:
            with self._open() as file:
                while chunk := file.read(_CHUNK_BYTES):
                    if self._max_bytes is not None:
                        chunk = chunk[: self._max_bytes - self.size_bytes]
                    if not chunk:
                        return
                    self._hash.update(chunk)
                    self.size_bytes += len(chunk)
                    yield chunk
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise LogFileError(
                f"The log {self.path} cannot be read: {reason}",
                hint="Look whether it is a file, whole, and may be read by you.",
            ) from error

    def _open(self) -> BinaryIO:
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise OSError("it is not a file")  # a pipe cannot be read twice
        file = open(self.path, "rb")  # noqa: SIM115
        if self.path.endswith(_GZIP_SUFFIX):
            if file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC:
                file.close()
                return cast(BinaryIO, gzip.open(self.path, "rb"))
            file.seek(0)
        if self._max_bytes is None:  # it may grow faster than it is read
            self._max_bytes = os.fstat(file.fileno()).st_size
        return file


def find_stem(path: str) -> str:
    """A file's name without what says its kind.

    >>> find_stem("old/session.log.jsonl.gz"), find_stem(".log")
    ('session', 'log')
    """
    return os.path.basename(path).lstrip(".").partition(".")[0] or "log"


def cut_lines(
    chunks: Iterator[bytes], limit_bytes: int, find_cut: Callable[[bytes, int], int]
) -> Iterator[Piece]:
    """Lines; those of more than `MAX_LINE_BYTES` in pieces.

    Args:
        chunks: The file's text.
        limit_bytes: About the size of a piece.
        find_cut: Where a text should be cut, given that limit.
    """
    rest = b""
    is_cut = False
    for chunk in chunks:
        if b"\n" in chunk:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield Piece(line, not is_cut)
                is_cut = False
        else:
            rest += chunk
        if not is_cut and rest[:1] == b"\0":  # a hole in the file may be of any size
            rest = rest.lstrip(b"\0")
        while len(rest) > MAX_LINE_BYTES + LOOK_AHEAD_BYTES:
            piece, rest = split_text(rest, limit_bytes, find_cut)
            yield Piece(piece, not is_cut, is_last=False)
            is_cut = True
    if rest or is_cut:
        yield Piece(rest, not is_cut)


def split_text(
    text: bytes, limit_bytes: int, find_cut: Callable[[bytes, int], int]
) -> tuple[bytes, bytes]:
    r"""A piece of a text and what is left; no character is torn apart.

    >>> split_text("aé".encode(), 2, lambda text, limit: limit)
    (b'a', b'\xc3\xa9')
    """
    cut = find_cut(text, limit_bytes)
    end = cut
    while 0 < end < len(text) and cut - end < 4 and text[end] & 0xC0 == 0x80:
        end -= 1
    if not end > 0 or (end < len(text) and text[end] & 0xC0 == 0x80):
        end = cut
    return text[:end], text[end:]
