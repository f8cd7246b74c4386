"""A pipeline whose inputs are assets with a history: one graph, the same however often collected."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.provenance.pipelines import Pipeline
from tests.provenance.folders import (
    ID_A,
    ID_B,
    ID_C,
    collect_all,
    read_graph,
    write_json,
    write_run,
)
from tests.provenance.test_old_forms import STEP, version_1

RAW = "ecephys_1_2024-01-02_03-04-05"


def process(name: str, second: int, **more: Any) -> dict[str, Any]:
    """A step of version 2, of some hours before the runs."""
    return {
        "process_type": "Other", "name": name, "notes": "n", "stage": "Processing", "experimenters": [], "code": {"url": "u"},
        "start_date_time": f"2025-12-31T00:00:{second:02d}Z", "end_date_time": f"2025-12-31T00:00:{second + 1:02d}Z", **more,
    }  # fmt: skip


HISTORY = {
    "data_processes": [process("a", 1), process("b", 2), process("c", 2)],
    "dependency_graph": {"a": [], "b": ["a"], "c": ["a"]},
}


def test_the_history_of_inputs(tmp_path: Path) -> None:
    """A run depends on the last steps of its input assets, old and new; collecting the result again,
    in any order of folders, changes nothing."""
    write_json(tmp_path / "assets" / RAW / "processing.json", HISTORY)
    write_json(tmp_path / "assets" / "old" / "processing.json", version_1(STEP))
    sort = write_run(tmp_path / "work", ID_A, "sort", tmp_path / "assets" / RAW)
    inputs = (sort / "x", tmp_path / "assets" / "old")
    write_run(tmp_path / "work", ID_B, "curate", *inputs)
    graph = {"a": [], "b": ["a"], "c": ["a"], "sort": ["b", "c"], "Spike sorting": [],
             "curate": ["Spike sorting", "sort"]}  # fmt: skip
    folders = [tmp_path / "assets", tmp_path / "work"]
    assert {name: sorted(parents) for name, parents in read_graph(*folders).items()} == graph
    first = collect_all(*folders).processing
    write_json(tmp_path / "own" / "processing.json", first)
    for order in itertools.permutations([*folders, tmp_path / "own"]):
        again = collect_all(*order).processing
        assert again == first
    assert collect_all(tmp_path / "own").processing["dependency_graph"] == first["dependency_graph"]


def test_an_input_that_was_copied(tmp_path: Path) -> None:
    """An asset that lies elsewhere now is known by its name, where one asset only has it."""
    write_json(tmp_path / "assets" / RAW / "processing.json", HISTORY)
    write_run(tmp_path / "work", ID_A, "sort", Path("/gone") / RAW)
    assert read_graph(tmp_path)["sort"] == ["b", "c"]
    write_json(tmp_path / "elsewhere" / RAW / "processing.json", {"data_processes": [process("d", 5)]})  # fmt: skip
    assert read_graph(tmp_path)["sort"] == []


def test_an_input_that_is_collected_from_a_mount(tmp_path: Path) -> None:
    """An asset is known by the name of its description, whatever its folder is called."""
    write_json(tmp_path / "session" / "processing.json", HISTORY)
    write_json(tmp_path / "session" / "data_description.json", {"name": RAW})
    write_run(tmp_path / "work", ID_A, "sort", Path("/gone") / RAW)
    assert read_graph(tmp_path)["sort"] == ["b", "c"]


def test_an_asset_in_a_mount(tmp_path: Path) -> None:
    """An asset that lies in a folder among the inputs is found by what the run says of its assets."""
    folder = tmp_path / "mount" / "session"
    write_json(folder / "processing.json", HISTORY)
    listed = [{"name": RAW, "path": str(folder)}]
    write_run(tmp_path / "work", ID_A, "sort", tmp_path / "mount", data_assets=listed)
    assert read_graph(tmp_path)["sort"] == ["b", "c"]


def test_the_data_folder_is_an_asset(tmp_path: Path) -> None:
    """An asset that is the data folder itself is an input."""
    write_run(tmp_path / "work", ID_A, "sort")
    write_json(tmp_path / "work" / "sort" / "data" / "processing.json", HISTORY)
    assert read_graph(tmp_path / "work")["sort"] == ["b", "c"]


def test_another_run_s_results_are_no_input_asset(tmp_path: Path) -> None:
    """A processing.json that a run hands on in its results makes no edge around that run."""
    sort = write_run(tmp_path, ID_A, "sort")
    write_json(sort / "processing.json", HISTORY)
    write_run(tmp_path, ID_B, "curate", sort)
    assert read_graph(tmp_path)["curate"] == ["sort"]


def test_what_is_not_found_is_said(tmp_path: Path) -> None:
    """A parent of which nothing is found is named; a run that is one is a step that says so."""
    content = {**HISTORY, "dependency_graph": {"a": ["lost"], "b": ["a"], "c": ["a"]}}
    write_json(tmp_path / "p" / "processing.json", content)
    write_run(tmp_path, ID_A, "sort", parents=[ID_C])
    collected = collect_all(tmp_path)
    assert any('dependency_graph.a: "lost"' in text for text in collected.warnings)
    steps = {
        step["name"].partition("_2026")[0]: step for step in collected.processing["data_processes"]
    }
    (parent,) = collected.processing["dependency_graph"][steps["sort"]["name"]]
    assert parent.endswith(ID_C)


def test_a_loop_that_two_files_make(tmp_path: Path) -> None:
    """A loop that only two files together make is cut at the step that began later, and said."""
    steps = HISTORY["data_processes"]
    write_json(tmp_path / "1" / "processing.json", {"data_processes": steps, "dependency_graph": {"b": ["a"]}})  # fmt: skip
    write_json(tmp_path / "2" / "processing.json", {"data_processes": steps, "dependency_graph": {"a": ["b"]}})  # fmt: skip
    assert read_graph(tmp_path) == {"a": [], "b": ["a"], "c": []}
    (said,) = (text for text in collect_all(tmp_path).warnings if "depend on each other" in text)
    assert "'a' and 'b'" in said


def test_two_executions_in_one_folder(tmp_path: Path) -> None:
    """That a task has succeeded twice with the same inputs is said; a retry is no second execution."""
    task = {"environment": {"pipeline_task": {"folder": str(tmp_path / "x")}}}
    data = tmp_path / "raw"
    write_run(tmp_path / "1", ID_A, "sort", data, **task)
    write_run(tmp_path / "2", ID_B, "sort", data, status="fail", **task)
    assert not [text for text in collect_all(tmp_path).warnings if "several executions" in text]
    write_run(tmp_path / "3", ID_C, "sort", data, **task)
    (said,) = (text for text in collect_all(tmp_path).warnings if "several executions" in text)
    assert ID_A in said
    assert ID_B not in said


def test_copies_of_two_executions(tmp_path: Path) -> None:
    """An input that was copied is of the last run before that did this work; where two instances of
    a process have results of one name, nobody can tell which."""
    raw = tmp_path / "raw"
    for number, run_id in enumerate((ID_A, ID_B)):
        results = write_run(tmp_path / str(number), run_id, "sort", raw, command=["./run"])
        (results / "sorted").mkdir()
    after = tmp_path / "2" / "curate"
    write_run(tmp_path / "2", ID_C, "curate", after / "data" / "sorted")
    steps = collect_all(tmp_path).processing
    (curate,) = (step["name"] for step in steps["data_processes"] if "curate" in step["name"])
    (parent,) = steps["dependency_graph"][curate]
    assert parent.endswith(ID_B)
    shutil.rmtree(tmp_path / "1")
    results = write_run(tmp_path / "1", ID_B, "sort", tmp_path / "other", command=["./run"])
    (results / "sorted").mkdir()
    assert collect_all(tmp_path).processing["dependency_graph"][curate] == []


def test_records_of_peers_get_the_pipeline(tmp_path: Path) -> None:
    """A bare record of a pipeline's capsule gets its name; what came with an asset does not."""
    write_json(tmp_path / "task" / "data_process.json", process("p", 3))
    write_json(tmp_path / RAW / "data_process.json", process("q", 4))
    write_json(tmp_path / RAW / "data_description.json", {"name": RAW})
    processing = collect_all(tmp_path, pipeline=Pipeline("ephys")).processing
    names = {step["name"]: step.get("pipeline_name") for step in processing["data_processes"]}
    assert names == {"p": "ephys", "q": None}


