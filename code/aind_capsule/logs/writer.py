"""The log file's one writer: append only, one record a line, every line numbered.

Used by the wrapper and by `configure_logging` where there is no wrapper. A record arrives encoded
and open (without its closing brace); the writer adds `"seq":N` and closes it. Nothing is buffered:
what `append` returns for is in the kernel's hands, and a killed process loses none of it.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.descriptors import spare_standard
from aind_capsule.errors import LogFileError
from aind_capsule.logs.allocation import AllocationUnsupportedError, allocate
from aind_capsule.records.encode import encode_open
from aind_capsule.records.shrink import shrink

try:
    import fcntl
except ImportError:  # Windows: a file of its own for each process needs no lock
    fcntl = None  # type: ignore[assignment]

#: Kept free before the allocated end for the canonical record, whatever else is written.
RESERVED_BYTES = 64 * 1024
#: The canonical record is cut to this.
CANONICAL_BYTES = 32 * 1024
#: Allocated ahead at a time.
STEP_BYTES = 4 * 1024 * 1024
_LOCK_WAIT_S = 2.0
#: Windows has no O_CLOEXEC, and would translate line ends without O_BINARY.
OPEN_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _seek_and_write(fd: int, data: bytes | memoryview, position: int) -> int:
    """What `os.pwrite` does, where it is missing (Windows)."""
    os.lseek(fd, position, os.SEEK_SET)
    return os.write(fd, data)


_write_at = getattr(os, "pwrite", _seek_and_write)


def _ignore(_message: str) -> None:
    """Take a word about trouble and do nothing."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why something was not written: the cause that it is counted under, and words for people."""

    cause: str
    message: str


