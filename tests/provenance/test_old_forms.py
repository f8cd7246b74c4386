"""`processing.json` of aind-data-schema 0 and 1: each process is a step, with all that it says.

The inputs are invented after the shapes of real records.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.provenance.collect import Collected, collect
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.pipelines import Pipeline
from aind_capsule.provenance.steps import FROM_OLD_FORM

#: Such as need no database of zones: UTC, Seattle, Tokyo.
ZONES = ["UTC0", "PST8PDT,M3.2.0,M11.1.0", "JST-9"]
STEP: dict[str, Any] = {
    "name": "Spike sorting", "start_date_time": "2025-01-02T03:04:05Z", "end_date_time": "2025-01-02T03:05:05Z",
    "input_location": "/data/a", "output_location": "/results", "code_url": "https://example.org/sort",
    "code_version": "1.2", "parameters": {},
}  # fmt: skip


@pytest.fixture(params=ZONES, autouse=True)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone of the machine that collects, which changes nothing."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def take(folder: Path, *contents: dict[str, Any]) -> Collected:
    """Collect some files `processing.json`, each in a folder of its own."""
    folders = []
    for number, content in enumerate(contents):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "processing.json").write_text(json.dumps(content))
        folders.append(str(folder / str(number)))
    return collect(gather(folders), Pipeline())


def notes_of(step: dict[str, Any]) -> list[str]:
    """The notes of a step, but for what each step of an old form says."""
    lines: list[str] = step["notes"].splitlines()
    assert FROM_OLD_FORM in lines
    return [line for line in lines if line != FROM_OLD_FORM]


def step_with(**fields: Any) -> dict[str, Any]:
    """A step with other fields; None removes one."""
    return {name: value for name, value in (STEP | fields).items() if value is not None}


def version_1(*steps: Any, **more: Any) -> dict[str, Any]:
    """A file of version 1."""
    pipeline = {"processor_full_name": "Ada Ray", "data_processes": [*steps]}
    pipeline |= more.pop("pipeline", {})
    return {"schema_version": "1.1.4", "processing_pipeline": pipeline, **more}


def test_analyses_are_processes(tmp_path: Path) -> None:
    """An entry of `analyses` is a step of the stage Analysis, by its analyst, description first."""
    analysis = step_with(
        name="Analysis", analyst_full_name="Bo Lin", description="Tuning curves", notes="n",
        start_date_time="2025-01-03T03:04:05Z", end_date_time="2025-01-03T03:05:05Z",
    )  # fmt: skip
    found = take(tmp_path, version_1(step_with(software_version="0.9"), analyses=[analysis]))
    first, second = found.processing["data_processes"]
    assert (first["stage"], first["experimenters"]) == ("Processing", ["Ada Ray"])
    assert (notes_of(first), first["code"]["version"]) == (["Software version: 0.9"], "1.2")
    assert (second["process_type"], second["stage"]) == ("Analysis", "Analysis")
    assert (second["experimenters"], notes_of(second)) == (["Bo Lin"], ["Tuning curves", "n"])
    assert found.processing["dependency_graph"] == {"Spike sorting": [], "Analysis": []}


def test_a_table_in_analyses(tmp_path: Path) -> None:
    """An entry of `analyses` that holds processes is a table of them, and no step itself."""
    inner = step_with(name="Analysis", notes="x")
    table = {"analyst_full_name": "Bo Lin", "data_processes": [inner, [step_with(notes="y")]]}
    steps = take(tmp_path, version_1(analyses=[table])).processing["data_processes"]
    assert sorted(step["name"] for step in steps) == ["Analysis", "Spike sorting"]
    assert [step["experimenters"] for step in steps] == [["Bo Lin"]] * 2


def test_three_places_and_lists_in_lists(tmp_path: Path) -> None:
    """Processes are found at the top, in the pipeline and in analyses, to any depth."""
    twins = [
        step_with(name="Ephys curation", start_date_time=f"2025-01-02T03:20:00.00000{n}Z",
                  end_date_time="2025-01-02T03:21:00Z") for n in (1, 2)
    ]  # fmt: skip
    late = step_with(
        name="Other", notes="NWB", start_date_time="2025-01-04T00:00:00Z", end_date_time=None
    )
    first = step_with(name="Compression", start_date_time="2025-01-02T03:00:00Z")
    content = version_1(
        first, [twins[0], [twins[1]]], data_processes=[late], analyses=[[[step_with()]]]
    )
    steps = take(tmp_path, content).processing["data_processes"]
    names = [step["name"] for step in steps]
    assert names == ["Compression", "Spike sorting", "Ephys curation", "Ephys curation_2", "Other"]
    assert steps[4]["experimenters"] == []


def test_version_0(tmp_path: Path) -> None:
    """Version 0 has its pipeline at the top, and times without a zone, which are UTC."""
    step = {
        "name": "Image destriping", "version": "0.0.5", "start_date_time": "2023-02-02T21:58:54.429361",
        "end_date_time": "2023-02-03 01:22:23,5", "input_location": "/data/a", "code_url": "https://example.org/d",
        "resources": {"os": "Linux", "architecture": "x86", "cpu_usage": [{"timestamp": "2023-02-02T22:00:00", "usage": 3}]},
    }  # fmt: skip
    content = {
        "schema_version": "0.1.0", "pipeline_url": "https://example.org/p", "pipeline_version": "0.3",
        "data_processes": [step],
    }  # fmt: skip
    found = take(tmp_path, content)
    (taken,) = found.processing["data_processes"]
    assert taken["start_date_time"] == "2023-02-02T21:58:54.429361Z"
    assert taken["end_date_time"] == "2023-02-03T01:22:23.500000Z"
    assert taken["resources"]["cpu_usage"][0]["timestamp"] == "2023-02-02T22:00:00Z"
    assert notes_of(taken) == ["Times without a zone were taken as UTC"]
    assert (taken["code"]["version"], taken["pipeline_name"]) == ("0.0.5", "p")
    (pipeline,) = found.processing["pipelines"]
    assert (pipeline["name"], pipeline["version"]) == ("p", "0.3")
    assert found.warnings == []


def test_a_step_of_version_2_without_a_zone(tmp_path: Path) -> None:
    """Of version 2 too a time without a zone is UTC, and the step says so."""
    process = {
        "process_type": "Compression", "name": "c", "stage": "Processing", "experimenters": [],
        "code": {"url": "u"}, "start_date_time": "2025-01-02T03:04:05",
    }  # fmt: skip
    (step,) = take(tmp_path, {"data_processes": [process]}).processing["data_processes"]
    assert step["start_date_time"] == "2025-01-02T03:04:05Z"
    assert step["notes"] == "Times without a zone were taken as UTC"


def test_the_pipeline_and_notes_of_a_file(tmp_path: Path) -> None:
    """Url, version and notes of a pipeline stay, and its steps get its name; analyses do not."""
    told = {"pipeline_url": "https://example.org/p.git", "pipeline_version": "3.0", "note": "first"}
    content = version_1(STEP, pipeline=told, notes="top", analyses=[step_with(name="Analysis")])
    found = take(tmp_path, content)
    names = {step["name"]: step.get("pipeline_name") for step in found.processing["data_processes"]}
    assert names == {"Spike sorting": "p", "Analysis": None}
    assert found.processing["notes"].splitlines()[1:] == ["first", "top"]
    assert not any("does not say the pipeline's" in warning for warning in found.warnings)


def test_pipelines_of_one_name_that_disagree(tmp_path: Path) -> None:
    """Two versions of a pipeline are kept apart by name, and steps follow their own file."""
    files = []
    for version in ("1.0", "2.0"):
        told = {"pipeline_url": "https://example.org/p", "pipeline_version": version}
        files.append(version_1(step_with(code_version=version), pipeline=told))
    for number, order in enumerate((files, files[::-1])):
        (tmp_path / str(number)).mkdir()
        processing = take(tmp_path / str(number), *order).processing
        assert [entry["name"] for entry in processing["pipelines"]] == ["p", "p 2.0"]
        names = {s["code"]["version"]: s["pipeline_name"] for s in processing["data_processes"]}
        assert names == {"1.0": "p", "2.0": "p 2.0"}
        assert take(tmp_path / "again" / str(number), *order, processing).processing == processing


@pytest.mark.parametrize(
    ("fields", "version", "commit", "notes"),
    [
        ({"code_version": "0.4.2", "software_version": "0.0.35"}, "0.4.2", None, ["Software version: 0.0.35"]),
        ({"code_version": "1", "software_version": "1"}, "1", None, []),
        ({"code_version": None, "software_version": "2"}, "2", None, []),
        ({"code_version": None, "version": "3"}, "3", None, []),
        ({"version": "3"}, "1.2", None, ["Version: 3"]),
        ({"version": "1.2"}, "1.2", None, []),
        ({"version": "3", "software_version": "3"}, "1.2", None, ["Software version: 3"]),
        ({"code_version": 4}, "4", None, []),
        ({"code_version": "0123abc"}, "0123abc", "0123abc", []),
        ({"output_location": "s3://bucket/x/"}, "1.2", None, ["Output location: s3://bucket/x/"]),
    ],
)  # fmt: skip
def test_versions(
    tmp_path: Path, fields: dict[str, Any], version: str, commit: str | None, notes: list[str]
) -> None:
    """The code's version is `code_version`, then `software_version`, then `version`."""
    (step,) = take(tmp_path, version_1(step_with(**fields))).processing["data_processes"]
    assert (step["code"]["version"], step["code"].get("commit_hash")) == (version, commit)
    assert notes_of(step) == notes


