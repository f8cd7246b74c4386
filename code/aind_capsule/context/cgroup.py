"""This process's control groups: limits of memory and CPU, and the out-of-memory kills.

Version 2 and version 1, in a container and outside. Source of the formats: cgroups(7) and the
kernel's documentation of `memory.events`, `memory.oom_control` and `cpu.max`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: Version 1 writes "no limit" as the largest page-aligned number.
_NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Folders of this process's groups, from its own up to the root of what is visible.

    Attributes:
        unified: Version 2; empty where memory is not controlled by it.
        memory: Version 1, controller `memory`.
        cpu: Version 1, controller `cpu`.
    """

    unified: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()


def find_cgroup(proc: str = "/proc", root: str = "/sys/fs/cgroup") -> Cgroup:
    """Find the groups of this process."""
    paths = _read_paths(f"{proc}/self/cgroup")
    if os.path.exists(f"{root}/cgroup.controllers"):
        return Cgroup(unified=_find_folders(root, paths.get("", "/")))
    return Cgroup(
        memory=_find_folders(f"{root}/memory", paths.get("memory", "/")),
        cpu=_find_folders(f"{root}/cpu", paths.get("cpu", "/")),
    )


def read_oom_kill_count(cgroup: Cgroup) -> int | None:
    """Processes of this group that the kernel killed for want of memory, or None."""
    if cgroup.unified:
        return _read_key(f"{cgroup.unified[0]}/memory.events", "oom_kill")
    if cgroup.memory:
        return _read_key(f"{cgroup.memory[0]}/memory.oom_control", "oom_kill")
    return None


def read_memory_limit_bytes(cgroup: Cgroup) -> int | None:
    """The smallest limit of this group and those above it, or None."""
    files = [f"{folder}/memory.max" for folder in cgroup.unified]
    files += [f"{folder}/memory.limit_in_bytes" for folder in cgroup.memory]
    limits = [int(text) for text in map(_read, files) if text.isdecimal()]
    return min((limit for limit in limits if 0 < limit < _NO_LIMIT_BYTES), default=None)


def read_cpu_limit(cgroup: Cgroup) -> float | None:
    """The smallest CPU quota in cores of this group and those above it, or None."""
    pairs = [_read(f"{folder}/cpu.max").split() for folder in cgroup.unified]
    pairs += [
        [_read(f"{folder}/cpu.cfs_{kind}_us") for kind in ("quota", "period")]
        for folder in cgroup.cpu
    ]
    cores = [
        int(pair[0]) / int(pair[1])
        for pair in pairs
        if len(pair) == 2 and pair[0].isdecimal() and pair[1].isdecimal() and int(pair[1])
    ]
    return min((count for count in cores if count > 0), default=None)


def _read_paths(file: str) -> dict[str, str]:
    """Path of the group by controller; version 2's stands under the empty name."""
    paths = {}
    for line in _read(file).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _find_folders(mount: str, path: str) -> tuple[str, ...]:
    """The group's folder and those above it; in a container the path may not be visible."""
    if not os.path.isdir(mount):
        return ()
    parts = [part for part in path.split("/") if part not in ("", "..")]
    while parts and not os.path.isdir("/".join((mount, *parts))):
        parts.pop(0)
    return tuple("/".join((mount, *parts[:count])) for count in range(len(parts), -1, -1))


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read().strip()
    except OSError:
        return ""


def _read_key(file: str, key: str) -> int | None:
    for line in _read(file).splitlines():
        name, _, number = line.partition(" ")
        if name == key and number.isdecimal():
            return int(number)
    return None
