"""Give the processing what the wrapper was started with: descriptors, signals and limits."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from aind_capsule.frozen import frozen
from aind_capsule.running.process import start_state
from aind_capsule.running.process.limits import raise_soft_limits, restore_limits

#: Python ignores these from its start. How they were before cannot be known.
_IGNORED_BY_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


@frozen
class Inherited:
    """What this process was started with.

    Attributes:
        closed_fds: Standard descriptors that were closed.
        signal_mask: Blocked signals.
        ignored_signals: Ignored signals, except those that Python itself ignores.
        limits: Soft and hard limits that the wrapper has changed, by resource.
    """

    closed_fds: tuple[int, ...]
    signal_mask: frozenset[int]
    ignored_signals: frozenset[signal.Signals | int]
    limits: Mapping[int, tuple[int, int]]

    def restore(self) -> None:
        """Put everything back, just before an exec. Blocked signals arrive in here."""
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if number in self.ignored_signals:
                signal.signal(number, signal.SIG_IGN)
            elif number in _IGNORED_BY_PYTHON or callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        restore_limits(self.limits)
        for fd in self.closed_fds:
            os.close(fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.signal_mask)


def take_inherited() -> Inherited:
    """Find out what this process was started with, and make it fit for the wrapper."""
    ignored = {n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN}
    return Inherited(
        start_state.fill_descriptors(),
        start_state.hold_signals(),
        frozenset(ignored - _IGNORED_BY_PYTHON),
        raise_soft_limits(),
    )
