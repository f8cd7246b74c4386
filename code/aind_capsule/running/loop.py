"""One poll loop with timers: everything that the wrapper waits for while the processing lives.

By hand rather than asyncio, whose import alone would take as long as the whole start may.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
#: `poll` takes milliseconds as a C int; who waits for longer looks at its timers in between.
_LONGEST_WAIT_MS = 86_400_000
#: Reported whether asked for or not: the other end is gone, or the descriptor is broken.
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Timer:
    """A call that is to happen; `cancel` makes it not happen."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the call."""
        self.callback = None


class Loop:
    """Calls back when descriptors are ready and when times have come."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call back with the poll's event mask when the descriptor is ready; 0: only when gone."""
        self._callbacks[fd] = (events, callback)
        self._poll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Stop watching; a descriptor that is not watched is no error."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def is_watching(self, fd: int) -> bool:
        """Whether the descriptor is watched."""
        return fd in self._callbacks

    def call_in(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back once, after so many seconds."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), timer))
        return timer

    def run_once(self, max_wait_s: float | None = None) -> None:
        """Wait for what comes next and call back; waits `max_wait_s` at most, if given."""
        wait_s = max_wait_s
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._timers:
            due_s = max(0.0, self._timers[0][0] - time.monotonic())
            wait_s = due_s if wait_s is None else min(wait_s, due_s)
        wait_ms = None if wait_s is None else min(wait_s * 1000 + 0.5, _LONGEST_WAIT_MS)
        for fd, events in self._poll.poll(wait_ms):
            watched = self._callbacks.get(fd)
            if watched is not None and events & (watched[0] | _GONE):
                watched[1](events)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def run_until(self, is_done: Callable[[], bool], limit_s: float | None = None) -> None:
        """Run until something holds, or for so long at most."""
        is_late = False

        def be_late() -> None:
            nonlocal is_late
            is_late = True

        timer = self.call_in(limit_s, be_late) if limit_s is not None else None
        while not is_done() and not is_late:
            self.run_once()
        if timer is not None:
            timer.cancel()
