"""Find out whether anybody may be writing a file: by its times alone that is not always seen.

A page of a mapped file (numpy.memmap) that was written once takes further bytes and no time moves;
on tmpfs no time ever does. A read lease is granted only where nobody has the file open for writing
or mapped so (fcntl(2), F_SETLEASE). It is given back at once: held, it would stop the writer.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import signal
import sys
import time

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NS = 1_000_000_000
#: Changed later than this before it is read, a file may change again and keep its times: a kernel's
#: clock for files ticks every 1 to 10 ms, and that of old file systems every second.
_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2 * _NS
#: statfs(2), `f_type`, of those that the kernel itself keeps: it knows every writer.
_EXT, _XFS, _BTRFS = 0xEF53, 0x58465342, 0x9123683E
_OVERLAY, _TMPFS = 0x794C7630, 0x01021994
_LOCAL = frozenset({_EXT, _XFS, _BTRFS, _OVERLAY, _TMPFS})
#: Those where the times of a file move too when it is written by a mapping.
_TIMED = _LOCAL - {_TMPFS}


class Writers(enum.Enum):
    """Whether somebody may write a file."""

    NONE = enum.auto()
    SOME = enum.auto()
    UNKNOWN = enum.auto()


class WriterProbe:
    """Probes files for writers; remembers which file systems can tell. For many threads."""

    def __init__(self) -> None:
        self._types: dict[int, int] = {}
        self._can_ask = hasattr(fcntl, "F_SETLEASE") and sys.platform == "linux"

    def find_writers(self, fd: int, device: int, *, is_asked_again: bool = False) -> Writers:
        """Return whether somebody else may write an open file.

        Args:
            fd: The file, opened for reading.
            device: Its file system's number.
            is_asked_again: Whether the same descriptor was asked for before.
        """
        if self._find_type(fd, device) not in _LOCAL:
            return Writers.UNKNOWN
        try:
            # A lease that is broken just now must not end this process, as SIGIO would.
            if not is_asked_again:
                fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return Writers.SOME
        except OSError:  # another user's file, and no right to ask
            return Writers.UNKNOWN
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return Writers.NONE

    def has_true_times(self, path: bytes, device: int) -> bool:
        """Return whether a file on that file system always shows by its times that it changed.

        Args:
            path: A file there.
            device: The file system's number.
        """
        if device not in self._types:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return False
            try:
                self._find_type(fd, device)
            finally:
                os.close(fd)
        return self._types[device] in _TIMED

    def _find_type(self, fd: int, device: int) -> int:
        found = self._types.get(device)
        if found is None:
            found = self._types[device] = _read_type(fd) if self._can_ask else 0
        return found


def is_too_fresh(ctime_ns: int, now_ns: int | None = None) -> bool:
    """Return whether a file that changes now could keep the times that it has.

    >>> is_too_fresh(1_000_000_001, now_ns=1_010_000_000)
    True
    >>> is_too_fresh(1_000_000_001, now_ns=1_100_000_000)
    False
    >>> is_too_fresh(1_000_000_000, now_ns=2_000_000_000)  # times in whole seconds
    True
    """
    tick_ns = _TICK_NS if ctime_ns % _NS else _COARSE_TICK_NS
    return (time.time_ns() if now_ns is None else now_ns) - ctime_ns < tick_ns


def flush_mapped_pages(fd: int) -> None:
    """Have the next write by a mapping move the file's times, where a file system does that."""
    with contextlib.suppress(OSError):  # a file system that has no fsync
        os.fsync(fd)


def _read_type(fd: int) -> int:
    """Return `f_type` of a file's file system; 0 where it cannot be asked for."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        answer = (ctypes.c_long * 64)()  # `struct statfs` has at most 30; its first is the type
        if libc.fstatfs(fd, answer) == 0:
            return int(answer[0]) & 0xFFFFFFFF
    except (OSError, AttributeError):
        pass
    return 0
