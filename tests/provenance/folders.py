"""Folders as runs and other libraries leave them, and what is collected from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aind_capsule.provenance.collect import Collected, collect
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.pipelines import Pipeline
from tests.provenance.runs import RUN
from tests.provenance.test_collect_any import check

ID_A, ID_B, ID_C = (f"20260101T000{n}00-{n:08x}" for n in range(3))


def collect_all(*folders: Path, pipeline: Pipeline | None = None) -> Collected:
    """What is collected from some folders; it is valid."""
    collected = collect(gather(map(str, folders)), pipeline or Pipeline())
    check(collected.processing)
    return collected


def read_graph(*folders: Path) -> dict[str, list[str]]:
    """The dependency graph that is collected, with the runs' ids cut off the names."""
    graph: dict[str, list[str]] = collect_all(*folders).processing["dependency_graph"]
    return {name.partition("_2026")[0]: [p.partition("_2026")[0] for p in parents]
            for name, parents in graph.items()}  # fmt: skip


def write_json(path: Path, content: Any) -> Path:
    """Write one file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_envelope(root: Path, node: str, *parents: str, **more: Any) -> None:
    """Write a record of aind-code-ocean-pipeline-utils."""
    write_json(
        root / "provenance" / f"{node}.json", {"v": 1, "node": node, "parents": parents, **more}
    )


def write_run(work: Path, run_id: str, name: str, *inputs: Path, **more: Any) -> Path:
    """A task folder as a run leaves it; returns its results."""
    minute = run_id[11:13]
    results = work / name / "results"
    results.mkdir(parents=True)
    run = {
        **RUN, "run_id": run_id, "process_name": name, "pipeline": {},
        "folders": {"data": str(work / name / "data"), "results": str(results)},
        "started_at": f"2026-01-01T00:{minute}:00Z", "ended_at": f"2026-01-01T00:{minute}:50Z",
        "inputs": [{"name": path.name, "path": str(path)} for path in inputs], **more,
    }  # fmt: skip
    write_json(work / name / "scratch" / ".capsule" / run_id / f"{run_id}.run.json", run)
    return results
