"""The processing's output: read from its pipes, passed on verbatim, and captured as records.

Reading stops while the other side cannot take more, so that the processing waits for its reader
just as it would without us.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from aind_capsule.records.redaction.stream import OutputRedactor
from aind_capsule.running.capture.stream_capture import StreamCapture
from aind_capsule.running.loop import READABLE, Loop, Timer
from aind_capsule.running.outlet import Outlet

_READ_BYTES = 64 * 1024
#: How long a group of lines or a progress bar may wait for more before it is let out.
_TICK_S = 0.5
#: Nothing of ours may take longer over what was read in one piece, while the processing may wait.
_SLOW_S = 1.0


class CapturedStream:
    """One pipe from the processing, its records, and the stream of ours that it goes on to.

    Args:
        fd: Our end of the pipe.
        loop: Watches it.
        outlet: The stream of ours.
        capture: Makes the records.
        hider: Hides secrets in what is passed on (`--redact-output`); None passes on every byte.
        report_slow: Called once, with the bytes of a piece and the seconds that it took, where that
            was long.
    """

    def __init__(
        self,
        fd: int,
        loop: Loop,
        outlet: Outlet,
        capture: StreamCapture,
        hider: OutputRedactor | None = None,
        report_slow: Callable[[int, float], None] | None = None,
    ) -> None:
        self.fd = fd
        self._loop = loop
        self._outlet = outlet
        self._capture = capture
        self._hider = hider
        self._report_slow = report_slow
        self._tick: Timer | None = None
        loop.watch(fd, READABLE, self._read)

    @property
    def is_open(self) -> bool:
        """Whether the processing may still write."""
        return self.fd >= 0

    def update(self) -> None:
        """Read or do not read, as the outlet can take it; give up where nobody reads it."""
        if self.fd < 0:
            return
        if self._outlet.is_gone:
            self.close()
        elif self._outlet.is_full:
            self._loop.unwatch(self.fd)
        elif not self._loop.is_watching(self.fd):
            self._loop.watch(self.fd, READABLE, self._read)

    def read_rest(self) -> None:
        """Read what has arrived, without waiting for more, and close."""
        if self.fd >= 0:
            os.set_blocking(self.fd, False)
            while self.fd >= 0:
                try:
                    self._take(os.read(self.fd, _READ_BYTES))
                except BlockingIOError:
                    break
        self.close()

    def close(self) -> None:
        """Close the pipe: the processing's next write to it fails as it would without us."""
        if self.fd < 0:
            return
        self._loop.unwatch(self.fd)
        os.close(self.fd)
        self.fd = -1
        if self._tick is not None:
            self._tick.cancel()
        if self._hider is not None:
            self._outlet.pass_on(self._hider.finish())
        self._capture.finish()

    def _read(self, _events: int) -> None:
        self._take(os.read(self.fd, _READ_BYTES))

    def _take(self, data: bytes) -> None:
        if not data:
            self.close()
            return
        start_s = time.thread_time()
        self._outlet.pass_on(data if self._hider is None else self._hider.feed(data))
        self._capture.feed(data)
        took_s = time.thread_time() - start_s
        if took_s > _SLOW_S and self._report_slow is not None:
            self._report_slow(len(data), took_s)
            self._report_slow = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if self._capture.needs_tick:
            self._tick = self._loop.call_in(_TICK_S, self._let_out)
        self.update()

    def _let_out(self) -> None:
        self._tick = None
        # While nothing is read the stream is not quiet: its next bytes may be waiting.
        if self._loop.is_watching(self.fd):
            self._capture.tick()
        if self._capture.needs_tick:
            self._tick = self._loop.call_in(_TICK_S, self._let_out)