@pytest.mark.parametrize("name", ["probe_1", "a_10", "x@0123456789"])
def test_a_name_with_a_number_of_its_own(tmp_path: Path, name: str) -> None:
    """A number that is part of a name is kept, and the result beside its input adds no step."""
    steps = [process("a", 1), process(name, 2), process(name, 3), process(name, 3, notes="other")]
    for number, step in enumerate(steps):
        write_json(tmp_path / "in" / str(number) / "data_process.json", step)
    first = collect_all(tmp_path / "in").processing
    assert len(first["data_processes"]) == 4
    write_json(tmp_path / "own" / "processing.json", first)
    assert collect_all(tmp_path / "own", tmp_path / "in").processing == first


def test_a_number_that_its_own_file_tells_apart(tmp_path: Path) -> None:
    """Two steps of one file whose names differ by a number are two, also beside a file with one."""
    write_json(tmp_path / "1" / "processing.json", {"data_processes": [process("a", 1), process("a_1", 1)]})  # fmt: skip
    write_json(tmp_path / "2" / "processing.json", {"data_processes": [process("a", 1)]})
    write_json(tmp_path / "3" / "processing.json", {"data_processes": [process("b", 1), process("a_2", 1)]})  # fmt: skip
    assert sorted(read_graph(tmp_path)) == ["a", "a_1", "b"]


def test_tellings_that_differ(tmp_path: Path) -> None:
    """Of two tellings of one step that differ the same one counts in any order, and it is said."""
    one = process(f"sort_{ID_A}", 1, experimenters=["Ada"])
    other = process(f"sort_{ID_A}", 1, experimenters=["Bo"], code={"url": "u", "language": "R"})
    results = []
    for names in ("12", "21"):
        root = tmp_path / names
        for name, content in zip(names, (one, other), strict=True):
            write_json(root / name / "data_process.json", content)
        collected = collect_all(root)
        assert any("experimenters" in text and "the former was taken" in text for text in collected.warnings)  # fmt: skip
        assert not any("language" in text and "was taken" in text for text in collected.warnings)
        results.append(json.dumps(collected.processing))
        shutil.rmtree(root)
    assert results[0] == results[1]
