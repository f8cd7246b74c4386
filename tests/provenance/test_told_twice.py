"""One step that several files tell of, in several forms and places, is one step, and has its edges."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.provenance.collect import Collected, collect
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.pipelines import Pipeline as Named
from aind_capsule.running.inputs import add_links, find_inputs
from tests.provenance.runs import RUN
from tests.provenance.test_collect_any import check

SORT: dict[str, Any] = {
    "process_type": "Spike sorting", "name": "KS", "stage": "Processing", "experimenters": ["Ada"],
    "code": {"url": "https://example.org", "version": "1"},
    "start_date_time": "2026-01-01T00:00:00+00:00", "end_date_time": "2026-01-01T00:01:00+00:00",
}  # fmt: skip
SORT_1: dict[str, Any] = {
    "name": "Spike sorting", "software_version": "1", "code_url": "https://example.org", "parameters": {"a.b": 1},
    "input_location": "/data", "output_location": "s3://bucket/x", "outputs": {}, "notes": None,
    "start_date_time": "2026-01-01T00:00:00", "end_date_time": "2026-01-01T00:01:00",
}  # fmt: skip


def _write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def _collect(*folders: Path, pipeline: Named | None = None) -> Collected:
    collected = collect(gather(map(str, folders)), pipeline or Named())
    check(collected.processing)
    return collected


def _graph(*folders: Path) -> dict[str, list[str]]:
    graph: dict[str, list[str]] = _collect(*folders).processing["dependency_graph"]
    return graph


def _make_run(task: Path, run_id: str, name: str, second: int, **more: Any) -> Path:
    """A task's folders, as a run leaves them; returns its results."""
    told = {
        "run_id": run_id, "process_name": name, "started_at": f"2026-01-01T00:00:{second:02d}.000000Z",
        "ended_at": f"2026-01-01T00:00:{second + 9:02d}.000000Z", "inputs": [], **more,
    }  # fmt: skip
    results = task / "capsule" / "results"
    results.mkdir(parents=True)
    _write(task / f"capsule/scratch/.capsule/{run_id}/{run_id}.run.json", {**RUN, **told})
    return results


A, B = "20260101T000000-0000000a", "20260101T000010-0000000b"


@pytest.mark.parametrize(
    "processing",
    [
        {"data_processes": [SORT, {**SORT, "process_type": "Other", "name": "odd"}],
         "dependency_graph": {"KS": [], "odd": ["KS"]}},
        {"processing_pipeline": {"data_processes": [SORT_1], "processor_full_name": "Ada"}},
        {"data_processes": [{"process_type": "No such", "name": "x", "start_date_time": "yesterday"}]},
    ],
)  # fmt: skip
def test_what_was_collected_before(tmp_path: Path, processing: dict[str, Any]) -> None:
    """An asset, and what was collected of it into another folder: each step once, the same graph."""
    _write(tmp_path / "asset" / "processing.json", processing)
    once = _collect(tmp_path / "asset").processing
    _write(tmp_path / "derived" / "processing.json", once)
    assert _graph(tmp_path / "asset", tmp_path / "derived") == once["dependency_graph"]


def test_a_record_in_both_forms_of_time(tmp_path: Path) -> None:
    """A bare record as people write it, and the `processing.json` that was collected of it."""
    _write(tmp_path / "a" / "data_process.json", SORT)
    _write(tmp_path / "b" / "processing.json", _collect(tmp_path / "a").processing)
    assert _graph(tmp_path) == {"KS": []}


def test_a_name_that_got_a_number(tmp_path: Path) -> None:
    """Two steps of one name that were numbered before are two, also beside their own files."""
    _write(tmp_path / "a" / "data_process.json", SORT)
    _write(tmp_path / "b" / "data_process.json", {**SORT, "code": {"url": "u", "version": "2"}})
    once = _collect(tmp_path).processing
    assert sorted(once["dependency_graph"]) == ["KS", "KS_2"]
    _write(tmp_path / "c" / "processing.json", once)
    assert sorted(_graph(tmp_path)) == ["KS", "KS_2"]


def test_steps_that_only_look_alike(tmp_path: Path) -> None:
    """Instances that differ in their names or their time alone stay apart, in one file and in several."""
    alike = [{**SORT, "name": name} for name in ("tile", "tile_1", "tile_2")]
    _write(tmp_path / "a" / "processing.json", {"data_processes": alike})
    for n in (3, 4):
        _write(tmp_path / str(n) / "data_process.json", {**SORT, "name": f"tile_{n}x"})
    later = {**SORT, "name": "tile", "start_date_time": "2026-01-01T00:00:01+00:00"}
    _write(tmp_path / "5" / "data_process.json", later)
    assert len(_graph(tmp_path)) == 6


