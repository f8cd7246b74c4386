"""What the wrapper's loop does for one descriptor, where there is no loop: a thread that waits."""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Callable


class Listener:
    """Calls back when there is something to read, from a thread that does nothing else."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # who is called back may watch something else
        self._watched: tuple[int, Callable[[], None]] | None = None

    def watch(self, fd: int, read: Callable[[], None] | None) -> None:
        """Watch a descriptor, or, with None, no more; a call that goes on is waited for."""
        watched = None if read is None else (fd, read)
        with self._lock:
            self._watched = watched
        if watched is not None:
            thread = threading.Thread(
                target=self._listen, args=(watched,), name="aind-capsule delivery", daemon=True
            )
            # The interpreter's end starts no thread; what is to be read then is asked for.
            with contextlib.suppress(RuntimeError):
                thread.start()

    def _listen(self, watched: tuple[int, Callable[[], None]]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                select.select([watched[0]], [], [])
                with self._lock:
                    if self._watched is not watched:
                        return
                    watched[1]()
