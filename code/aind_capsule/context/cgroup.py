"""This process's control groups: limits of memory and CPU, and the out-of-memory kills.

Called by `running` (was the processing killed for want of memory?) and by `machine`; it changes no
group. Version 2, version 1 and both at once, in a container and outside. Source of the formats:
cgroups(7) and the kernel's documentation of `memory.events`, `memory.oom_control` and `cpu.max`.
The controller `cpuset` is not read: the kernel keeps a process's affinity inside it, and that is
what `machine` asks for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aind_capsule.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

#: Version 1 writes "no limit" as the largest page-aligned number.
_NO_LIMIT_BYTES = 1 << 60
_MAX_DIGITS = 20
#: Parts of the names that container engines give their groups.
CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "libpod", "crio", "lxc", "/ecs/")
#: Where version 1 mounts the controller `cpu`; not every system has the link of the first name.
_CPU_MOUNTS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")


@frozen
class Cgroup:
    """Folders of this process's groups, from its own up to the root of what is visible.

    Attributes:
        unified: Version 2; empty where version 1 has both memory and cpu.
        memory: Version 1, controller `memory`.
        cpu: Version 1, controller `cpu`.
        path: The group that counts memory, as /proc names it; it need not be visible.
    """

    unified: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    path: str = ""


def find_cgroup(
    proc_root: Path | str = "/proc", cgroup_root: Path | str = "/sys/fs/cgroup"
) -> Cgroup:
    """Find the groups of this process."""
    paths = _read_paths(f"{proc_root}/self/cgroup")
    if os.path.exists(f"{cgroup_root}/cgroup.controllers"):
        path = paths.get("", "/")
        return Cgroup(unified=_find_folders(str(cgroup_root), path), path=path)
    memory = _find_folders(f"{cgroup_root}/memory", paths.get("memory", "/"))
    cpu_folders = (_find_folders(f"{cgroup_root}/{m}", paths.get("cpu", "/")) for m in _CPU_MOUNTS)
    cpu = next(filter(None, cpu_folders), ())
    beside = f"{cgroup_root}/unified"
    path = paths.get("memory" if memory else "", "")
    if (memory and cpu) or not os.path.exists(f"{beside}/cgroup.controllers"):
        return Cgroup(memory=memory, cpu=cpu, path=path)
    unified = _find_folders(beside, paths.get("", "/"))
    return Cgroup(unified=unified, memory=memory, cpu=cpu, path=path)


def read_oom_kill_count(cgroup: Cgroup) -> int | None:
    """Processes of this group that the kernel killed for want of memory, or None.

    Version 2 counts those of the groups below too. Where memory is not controlled in our own group
    we are part of the nearest one above in which it is. Version 1 counts in the killed process's
    own group.
    """
    return _find_kills(cgroup)[1]


def is_counter_shared(cgroup: Cgroup) -> bool:
    """Return whether the out-of-memory kills may be those of processes outside of this container.

    True on a workstation, and in a batch job, whose group holds all steps of the job. A container
    engine makes a group of its own: named after the engine, or at the root of what is visible.
    """
    folder, _ = _find_kills(cgroup)
    if any(word in cgroup.path for word in CONTAINER_GROUPS):
        return False
    if folder in cgroup.unified:
        return folder != cgroup.unified[-1]  # the machine's own root has no such counter
    # Version 1 without a namespace: the path is the host's, and only its end is mounted.
    return folder is None or folder != cgroup.memory[-1] or cgroup.path.strip("/") == ""


def _find_kills(cgroup: Cgroup) -> tuple[str | None, int | None]:
    """Return the folder whose counter is ours, and the counter."""
    for folder in cgroup.unified:
        count = _read_key(f"{folder}/memory.events", "oom_kill")
        if count is not None:
            return folder, count
    if not cgroup.memory:
        return None, None
    return cgroup.memory[0], _read_key(f"{cgroup.memory[0]}/memory.oom_control", "oom_kill")


def read_memory_limit_bytes(cgroup: Cgroup) -> int | None:
    """The smallest limit of this group and those above it, or None."""
    files = [f"{folder}/memory.max" for folder in cgroup.unified]
    files += [f"{folder}/memory.limit_in_bytes" for folder in cgroup.memory]
    limits = [_parse_number(_read(file)) for file in files]
    return min((limit for limit in limits if limit and limit < _NO_LIMIT_BYTES), default=None)


def read_cpu_limit(cgroup: Cgroup) -> float | None:
    """The smallest CPU quota in cores of this group and those above it, or None."""
    pairs = [_read(f"{folder}/cpu.max").split() for folder in cgroup.unified]
    pairs += [
        [_read(f"{folder}/cpu.cfs_{kind}_us") for kind in ("quota", "period")]
        for folder in cgroup.cpu
    ]
    numbers = [[_parse_number(word) for word in pair] for pair in pairs if len(pair) == 2]
    # No quota is the word `max` in version 2, and -1 in version 1.
    return min((quota / period for quota, period in numbers if quota and period), default=None)


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
    """The group's folder and those above it; the mount's root where the group is not visible.

    In a container without a namespace of its own the path is the host's, and the mount shows only
    its end; `..` stands for a group outside of our namespace.
    """
    if not os.path.isdir(mount):
        return ()
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    while parts and not os.path.isdir("/".join((mount, *parts))):
        parts.pop(0)
    return tuple("/".join((mount, *parts[:count])) for count in range(len(parts), -1, -1))


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read().strip()
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return ""


def _read_key(file: str, key: str) -> int | None:
    for line in _read(file).splitlines():
        name, _, number = line.partition(" ")
        if name == key:
            return _parse_number(number)
    return None


def _parse_number(text: str) -> int | None:
    """A number of digits only; one that is longer than the kernel's can be is garbage."""
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else None
