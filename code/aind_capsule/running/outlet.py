"""Bytes out to a descriptor that we share with others, verbatim, without ever hanging on it.

The descriptor's blocking mode belongs to everybody who has it and is left alone: a pipe, socket
or terminal is written only when poll says that there is room, and then no more than the room that
poll promises. What cannot go out yet waits here, and whoever feeds us stops reading (`is_full`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from aind_capsule.running.loop import WRITABLE, Loop

#: What a pipe that poll calls writable surely takes without blocking (PIPE_BUF).
_SURE_BYTES = 4096
_FULL_BYTES = 256 * 1024


class Outlet:
    """One of our own output streams.

    Args:
        fd: The descriptor; never closed here.
        loop: Watches it.
        on_gone: Called once when nobody reads it any more.
        on_drained: Called whenever what was waiting has gone out.
    """

    def __init__(
        self,
        fd: int,
        loop: Loop,
        on_gone: Callable[[], None],
        on_drained: Callable[[], None],
    ) -> None:
        self.fd = fd
        self.is_gone = False
        self.ends_line = True
        self._loop = loop
        self._on_gone = on_gone
        self._on_drained = on_drained
        self._waiting = bytearray()
        try:
            mode = os.fstat(fd).st_mode
        except OSError:  # closed before we were started
            self.is_gone = True
            return
        self._never_blocks = stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(fd))
        self._watch()

    @property
    def is_full(self) -> bool:
        """Whether so much waits that the source should not be read."""
        return len(self._waiting) >= _FULL_BYTES

    @property
    def has_waiting(self) -> bool:
        """Whether bytes wait to go out."""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        """Send bytes, now or as soon as there is room."""
        if self.is_gone or not data:
            return
        self.ends_line = data.endswith(b"\n")
        if self._never_blocks:
            self._write_all(data)
            return
        was_waiting = bool(self._waiting)
        self._waiting += data
        if not was_waiting:
            self._watch()

    def close(self) -> None:
        """Stop watching the descriptor."""
        self._loop.unwatch(self.fd)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except OSError:
                self._be_gone()
                return

    def _watch(self) -> None:
        if not self._never_blocks:
            self._loop.watch(self.fd, WRITABLE if self._waiting else 0, self._on_ready)

    def _on_ready(self, events: int) -> None:
        if not self._waiting or not events & WRITABLE:
            self._be_gone()
            return
        try:
            done = os.write(self.fd, self._waiting[:_SURE_BYTES])
        except OSError:
            self._be_gone()
            return
        del self._waiting[:done]
        if not self._waiting:
            self._watch()
            self._on_drained()

    def _be_gone(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self._waiting.clear()
        self._loop.unwatch(self.fd)
        self._on_gone()
        self._on_drained()