@pytest.mark.parametrize(
    ("location", "inputs"),
    [
        ("/data/a", [(None, "/data/a")]),
        ("/data/ecephys_1_2024-01-02_03-04-05/ecephys/x.dat", [("ecephys_1_2024-01-02_03-04-05", "")]),
        (r"D:\a\1_2024-01-02_03-04-05\x", [("1_2024-01-02_03-04-05", "")]),
        (["/data/a", "/data/b"], [(None, "/data/a"), (None, "/data/b")]),
    ],
)  # fmt: skip
def test_inputs(tmp_path: Path, location: Any, inputs: list[tuple[str | None, str]]) -> None:
    """An input has a name where its path holds that of an asset, and else its path only."""
    content = version_1(step_with(input_location=location))
    (step,) = take(tmp_path, content).processing["data_processes"]
    found = [(entry.get("name"), entry["url"]) for entry in step["code"]["input_data"]]
    assert found == [(name, url or location) for name, url in inputs]


def test_what_is_refused_is_kept(tmp_path: Path) -> None:
    """What has a wrong type stays in the notes with field and value, and is named."""
    odd = {
        "name": "My own step", "start_date_time": "2025-01-02T03:06:05Z", "code_url": ["u"], "parameters": [1],
        "input_location": ["/data/a", 5], "strange": {"x": 1}, "end_date_time": "yesterday",
    }  # fmt: skip
    found = take(tmp_path, version_1(STEP, odd, "oops", pipeline={"processor_full_name": None}))
    steps = {step["name"]: step for step in found.processing["data_processes"]}
    assert len(steps) == 3
    mine = steps["My own step"]
    assert mine["process_type"] == "Other"
    said = "\n".join(found.warnings)
    for what in ('code_url: ["u"]', "parameters: [1]", "input_location: [5]", 'strange: {"x":1}', 'end_date_time: "yesterday"'):  # fmt: skip
        assert what in mine["notes"]
        assert what in said
    assert '"oops"' in said
    assert mine["code"]["input_data"][0]["url"] == "/data/a"


def test_a_start_that_is_not_known(tmp_path: Path) -> None:
    """A step never has the time of its file, or its end, as its start without saying so."""
    ends = step_with(start_date_time=None)
    nothing = step_with(name="Compression", start_date_time=None, end_date_time=None)
    found = take(tmp_path, version_1(ends, nothing))
    os.utime(tmp_path / "0" / "processing.json", (1, 1_700_000_000))
    steps = {s["name"]: s for s in collect(gather([str(tmp_path)]), Pipeline()).processing["data_processes"]}  # fmt: skip
    assert steps["Spike sorting"]["start_date_time"] == "2025-01-02T03:05:05Z"
    assert "the end stands for it" in steps["Spike sorting"]["notes"]
    assert steps["Compression"]["start_date_time"] == "2023-11-14T22:13:20Z"
    assert "the time of the file stands for it" in steps["Compression"]["notes"]
    assert len(found.warnings) == 3
