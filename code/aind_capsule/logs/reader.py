"""Read log files: from a position on, while they grow, whatever a crash left in them.

Called by everything that reads logs (`check`, history, later the shippers). Never writes, and
never holds a lock longer than it takes to see whether there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from aind_capsule.records.encode import decode

try:
    import fcntl
except ImportError:  # Windows has no flock; no log is called locked there
    fcntl = None  # type: ignore[assignment]

_CHUNK_BYTES = 1 << 20
#: A canonical record is at most 32 KiB; the last record is looked for in this much.
_LAST_BYTES = 256 * 1024


class LogLine(NamedTuple):
    """One whole line: where it stands, its bytes without the newline, its record if it is one."""

    start: int
    end: int
    raw: bytes
    record: dict[str, Any] | None


class LogTail:
    """Reads whole lines from a position on; can be asked again as the file grows.

    The file stays open from the first read on, so that what is in it can be read when its folder
    is gone.

    Args:
        path: The log file.
        position: Byte to begin at, the start of a line.

    Attributes:
        position: Where the next unread line begins; save it to go on later.
        foreign: Lines so far that are not JSON objects.
    """

    def __init__(self, path: str | os.PathLike[str], position: int = 0) -> None:
        self.path = os.fspath(path)
        self.position = position
        self.foreign = 0
        self._file: BinaryIO | None = None

    def read(self, max_bytes: int = _CHUNK_BYTES) -> list[LogLine]:
        """The whole lines in about the next `max_bytes`; empty where there are none yet.

        A line longer than that is read whole. A last line without its end is left for later.

        Raises:
            OSError: The file cannot be read.
        """
        file = self._open()
        file.seek(self.position)
        data = file.read(max_bytes)
        end = data.rfind(b"\n") + 1
        while not end and data:
            more = file.read(max_bytes)
            if not more:
                return []
            data += more
            end = data.rfind(b"\n") + 1
        lines = []
        for raw in data[:end].split(b"\n")[:-1]:
            start, self.position = self.position, self.position + len(raw) + 1
            record = decode(raw)
            self.foreign += record is None
            lines.append(LogLine(start, self.position, raw, record))
        return lines

    def count_unread_bytes(self) -> int:
        """Bytes behind the position; after the last `read`, a torn line or one being written."""
        return max(0, os.fstat(self._open().fileno()).st_size - self.position)

    def follow(self, path: str) -> None:
        """Read on in another file, at the same position."""
        self.close()
        self.path = path

    def close(self) -> None:
        """Close the file; another read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115
        return self._file


def read_log(path: str | os.PathLike[str]) -> Iterator[LogLine]:
    """All whole lines of a log."""
    tail = LogTail(path)
    try:
        while lines := tail.read():
            yield from lines
    finally:
        tail.close()


def read_last_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The last whole line's record, or None where there is none or it is not a record."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _LAST_BYTES)
        file.seek(start)
        lines = file.read().split(b"\n")
    whole = lines[:-1] if start == 0 else lines[1:-1]
    return decode(whole[-1]) if whole else None


def read_first_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The first line's record, or None where it is torn or not a record."""
    with open(path, "rb") as file:
        line = file.readline(_CHUNK_BYTES)
    return decode(line) if line.endswith(b"\n") else None


def is_being_written(path: str | os.PathLike[str]) -> bool:
    """Whether a living process holds the log's lock."""
    if fcntl is None:
        return False
    try:
        # Where somebody has put a pipe it is not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    else:
        return False
    finally:
        os.close(fd)