@pytest.mark.parametrize("names", [("aa", "bb"), ("bb", "aa")])
def test_own_records_among_copies(tmp_path: Path, names: tuple[str, str]) -> None:
    """Inputs that are copies and handed on: the record is its first run's, whatever the folders are called."""
    sort = _make_run(tmp_path / names[0], A, "sort", 0)
    data = tmp_path / names[1] / "capsule" / "data"
    after = _make_run(
        tmp_path / names[1], B, "next", 10, folders={"data": str(data)},
        inputs=[{"name": "data_process.json", "path": str(data / "data_process.json")}],
    )  # fmt: skip
    record = {**SORT, "end_date_time": "2026-01-01T00:00:05Z"}
    _write(sort / "data_process.json", record)
    for copy in (data, after):
        copy.mkdir(exist_ok=True)
        shutil.copy(sort / "data_process.json", copy)
    assert _graph(tmp_path) == {"KS": [], f"next_{B}": ["KS"]}


def test_a_withheld_record_of_another_clock(tmp_path: Path) -> None:
    """Times that do not fit: the run says for which file it has withheld its own record."""
    results = _make_run(tmp_path / "a", A, "sort", 0, data_process={"withheld_for": "data_process.json"},
                        pipeline={"name": "ephys"})  # fmt: skip
    record = {
        **SORT,
        "start_date_time": "2020-01-01T00:00:00",
        "end_date_time": "2020-01-01T00:00:01",
    }
    _write(results / "data_process.json", record)
    (process,) = _collect(tmp_path).processing["data_processes"]
    assert (process["name"], process["pipeline_name"]) == ("KS", "ephys")


def test_inputs_one_level_down(tmp_path: Path) -> None:
    """A connection with a target path: links in a folder among the inputs lead to the run they are of."""
    first = _make_run(tmp_path / "a", A, "first", 0)
    _make_run(tmp_path / "b", B, "second", 10,
              inputs=[{"name": "in", "path": str(tmp_path / "b/capsule/data/in"), "links": [str(first / "x")]}])  # fmt: skip
    assert _graph(tmp_path) == {f"first_{A}": [], f"second_{B}": [f"first_{A}"]}


def test_folders_by_another_name(tmp_path: Path) -> None:
    """Folders that were named through a link: copied inputs are known all the same."""
    first = _make_run(tmp_path / "a", A, "first", 0)
    (first / "out").touch()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    _make_run(tmp_path / "b", B, "second", 10, folders={"data": str(tmp_path / "link/capsule/data")},
              inputs=[{"name": "out", "path": os.path.realpath(tmp_path / "b/capsule/data/out")}])  # fmt: skip
    assert _graph(tmp_path)[f"second_{B}"] == [f"first_{A}"]


def test_clocks_that_differ(tmp_path: Path) -> None:
    """The upstream machine's clock is ahead: an edge that the path proves is there."""
    first = _make_run(tmp_path / "a", B, "first", 40)
    _make_run(tmp_path / "b", A, "second", 0, inputs=[{"name": "x", "path": str(first / "x")}])
    assert _graph(tmp_path)[f"second_{A}"] == [f"first_{B}"]


def test_a_tree_that_was_moved(tmp_path: Path) -> None:
    """Plain runs whose folders were moved since: the old paths still match."""
    old = tmp_path / "old"
    _make_run(tmp_path / "a", A, "first", 0, folders={"results": str(old / "a/results")})
    _make_run(
        tmp_path / "b", B, "second", 10, inputs=[{"name": "x", "path": str(old / "a/results/x")}]
    )
    assert _graph(tmp_path)[f"second_{B}"] == [f"first_{A}"]


def test_runs_that_are_only_named(tmp_path: Path) -> None:
    """A torn run.json, and a parent that nobody knows: both stay in the graph, and their notes say why."""
    _make_run(tmp_path / "b", B, "second", 10, parents=[A, "20260101T000001-0000000c", "no id"])
    torn = tmp_path / "x" / "20260101T000001-0000000c.run.json"
    torn.parent.mkdir()
    torn.write_text('{"run_id": "2026')
    collected = _collect(tmp_path)
    notes = {p["name"]: p.get("notes", "") for p in collected.processing["data_processes"]}
    assert len(notes) == 3
    parents = collected.processing["dependency_graph"][f"second_{B}"]
    assert sorted(parents) == sorted(set(notes) - {f"second_{B}"})
    assert all("no record of this run" in notes[name] or "tells of this run, but" in notes[name] for name in parents)  # fmt: skip
    assert [path for path, _ in collected.rejected] == [str(torn)]


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    """A run.json of another tool is no step; links to themselves and records without a version are named."""
    _write(tmp_path / "train_run.json", {"run_id": "3kq9xz", "project": "p"})
    (tmp_path / "x_data_process.json").symlink_to("x_data_process.json")
    _write(tmp_path / "provenance" / "n.json", {"node": "n"})
    _write(tmp_path / "data_process.json", SORT)
    collected = _collect(tmp_path)
    assert list(collected.processing["dependency_graph"]) == ["KS"]
    assert sorted(os.path.basename(path) for path, _ in collected.rejected) == [
        "n.json", "x_data_process.json",
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["name", "notes", "process_type", "pipeline_name"])
def test_half_a_character(tmp_path: Path, field: str) -> None:
    """A lone surrogate in one file does not end the collection of all."""
    _write(tmp_path / "a_data_process.json", {**SORT, field: "x\ud800y"})
    _write(tmp_path / "b_data_process.json", {**SORT, "name": "other"})
    assert len(_graph(tmp_path)) == 2


