"""The edges between runs: by paths that have moved, links, clocks that differ, runs that are torn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.known_runs import find_known_runs
from tests.provenance.folders import (
    ID_A,
    ID_B,
    ID_C,
    collect_all,
    read_graph,
    write_json,
    write_run,
)
from tests.provenance.runs import RUN


def _find_run_json(work: Path, name: str) -> Path:
    (path,) = (work / name).rglob("*.run.json")
    return path


def test_a_tree_that_was_moved(tmp_path: Path) -> None:
    """Plain runs whose folders were moved before collecting: inputs still name the old places."""
    first = write_run(tmp_path / "old", ID_A, "first")
    write_run(tmp_path / "old", ID_B, "second", first / "x")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_graph(tmp_path / "new") == {"first": [], "second": ["first"]}


def test_everybody_s_results_are_nobody_s(tmp_path: Path) -> None:
    """The platform's one name for all results makes no edge."""
    for run_id, name in ((ID_A, "first"), (ID_B, "second")):
        inputs = (Path("/results/x"),) if name == "second" else ()
        write_run(tmp_path, run_id, name, *inputs, folders={"results": "/results"})
    assert read_graph(tmp_path) == {"first": [], "second": []}


def test_folders_named_through_a_link(tmp_path: Path) -> None:
    """Data and results that are named through a symbolic link: copies are known as copies."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "link").symlink_to(work)
    first = write_run(
        work, ID_A, "first", folders={"results": str(tmp_path / "link/first/results")}
    )
    (first / "x.bin").touch()
    copy = work / "second" / "data" / "x.bin"
    data = str(tmp_path / "link" / "second" / "data")
    write_run(work, ID_B, "second", copy, folders={"data": data})
    assert read_graph(work) == {"first": [], "second": ["first"]}


def test_a_parent_whose_clock_is_ahead(tmp_path: Path) -> None:
    """An edge that a path or a run.json among the inputs shows holds against the clocks."""
    ahead = write_run(tmp_path, ID_C, "ahead")
    write_run(tmp_path, ID_A, "by_path", ahead / "x")
    write_run(tmp_path, ID_B, "by_parent", parents=[ID_C])
    assert read_graph(tmp_path) == {"by_path": ["ahead"], "by_parent": ["ahead"], "ahead": []}


def test_one_clock_is_believed(tmp_path: Path) -> None:
    """On one machine, what was written into a folder after a run read it was not its input."""
    later = tmp_path / "later" / "results"
    write_run(tmp_path, ID_A, "reader", later / "x", hostname="desk")
    write_run(tmp_path, ID_B, "later", hostname="desk")
    assert read_graph(tmp_path) == {"reader": [], "later": []}


def test_runs_that_read_each_other(tmp_path: Path) -> None:
    """Two folders that read from one another: no loop, and the earlier run came first."""
    second = tmp_path / "second" / "results"
    first = write_run(tmp_path, ID_A, "first", second / "x")
    write_run(tmp_path, ID_B, "second", first / "x")
    assert read_graph(tmp_path) == {"first": [], "second": ["first"]}


@pytest.mark.parametrize("kind", [".run.json", "_data_process.json"])
def test_a_torn_file_of_a_run(tmp_path: Path, kind: str) -> None:
    """The step stays, by the id in the file's name; its notes say why no more is known of it."""
    path = tmp_path / f"sort-{ID_A}{kind}"
    path.write_text('{"run_id": "2026')
    write_run(tmp_path, ID_B, "after", parents=[ID_A])
    collected = collect_all(tmp_path)
    assert read_graph(tmp_path) == {"sort": [], "after": ["sort"]}
    notes = collected.processing["data_processes"][0]["notes"]
    assert str(path) in notes
    assert "is not JSON" in notes
    assert [rejected for rejected, _ in collected.rejected] == [str(path)]
    write_json(tmp_path / "whole" / f"{ID_A}.run.json", {**RUN, "run_id": ID_A})
    assert "notes" not in collect_all(tmp_path).processing["data_processes"][0]


def test_a_parent_that_nobody_knows(tmp_path: Path) -> None:
    """A run that another names as its input stays in the graph; its notes say who named it."""
    write_run(tmp_path, ID_B, "after", parents=[ID_A, "no id"])
    collected = collect_all(tmp_path)
    unknown, _ = collected.processing["data_processes"]
    assert "no record of this run" in unknown["notes"]
    assert str(_find_run_json(tmp_path, "after")) in unknown["notes"]
    assert read_graph(tmp_path) == {"unknown": [], "after": ["unknown"]}


def test_run_json_among_inputs_makes_no_results(tmp_path: Path) -> None:
    """A data folder that holds upstream run.json files is not those runs' results."""
    data = tmp_path / "data"
    write_json(data / f"{ID_A}.run.json", {**RUN, "run_id": ID_A})
    (run,) = find_known_runs(gather([str(tmp_path)])).values()
    assert str(data) not in run.outputs
    shutil.move(data, tmp_path / "published")
    (run,) = find_known_runs(gather([str(tmp_path)])).values()
    assert str(tmp_path / "published") in run.outputs


def test_what_others_call_run_json(tmp_path: Path) -> None:
    """A file of others that ends with run.json and has some run_id is no step."""
    write_run(tmp_path, ID_A, "sort")
    (tmp_path / "train_run.json").write_text(json.dumps({"run_id": "3kq9xz", "loss": 1}))
    assert read_graph(tmp_path) == {"sort": []}
