"""The sampler's own process: what the processing uses, one JSON line a sample.

Started by `resources`, which is the wrapper's side; psutil is imported here and nowhere else. It
takes a sample at once, one each interval, and one more when the wrapper closes its end of their
socket; when the wrapper is gone it ends. It signals and waits for nobody.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.cgroup import (
    Cgroup,
    find_cgroup,
    read_memory_limit_bytes,
    read_oom_kill_count,
)
from aind_capsule.context.procfs import find_descendants
from aind_capsule.records.encode import encode
from aind_capsule.records.timestamps import format_timestamp, read_clock_us
from aind_capsule.running.resources import Link, Order

#: Looking takes at most this share of a core, whatever the interval: thousands of processes at
#: ten samples a second would otherwise take a whole one from the processing.
_MAX_SHARE = 0.2
#: The kernel counts CPU in ticks of 10 ms: over less time than this a percentage says nothing.
_SHORTEST_RATE_S = 0.5


def main(words: Sequence[str]) -> None:
    """Do what the words ask for, and end the process."""
    order = Order.from_words(words)
    _cut_ties({order.link_fd, order.file_fd})
    link = Link(order.link_fd)
    try:
        _sample(order, link)
    except ImportError as error:
        link.say(
            "import",
            f"Resources are not sampled: psutil cannot be imported ({error});"
            " install aind-capsule[resources]",
        )
    except Exception as error:  # ours or psutil's; it is told, and the run goes on
        link.say("failure", f"The resource sampler has failed: {type(error).__name__}: {error}")
    link.send_last()
    os._exit(0)


def _cut_ties(kept: Collection[int]) -> None:
    """A session of our own; nobody waits for the end of a pipe because we hold it too."""
    warnings.simplefilter("ignore")
    with contextlib.suppress(OSError):
        os.setsid()
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def _sample(order: Order, link: Link) -> None:
    usage = ProcessingUsage(order.wrapper_pid, order.own_pids, order.reaped_cpu_s)
    memory = ContainerMemory(find_cgroup())
    file = SampleFile(order.path, order.file_fd)
    rate = CpuRate(min(_SHORTEST_RATE_S, 0.8 * order.interval_s))
    start = time.monotonic()
    is_told = False
    while True:
        began, cpu_before_s = time.monotonic(), time.process_time()
        sample = {"timestamp": format_timestamp(read_clock_us()), **usage.read(), **memory.read()}
        sample.update(rate.read(began, sample["cpu_s"]))
        trouble = file.append(encode(sample) + b"\n")
        if trouble is not None:
            link.say("file", f"Samples of resources cannot be written: {trouble}")
        link.add_peaks(sample)
        link.peaks.update(samples=file.written, lost_samples=file.lost)
        link.send()
        if is_told:
            return
        rest_s = (time.process_time() - cpu_before_s) * (1 / _MAX_SHARE - 1)
        earliest = time.monotonic() + rest_s
        slots = int((earliest - start) / order.interval_s) + 1
        is_told = link.wait_until(start + slots * order.interval_s)
        if link.is_cut:  # the wrapper was killed, and its children are no longer its own
            return


class SampleFile:
    """Appends samples, each by one write: a process that is killed has lost none.

    Args:
        path: The file.
        fd: The file, where it is open already; else -1.

    Attributes:
        written: Samples in the file.
        lost: Samples that could not be written.
    """

    def __init__(self, path: str, fd: int = -1) -> None:
        self.written = 0
        self.lost = 0
        self._path = path
        self._fd = fd

    def append(self, line: bytes) -> str | None:
        """Write a line, or nothing of it; returns why it could not be written, or None."""
        why = "the disk is full"
        try:
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o666)
            done = os.write(self._fd, line)
            if done == len(line):
                self.written += 1
                return None
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - done)
        except OSError as error:
            why = error.strerror or str(error)
        self.lost += 1
        return why


@dataclass(frozen=True, slots=True)
class _Process:
    """One process; its CPU with that of the children that it has waited for."""

    pid: int
    cpu_s: float
    rss_bytes: int = 0
    threads: int = 0
    is_alive: bool = False
    io: tuple[int, int] | None = None


class ProcessingUsage:
    """What the processes below the wrapper use, its helpers left out.

    Args:
        wrapper_pid: The wrapper; orphans of the processing become its children.
        own_pids: Its helpers.
        reaped_cpu_s: CPU of the children that it had waited for before the processing.
    """

    def __init__(self, wrapper_pid: int, own_pids: Sequence[int], reaped_cpu_s: float) -> None:
        import psutil

        self._psutil = psutil
        self._wrapper = psutil.Process(wrapper_pid)
        self._reaped_before_s = reaped_cpu_s
        self._helpers: dict[Any, float] = {}
        for pid in (os.getpid(), *own_pids):
            with contextlib.suppress(psutil.Error):
                self._helpers[psutil.Process(pid)] = 0.0
        self._ended_helpers_s = 0.0
        self._counters: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """One look; processes that end meanwhile or are not ours to read are passed over."""
        # Before the others: a process that is waited for meanwhile is missed once, not counted
        # twice, and what falls back is evened out.
        reaped_s = self._read_reaped_cpu_s()
        helpers = [helper.pid for helper in self._helpers]
        seen = [self._look(pid) for pid in find_descendants(self._wrapper.pid, helpers)]
        processes = [process for process in seen if process is not None]
        living = [process for process in processes if process.is_alive]
        io = [process.io for process in living if process.io is not None]
        cpu_s = reaped_s + sum(process.cpu_s for process in processes)
        found: dict[str, Any] = {
            "processes": len(living),
            "threads": sum(process.threads for process in living),
            "cpu_s": round(self._keep_rising("cpu_s", cpu_s), 3),
            "rss_bytes": sum(process.rss_bytes for process in living),
        }
        for place, name in enumerate(("read_bytes", "write_bytes")):
            if io or name in self._counters:
                found[name] = self._keep_rising(name, sum(counts[place] for counts in io))
        if living:
            largest = max(living, key=lambda process: process.rss_bytes)
            found["largest"] = {
                "pid": largest.pid,
                **_read_name(largest.pid),
                "rss_bytes": largest.rss_bytes,
            }
        return found

    def _keep_rising(self, name: str, value: Any) -> Any:
        """What ended processes have used is not always handed on; a counter never falls for it."""
        self._counters[name] = max(self._counters.get(name, 0), value)
        return self._counters[name]

    def _read_reaped_cpu_s(self) -> float:
        """CPU of the processing's processes that the wrapper has waited for."""
        for helper in list(self._helpers):
            with contextlib.suppress(Exception):
                if helper.is_running():  # asks for the start time as well: pids are used again
                    self._helpers[helper] = _sum_cpu_s(helper.cpu_times())
                    continue
            self._ended_helpers_s += self._helpers.pop(helper)
        try:
            times = self._wrapper.cpu_times()
        except self._psutil.Error:
            return 0.0
        reaped_s: float = times.children_user + times.children_system
        return max(0.0, reaped_s - self._reaped_before_s - self._ended_helpers_s)

    def _look(self, pid: int) -> _Process | None:
        # Any exception: a process that ends under the reader's hands shows itself in many ways.
        try:
            process = self._psutil.Process(pid)
            with process.oneshot():
                cpu_s = _sum_cpu_s(process.cpu_times())
                if process.status() == self._psutil.STATUS_ZOMBIE:
                    return _Process(pid, cpu_s)
                rss_bytes, threads = process.memory_info().rss, process.num_threads()
        except Exception:  # it has ended, or psutil cannot read it
            return None
        io = None
        with contextlib.suppress(Exception):  # another user's
            counters = process.io_counters()
            io = (counters.read_bytes, counters.write_bytes)
        return _Process(pid, cpu_s, rss_bytes, threads, is_alive=True, io=io)