class LogWriter:
    """Appends records to one log file, which it holds locked.

    Args:
        path: The file; made when missing, never truncated.
        max_bytes: Cap on the file's size, or None.
        reserves: Keep space for a canonical record.
        tell: Called once for each kind of trouble, with a sentence for people.

    Raises:
        LogFileError: The file cannot be opened, or another process writes it.

    Attributes:
        lost: Records that were not written, by cause (`disk_full`, `size_cap`, `write_error`).
        next_seq: Number that the next record gets.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        reserves: bool = True,
        tell: Callable[[str], None] = _ignore,
    ) -> None:
        self.path = os.fspath(path)
        self.lost: dict[str, int] = {}
        self.next_seq = 0
        self._max_bytes = max_bytes
        self._tell = tell
        self._told: set[str] = set()
        try:
            with spare_standard():  # what is printed may not go into the log
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | OPEN_FLAGS, 0o666)
        except OSError as error:
            raise LogFileError(
                f"The log file {self.path} cannot be opened: {error.strerror}",
                hint="Give a scratch folder that can be written, by --scratch.",
            ) from error
        self._is_open = True
        self._lock()
        self._end = os.fstat(self._fd).st_size
        self._allocated_end = self._end
        self._can_allocate = reserves
        self._free_end = -1.0  # up to here nothing has to be looked at before a write
        if reserves:
            self._make_room(0)
        else:
            self._find_free_end()

    def _lock(self) -> None:
        if fcntl is None:
            return
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    self._say(_Trouble("lock", f"{self.path} cannot be locked: {error.strerror}"))
                    return
                if time.monotonic() < deadline:  # a reader that looks whether we live
                    time.sleep(0.01)
                    continue
                os.close(self._fd)
                raise LogFileError(
                    f"Another process writes the log file {self.path}",
                    hint="Wait for its end, or give another scratch folder by --scratch.",
                ) from error
            return

    @property
    def size_bytes(self) -> int:
        """Bytes in the file."""
        return self._end

    def append(self, records: Sequence[bytes]) -> list[int]:
        """Write open records; returns the indices of those that could not be written.

        Never raises: what cannot be written is counted in `lost`.
        """
        seq = self.next_seq
        data = b"".join([b'%b,"seq":%d}\n' % (record, n) for n, record in enumerate(records, seq)])
        trouble = self._find_trouble(len(data)) or self._write(data)
        if trouble is None:
            self.next_seq = seq + len(records)
            return []
        if len(records) > 1:  # some of them may fit
            return [index for index, record in enumerate(records) if self.append([record])]
        self._count_lost(trouble)
        return [0]

    def append_one(self, record: bytes, suffix: bytes = b"") -> bool:
        """Write one open record and its last fields; False, and counted, where that is impossible.

        For a process whose own signal handlers may end this call in its middle (Ctrl-C): it is
        then undone, so that the next record neither goes on in a torn line nor repeats a number.
        """
        end, seq = self._end, self.next_seq
        data = b'%b%b,"seq":%d}\n' % (record, suffix, seq)
        try:
            is_free = end + len(data) <= self._free_end
            trouble = (None if is_free else self._find_trouble(len(data))) or self._write(data)
            if trouble is None:
                self.next_seq = seq + 1
        except BaseException:  # Ctrl-C too, and what a signal handler raises: raised again
            self._end, self.next_seq = end, seq
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, end)
            raise
        if trouble is not None:
            self._count_lost(trouble)
        return trouble is None

    def append_canonical(self, fields: dict[str, Any]) -> bool:
        """Write the last record; it alone may use the reserved space, and is cut to 32 KiB."""
        record = encode_open(shrink(fields, CANONICAL_BYTES - 64))
        trouble = self._write(b'%b,"seq":%d}\n' % (record, self.next_seq))
        if trouble is not None:
            self._say(trouble)
            return False
        self.next_seq += 1
        return True

    def close(self) -> None:
        """Give back the space that was reserved and not used, and the lock; may be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._end)
        os.close(self._fd)

    def forget(self) -> None:
        """Close the descriptor only (in a forked child): file and lock are the parent's."""
        if self._is_open:
            self._is_open = False
            with contextlib.suppress(OSError):
                os.close(self._fd)

    def _find_trouble(self, size_bytes: int) -> _Trouble | None:
        """Why so many bytes may not be written now, or None."""
        end = self._end + size_bytes
        if self._max_bytes is not None and end > self._max_bytes - CANONICAL_BYTES:
            return _Trouble("size_cap", f"The log has reached its cap of {self._max_bytes} bytes")
        if not self._can_allocate or end <= self._allocated_end - RESERVED_BYTES:
            return None
        if self._make_room(size_bytes):
            self._told.discard("disk_full")
            return None
        return _Trouble("disk_full", f"No space is left for the log {self.path}")

    def _make_room(self, size_bytes: int) -> bool:
        """Allocate so that `size_bytes` and the reserve fit; True where they do."""
        needed = self._end + size_bytes + RESERVED_BYTES
        for wanted in (needed + STEP_BYTES, needed):
            try:
                allocate(self._fd, self._allocated_end, wanted - self._allocated_end)
            except AllocationUnsupportedError:
                self._can_allocate = False
                message = (
                    f"The file system of {self.path} cannot reserve space: on a full disk the"
                    " canonical record may be lost"
                )
                self._say(_Trouble("allocation", message))
                self._find_free_end()
                return True
            except OSError:
                continue
            self._allocated_end = wanted
            self._find_free_end()
            return True
        return False

    def _find_free_end(self) -> None:
        cap = math.inf if self._max_bytes is None else self._max_bytes - CANONICAL_BYTES
        room = self._allocated_end - RESERVED_BYTES if self._can_allocate else math.inf
        self._free_end = min(cap, room)

    def _write(self, data: bytes) -> _Trouble | None:
        """Write all of the data, or nothing of it and say why."""
        done = 0
        try:
            done = _write_at(self._fd, data, self._end)
            while done < len(data):  # a large write may come in parts
                done += _write_at(self._fd, memoryview(data)[done:], self._end + done)
        except OSError as error:
            if done:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._end)
                    self._allocated_end = self._end
                    self._find_free_end()
            cause = "disk_full" if error.errno in _FULL else "write_error"
            return _Trouble(cause, f"The log {self.path} cannot be written: {error.strerror}")
        self._end += len(data)
        return None

    def _count_lost(self, trouble: _Trouble) -> None:
        self.lost[trouble.cause] = self.lost.get(trouble.cause, 0) + 1
        self._say(trouble)

    def _say(self, trouble: _Trouble) -> None:
        if trouble.cause not in self._told:
            self._told.add(trouble.cause)
            self._tell(trouble.message)
