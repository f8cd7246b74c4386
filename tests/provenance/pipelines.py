"""Generated pipelines: files as any mixture of toolkits leaves them, whole, clashing, and damaged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.provenance.runs import RUN, damaged_runs

KINDS = ("run", "record", "record_1", "processing", "processing_1", "envelope")
NAMES = (
    "Spike sorting",
    "Other",
    "sort",
    "sort_2",
    "sort_3",
    "ephys.curation",
    "ü \U0001f9e0",
    "x" * 300,
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@dataclass
class Pipeline:
    """What was generated.

    Attributes:
        steps: Kind of each step.
        edges: Child → parents, by the steps' numbers.
        torn: Paths of files that are no JSON.
        has_damage: Whether any piece is missing or wrong.
    """

    steps: list[str] = field(default_factory=list)
    edges: dict[int, list[int]] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    torn: dict[str, str] = field(default_factory=dict)
    has_damage: bool = False

    def write(self, root: Path) -> list[str]:
        """Write all of it; returns the paths of the torn files."""
        for name, content in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(content).replace("@ROOT@", str(root))
            path.write_text(text)
        for name, target in self.links.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(root / target)
        for name, text in self.torn.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [str(root / name) for name in self.torn]


def make_run_id(number: int) -> str:
    """The id of a step's run."""
    return f"20260101T00{number:02d}00-{number:08x}"


def get_time(number: int, second: int) -> str:
    """A time within a step."""
    return f"2026-01-01T00:{number:02d}:{second:02d}.000000Z"


def get_task(number: int) -> str:
    """A step's task folder."""
    return f"work/{number:02d}/task/capsule"


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """A pipeline of any shape, of any mixture of steps."""
    made = Pipeline(has_damage=draw(st.booleans()))
    count = draw(st.integers(1, 8))
    for number in range(count):
        kind = draw(st.sampled_from(KINDS))
        made.steps.append(kind)
        parents = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        made.edges[number] = sorted(parents)
        content = _MAKERS[kind](draw, number, made)
        for name, value in content.items():
            made.files[name] = _damage(draw, value) if made.has_damage else value
    if draw(st.booleans()):
        name = draw(
            st.sampled_from(["a_data_process.json", "processing.json", "provenance/x.json"])
        )
        made.torn[f"torn/{name}"] = (
            draw(st.sampled_from(["", "{", "[1]", "null", '{"a": NaN'])) + " "
        )
    return made


def _damage(draw: st.DrawFn, content: dict[str, Any]) -> dict[str, Any]:
    """Some fields missing or anything; what makes a file a step of its kind stays."""
    if "run_id" in content:
        broken = draw(damaged_runs())
        kept = ("run_id", "started_at", "ended_at", "inputs")
        return broken | {name: content[name] for name in kept}
    content = json.loads(json.dumps(content))
    for place in (content, *content.get("data_processes", ()), content.get("data_process", {})):
        for name in sorted(place):
            if name in (
                "v",
                "node",
                "parents",
                "data_processes",
                "processing_pipeline",
                "code",
                "code_url",
            ):
                continue
            choice = draw(st.sampled_from("keep keep keep drop anything".split()))
            if choice == "drop":
                del place[name]
            elif choice == "anything":
                place[name] = draw(_JSON)
    return content


def _make_run(draw: st.DrawFn, number: int, made: Pipeline) -> dict[str, Any]:
    task, run_id = get_task(number), make_run_id(number)
    inputs = []
    for parent in made.edges[number]:
        if made.steps[parent] == "run":
            path = f"@ROOT@/{get_task(parent)}/results/{parent}.out"
            inputs.append({"name": f"{parent}.out", "path": path})
    made.files[f"{task}/results/{number}.out"] = {}
    content = {
        **RUN, "run_id": run_id, "process_name": draw(st.sampled_from(NAMES)), "inputs": inputs,
        "started_at": get_time(number, 0), "ended_at": get_time(number, 50),
        "pipeline": {"name": draw(st.sampled_from(["a", "b"]))} if draw(st.booleans()) else {},
    }  # fmt: skip
    return {f"{task}/scratch/.capsule/{run_id}/{run_id}.run.json": content}


