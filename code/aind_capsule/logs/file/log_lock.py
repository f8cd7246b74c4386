"""The lock that says that a log is being written. Used by the writer; readers look for it."""

from __future__ import annotations

import contextlib
import errno
import time

try:
    import fcntl
except ImportError:  # Windows: a file of its own for each process needs no lock
    fcntl = None  # type: ignore[assignment]

_WAIT_S = 2.0


def lock(fd: int) -> None:
    """Lock a log.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: Its file system has no locks.
    """
    deadline = time.monotonic() + _WAIT_S
    while fcntl is not None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EINTR) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)  # a reader looks whether we live
        else:
            return


def lock_new(fd: int) -> None:
    """Lock a file that nobody else knows, if its file system has locks."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def unlock(fd: int) -> None:
    """Give the lock back."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
