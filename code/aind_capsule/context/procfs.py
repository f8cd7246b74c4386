"""Processes as /proc shows them: parents, children, groups, command lines (Linux).

On a system without /proc every answer is empty. Source of the formats: proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

PROC = "/proc"
_MAX_DEPTH = 1000


@dataclass(frozen=True, slots=True)
class Stat:
    """What we need of `/proc/<pid>/stat`."""

    state: str
    parent: int
    group: int


def read_stat(pid: int, proc: str = PROC) -> Stat | None:
    """One process, or None where it is gone or unreadable."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            return parse_stat(file.read())
    except OSError:
        return None


def parse_stat(text: bytes) -> Stat | None:
    """The state, parent and group; the name in parentheses may hold anything, `)` too.

    >>> parse_stat(b"7 (a) b (c)) S 1 5 5 0")
    Stat(state='S', parent=1, group=5)
    """
    words = text[text.rfind(b")") + 1 :].split()
    try:
        return Stat(words[0].decode(), int(words[1]), int(words[2]))
    except (IndexError, ValueError):
        return None


def read_process_state(pid: int, proc: str = PROC) -> str | None:
    """The letter of a process's state (`R`, `S`, `T`, `Z`, …), or None where it is gone."""
    stat = read_stat(pid, proc)
    return None if stat is None else stat.state


def read_command_line(pid: int, proc: str = PROC) -> list[str]:
    """A process's arguments; empty where it is gone, a kernel thread, or not ours to read."""
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            data = file.read()
    except OSError:
        return []
    return [os.fsdecode(word) for word in data.split(b"\0")[:-1]]


def find_ancestors(pid: int, proc: str = PROC) -> Iterator[int]:
    """The parent, its parent, and so on; process 1 of the namespace is the last."""
    for _ in range(_MAX_DEPTH):
        stat = read_stat(pid, proc)
        if stat is None or stat.parent <= 0:
            return
        pid = stat.parent
        yield pid


def find_children(pid: int, proc: str = PROC) -> list[int]:
    """The direct children, ended ones that nobody has waited for included."""
    try:
        tasks = os.listdir(f"{proc}/{pid}/task")
        children: list[int] = []
        for task in tasks:
            with open(f"{proc}/{pid}/task/{task}/children", "rb") as file:
                children += [int(word) for word in file.read().split()]
    except (OSError, ValueError):  # a kernel without these files
        return [child for child, stat in _read_all(proc) if stat.parent == pid]
    return children


def find_descendants(pid: int, exclude: Collection[int], proc: str = PROC) -> list[int]:
    """All processes below one, without some and what is below those."""
    below: dict[int, list[int]] = {}
    for child, stat in _read_all(proc):
        below.setdefault(stat.parent, []).append(child)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in below.get(waiting.pop(), ()):
            if child not in exclude:
                found.append(child)
                waiting.append(child)
    return found


def find_group_members(group: int, proc: str = PROC) -> list[int]:
    """The processes of a process group."""
    return [pid for pid, stat in _read_all(proc) if stat.group == group]


def _read_all(proc: str) -> Iterator[tuple[int, Stat]]:
    try:
        names = os.listdir(proc)
    except OSError:
        return
    for name in names:
        if name.isdecimal():
            stat = read_stat(int(name), proc)
            if stat is not None:
                yield int(name), stat
