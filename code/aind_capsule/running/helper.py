"""Fork a helper process of our own that shares nothing with the wrapper but one pipe.

A helper lives in a session of its own, ignores every signal (a Ctrl-C is not for it) and holds no
descriptor but its pipe: not the log's lock, not our streams. These are the null device.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from aind_capsule.context.descriptors import fill_standard
from aind_capsule.frozen import frozen


class NoProcessError(OSError):
    """No process, descriptor or memory is to be had for a fork; `errno` says which."""


@frozen
class Helper:
    """A helper: its pid, and our end of its pipe."""

    pid: int
    pipe_fd: int


def fork_helper(work: Callable[[int], None], *, is_reader: bool) -> Helper:
    """Fork a process that does some work and ends.

    Args:
        work: Called in the helper with its end of the pipe.
        is_reader: The helper reads the pipe; otherwise it writes it.

    Raises:
        NoProcessError: No process or no pipe is to be had.
    """
    try:
        read_fd, write_fd = os.pipe()
    except OSError as error:
        raise NoProcessError(error.errno, error.strerror) from error
    theirs, ours = (read_fd, write_fd) if is_reader else (write_fd, read_fd)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(read_fd)
        os.close(write_fd)
        raise NoProcessError(error.errno, error.strerror) from error
    if pid == 0:
        try:
            _cut_ties(theirs)
            work(theirs)
        finally:
            os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(theirs)
    return Helper(pid, ours)


def _cut_ties(kept_fd: int) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for fd in _find_open_descriptors():
        if fd != kept_fd:
            with contextlib.suppress(OSError):
                os.close(fd)
    fill_standard()


def _find_open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except (OSError, ValueError):
        return list(range(min(os.sysconf("SC_OPEN_MAX"), 4096)))
