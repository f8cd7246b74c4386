"""Ctrl-Z, `fg` and `bg`: the processing is suspended, and the wrapper with it.

Called by `supervise`, which waits for the processing. Nothing here waits.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection

from aind_capsule.running.loop import Loop, Timer
from aind_capsule.running.process.process_group import ProcessGroup
from aind_capsule.running.terminal import Foreground

#: When the processing was suspended, the wrapper suspends itself so much later.
_OWN_STOP_S = 0.02


class JobControl:
    """The processing as a job of the shell around us.

    Args:
        loop: The wrapper's loop.
        processes: The processing's.
    """

    def __init__(self, loop: Loop, processes: ProcessGroup) -> None:
        self._loop = loop
        self._processes = processes
        self._foreground: Foreground | None = None
        self._is_suspending = False
        self._own_stop: Timer | None = None

    def take_foreground(self, own: Collection[int]) -> Foreground:
        """Look whose the terminal's foreground is, before the processing is started.

        Args:
            own: Helpers of ours.
        """
        self._foreground = Foreground(own)
        return self._foreground

    def forward(self, number: int) -> None:
        """Send a signal to the processing's group, and remember that it may suspend it."""
        self._is_suspending = self._is_suspending or number == signal.SIGTSTP
        self._processes.forward(number)

    def follow_suspension(self, by: int) -> None:
        """Suspend the wrapper too, where Ctrl-Z was meant for both.

        Args:
            by: The signal that suspended the processing: of Ctrl-Z, or because it wants a terminal
                that is not its own.
        """
        assert self._foreground is not None
        if by in (signal.SIGTTIN, signal.SIGTTOU) and self._foreground.hand_over_on_demand(
            self._processes.leader
        ):
            self._processes.forward(signal.SIGCONT)
        elif self._foreground.is_handed_over or self._is_suspending:
            self._foreground.take_back()
            self._is_suspending = False
            # Not at once: a SIGCONT that is on its way would come before the stop, and be no use.
            self._own_stop = self._loop.call_in(
                _OWN_STOP_S, lambda: os.kill(os.getpid(), signal.SIGSTOP)
            )

    def resume(self) -> None:
        """Let the processing go on: the shell has woken us by `fg` or `bg`."""
        assert self._foreground is not None
        self.stay_awake()
        self._foreground.return_to(self._processes.leader)
        self._processes.forward(signal.SIGCONT)

    def stay_awake(self) -> None:
        """Do not suspend the wrapper, if that was about to be done."""
        if self._own_stop is not None:
            self._own_stop.cancel()
