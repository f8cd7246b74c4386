"""Whatever a pipeline has left, what is collected is valid, whole, and says what is missing."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.core.data_description import DataDescription
from aind_data_schema.core.processing import Processing
from hypothesis import given, settings

from aind_capsule.provenance.collect import Collected, collect
from aind_capsule.provenance.derived_description import derive
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.pipelines import Pipeline as Named
from tests.conftest import ROOT
from tests.provenance.pipelines import Pipeline, make_run_id, pipelines, write_fan_out

ASSETS = ROOT.parent / "shared" / "assets"


def _collect(*folders: Path) -> Collected:
    collected = collect(gather(map(str, folders)), Named())
    check(collected.processing)
    return collected


def check(processing: dict[str, Any]) -> None:
    """Valid; the graph names each step, and no step depends on itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        valid = Processing.model_validate(processing)
    assert valid.notes == processing.get("notes")  # the schema notes there what it has reordered
    names = [process.name for process in valid.data_processes]
    assert len(set(names)) == len(names)
    assert valid.dependency_graph is not None
    assert valid.dependency_graph.keys() == set(names)
    for name, parents in valid.dependency_graph.items():
        assert name not in parents
        assert set(parents) <= set(names)
        assert len(set(parents)) == len(parents)


@settings(max_examples=60)
@given(pipelines())
def test_any_pipeline(made: Pipeline) -> None:
    """Any shape, names that clash, pieces that are missing or torn: valid, no step lost, all named."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        torn = made.write(root)
        collected = _collect(root)
        processes = collected.processing["data_processes"]
        assert {path for path, _ in collected.rejected} >= set(torn)
        assert all(reason for _, reason in collected.rejected)
        assert len(processes) >= len(made.steps) - (
            made.has_damage * made.steps.count("processing")
            + made.has_damage * made.steps.count("processing_1")
        )
        _check_edges(made, collected.processing)


def _check_edges(made: Pipeline, processing: dict[str, Any]) -> None:
    """Runs that were linked are linked, and no others."""
    names = {
        number: name
        for name in processing["dependency_graph"]
        for number, kind in enumerate(made.steps)
        if kind == "run" and name.endswith(make_run_id(number))
    }
    assert len(names) == made.steps.count("run")
    for number, name in names.items():
        expected = {names[parent] for parent in made.edges[number] if parent in names}
        assert set(processing["dependency_graph"][name]) == expected


@pytest.mark.skipif(not ASSETS.is_dir(), reason="the real assets are not here")
@pytest.mark.parametrize("name", [
    "795133_2026-02-10_11-06-18", "behavior_643280_2023-04-07_14-11-25",
    "ecephys_699847_2024-04-17_12-12-44_dlc_face_2024-04-25_12-15-20",
])  # fmt: skip
def test_real_assets(name: str) -> None:
    """Metadata of both versions, raw and derived: all steps, and a description of what is derived."""
    found = gather([str(ASSETS / name)])
    collected = collect(found, Named())
    check(collected.processing)
    (source,) = found.processings
    told = source.content.get("data_processes")
    told = source.content["processing_pipeline"]["data_processes"] if told is None else told
    assert len(collected.processing["data_processes"]) == len(told)
    assert collected.rejected == []
    assert not any(
        "could be taken" in str(p.get("notes")) for p in collected.processing["data_processes"]
    )
    derived = derive(found.descriptions, (), "processed").content
    valid = DataDescription.model_validate(derived)
    assert valid.data_level == "derived"
    assert (
        DataDescription.parse_name(str(valid.name), valid.data_level)["process_name"] == "processed"
    )
    assert valid.source_data == [name]  # where the description says another, the folder's counts


@pytest.mark.slow
def test_a_thousand_instances(tmp_path: Path) -> None:
    """A fan-out of 1,000 tasks and a task that joins them: all there, each under a name of its own."""
    write_fan_out(tmp_path, 1000)
    processing = _collect(tmp_path / "work").processing
    graph = processing["dependency_graph"]
    assert len(graph) == 1002
    (join,) = (name for name in graph if name.startswith("join_"))
    (split,) = (name for name in graph if name.startswith("split_"))
    workers = set(graph) - {join, split}
    assert set(graph[join]) == workers
    assert all(graph[worker] == [split] for worker in workers)


def test_a_thousand_records_of_one_name(tmp_path: Path) -> None:
    """1,000 records of others that are all called alike get 1,000 names."""
    record = {
        "process_type": "Spike sorting",
        "stage": "Processing",
        "experimenters": [],
        "code": {"url": "u"},
    }
    for number in range(1000):
        folder = tmp_path / str(number)
        folder.mkdir()
        start = f"2026-01-01T00:00:00.{number:06d}Z"
        (folder / "data_process.json").write_text(json.dumps({**record, "start_date_time": start}))
    names = list(_collect(tmp_path).processing["dependency_graph"])
    assert len(names) == 1000
    assert {"Spike sorting", "Spike sorting_2", "Spike sorting_1000"} <= set(names)
