"""All processes of a run: find them, ask them to end, and kill those that do not.

The wrapper ends them by it, and so does the watcher where the wrapper is dead. Neither waits here.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterable, Mapping

from aind_capsule.context.procfs import Stat, find_below, read_processes


class ProcessGroup:
    """The process group of a run's command, and whatever else the command has started.

    Args:
        find_roots: Picks the topmost processes of the run from all that there are.
        own: Helpers of ours. They are left out, with all that is below them.
        leader: The command's pid.

    Attributes:
        leader: The command's pid, which is its group's id. While it is 0 there are no processes.
    """

    def __init__(
        self,
        find_roots: Callable[[Mapping[int, Stat]], Iterable[int]],
        own: Collection[int] = (),
        leader: int = 0,
    ) -> None:
        self.leader = leader
        self._find_roots = find_roots
        self._own = own
        self._asked: dict[int, int] = {}  # pids with their start, for pids are given out anew

    def find(self) -> dict[int, Stat]:
        """Find the living processes of the run, the oldest first."""
        processes = read_processes() if self.leader else {}
        roots = {
            *self._find_roots(processes),
            *(pid for pid, stat in processes.items() if stat.group == self.leader),
            # What was asked belongs to the run, also when its parents have ended since.
            *(pid for pid, stat in processes.items() if self._asked.get(pid) == stat.started),
        }
        found = {pid: processes.get(pid) for pid in find_below(processes, roots, self._own)}
        living = {pid: stat for pid, stat in found.items() if stat is not None and stat.is_alive}
        return dict(sorted(living.items(), key=lambda item: (item[1].started, item[0])))

    def forward(self, number: int) -> None:
        """Send a signal to the command's group."""
        if self.leader:  # 0 would be our own group
            with contextlib.suppress(OSError):  # it is gone
                os.killpg(self.leader, number)

    def send(self, number: int) -> None:
        """Send a signal to the command alone."""
        if self.leader:
            _signal_all([self.leader], number)

    def ask(self, number: int) -> None:
        """Ask all to end: the command's group by this signal, all others by SIGTERM.

        For a process in a group or session of its own SIGINT may mean nothing, SIGHUP that it is
        to read its settings again, and SIGQUIT a core dump.
        """
        living = self.find()  # first: a parent that has ended says no more what is below it
        self.forward(number)
        self.forward(signal.SIGCONT)  # a suspended process takes no other signal
        self._ask(living, [pid for pid, stat in living.items() if stat.group != self.leader])
        self._asked = {pid: stat.started for pid, stat in living.items()}

    def ask_newcomers(self) -> bool:
        """Ask those to end that were forked since, and have lost their parent; whether any is left.

        The others are left to their parents: a process that was asked to end may need a few more
        to do so.
        """
        living = self.find()
        orphans = [
            pid
            for pid, stat in living.items()
            if self._asked.get(pid) != stat.started and stat.parent not in living
        ]
        self._ask(living, orphans)
        return bool(living)

    def kill(self) -> None:
        """Send SIGKILL to all."""
        self.forward(signal.SIGKILL)
        _signal_all(self.find(), signal.SIGKILL)

    def _ask(self, living: Mapping[int, Stat], pids: Collection[int]) -> None:
        _signal_all(pids, signal.SIGTERM)
        _signal_all(pids, signal.SIGCONT)
        self._asked.update({pid: living[pid].started for pid in pids})


def find_children_of_ours(processes: Mapping[int, Stat]) -> list[int]:
    """Find the direct children of this process; a subreaper has all orphans among them."""
    return [pid for pid, stat in processes.items() if stat.parent == os.getpid()]


def _signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended meanwhile, or it is somebody else's
            os.kill(pid, number)
