"""The controlling terminal: whose group is in the foreground, and handing it over."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

from aind_capsule.context.procfs import find_group_members


def open_terminal(own: Collection[int] = (), *, is_shared: bool = False) -> int | None:
    """A descriptor of the controlling terminal if it is ours to hand over, else None.

    It is where our group is in the foreground, stdin is that terminal, and nobody else is in our
    group: in `capsule run … | less` the pager needs the terminal itself.

    Args:
        own: Helpers of ours; just after their fork they are still in our group.
        is_shared: Hand it over although others are in our group.
    """
    if not os.isatty(0):
        return None
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    group = os.getpgrp()
    is_alone = is_shared or set(find_group_members(group)) <= {os.getpid(), *own}
    if is_foreground(fd, group) and is_foreground(0, group) and is_alone:
        return fd
    os.close(fd)
    return None


def set_foreground_group(terminal_fd: int, group: int) -> None:
    """Make a group the terminal's foreground; from the background this needs SIGTTOU blocked."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    with contextlib.suppress(OSError):  # the terminal is gone: nothing to hand over
        os.tcsetpgrp(terminal_fd, group)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def is_foreground(terminal_fd: int, group: int) -> bool:
    """Whether a group is the terminal's foreground."""
    try:
        return os.tcgetpgrp(terminal_fd) == group
    except OSError:
        return False
