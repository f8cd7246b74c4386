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

#: These ask the run to end.
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
#: These are the processing's business.
FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Let the interpreter know that the signal is handled; the wake-up pipe does the rest."""


class SignalInbox:
    """Receives signals while it is open.

    Args:
        loop: Watches the pipe; what arrives before it runs is kept.

    Attributes:
        on_signal: Called with each signal, in order.
        handled: The signals that are received; the others were ignored before us.
    """

    def __init__(self, loop: Loop) -> None:
        self.on_signal: Callable[[signal.Signals], None] | None = None
        self._loop = loop
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        wanted = (*STOPS, *FORWARDED, signal.SIGCHLD)
        self.handled = tuple(
            number
            for number in wanted
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGCHLD
        )
        self._previous = {number: signal.signal(number, _do_nothing) for number in self.handled}
        self._previous_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        loop.watch(self._read_fd, READABLE, self._read)

    def close(self) -> None:
        """Put everything back as it was."""
        self._loop.unwatch(self._read_fd)
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _read(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._read_fd, 512):
                if self.on_signal is not None:
                    self.on_signal(signal.Signals(number))
