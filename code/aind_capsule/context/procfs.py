"""Processes as /proc shows them: parents, children, groups, command lines (Linux).

Called by `running` to end what a processing leaves behind, and by `pipeline_task`. It signals and
waits for nothing. On a system without /proc every answer is empty. Source of the formats: proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROC = "/proc"


@dataclass(frozen=True, slots=True)
class Stat:
    """What we need of `/proc/<pid>/stat`."""

    state: str
    parent: int
    group: int


def read_stat(pid: int, proc_root: Path | str = PROC) -> Stat | None:
    """One process, or None where it is gone or unreadable."""
    try:
        with open(f"{proc_root}/{pid}/stat", "rb") as file:
            return parse_stat(file.read())
    except OSError:
        return None


def parse_stat(text: bytes) -> Stat | None:
    r"""The state, parent and group; the name in parentheses may hold anything, `)` too.

    >>> parse_stat(b"7 (a) b\n(c)) S 1 5 5 0")
    Stat(state='S', parent=1, group=5)
    """
    _, mark, rest = text.rpartition(b")")
    words = rest.split() if mark else []
    try:
        return Stat(words[0].decode("ascii"), int(words[1]), int(words[2]))
    except (IndexError, ValueError):
        return None


def read_parent_pid(pid: int, proc_root: Path | str = PROC) -> int | None:
    """The parent; None where the process is gone or its parent is outside of our namespace."""
    stat = read_stat(pid, proc_root)
    return stat.parent if stat is not None and stat.parent > 0 else None


def read_process_state(pid: int, proc_root: Path | str = PROC) -> str | None:
    """The letter of a process's state (`R`, `S`, `T`, `Z`, …), or None where it is gone."""
    stat = read_stat(pid, proc_root)
    return None if stat is None else stat.state


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


def find_descendants(pid: int, exclude: Collection[int], proc_root: Path | str = PROC) -> list[int]:
    """All processes below one, by one look at all processes.

    Args:
        pid: The process.
        exclude: Processes to leave out, with all that is below them.
        proc_root: Where /proc is.
    """
    below: dict[int, list[int]] = {}
    for child, stat in _read_all(proc_root):
        below.setdefault(stat.parent, []).append(child)
    # A pid that is given out anew during the look can close a circle; each counts once.
    seen = {pid, *exclude}
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in below.get(waiting.pop(), ()):
            if child not in seen:
                seen.add(child)
                found.append(child)
                waiting.append(child)
    return found


def find_group_members(group: int, proc_root: Path | str = PROC) -> list[int]:
    """The processes of a process group, ended ones that nobody has waited for included."""
    return [pid for pid, stat in _read_all(proc_root) if stat.group == group]


def _read_all(proc_root: Path | str) -> Iterator[tuple[int, Stat]]:
    try:
        names = os.listdir(proc_root)
    except OSError:
        return
    for name in names:
        if name.isascii() and name.isdecimal():
            stat = read_stat(int(name), proc_root)
            if stat is not None:
                yield int(name), stat
