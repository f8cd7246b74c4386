"""Old form and version 2 of one step are one step, whoever made the second, and in whatever zone."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.provenance.collect import Collected
from tests.provenance.folders import collect_all, write_json
from tests.provenance.test_old_forms import STEP, step_with, version_1, zone  # noqa: F401

#: As the official upgrader writes it in Seattle: other zone, number, no version, no inputs.
NEW: dict[str, Any] = {
    "process_type": "Spike sorting", "name": "Spike sorting_2", "stage": "Processing", "experimenters": ["Ada Ray"],
    "code": {"url": "", "version": "unknown", "parameters": {"a": 1}}, "output_path": "s3:/b/x",
    "start_date_time": "2025-01-02T03:04:05.5-08:00", "end_date_time": "2025-01-02T03:05:05-08:00",
}  # fmt: skip
OLD = step_with(
    start_date_time="2025-01-02T03:04:05.5", end_date_time="2025-01-02T03:05:05", code_url="",
    code_version=None, output_location="s3://b/x", parameters={"a": 1},
)  # fmt: skip


def old(*steps: Any) -> dict[str, Any]:
    """A file of version 1 that names nobody."""
    return version_1(*steps, pipeline={"processor_full_name": None})


def new(*steps: Any, **graph: list[str]) -> dict[str, Any]:
    """A file of version 2."""
    return {"schema_version": "2.0.0", "data_processes": [*steps], "dependency_graph": graph}


def collect_in_any_order(root: Path, *contents: Any) -> Collected:
    """What is collected from some files, and then with the result: the same in every order."""
    for number, content in enumerate(contents):
        write_json(root / str(number) / "processing.json", content)
    folders = [root / str(number) for number in range(len(contents))]
    first = collect_all(*folders)
    write_json(root / "own" / "processing.json", first.processing)
    for order in itertools.permutations(folders):
        assert collect_all(*order).processing == first.processing
    for order in itertools.permutations([*folders, root / "own"]):
        assert collect_all(*order).processing == first.processing
    return first


@pytest.mark.usefixtures("zone")
def test_one_step_in_both_forms(tmp_path: Path) -> None:
    """The old form's code and inputs, and the people whom only the new one names."""
    found = collect_in_any_order(tmp_path, old(OLD), new(NEW))
    (step,) = found.processing["data_processes"]
    assert (step["name"], step["experimenters"]) == ("Spike sorting", ["Ada Ray"])
    assert step["code"]["input_data"][0]["url"] == "/data/a"
    assert "version" not in step["code"]
    assert "output_path" not in step


