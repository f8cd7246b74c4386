"""The content type of an object, by the ending of its file's name.

By a table of Python's own, so that it is the same on every machine: `/etc/mime.types` is not read.
A compressed file is what its last ending says: its bytes are gzip and no JSON.
"""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Mapping

_UNKNOWN = "application/octet-stream"
#: RFC 6713 (gzip), RFC 8878 (zstd); others by their usual names.
_COMPRESSED = {
    ".gz": "application/gzip", ".tgz": "application/gzip", ".taz": "application/gzip",
    ".svgz": "application/gzip", ".bgz": "application/gzip",
    ".bz2": "application/x-bzip2", ".tbz2": "application/x-bzip2", ".tbz": "application/x-bzip2",
    ".xz": "application/x-xz", ".txz": "application/x-xz",
    ".lzma": "application/x-lzma", ".lz": "application/x-lzip",
    ".lz4": "application/x-lz4", ".z": "application/x-compress", ".tz": "application/x-compress",
    ".zst": "application/zstd", ".zstd": "application/zstd", ".tzst": "application/zstd",
    ".br": _UNKNOWN, ".7z": "application/x-7z-compressed",
}  # fmt: skip


class ContentTypes:
    """Finds content types. May be used by many threads.

    Args:
        by_ending: Those that the user gives, by ending of the name; they win, the longest first.
    """

    def __init__(self, by_ending: Mapping[str, str]) -> None:
        rows = ((ending.lower(), str(kind)) for ending, kind in by_ending.items())
        self._by_ending = sorted(rows, key=lambda row: -len(row[0]))
        self._table: dict[str, str] | None = None
        self._lock = threading.Lock()

    def find(self, key: str) -> str:
        """Return the content type of a file's key.

        >>> types = ContentTypes({".seg": "x/segment"})
        >>> types.find("a/x.json"), types.find("a/x.json.gz"), types.find("a.json/x")
        ('application/json', 'application/gzip', 'application/octet-stream')
        >>> types.find("X.SEG")
        'x/segment'
        """
        name = key.rpartition("/")[2].lower()
        for ending, kind in self._by_ending:
            if name.endswith(ending):
                return kind
        _, dot, ending = name.rpartition(".")
        table = self._table if self._table is not None else self._make_table()
        return table.get(dot + ending, _UNKNOWN)

    def _make_table(self) -> dict[str, str]:
        with self._lock:
            if self._table is None:
                self._table = {**mimetypes.MimeTypes().types_map[True], **_COMPRESSED}
            return self._table
