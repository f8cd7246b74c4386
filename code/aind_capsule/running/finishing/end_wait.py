"""Wait for what is done after the canonical record; a second stop ends the waiting."""

from __future__ import annotations

import time

from aind_capsule.running.loop import Loop
from aind_capsule.running.outlet import Outlet
from aind_capsule.running.signals import STOPS
from aind_capsule.running.supervise import Supervision

#: A reader of our last words that takes none is not waited for longer, and after a stop even less.
_FLUSH_S = 5.0
_STOPPED_FLUSH_S = 1.0
_FLUSH_STEP_S = 0.1


class EndWait:
    """How long the wrapper waits at its end.

    Args:
        loop: The wrapper's loop.
        supervision: Knows when the run was asked to stop.
    """

    def __init__(self, loop: Loop, supervision: Supervision) -> None:
        self._loop = loop
        self._supervision = supervision
        self._has_begun = False
        self._must_end = False

    def wait(self, limit_s: float) -> bool:
        """Wait no longer than this; returns whether somebody wants the waiting to end."""
        self._has_begun = True
        self._loop.run_once(limit_s)
        return self._must_end

    def take_signal(self, number: int) -> None:
        """End the waiting, if it has begun and this is a stop."""
        if self._has_begun and number in STOPS:
            self._must_end = True

    def count_stopped_s(self) -> float | None:
        """Return the seconds since the run was asked to stop, or None."""
        stopped_at = self._supervision.stopped_at
        return None if stopped_at is None else time.monotonic() - stopped_at

    def flush(self, outlet: Outlet) -> None:
        """Let our last words out."""
        left_s = _FLUSH_S if self._supervision.stopped_at is None else _STOPPED_FLUSH_S
        while outlet.has_waiting and left_s > 0:
            self._loop.run_once(_FLUSH_STEP_S)
            left_s -= _FLUSH_STEP_S if outlet.has_waiting else 0
