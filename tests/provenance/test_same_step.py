"""One step that is told of in several forms is one step; two that look alike are two."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.provenance.folders import (
    ID_A,
    ID_B,
    ID_C,
    collect_all,
    read_graph,
    write_envelope,
    write_json,
    write_run,
)
from tests.provenance.runs import RUN

RECORD: dict[str, Any] = {
    "process_type": "Spike sorting", "name": "Kilosort", "stage": "Processing", "experimenters": [],
    "code": {"url": "https://example.org", "parameters": {"threshold": None}},
    "start_date_time": "2026-01-01T00:00:10+00:00", "end_date_time": "2026-01-01T01:00:20+01:00",
}  # fmt: skip
RECORD_1: dict[str, Any] = {
    "name": "Spike sorting", "software_version": "1", "code_url": "https://example.org",
    "input_location": "/data", "output_location": "/results", "parameters": {}, "notes": None,
    "start_date_time": "2026-01-01T00:00:10", "end_date_time": "2026-01-01T00:00:20Z",
}  # fmt: skip


def _own_record(minute: int, name: str = "Kilosort") -> dict[str, Any]:
    time = f"2026-01-01T00:{minute:02d}:{{}}Z"
    return {
        **RECORD, "name": name, "start_date_time": time.format(10), "end_date_time": time.format(20)
    }  # fmt: skip


@pytest.mark.parametrize(
    "content", [RECORD, RECORD_1, {**RECORD, "x": 1, "stage": "no such", "start_date_time": None}]
)
def test_collected_again_with_its_result(tmp_path: Path, content: dict[str, Any]) -> None:
    """Records of both versions, and a damaged one, beside what was collected from them before."""
    for number in range(2):
        record = {**content, "end_date_time": f"2026-01-01T00:00:2{number}+00:00"}
        if number and content is RECORD_1:
            record = {
                "processing_pipeline": {"data_processes": [record], "processor_full_name": "A"}
            }
            write_json(tmp_path / "asset" / "processing.json", record)
        else:
            write_json(tmp_path / "asset" / str(number) / "data_process.json", record)
    first = collect_all(tmp_path / "asset").processing
    assert len(first["data_processes"]) == 2
    write_json(tmp_path / "d1" / "processing.json", first)
    second = collect_all(tmp_path / "asset", tmp_path / "d1").processing
    assert second["data_processes"] == first["data_processes"]
    assert second["dependency_graph"] == first["dependency_graph"]


def test_enriched_by_others(tmp_path: Path) -> None:
    """What collectors fill in, people and pipeline, makes no other step, and is taken over."""
    write_json(tmp_path / "data_process.json", RECORD)
    filled = {**RECORD, "name": "Kilosort_2", "experimenters": ["Ada"], "pipeline_name": "ephys"}
    other = {"process_type": "Other", "name": "Kilosort", "code": {"url": "u"}, "stage": "Processing",
             "experimenters": [], "start_date_time": RECORD["start_date_time"]}  # fmt: skip
    write_json(tmp_path / "d1" / "processing.json", {"data_processes": [other, filled]})
    processes = collect_all(tmp_path).processing["data_processes"]
    assert len(processes) == 2
    (sorting,) = (p for p in processes if p["process_type"] == "Spike sorting")
    assert sorting["experimenters"] == ["Ada"]
    assert sorting["pipeline_name"] == "ephys"


def test_distinct_steps_stay_distinct(tmp_path: Path) -> None:
    """Instances that nothing but their names tells apart are as many as there are, however told."""
    for number in range(3):
        content = {**RECORD, "name": f"sort_{number}"}
        write_json(tmp_path / "asset" / str(number) / "data_process.json", content)
        write_envelope(tmp_path / "nodes", f"node_{number}", data_process=RECORD)
        write_json(tmp_path / "asset" / f"copy{number}" / "data_process.json", content)
    for folder in ("asset", "nodes"):
        first = collect_all(tmp_path / folder).processing
        assert len(first["data_processes"]) == 3
        write_json(tmp_path / f"{folder} d1" / "processing.json", first)
        assert len(collect_all(tmp_path / folder, tmp_path / f"{folder} d1").processing
                   ["data_processes"]) == 3  # fmt: skip


def test_nodes_beside_their_processing(tmp_path: Path) -> None:
    """Records of aind-code-ocean-pipeline-utils and what that library, or we, made of them before."""
    write_envelope(tmp_path / "r", "split", experimenters=["Ada"], pipeline={"name": "ephys"},
                    data_process={**RECORD, "name": "split"})  # fmt: skip
    write_envelope(tmp_path / "r", "bare", "split")
    write_envelope(tmp_path / "r", "join", "bare", "lost", data_process={**RECORD, "name": "join"})
    placeholder = {**RECORD, "process_type": "Other", "code": {"url": ""}}
    theirs = [
        {**RECORD, "name": "split", "experimenters": ["Ada"], "pipeline_name": "ephys"},
        {**placeholder, "name": "bare", "notes": "Placeholder: this step recorded its place."},
        {**RECORD, "name": "join", "experimenters": ["Ada"], "pipeline_name": "ephys"},
        {**placeholder, "name": "lost", "notes": "Placeholder: no provenance was recorded."},
    ]
    graph = {"split": [], "bare": ["split"], "join": ["bare", "lost"], "lost": []}
    write_json(tmp_path / "theirs" / "processing.json",
           {"data_processes": theirs, "dependency_graph": graph})  # fmt: skip
    first = collect_all(tmp_path / "r").processing
    write_json(tmp_path / "d1" / "processing.json", first)
    assert read_graph(tmp_path / "r") == graph
    assert read_graph(tmp_path / "r", tmp_path / "theirs") == graph
    assert read_graph(tmp_path / "r", tmp_path / "theirs", tmp_path / "d1") == graph
    write_envelope(tmp_path / "r", "lost", data_process={**RECORD, "name": "lost"})
    assert read_graph(tmp_path / "r", tmp_path / "theirs", tmp_path / "d1") == graph


def test_a_run_beside_its_older_form(tmp_path: Path) -> None:
    """A run's record of version 1, which has no place for its id, and a collector's copy of it."""
    write_json(tmp_path / "runs" / f"sort-{RUN['run_id']}_data_process.json", RECORD_1)
    listed = {"data_processes": [{**RECORD_1, "notes": None}], "processor_full_name": "Ada"}
    write_json(tmp_path / "d1" / "processing.json", {"processing_pipeline": listed})
    write_json(tmp_path / "runs" / f"sort-{RUN['run_id']}.run.json", RUN)
    assert len(collect_all(tmp_path).processing["data_processes"]) == 1


@pytest.mark.parametrize("later", ["after", "zafter"])
def test_own_records_whose_copies_are_found_first(tmp_path: Path, later: str) -> None:
    """Staged as copies, an own record is its run's whatever the task folders are called."""
    work = tmp_path / "work"
    record = _own_record(0)
    sort = write_run(work, ID_A, "sort")
    write_json(sort / "data_process.json", record)
    after = write_run(work, ID_B, later, sort / "x")
    shutil.copytree(sort, work / later / "data")
    write_json(after / "handed_on_data_process.json", record)
    assert read_graph(work) == {"Kilosort": [], later: ["Kilosort"]}


