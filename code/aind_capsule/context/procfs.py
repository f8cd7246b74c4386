"""Processes as /proc shows them: parents, children, groups, command lines (Linux).

Called by `running` to end what a processing leaves behind, and by `pipeline_task`. It signals and
waits for nothing. On a system without /proc every answer is empty. Source of the formats: proc(5).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from aind_capsule.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

PROC = "/proc"


@frozen
class Stat:
    """What we need of `/proc/<pid>/stat`.

    Attributes:
        started: When it started, in ticks since the machine did. With the pid it names a process
            once and for all: pids are given out anew.
    """

    state: str
    parent: int
    group: int
    started: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended; nobody may have waited for one that has."""
        return self.state not in ("Z", "X")


def read_stat(pid: int, proc_root: Path | str = PROC) -> Stat | None:
    """One process, or None where it is gone or unreadable."""
    try:
        with open(f"{proc_root}/{pid}/stat", "rb") as file:
            return parse_stat(file.read())
    except OSError:
        return None


def parse_stat(text: bytes) -> Stat | None:
    r"""The state, parent and group; the name in parentheses may hold anything, `)` too.

    >>> parse_stat(b"7 (a) b\n(c)) S 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0")
    Stat(state='S', parent=1, group=5, started=4711)
    """
    _, mark, rest = text.rpartition(b")")
    words = rest.split() if mark else []
    try:
        started = int(words[19]) if len(words) > 19 else 0
        return Stat(words[0].decode("ascii"), int(words[1]), int(words[2]), started)
    except (IndexError, ValueError):
        return None


def read_parent_pid(pid: int, proc_root: Path | str = PROC) -> int | None:
    """The parent; None where the process is gone or its parent is outside of our namespace."""
    stat = read_stat(pid, proc_root)
    return stat.parent if stat is not None and stat.parent > 0 else None


def read_command_line(pid: int, proc_root: Path | str = PROC) -> list[str]:
    """A process's arguments; empty where it is gone, a kernel thread, or not ours to read."""
    try:
        with open(f"{proc_root}/{pid}/cmdline", "rb") as file:
            data = file.read()
    except OSError:
        return []
    # Programs that rewrite their own title may leave out the last NUL.
    return [os.fsdecode(word) for word in data.removesuffix(b"\0").split(b"\0")] if data else []


def read_initial_variables(proc_root: Path | str = PROC) -> frozenset[str] | None:
    """Names of the variables that this process was started with, or None where that is unknown.

    Python may add `LC_CTYPE` to its own environment when it starts (PEP 538).
    """
    try:
        with open(f"{proc_root}/self/environ", "rb") as file:
            data = file.read()
    except OSError:
        return None
    return frozenset(os.fsdecode(item.partition(b"=")[0]) for item in data.split(b"\0"))


def find_ancestors(pid: int, proc_root: Path | str = PROC) -> Iterator[int]:
    """The parent, its parent, and so on; process 1 of the namespace is the last."""
    seen = {pid}
    parent = read_parent_pid(pid, proc_root)
    while parent is not None and parent not in seen:
        yield parent
        seen.add(parent)
        parent = read_parent_pid(parent, proc_root)


def find_children(pid: int, proc_root: Path | str = PROC) -> list[int]:
    """The direct children, ended ones that nobody has waited for included."""
    children: list[int] = []
    try:
        for task in os.listdir(f"{proc_root}/{pid}/task"):
            with open(f"{proc_root}/{pid}/task/{task}/children", "rb") as file:
                children += [int(word) for word in file.read().split()]
    except (OSError, ValueError):  # a kernel without these files, or a thread that ended meanwhile
        return [child for child, stat in _read_all(proc_root) if stat.parent == pid]
    return children


def find_by_variable(variable: str, proc_root: Path | str = PROC) -> Iterator[int]:
    """The processes that were started with a variable (`NAME=value`) in their environment."""
    item = os.fsencode(variable)
    for pid in _list_pids(proc_root):
        try:
            with open(f"{proc_root}/{pid}/environ", "rb") as file:
                data = file.read()
        except OSError:  # it is gone, or somebody else's
            continue
        if item in data.split(b"\0"):
            yield pid


def find_descendants(pid: int, exclude: Collection[int], proc_root: Path | str = PROC) -> list[int]:
    """All processes below one, by one look at all processes.

    Args:
        pid: The process.
        exclude: Processes to leave out, with all that is below them.
        proc_root: Where /proc is.
    """
    processes = read_processes(proc_root)
    return [found for found in find_below(processes, [pid], exclude) if found != pid]


def find_below(
    processes: Mapping[int, Stat], roots: Iterable[int], exclude: Collection[int] = ()
) -> list[int]:
    """Some processes and all below them, out of those of one look; parents come first.

    Args:
        processes: From `read_processes`.
        roots: The processes; those that are gone may have left children behind.
        exclude: Processes to leave out, with all that is below them.
    """
    below: dict[int, list[int]] = {}
    for child, stat in processes.items():
        below.setdefault(stat.parent, []).append(child)
    # A pid that is given out anew during the look can close a circle; each counts once.
    seen = set(exclude)
    found: list[int] = []
    waiting = deque(roots)
    while waiting:
        pid = waiting.popleft()
        if pid not in seen:
            seen.add(pid)
            found.append(pid)
            waiting.extend(below.get(pid, ()))
    return found


def find_group_members(group: int, proc_root: Path | str = PROC) -> list[int]:
    """The processes of a process group, ended ones that nobody has waited for included."""
    return [pid for pid, stat in _read_all(proc_root) if stat.group == group]


def read_processes(proc_root: Path | str = PROC) -> dict[int, Stat]:
    """All processes by one look, ended ones that nobody has waited for included."""
    return dict(_read_all(proc_root))


def _read_all(proc_root: Path | str) -> Iterator[tuple[int, Stat]]:
    for pid in _list_pids(proc_root):
        stat = read_stat(pid, proc_root)
        if stat is not None:
            yield pid, stat


def _list_pids(proc_root: Path | str) -> list[int]:
    try:
        names = os.listdir(proc_root)
    except OSError:
        return []
    return [int(name) for name in names if name.isascii() and name.isdecimal()]