@pytest.mark.parametrize(
    ("of_run", "of_collector"),
    [({"version": "7", "url": "https://x"}, Named(name="ephys")),
     ({"name": "ephys"}, Named(version="7", url="https://x"))],
)  # fmt: skip
def test_a_pipeline_told_in_parts(
    tmp_path: Path, of_run: dict[str, str], of_collector: Named
) -> None:
    """Name here, version and address there: one pipeline, and nothing is said to be missing."""
    _make_run(tmp_path / "a", A, "first", 0, pipeline=of_run)
    collected = _collect(tmp_path, pipeline=of_collector)
    (told,) = collected.processing["pipelines"]
    assert (told["name"], told["version"], told["url"]) == ("ephys", "7", "https://x")
    assert not collected.warnings


def test_nothing_is_a_value(tmp_path: Path) -> None:
    """Parameters and metrics that are null stay: the processing has said them."""
    code = {**SORT["code"], "parameters": {"a": None, "b": {"c": None}}}
    _write(
        tmp_path / "data_process.json", {**SORT, "code": code, "output_parameters": {"snr": None}}
    )
    (process,) = _collect(tmp_path).processing["data_processes"]
    assert process["code"]["parameters"] == {"a": None, "b": {"c": None}}
    assert process["output_parameters"] == {"snr": None}
    assert "version" in process["code"]
    assert "core_dependency" not in process["code"]


def test_graphs_that_go_round(tmp_path: Path) -> None:
    """A run's own processing.json with a cycle: it is cut and said, and what comes after has edges."""
    first = _make_run(tmp_path / "a", A, "first", 0)
    steps = [{**SORT, "name": name, "end_date_time": "2026-01-01T00:00:05Z"} for name in ("x", "y")]
    _write(first / "processing.json", {"data_processes": steps, "dependency_graph": {"x": ["y"], "y": ["x", "y"]}})  # fmt: skip
    _make_run(tmp_path / "b", B, "second", 10, inputs=[{"name": "o", "path": str(first / "o")}])
    graph = _graph(tmp_path)
    assert graph == {"x": [], "y": ["x"], f"second_{B}": ["y"]}
    (said,) = (text for text in _collect(tmp_path).warnings if "depend on each other" in text)
    assert "'x' and 'y'" in said


def test_two_of_one_name_and_a_loop(tmp_path: Path) -> None:
    """A step that says it depends on itself, and another of its name: no edge between them."""
    later = {**SORT, "start_date_time": "2026-01-01T00:00:30Z"}
    _write(tmp_path / "processing.json", {"data_processes": [SORT, later], "dependency_graph": {"KS": ["KS"]}})  # fmt: skip
    assert _graph(tmp_path) == {"KS": [], "KS_2": []}


def test_links_in_a_folder_are_found(tmp_path: Path) -> None:
    """The run itself tells of links that lie one or two folders deep, and of no file beside them."""
    (tmp_path / "other").mkdir()
    inner = tmp_path / "data" / "in" / "deep"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    (inner / "d").symlink_to(tmp_path / "other")
    (inner.parent / "e").symlink_to(tmp_path / "other")
    (tmp_path / "data" / "top").symlink_to(tmp_path / "other")
    other = os.path.realpath(tmp_path / "other")
    data = str(tmp_path / "data")
    assert add_links(data, find_inputs(data)) == [
        {"name": "in", "path": os.path.realpath(inner.parent), "links": [other, other]},
        {"name": "top", "path": other},
    ]


def test_a_wide_fan_in_loses_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder among the inputs that holds the results of 3,000 instances: all of them are told."""
    monkeypatch.setattr("aind_capsule.running.inputs._LINKS_LIMIT_S", 300.0)
    folder = tmp_path / "data" / "in"
    folder.mkdir(parents=True)
    for number in range(3000):
        (folder / str(number)).symlink_to(tmp_path / "work" / str(number))
    data = str(tmp_path / "data")
    (entry,) = add_links(data, find_inputs(data))
    assert len(set(entry["links"])) == 3000
