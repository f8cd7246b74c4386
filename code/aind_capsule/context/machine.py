"""The machine: processor, cores and memory, as far as this process may use them.

Called by `running` for `run.json`. It measures nothing and starts no program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aind_capsule.context.cgroup import Cgroup, read_cpu_limit, read_memory_limit_bytes
from aind_capsule.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

_BEGINNING_CHARS = 8192
_LINE_CHARS = 200
#: What is larger is garbage.
_MAX_AMOUNT = 10**18


@frozen
class Machine:
    """What is known; None is unknown.

    Attributes:
        os: Operating system and its release.
        architecture: Of the processor.
        gpu: Names of the graphics processors that NVIDIA's driver shows, each once.
        cores_total: Cores of the machine.
        cores_allowed: Cores that this process may run on (its affinity, which the kernel keeps
            inside the container's cpuset).
        cpu_limit: Quota of the container in cores.
        memory_limit_bytes: Limit of the container.
        co_cpus: What the platform promises (`CO_CPUS`).
        co_memory_bytes: What the platform promises (`CO_MEMORY`).
        usable_cores: What a program should use: the smallest of these, 1 at least.
        usable_memory_bytes: The same of memory.
    """

    os: str | None
    architecture: str | None
    gpu: str | None
    cpu_model: str | None
    cores_total: int | None
    cores_allowed: int | None
    cpu_limit: float | None
    memory_total_bytes: int | None
    memory_limit_bytes: int | None
    co_cpus: float | None
    co_memory_bytes: int | None
    usable_cores: int
    usable_memory_bytes: int | None

    def describe(self) -> dict[str, Any]:
        """What is known, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_machine(
    environ: Mapping[str, str], cgroup: Cgroup, proc_root: Path | str = "/proc"
) -> Machine:
    """Look at the machine.

    Args:
        environ: The environment (`CO_CPUS`, `CO_MEMORY`).
        cgroup: This process's groups.
        proc_root: Where /proc is.
    """
    total = os.cpu_count()
    allowed = _count_allowed_cores()
    limit = read_cpu_limit(cgroup)
    co_cpus = parse_amount(environ.get("CO_CPUS"))
    co_memory = parse_amount(environ.get("CO_MEMORY"))
    memory_bytes = _read_memory_bytes(proc_root)
    memory_limit_bytes = read_memory_limit_bytes(cgroup)
    co_memory_bytes = int(co_memory) if co_memory and co_memory >= 1 else None
    cores = [count for count in (total, allowed, limit, co_cpus) if count]
    memory = [size for size in (memory_bytes, memory_limit_bytes, co_memory_bytes) if size]
    system = os.uname() if hasattr(os, "uname") else None
    return Machine(
        os=f"{system.sysname} {system.release}" if system else sys.platform,
        architecture=system.machine if system else os.environ.get("PROCESSOR_ARCHITECTURE"),
        gpu=_read_gpu_models(proc_root),
        cpu_model=_read_cpu_model(proc_root),
        cores_total=total,
        cores_allowed=allowed,
        cpu_limit=limit,
        memory_total_bytes=memory_bytes,
        memory_limit_bytes=memory_limit_bytes,
        co_cpus=co_cpus,
        co_memory_bytes=co_memory_bytes,
        usable_cores=max(1, int(min(cores, default=1))),
        usable_memory_bytes=min(memory, default=None),
    )


def parse_amount(text: str | None) -> float | None:
    """A positive number from a variable that may hold anything.

    >>> parse_amount("4"), parse_amount("1e3"), parse_amount("many"), parse_amount("-1")
    (4.0, 1000.0, None, None)
    """
    try:
        number = float((text or "").strip())
    except ValueError:
        return None
    return number if 0 < number < _MAX_AMOUNT else None  # neither holds for NaN


def _count_allowed_cores() -> int | None:
    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return None
    try:
        return len(os.sched_getaffinity(0))
    except OSError:
        return None


def _read_cpu_model(proc_root: Path | str) -> str | None:
    """The processor's name; the file is long on large machines, its beginning is enough."""
    try:
        with open(f"{proc_root}/cpuinfo", encoding="utf-8", errors="replace") as file:
            text = file.read(_BEGINNING_CHARS)
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return None


def _read_gpu_models(proc_root: Path | str) -> str | None:
    """The models in `driver/nvidia/gpus/*/information`, as inside a container with GPUs."""
    folder = f"{proc_root}/driver/nvidia/gpus"
    models: dict[str, None] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    for name in names:
        try:
            with open(f"{folder}/{name}/information", encoding="utf-8", errors="replace") as file:
                lines = file.read(_BEGINNING_CHARS).splitlines()
        except OSError:
            continue
        for line in lines:
            label, _, model = line.partition(":")
            if label.strip() == "Model" and model.strip():
                models[model.strip()] = None
    return ", ".join(models) or None


def _read_memory_bytes(proc_root: Path | str) -> int | None:
    try:
        with open(f"{proc_root}/meminfo", encoding="utf-8", errors="replace") as file:
            words = file.readline(_LINE_CHARS).split()
    except OSError:
        return None
    if len(words) < 2 or words[0] != "MemTotal:" or not words[1].isdecimal():
        return None
    size_bytes = int(words[1]) * 1024
    return size_bytes if 0 < size_bytes < _MAX_AMOUNT else None