def _sum_cpu_s(times: Any) -> float:
    total: float = times.user + times.system + times.children_user + times.children_system
    return total


def _read_name(pid: int) -> dict[str, str]:
    """The name of the executable's file: the name in `stat` is the process's own to set."""
    try:
        return {"name": os.path.basename(os.readlink(f"/proc/{pid}/exe"))}
    except OSError:
        return {}


class CpuRate:
    """CPU time to percent: 100 is one core."""

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = shortest_s
        self._last: tuple[float, float] | None = None

    def read(self, time_s: float, cpu_s: float) -> dict[str, float]:
        """`cpu_percent` since the last time; empty where that is unknown or too short ago."""
        last, self._last = self._last, (time_s, cpu_s)
        if last is None or time_s - last[0] < self._shortest_s:
            return {}
        return {"cpu_percent": round(100 * (cpu_s - last[1]) / (time_s - last[0]), 1)}


class ContainerMemory:
    """Limit, usage and kills of the control group, and what the machine has left."""

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._kills_before = read_oom_kill_count(cgroup)

    def read(self) -> dict[str, int]:
        """What can be read of it; `oom_kills` since we began."""
        import psutil

        found: dict[str, int | None] = {
            "memory_limit_bytes": read_memory_limit_bytes(self._cgroup),
            "memory_usage_bytes": read_memory_usage_bytes(self._cgroup),
        }
        kills = read_oom_kill_count(self._cgroup)
        if kills is not None and self._kills_before is not None:
            found["oom_kills"] = max(0, kills - self._kills_before)
        with contextlib.suppress(Exception):  # a /proc that hides it
            found["memory_available_bytes"] = psutil.virtual_memory().available
        return {name: value for name, value in found.items() if value is not None}


def read_memory_usage_bytes(cgroup: Cgroup) -> int | None:
    """Memory in use by the group whose limit is the smallest, or by the nearest; None: unknown.

    That limit is the one which will be met; it may be an outer group's (SLURM limits the job).
    """
    limited: tuple[int, int] | None = None
    nearest: int | None = None
    groups = [(Cgroup(unified=(path,)), f"{path}/memory.current") for path in cgroup.unified]
    groups += [(Cgroup(memory=(path,)), f"{path}/memory.usage_in_bytes") for path in cgroup.memory]
    for group, file in groups:
        try:
            with open(file, encoding="ascii") as opened:
                usage_bytes = int(opened.read())
        except (OSError, ValueError):
            continue
        limit_bytes = read_memory_limit_bytes(group)
        nearest = usage_bytes if nearest is None else nearest
        if limit_bytes is not None and (limited is None or limit_bytes < limited[0]):
            limited = limit_bytes, usage_bytes
    return nearest if limited is None else limited[1]
