"""Signals to the wrapper, as things that the loop reads one after the other.

Signals that were ignored at the start (nohup) stay ignored. A handler that does nothing is set for
each of the others; the interpreter writes its number to a pipe, and that is what we read.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

from aind_capsule.running.loop import READABLE, Loop
from aind_capsule.running.process.inherited import Inherited

#: These ask the run to end.
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
#: These are the command's business. Without the wrapper no other process would get them.
PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2)
#: These are for whole groups: a terminal sends them.
FORWARDED = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Let the interpreter know that the signal is handled; the wake-up pipe does the rest."""


class SignalInbox:
    """Receives signals while it is open.

    Args:
        loop: Watches the pipe; what arrives before it runs is kept.
        inherited: What this process was started with.

    Attributes:
        on_signal: Called with each signal, in order.
        inherited: As given.
    """

    def __init__(self, loop: Loop, inherited: Inherited) -> None:
        self.inherited = inherited
        self.on_signal: Callable[[signal.Signals], None] | None = None
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        wanted = (*STOPS, *PASSED_ON, *FORWARDED, signal.SIGCHLD)
        # Without SIGCHLD the end of the processing would be missed, whatever was ignored before us.
        handled = {n for n in wanted if n not in inherited.ignored_signals} | {signal.SIGCHLD}
        for number in handled:
            signal.signal(number, _do_nothing)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        # Those that were blocked at our start would never come. What has come meanwhile comes now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
        loop.watch(self._read_fd, READABLE, self._read)

    def _read(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._read_fd, 512):
                if self.on_signal is not None:
                    self.on_signal(signal.Signals(number))