def test_the_record_that_a_run_names_is_its_own(tmp_path: Path) -> None:
    """`withheld_for` is believed though the record's clock is hours away; not of what was handed on."""
    work = tmp_path / "work"
    local = {**RECORD, "start_date_time": "2025-12-31T16:00:10",
             "end_date_time": "2025-12-31T16:00:20"}  # fmt: skip
    named = {"data_process": {"withheld_for": "data_process.json"}}
    sort = write_run(work, ID_A, "sort", **named)
    write_json(sort / "data_process.json", local)
    after = write_run(work, ID_B, "after", sort / "data_process.json", **named)
    write_json(after / "data_process.json", local)
    assert read_graph(work) == {"Kilosort": [], "after": ["Kilosort"]}


def test_an_own_record_has_its_run_s_pipeline(tmp_path: Path) -> None:
    """What a run knows of the pipeline and the people, its own record gets where it does not say it."""
    sort = write_run(tmp_path, ID_A, "sort", pipeline={"name": "ephys"})
    write_json(sort / "data_process.json", _own_record(0))
    (process,) = collect_all(tmp_path).processing["data_processes"]
    assert (process["name"], process["pipeline_name"]) == ("Kilosort", "ephys")
    assert process["experimenters"] == RUN["provenance"]["experimenters"]


def test_loops_in_a_graph_that_is_told(tmp_path: Path) -> None:
    """Two steps of a run that depend on one another: the loop is cut, and all others have edges."""
    sort = write_run(tmp_path, ID_B, "sort", write_run(tmp_path, ID_A, "before") / "x")
    names = ("A", "B")
    processes = [{**_own_record(1, name), "process_type": kind}
                 for name, kind in zip(names, ("Other", "Spike sorting"), strict=True)]  # fmt: skip
    write_json(sort / "processing.json",
           {"data_processes": processes, "dependency_graph": {"A": ["B"], "B": ["A"]}})  # fmt: skip
    write_run(tmp_path, ID_C, "after", sort / "x")
    graph = {name: set(parents) for name, parents in read_graph(tmp_path).items()}
    assert graph == {"before": set(), "A": {"before"}, "B": {"A"}, "after": {"B"}}


def test_two_steps_of_one_name_that_depend_on_themselves(tmp_path: Path) -> None:
    """A step that depends on its own name depends on nothing, also where two are called so."""
    processes = [RECORD, {**RECORD, "code": {"url": "other"}}]
    write_json(tmp_path / "processing.json",
           {"data_processes": processes, "dependency_graph": {"Kilosort": ["Kilosort"]}})  # fmt: skip
    assert read_graph(tmp_path) == {"Kilosort": [], "Kilosort_2": []}