def _make_process(draw: st.DrawFn, number: int) -> dict[str, Any]:
    return {
        "process_type": draw(st.sampled_from(["Spike sorting", "Other", "Analysis"])),
        "name": draw(st.sampled_from(NAMES)), "stage": "Processing", "experimenters": ["Ada"],
        "code": {"url": "https://example.org", "version": str(number)},
        "start_date_time": get_time(number, 1), "end_date_time": get_time(number, 2),
        "pipeline_name": draw(st.sampled_from(["a", "b", "c"])),
    }  # fmt: skip


def _make_process_1(draw: st.DrawFn, number: int) -> dict[str, Any]:
    return {
        "name": draw(st.sampled_from(["Spike sorting", "Other", "No such type"])),
        "software_version": str(number), "code_url": "https://example.org", "code_version": None,
        "input_location": draw(st.sampled_from(["/data", ["s3://b/a", "/data/b"]])),
        "output_location": "/results", "parameters": {"a.b": 1}, "outputs": {},
        "start_date_time": get_time(number, 1), "end_date_time": get_time(number, 2), "notes": "said",
    }  # fmt: skip


def _make_processing(draw: st.DrawFn, number: int, _made: Pipeline) -> dict[str, Any]:
    first, second = _make_process(draw, number), _make_process(draw, number)
    second["code"]["version"] = "later"
    processes = [first] if first["name"] == second["name"] else [first, second]
    names = [process["name"] for process in processes]
    graph = {name: names[: draw(st.integers(0, len(names)))] for name in names}
    listed = {"data_processes": processes, "pipelines": [{"name": "a", "url": "u"}]}
    if draw(st.booleans()):
        listed["dependency_graph"] = graph
    return {f"assets/{number}/processing.json": listed}


def _make_processing_1(draw: st.DrawFn, number: int, _made: Pipeline) -> dict[str, Any]:
    pipeline = {"data_processes": [_make_process_1(draw, number)], "processor_full_name": "Ada"}
    return {f"assets/{number}/x_processing.json": {"processing_pipeline": pipeline}}


def _make_envelope(draw: st.DrawFn, number: int, made: Pipeline) -> dict[str, Any]:
    parents = [f"node-{parent}" for parent in made.edges[number]]
    content: dict[str, Any] = {"v": 1, "node": f"node-{number}", "parents": parents}
    if draw(st.booleans()):
        content["data_process"] = {**_make_process(draw, number), "name": f"node-{number}"}
    if draw(st.booleans()):
        content["pipeline"] = {"name": "c", "code": {"url": "https://example.org/c"}}
    files = {f"results/provenance/node-{number}.json": content}
    if draw(st.booleans()):
        files[f"other/provenance/node-{number}.json"] = content
    return files


_MAKERS = {
    "run": _make_run,
    "record": lambda draw, n, _: {f"results/{n}_data_process.json": _make_process(draw, n)},
    "record_1": lambda draw, n, _: {f"results/{n}_data_process_1.json": _make_process_1(draw, n)},
    "processing": _make_processing,
    "processing_1": _make_processing_1,
    "envelope": _make_envelope,
}


def write_fan_out(root: Path, count: int) -> None:
    """Task folders of a fan-out: one that splits, so many workers, one that joins, as runs leave them."""

    def write(task: str, run: dict[str, Any], parents: list[str]) -> None:
        folder = root / "work" / task / "capsule"
        run_id = run["run_id"]
        inputs = [
            {"name": f"{parent}.out", "path": str(root / "work" / parent / "capsule/results" / f"{parent}.out")}
            for parent in parents
        ]  # fmt: skip
        for kind in ("data", "results", f"scratch/.capsule/{run_id}"):
            (folder / kind).mkdir(parents=True)
        (folder / "results" / f"{task}.out").touch()
        for entry in inputs:
            (folder / "data" / entry["name"]).symlink_to(entry["path"])
        path = folder / "scratch" / ".capsule" / run_id / f"{run_id}.run.json"
        path.write_text(json.dumps({**RUN, **run, "inputs": inputs}))

    def describe(name: str, minute: int, number: int) -> dict[str, Any]:
        return {
            "process_name": name, "run_id": f"20260101T00{minute:02d}00-{number:08x}",
            "started_at": get_time(minute, 0), "ended_at": get_time(minute, 50),
        }  # fmt: skip

    write("split", describe("split", 0, 0), [])
    for number in range(count):
        write(f"worker{number}", describe("worker", 1, number), ["split"])
    write("join", describe("join", 2, 0), [f"worker{number}" for number in range(count)])
