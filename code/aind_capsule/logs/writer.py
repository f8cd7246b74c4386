"""The log file's one writer: append only, one record a line, every line numbered.

Used by the wrapper and by `configure_logging` where there is no wrapper. A record arrives encoded
and open (without its closing brace); the writer adds `"seq":N` and closes it. Nothing is buffered:
what `append` returns for is in the kernel's hands, and a killed process loses none of it. The file
is held open: it can be read and copied also when its folder is gone.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Callable, Sequence
from typing import Any

from aind_capsule.context.descriptors import spare_standard
from aind_capsule.context.files import read_chunks, write_all
from aind_capsule.context.own_files import OPEN_FLAGS, OpenFolder
from aind_capsule.errors import LogFileError
from aind_capsule.logs.allocation import AllocationUnsupportedError, allocate
from aind_capsule.logs.file import log_lock
from aind_capsule.logs.file.log_limits import (
    CANONICAL_BYTES,
    Trouble,
    explain_write_error,
    find_cap,
)
from aind_capsule.logs.file.salvage import KeptSize, copy_whole_lines, is_whole
from aind_capsule.records.encode import encode_open
from aind_capsule.records.shrink import shrink

#: Kept free before the allocated end for the canonical record, whatever else is written.
RESERVED_BYTES = 64 * 1024
#: Allocated ahead at a time.
STEP_BYTES = 4 * 1024 * 1024


def _seek_and_write(fd: int, data: bytes | memoryview, position: int) -> int:
    """What `os.pwrite` does, where it is missing (Windows)."""
    os.lseek(fd, position, os.SEEK_SET)
    return os.write(fd, data)


_write_at = getattr(os, "pwrite", _seek_and_write)


def _ignore(_message: str) -> None:
    """Take a word about trouble and do nothing."""


class LogWriter:
    """Appends records to one log file, which it holds locked.

    Args:
        path: The file; made when missing, never truncated.
        folder: Its folder, where that is held open: the file is opened below it.
        max_bytes: Cap on the file's size, or None.
        reserves: Keep space for a canonical record, on the disk and before the process's limit
            on the size of files (`ulimit -f`).
        tell: Called once for each kind of trouble, with a sentence for people.

    Raises:
        LogFileError: The file cannot be opened, or another process writes it.

    Attributes:
        lost: Records that are not in the file, by cause (`disk_full`, `size_cap`, `write_error`,
            `damaged_log`).
        next_seq: Number that the next record gets.
        was_damaged: Whether somebody has written into the file, so that it was written anew.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        folder: OpenFolder | None = None,
        max_bytes: int | None = None,
        reserves: bool = True,
        tell: Callable[[str], None] = _ignore,
    ) -> None:
        self.path = os.fspath(path)
        self.lost: dict[str, int] = {}
        self.next_seq = 0
        self.was_damaged = False
        self._reserves = reserves
        self._cap = find_cap(max_bytes, reserves=reserves)
        self._tell = tell
        self._told: set[str] = set()
        self._first_line = b""
        try:
            if folder is None:
                with spare_standard():  # what is printed may not go into the log
                    self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | OPEN_FLAGS, 0o666)
            else:
                self._fd = folder.open_file(os.path.basename(self.path), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise LogFileError(
                f"The log file {self.path} cannot be opened: {error.strerror}",
                hint="Give a scratch folder that can be written, by --scratch.",
            ) from error
        self._is_open = True
        self._is_sealed = False
        self._lock()
        self._start = self._end = os.fstat(self._fd).st_size
        self._is_touched = False  # somebody else has changed its size
        self._prepare_room()

    def _lock(self) -> None:
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            return  # the null device, where no log can be had: it belongs to everybody
        try:
            log_lock.lock(self._fd)
        except BlockingIOError as error:
            os.close(self._fd)
            raise LogFileError(
                f"Another process writes the log file {self.path}",
                hint="Wait for its end, or give another scratch folder by --scratch.",
            ) from error
        except OSError as error:
            self._say(Trouble("lock", f"{self.path} cannot be locked: {error.strerror}"))

    @property
    def fd(self) -> int:
        """The open file, to be read only."""
        return self._fd

    @property
    def records(self) -> int:
        """Records in the file."""
        return self.next_seq - self.lost.get("damaged_log", 0)

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
            if not seq and records:
                self._first_line = data[: data.index(b"\n") + 1]
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
                if not seq:
                    self._first_line = data
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
        reserve = CANONICAL_BYTES if self._cap is None else self._cap.reserve_bytes
        record = encode_open(shrink(fields, reserve - 64))
        trouble = self._write(b'%b,"seq":%d}\n' % (record, self.next_seq))
        if trouble is not None:
            self._say(trouble)
            return False
        self.next_seq += 1
        return True

    def move(self, fd: int, path: str) -> None:
        """Go on in another file, which gets all that is whole of this one.

        Args:
            fd: The other file, new and empty; it is this writer's from now on.
            path: Its path.

        Raises:
            OSError: It cannot be written; then all is as it was.
        """
        log_lock.lock_new(fd)
        kept = KeptSize(self._end, self.records)
        if self.is_damaged():
            self.was_damaged = True
            kept = copy_whole_lines(self._fd, self._end, self._first_line, fd)
        else:
            self.copy_to(fd)
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)
        self.path, self._start, self._end = path, 0, kept.size_bytes
        self._is_touched = False
        if kept.records < self.next_seq:
            self.lost["damaged_log"] = self.next_seq - kept.records
        if self._is_sealed:
            log_lock.unlock(self._fd)
        else:
            self._prepare_room()

    def is_damaged(self) -> bool:
        """Return whether somebody else has cut the file or written into it; reads all of it.

        After the log's end it is not asked any more: its last record cannot be written again.
        """
        if self._start or self._is_sealed or not stat.S_ISREG(os.fstat(self._fd).st_mode):
            return False
        try:
            # What others have appended a reader may have read, also where a record covers it now.
            return self._is_touched or not is_whole(self._fd, self._end, self.records)
        except OSError:
            return False

    def copy_to(self, fd: int) -> None:
        """Copy what was written to another file.

        Raises:
            OSError: It cannot be read or written.
        """
        for chunk in read_chunks(self._fd, self._end):
            write_all(fd, chunk)

    def seal(self) -> None:
        """End the log: give back unused space, and the lock; it can still be copied."""
        if not self._is_open or self._is_sealed:
            return
        self._is_sealed = True
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._end)
        log_lock.unlock(self._fd)

    def close(self) -> None:
        """End the log and let go of the file; may be called twice."""
        self.seal()
        self.forget()

    def forget(self) -> None:
        """Close the descriptor only (in a forked child): file and lock are the parent's."""
        if self._is_open:
            self._is_open = False
            with contextlib.suppress(OSError):
                os.close(self._fd)

    def _find_trouble(self, size_bytes: int) -> Trouble | None:
        """Why so many bytes may not be written now, or None."""
        end = self._end + size_bytes
        if self._cap is not None and end > self._cap.free_bytes:
            return self._cap.trouble
        if not self._can_allocate or end <= self._allocated_end - RESERVED_BYTES:
            return None
        if self._make_room(size_bytes):
            return None
        return Trouble("disk_full", f"No space is left for the log {self.path}")

    def _prepare_room(self) -> None:
        """Find out how far can be written, at the start and in a new file."""
        self._allocated_end = self._end
        self._can_allocate = self._reserves
        self._free_end = -1.0  # up to here nothing has to be looked at before a write
        if not self._reserves or self._make_room(0):
            self._find_free_end()

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
                self._say(Trouble("allocation", message))
                self._find_free_end()
                return True
            except OSError:
                continue
            self._allocated_end = wanted
            self._find_free_end()
            return True
        return False

    def _find_free_end(self) -> None:
        cap = math.inf if self._cap is None else self._cap.free_bytes
        room = self._allocated_end - RESERVED_BYTES if self._can_allocate else math.inf
        self._free_end = min(cap, room)

    def _write(self, data: bytes) -> Trouble | None:
        """Write all of the data, or nothing of it and say why."""
        done = 0
        try:
            self._is_touched |= os.lseek(self._fd, 0, os.SEEK_END) != self._end
            done = _write_at(self._fd, data, self._end)
            while done < len(data):  # a large write may come in parts
                done += _write_at(self._fd, memoryview(data)[done:], self._end + done)
        except OSError as error:
            if done:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._end)
                    self._allocated_end = self._end
                    self._find_free_end()
            return explain_write_error(self.path, error)
        self._end += len(data)
        return None

    def _count_lost(self, trouble: Trouble) -> None:
        self.lost[trouble.cause] = self.lost.get(trouble.cause, 0) + 1
        self._say(trouble)

    def _say(self, trouble: Trouble) -> None:
        if trouble.cause not in self._told:
            self._told.add(trouble.cause)
            self._tell(trouble.message)
