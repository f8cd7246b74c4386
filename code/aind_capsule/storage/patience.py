"""How long a request is tried: exponential backoff with full jitter, together with all others.

Formula: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from aind_capsule.storage.errors import SilentError

_T = TypeVar("_T")
_FIRST_S = 0.2


class Patience:
    """Tries again what passes; may be used by many threads.

    Args:
        attempts: How often a request is sent before it is given up.
        longest_s: The longest pause, seconds.
    """

    def __init__(self, attempts: int = 10, longest_s: float = 20.0) -> None:
        self.attempts = attempts
        self._longest_s = longest_s
        self._is_over = threading.Event()

    def end(self) -> None:
        """Wait for nothing any more: what fails now has failed."""
        self._is_over.set()

    def keep_trying(self, once: Callable[[], _T]) -> _T:
        """Call until it returns.

        Raises:
            SilentError: It failed so often.
        """
        for attempt in range(self.attempts - 1):
            try:
                return once()
            except SilentError:
                if self._is_over.is_set():
                    raise
            pause_s = random.uniform(0.0, min(self._longest_s, _FIRST_S * 2**attempt))
            self._is_over.wait(pause_s)
        return once()
