"""Bytes out to a descriptor that we share with others, verbatim, without ever hanging on it.

The descriptor's blocking mode belongs to everybody who has it and is left alone: we write without
blocking by a way of our own, where there is one. What cannot go out yet waits here, and whoever
feeds us stops reading (`is_full`). A reader that is gone (EPIPE) and an output that fails (a full
disk) are two things: only the first ends the processing's own stream.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections import deque
from collections.abc import Callable, Collection

from aind_capsule.running.loop import WRITABLE, Loop

#: What a pipe that poll calls writable surely takes without blocking (PIPE_BUF).
_SURE_BYTES = 4096
#: Written at once where no write blocks.
_PIECE_BYTES = 64 * 1024
_FULL_BYTES = 256 * 1024
#: Opening this device (`/dev/ptmx`) once more makes another terminal.
_PTMX = os.makedev(5, 2)


class Outlet:
    """One of our own output streams.

    Args:
        fd: The descriptor; never closed here.
        loop: Watches it.
        on_gone: Called once when nobody reads it any more.
        on_drained: Called whenever what was waiting has gone out.
        on_lost: Called once, with the reason, when bytes of the processing's cannot be written.

    Attributes:
        lost_bytes: Bytes of the processing's that could not be written.
        problem: Why the first of them could not, or None.
    """

    def __init__(
        self,
        fd: int,
        loop: Loop,
        on_gone: Callable[[], None],
        on_drained: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.fd = fd
        self.name = "stderr" if fd == 2 else "stdout"
        self.is_gone = False
        self.ends_line = True
        self.lost_bytes = 0
        self.problem: str | None = None
        self._loop = loop
        self._on_gone = on_gone
        self._on_drained = on_drained
        self._on_lost = on_lost
        self._waiting = bytearray()
        #: Lengths of what waits, and whether it is the processing's, in turn.
        self._runs: deque[tuple[int, bool]] = deque()
        try:
            mode = os.fstat(fd).st_mode
        except OSError:  # closed before we were started
            self.is_gone = True
            return
        # What was opened for reading only is never ready; a write says at once what is wrong.
        is_writable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        self._has_reader = is_writable and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
        self._is_always_ready = not self._has_reader and not (is_writable and os.isatty(fd))
        way = (fd, os.write, _PIECE_BYTES) if self._is_always_ready else _find_way(fd, mode)
        self._write_fd, self._write, self._piece_bytes = way
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
        """Send bytes of ours, now or as soon as there is room; they may be lost."""
        self._send(data, is_passed_on=False)

    def pass_on(self, data: bytes) -> None:
        """Send bytes of the processing's. What cannot be written is counted."""
        self._send(data, is_passed_on=True)

    def give_up(self) -> None:
        """Wait no longer for a reader that takes nothing."""
        if self._waiting:
            self._lose(len(self._waiting), "its reader takes nothing")
            self._watch()

    def _send(self, data: bytes, *, is_passed_on: bool) -> None:
        if self.is_gone or not data:
            return
        self.ends_line = data.endswith(b"\n")
        self._waiting += data
        if self._runs and self._runs[-1][1] == is_passed_on:
            self._runs[-1] = (self._runs[-1][0] + len(data), is_passed_on)
        else:
            self._runs.append((len(data), is_passed_on))
        if self._is_always_ready:
            while self._waiting and self._write_piece():
                pass
        self._watch()

    def _watch(self) -> None:
        if self._waiting:
            self._loop.watch(self._write_fd, WRITABLE, self._on_ready)
        elif self._has_reader and not self.is_gone:
            self._loop.watch(self._write_fd, 0, self._on_ready)
        else:
            self._loop.unwatch(self._write_fd)

    def _on_ready(self, _events: int) -> None:
        if not self._waiting:  # nothing was asked for: the reader is gone
            self._be_gone()
        elif self._write_piece() and not self._waiting:
            self._watch()
            self._on_drained()

    def _write_piece(self) -> bool:
        """Write the first of what waits; False where it must wait on."""
        piece = bytes(self._waiting[: self._piece_bytes])
        try:
            done = self._write(self._write_fd, piece)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self._be_gone()
            return False
        except OSError as error:  # what comes later is tried again: a disk may have room by then
            self._lose(len(piece), str(error.strerror))
        else:
            self._take_off(done)
        return True

    def _lose(self, size: int, problem: str) -> None:
        lost = self._take_off(size)
        self.lost_bytes += lost
        if lost and self.problem is None:
            self.problem = problem
            self._on_lost(problem)

    def _take_off(self, size: int) -> int:
        """Remove the first bytes of what waits; returns how many are the processing's."""
        del self._waiting[:size]
        passed_on = 0
        while size:
            length, is_passed_on = self._runs.popleft()
            part = min(length, size)
            if length > part:
                self._runs.appendleft((length - part, is_passed_on))
            passed_on += part if is_passed_on else 0
            size -= part
        return passed_on

    def _be_gone(self) -> None:
        self.is_gone = True
        self._waiting.clear()
        self._watch()
        self._on_gone()
        self._on_drained()


def describe_loss(outlets: Collection[Outlet]) -> str | None:
    """Tell which bytes of the processing's were not passed on, and why; None where all were."""
    parts = [
        f"{outlet.lost_bytes} byte{'s'[: outlet.lost_bytes != 1]} of {outlet.name} could not be"
        f" written: {outlet.problem}"
        for outlet in outlets
        if outlet.lost_bytes
    ]
    return "; ".join(parts) or None


def _find_way(fd: int, mode: int) -> tuple[int, Callable[[int, bytes], int], int]:
    """Find a way to write without blocking; returns a descriptor, a write, and how much at once."""
    if stat.S_ISSOCK(mode):
        return fd, _send, _SURE_BYTES  # a datagram may not be long
    if os.fstat(fd).st_rdev != _PTMX:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # no /proc, or it belongs to somebody else
            return os.open(f"/proc/self/fd/{fd}", flags), os.write, _PIECE_BYTES
    return fd, os.write, _SURE_BYTES


def _send(fd: int, data: bytes) -> int:
    with socket.socket(fileno=os.dup(fd)) as own:
        return own.send(data, socket.MSG_DONTWAIT)
