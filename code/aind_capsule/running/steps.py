"""What one step of a processing took: wall and CPU time, cores, memory."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from aind_capsule.records.simplify import str_safely
from aind_capsule.records.timestamps import format_timestamp, read_clock_us

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


#: The status of a step that had no end when the run ended.
OPEN = "open"


@dataclass(frozen=True, slots=True, eq=False)
class StepStart:
    """A step that has begun.

    Attributes:
        names: The names of the steps around it, and its own.
    """

    names: tuple[str, ...]
    started_us: int
    wall_s: float
    cpu_s: float

    @property
    def path(self) -> str:
        """All names for people, `outer/inner`; a slash of a name stays as it is."""
        return "/".join(self.names)


def start_step(names: tuple[str, ...]) -> StepStart:
    """Begin a step now."""
    return StepStart(names, read_clock_us(), time.perf_counter(), read_cpu_s())


def end_step(start: StepStart, error: BaseException | None) -> dict[str, Any]:
    """A step's row: what it took, and how it ended.

    Returns:
        `name`, `path`, `parents` (the names of the steps around it), `started_at`, `status` (`ok`
        or `error`), `wall_s`, `cpu_s` (this process's and its finished sub-processes'),
        `cores_busy` (CPU over wall), `peak_rss_bytes` (the largest resident memory of one of them
        so far, where the system tells).
    """
    wall_s = time.perf_counter() - start.wall_s
    cpu_s = read_cpu_s() - start.cpu_s
    row: dict[str, Any] = {
        "name": start.names[-1],
        "path": start.path,
        "parents": list(start.names[:-1]) or None,
        "started_at": format_timestamp(start.started_us),
        "status": "ok" if error is None else "error",
        "wall_s": round(wall_s, 6),
        "cpu_s": round(cpu_s, 6),
        "cores_busy": round(cpu_s / wall_s, 2) if wall_s > 0 else None,
        "peak_rss_bytes": read_peak_rss_bytes(),
    }
    if error is not None:
        row |= {"error_type": type(error).__name__, "error_message": str_safely(error)}
    return {name: value for name, value in row.items() if value is not None}


def read_cpu_s() -> float:
    """CPU seconds of this process and its finished sub-processes."""
    if resource is None:
        return sum(os.times()[:4])
    used = [resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def read_peak_rss_bytes() -> int | None:
    """The largest resident memory of this process or a finished sub-process, in bytes."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) * unit
