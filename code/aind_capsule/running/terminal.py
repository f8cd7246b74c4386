"""The controlling terminal: whose group is in the foreground, and handing it over."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

from aind_capsule.context.procfs import find_group_members


class Foreground:
    """The terminal's foreground, and whose it is: the wrapper's group's, or the processing's.

    Args:
        own: Helpers of ours; just after their fork they are still in our group.

    Attributes:
        terminal_fd: The terminal, where it was ours to hand over; else None.
    """

    def __init__(self, own: Collection[int]) -> None:
        self.terminal_fd = _open_terminal(own)

    @property
    def is_handed_over(self) -> bool:
        """Whether the processing is in the foreground whenever it runs."""
        return self.terminal_fd is not None

    def hand_over_on_demand(self, group: int) -> bool:
        """The processing wants a terminal that is not its own; whether it has it now.

        Others share our group (`capsule run … | tee log`), so it was not handed over before.
        """
        if self.terminal_fd is not None:
            return False
        self.terminal_fd = _open_terminal((), is_shared=True)
        if self.terminal_fd is not None:
            set_foreground_group(self.terminal_fd, group)
        return self.is_handed_over

    def take_back(self) -> None:
        """Our group is in the foreground again."""
        if self.terminal_fd is not None:
            set_foreground_group(self.terminal_fd, os.getpgrp())

    def return_to(self, group: int) -> None:
        """After `fg` the foreground is ours, and goes to the processing again; not after `bg`."""
        if self.terminal_fd is not None and _is_foreground(self.terminal_fd, os.getpgrp()):
            set_foreground_group(self.terminal_fd, group)


def _open_terminal(own: Collection[int], *, is_shared: bool = False) -> int | None:
    """A descriptor of the controlling terminal if it is ours to hand over, else None.

    It is where our group is in the foreground, stdin is that terminal, and nobody else is in our
    group: in `capsule run … | less` the pager needs the terminal itself. With `is_shared` others
    do not count.
    """
    if not os.isatty(0):
        return None
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    group = os.getpgrp()
    is_alone = is_shared or set(find_group_members(group)) <= {os.getpid(), *own}
    if _is_foreground(fd, group) and _is_foreground(0, group) and is_alone:
        return fd
    os.close(fd)
    return None


def set_foreground_group(terminal_fd: int, group: int) -> None:
    """Make a group the terminal's foreground; from the background this needs SIGTTOU blocked."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    with contextlib.suppress(OSError):  # the terminal is gone: nothing to hand over
        os.tcsetpgrp(terminal_fd, group)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _is_foreground(terminal_fd: int, group: int) -> bool:
    """Whether a group is the terminal's foreground."""
    try:
        return os.tcgetpgrp(terminal_fd) == group
    except OSError:
        return False
