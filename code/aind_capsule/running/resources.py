"""Samples of what the processing uses, taken by a process of its own: how it is started and asked.

`run` starts it after the processing when `--resources` is given. Nothing here imports psutil; that
is `sampling`'s, in the other process, which appends the samples to their file. What comes back
over one socket, whose both ends are here, is the peaks, and what went wrong.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.running.loop import READABLE, Loop
from aind_capsule.settings.durations import LONGEST_INTERVAL_S, SHORTEST_INTERVAL_S

#: The sampler's last message waits so long for room.
_LAST_WORD_S = 2.0
#: Each peak, and the sample's value that it is the largest of.
_PEAKS = {
    "peak_rss_bytes": "rss_bytes",
    "peak_processes": "processes",
    "peak_cpu_percent": "cpu_percent",
    "peak_memory_usage_bytes": "memory_usage_bytes",
}
_MAX_MESSAGE_BYTES = 64 * 1024
#: Not `-m`, which would look for modules in the working folder first, and that is the user's:
#: the sampler finds what the wrapper finds.
_BOOT = (
    "import sys; words = sys.argv[1:8]; sys.path[:] = sys.argv[8:]\n"
    "from aind_capsule.running.sampling import main; main(words)"
)


@dataclass(frozen=True, slots=True)
class Order:
    """What the sampler is asked to do.

    Attributes:
        path: The file of the samples.
        interval_s: Between two samples.
        link_fd: The socket to the wrapper.
        wrapper_pid: All that is below it is the processing, but for what is not.
        own_pids: What is not: the wrapper's helpers.
        reaped_cpu_s: CPU of the children that the wrapper had waited for before the processing.
        file_fd: The file, where it is open already; else -1.
    """

    path: str
    interval_s: float
    link_fd: int
    wrapper_pid: int
    own_pids: tuple[int, ...]
    reaped_cpu_s: float
    file_fd: int = -1

    def to_words(self) -> list[str]:
        """As arguments of a command line."""
        own = ",".join(map(str, self.own_pids))
        numbers = (self.interval_s, self.link_fd, self.wrapper_pid, own, self.reaped_cpu_s)
        return [self.path, *map(str, numbers), str(self.file_fd)]

    @classmethod
    def from_words(cls, words: Sequence[str]) -> Order:
        """What `to_words` gave."""
        path, interval_s, link_fd, wrapper_pid, own, reaped_cpu_s, file_fd = words
        pids = tuple(int(pid) for pid in own.split(",") if pid)
        return cls(path, float(interval_s), int(link_fd), int(wrapper_pid), pids,
                   float(reaped_cpu_s), int(file_fd))  # fmt: skip


class ResourceSampler:
    """A running sampler; made by `start`.

    Args:
        pid: Its process.
        link: Our end of the socket.
        loop: Watches the socket.
        tell: Called with a sentence for each kind of trouble, once.

    Attributes:
        pid: Its process, which is none of the processing's.
        peaks: What it has told so far: `peak_rss_bytes`, `peak_processes`, `peak_cpu_percent`,
            `peak_memory_usage_bytes` as far as they are known, `samples` and `lost_samples`.
    """

    def __init__(
        self, pid: int, link: socket.socket, loop: Loop, tell: Callable[[str], None]
    ) -> None:
        self.pid = pid
        self.peaks: dict[str, Any] = {}
        self._link: socket.socket | None = link
        self._loop = loop
        self._tell = tell
        self._told: set[str] = set()
        loop.watch(link.fileno(), READABLE, self._read)

    @classmethod
    def start(
        cls,
        path: str,
        interval_s: float,
        loop: Loop,
        *,
        file_fd: int = -1,
        own_pids: Collection[int] = (),
        tell: Callable[[str], None],
    ) -> ResourceSampler:
        """Start sampling all that is below this process.

        Args:
            path: The file that the samples are appended to.
            interval_s: Between two samples.
            loop: Watches the socket.
            file_fd: The file, where it is open already: its folder may be gone soon.
            own_pids: Children of ours that are not the processing's.
            tell: Called with a sentence for each kind of trouble, once.

        Raises:
            ValueError: The interval is out of bounds.
            OSError: No process is to be had.
        """
        if not SHORTEST_INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S:
            raise ValueError(
                f"Resources are sampled every {SHORTEST_INTERVAL_S:g} s to"
                f" {LONGEST_INTERVAL_S:g} s, not every {interval_s:g} s"
            )
        times = os.times()
        reaped_cpu_s = times.children_user + times.children_system
        # Packets: a message arrives whole or not at all.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            order = Order(
                path, interval_s, theirs.fileno(), os.getpid(), tuple(own_pids), reaped_cpu_s,
                file_fd,
            )  # fmt: skip
            try:
                pid = _spawn(order)
            except OSError:
                ours.close()
                raise
        return cls(pid, ours, loop, tell)

    def finish(self, wait_s: float) -> dict[str, Any]:
        """Have a last sample taken, so long at most, and end the sampler; returns the peaks."""
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + wait_s
        while self._link is not None and (left_s := deadline - time.monotonic()) > 0:
            self._loop.run_once(left_s)
        if self._link is not None:
            self._say(
                "The sampler of resources did not end in time; its last sample may be missing"
            )
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            self._close(os.WNOHANG)  # one that hangs in the kernel on a dead mount ends when it may
        return dict(self.peaks)

    def _read(self, _events: int) -> None:
        assert self._link is not None
        data = b""
        with contextlib.suppress(OSError):
            data = self._link.recv(_MAX_MESSAGE_BYTES)
        if not data:
            status = self._close(0)
            if status:  # it ends with 0 when it is asked to, and when it has said why
                number = os.WTERMSIG(status)
                how = f"signal {number}" if number else f"exit status {os.WEXITSTATUS(status)}"
                self._say(f"The sampler of resources ended too early ({how})")
            return
        message = decode(data) or {}
        self.peaks = message.get("peaks", self.peaks)
        for trouble in message.get("troubles", ()):
            self._say(trouble)

    def _close(self, wait_options: int) -> int:
        """Take leave of the sampler; returns its wait status, 0 where that is unknown."""
        link, self._link = self._link, None
        assert link is not None
        self._loop.unwatch(link.fileno())
        link.close()
        with contextlib.suppress(ChildProcessError):
            return os.waitpid(self.pid, wait_options)[1]
        return 0

    def _say(self, trouble: str) -> None:
        if trouble not in self._told:
            self._told.add(trouble)
            self._tell(trouble)


class Link:
    """The sampler's end of the socket: out go peaks and troubles; when it ends, all is over.

    Each message holds all there is to know, so that one which finds no room (the wrapper may be
    suspended) is not missed.

    Attributes:
        peaks: The largest value of each kind so far, and the counts of samples.
    """

    def __init__(self, fd: int) -> None:
        self.peaks: dict[str, Any] = {}
        self._troubles: dict[str, str] = {}
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    @property
    def is_cut(self) -> bool:
        """Whether the wrapper is gone; one that only wants an end still listens."""
        return any(events & select.POLLHUP for _, events in self._poll.poll(0))

    def add_peaks(self, sample: Mapping[str, Any]) -> None:
        """Take a sample into account."""
        for peak, name in _PEAKS.items():
            if name in sample:
                self.peaks[peak] = max(self.peaks.get(peak, 0), sample[name])

    def say(self, kind: str, trouble: str) -> None:
        """Tell of a trouble; once for each kind."""
        self._troubles.setdefault(kind, trouble[:1000])

    def send(self) -> None:
        """Send what is known, if there is room."""
        with contextlib.suppress(OSError):
            self._socket.send(
                encode({"peaks": self.peaks, "troubles": list(self._troubles.values())})
            )

    def send_last(self) -> None:
        """Send what is known, and wait a little for room."""
        self._socket.settimeout(_LAST_WORD_S)
        self.send()

    def wait_until(self, time_s: float) -> bool:
        """Wait until a time; True as soon as the wrapper wants an end or is gone."""
        wait_s = max(0.0, time_s - time.monotonic())
        return bool(self._poll.poll(wait_s * 1000 + 0.5))


def _spawn(order: Order) -> int:
    """Start the sampler with no signal that can reach it, and no stream but its socket.

    A new program rather than a fork: what it imports is never in the wrapper.
    """
    if not sys.executable:
        raise FileNotFoundError("the path of this Python is unknown")
    # -B: nothing is written into the code folder.
    words = [sys.executable, "-B", "-c", _BOOT, *order.to_words(), *map(str, sys.path)]
    kept = {order.link_fd, order.file_fd}
    streams = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in {0, 1, 2} - kept]
    # Blocked, a Ctrl-C or a SIGTERM to all processes waits for ever. Its session it makes itself:
    # many builds of Python cannot have it made here.
    for fd in kept - {-1}:
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawn(
            sys.executable, words, os.environ, file_actions=streams,
            setsigmask=signal.valid_signals(),
        )  # fmt: skip
    finally:
        for fd in kept - {-1}:
            os.set_inheritable(fd, False)