@pytest.mark.parametrize(
    "times", [
        {"start_date_time": "2025-01-02T12:04:05.5+09:00", "end_date_time": "2025-01-02T12:05:05+09:00"},
        {"start_date_time": "2025-01-02T03:04:05.500000Z", "end_date_time": "2025-01-02T03:05:05Z"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Spike sorting", "Spike sorting_2", "Spike sorting@0123456789"])
def test_by_instant_or_by_clock(tmp_path: Path, times: dict[str, str], name: str) -> None:
    """The same instant, or the same wall clock; the same name, or one with a number behind it."""
    found = collect_in_any_order(tmp_path, old(OLD), new({**NEW, **times, "name": name}))
    assert len(found.processing["data_processes"]) == 1


@pytest.mark.parametrize(
    "change", [
        {"start_date_time": "2025-01-02T03:04:05.6-08:00"}, {"end_date_time": None}, {"name": "Spikes"},
    ],
)  # fmt: skip
def test_another_step(tmp_path: Path, change: dict[str, Any]) -> None:
    """Another start, end or name is another step."""
    found = collect_in_any_order(tmp_path, old(OLD), new({**NEW, **change}))
    assert len(found.processing["data_processes"]) == 2


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("letters", ["AB", "BA"])
def test_twins_stay_apart(tmp_path: Path, letters: str) -> None:
    """Two of equal start, end and name are two, each with its own, by their order in lists too."""
    twins = [{**OLD, "parameters": {"probe": letter}} for letter in letters]
    upgraded = [
        {**NEW, "name": name, "code": {"url": "", "parameters": {}}, "experimenters": [letter]}
        for name, letter in zip(("Spike sorting", "Spike sorting_2"), letters, strict=True)
    ]
    found = collect_in_any_order(tmp_path, old([[*twins]]), new(*upgraded))
    steps = found.processing["data_processes"]
    assert [step["code"]["parameters"]["probe"] for step in steps] == ["A", "B"]
    assert [step["experimenters"] for step in steps] == [["A"], ["B"]]


def test_twins_without_their_old_file(tmp_path: Path) -> None:
    """Beside our own result, which has another order, a twin is known by parameters, then by code."""
    urls = ("https://b", "https://a")
    twins = [{**OLD, "code_url": url} for url in urls]
    names = ("Spike sorting", "Spike sorting_2")
    upgraded = [
        {**NEW, "name": name, "code": {"url": url, "parameters": {"a": 1}}, "experimenters": [url]}
        for name, url in zip(names, urls, strict=True)
    ]
    found = collect_in_any_order(tmp_path, old(*twins), new(*upgraded))
    again = collect_all(tmp_path / "own", tmp_path / "1").processing
    assert again == found.processing
    people = {s["code"]["url"]: s["experimenters"] for s in again["data_processes"]}
    assert people == {url: [url] for url in urls}


def test_old_steps_of_two_files(tmp_path: Path) -> None:
    """Of equal steps in two old files the one of equal parameters is meant; else none is."""
    other = {**OLD, "parameters": {"a": 2}}
    found = collect_in_any_order(tmp_path, old(OLD), old(other), new(NEW))
    assert len(found.processing["data_processes"]) == 2
    root = tmp_path / "none"
    strange = {**NEW, "code": {"url": "", "parameters": {"a": 3}}}
    found = collect_in_any_order(root, old(OLD), old(other), new(strange))
    assert len(found.processing["data_processes"]) == 3


def test_two_new_steps_of_one_old(tmp_path: Path) -> None:
    """Two steps of one file never become one: the one by instant, the other by clock."""
    at = {"start_date_time": "2025-01-02T11:04:00Z", "end_date_time": "2025-01-02T11:05:00Z"}
    seattle = {"start_date_time": "2025-01-02T03:04:00-08:00", "end_date_time": "2025-01-02T03:05:00-08:00"}  # fmt: skip
    later = {name: text.replace("T03", "T11") for name, text in seattle.items()}
    steps = [{**NEW, "name": "Spike sorting", **times} for times in (seattle, later)]
    found = collect_in_any_order(tmp_path, old({**OLD, **at}), new(*steps))
    assert len(found.processing["data_processes"]) == 2
    earlier = {name: text.replace("T11", "T03") for name, text in at.items()}
    both = old({**OLD, **at, "parameters": {"n": 1}}, {**OLD, **earlier, "parameters": {"n": 2}})
    steps = [{**step, "experimenters": [text]} for step, text in zip(steps, "AB", strict=True)]
    found = collect_in_any_order(tmp_path / "two", both, new(*steps))
    people = {s["code"]["parameters"]["n"]: s["experimenters"] for s in found.processing["data_processes"]}  # fmt: skip
    assert people == {2: ["A"], 1: ["B"]}


def test_edges_that_were_invented(tmp_path: Path) -> None:
    """An edge to a step that began later is left out where both have an old form, and it is said;
    one to a step that began earlier stays. The starts are those of the file with the edge."""
    names = ("Compression", "Spike sorting", "Ephys curation")
    hours = ("02", "04", "03")
    steps = [
        step_with(name=name, start_date_time=f"2025-01-02T{hour}:00:00", end_date_time=None)
        for name, hour in zip(names, hours, strict=True)
    ]
    upgraded = [
        {**NEW, "process_type": name, "name": name, "end_date_time": None, "start_date_time": f"2025-01-02T{hour}:00:00-08:00"}
        for name, hour in zip(names, hours, strict=True)
    ]  # fmt: skip
    late = {**NEW, "name": "late", "process_type": "Other", "notes": "n", "end_date_time": None,
            "start_date_time": "2025-01-02T09:00:00-08:00"}  # fmt: skip
    graph = {names[1]: [names[0], "late"], names[2]: [names[1]]}
    found = collect_in_any_order(
        tmp_path, old(steps[0]), old(steps[2]), new(*upgraded, late, **graph), old(steps[1])
    )
    right = {names[0]: [], names[1]: [names[0], "late"], names[2]: [], "late": []}
    assert found.processing["dependency_graph"] == right
    (said,) = (text for text in found.warnings if "left out" in text)
    assert "1 edge to steps that began later" in said


def test_edges_of_version_2_stay(tmp_path: Path) -> None:
    """Without an old form an edge is believed, whatever the starts say."""
    steps = [{**NEW, "name": name, "start_date_time": f"2025-01-02T0{hour}:00:00Z", "end_date_time": None} for name, hour in (("a", 5), ("b", 4))]  # fmt: skip
    found = collect_in_any_order(tmp_path, new(*steps, b=["a"]), old(STEP))
    assert found.processing["dependency_graph"]["b"] == ["a"]
