"""How often and how long a request to S3 is sent again: one policy for every kind of request.

A server that restarts, a gateway that is away, a network that is cut: what passes is waited for,
with all other requests to the server, until nothing has succeeded for `s3.retry_for`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from aind_capsule.storage.errors import DamagedError, SilentError, StorageError

_T = TypeVar("_T")
#: Tries that a request has at least, however long each takes.
_FEWEST_TRIES = 3
#: Tries after which bytes that arrive damaged are given up.
_DAMAGED_TRIES = 3
_LONGEST_PAUSE_S = 20.0


class RetryPolicy:
    """Sends again what passes; one for all threads that send to a server.

    Args:
        retry_for_s: How long nothing may succeed before a request is given up, seconds.
        longest_pause_s: The longest pause between two tries of a request, seconds.
    """

    def __init__(
        self, retry_for_s: float = 300.0, longest_pause_s: float = _LONGEST_PAUSE_S
    ) -> None:
        self._retry_for_s = retry_for_s
        self._longest_pause_s = longest_pause_s
        self._failing_since_s: float | None = None
        self._is_over = threading.Event()

    def end(self) -> None:
        """End all pauses at once: what fails now has failed."""
        self._is_over.set()

    def note_success(self) -> None:
        """Count from anew: the server has answered."""
        self._failing_since_s = None

    def call(self, once: Callable[[], _T]) -> _T:
        """Call until it returns, or until nothing has succeeded for too long.

        Args:
            once: Sends the request. SilentError asks for another try.

        Raises:
            StorageError: What the last try raised.
        """
        tries = damaged = 0
        while True:
            try:
                result = once()
            except SilentError as error:
                tries += 1
                damaged += isinstance(error, DamagedError)
                pause_s = self._choose_pause(error, tries)
                if pause_s is None or damaged >= _DAMAGED_TRIES:
                    raise
                if self._is_over.wait(pause_s):
                    raise
            except StorageError:
                self.note_success()
                raise
            else:
                self.note_success()
                return result

    def _choose_pause(self, error: SilentError, tries: int) -> float | None:
        """Return the seconds until the next try, or None where there is none."""
        from aind_capsule.http.backoff import choose_delay

        if self._is_over.is_set():
            return None
        now = time.monotonic()
        since = self._failing_since_s
        if since is None:
            since = self._failing_since_s = now
        left_s = since + self._retry_for_s - now
        if left_s <= 0 and tries >= _FEWEST_TRIES:
            return None
        pause_s = choose_delay(tries, self._longest_pause_s, error.retry_after_s)
        return min(pause_s, left_s if left_s > 0 else self._longest_pause_s)
