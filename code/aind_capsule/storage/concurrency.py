"""How many requests go to a server at the same time: fewer after it asked for that.

Additive increase, multiplicative decrease, as TCP has it (D.-M. Chiu and R. Jain, 1989).
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

#: Answers to requests that were under way together ask for the same thing.
_HALVE_EVERY_S = 1.0


class ConcurrencyLimit:
    """Lets requests through while there are fewer than the limit; used by `with`.

    Args:
        most: The limit at which it has none any more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit: int | None = None
        self._in_use = 0
        self._successes = 0
        self._halved_s = 0.0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int | None:
        """The limit of now; None where there is none."""
        return self._limit

    def __enter__(self) -> None:
        with self._changed:
            while self._limit is not None and self._in_use >= self._limit:
                self._changed.wait()
            self._in_use += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._in_use -= 1
            self._changed.notify()

    def halve(self) -> None:
        """Let half of the requests through, at least one."""
        with self._changed:
            now = time.monotonic()
            if self._limit is not None and now - self._halved_s < _HALVE_EVERY_S:
                return
            self._halved_s = now
            self._successes = 0
            self._limit = max(1, min(self._most, self._limit or self._most) // 2)

    def grow(self) -> None:
        """Let one more through after as many successes as there may be requests."""
        if self._limit is None:
            return
        with self._changed:
            self._successes += 1
            if self._limit is not None and self._successes >= self._limit:
                self._successes = 0
                self._limit = self._limit + 1 if self._limit + 1 < self._most else None
                self._changed.notify_all()
