"""A bound on what of files is in memory."""

from __future__ import annotations

import threading


class Budget:
    """Bytes that may be in memory at a time.

    Args:
        limit: How many. A single piece may be larger, alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def take(self, size: int, timeout_s: float | None = None) -> bool:
        """Wait until there is room and take it; returns whether there was any in that time."""
        with self._changed:
            is_free = self._changed.wait_for(
                lambda: not self._used or self._used + size <= self._limit, timeout_s
            )
            if is_free:
                self._used += size
            return is_free

    def give_back(self, size: int) -> None:
        """Make room."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()
