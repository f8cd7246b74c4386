"""A run's `DataProcess`: what it says, that it is valid whatever the run says, what it cannot know."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from aind_capsule.provenance.__main__ import write_record
from aind_capsule.provenance.data_process_v1 import TYPES, draft_data_process_v1, find_faults
from aind_capsule.provenance.process_types import find_process_type, read_process_type
from aind_capsule.provenance.record import make_record
from aind_capsule.provenance.run_facts import find_script
from aind_capsule.provenance.schema import InvalidRecordError, find_process_types
from aind_capsule.settings.groups import ProvenanceSettings
from tests.provenance.runs import RUN, damaged_runs


def _gaps(run: dict[str, Any]) -> dict[str, str]:
    return {gap.setting: gap.what for gap in make_record(run).gaps}


def test_what_a_record_says() -> None:
    """Everything that a run knows is where aind-data-schema has a place for it."""
    record = make_record(RUN).content
    code = record["code"]
    assert record["process_type"] == "Spike sorting"
    assert record["name"] == "spike-sorting_20260101T000000-0123abcd"
    assert record["stage"] == "Processing"
    assert record["pipeline_name"] == "ephys"
    assert record["experimenters"] == ["Ada Lovelace"]
    assert record["start_date_time"] == "2026-01-01T00:00:00Z"
    assert record["end_date_time"] == "2026-01-01T00:01:40Z"
    assert record["output_parameters"] == {"units": 42, "snr": {"median": 5.5}}
    assert "notes" not in record
    assert (code["url"], code["version"], code["commit_hash"]) == (
        "https://example.org/sorter", "v1.0", "0123abcdef",
    )  # fmt: skip
    assert code["container"]["uri"] == "registry.example.org:5000/aind/ephys"
    assert code["container"]["tag"] == "1.2"
    assert (code["run_script"], code["language"], code["language_version"]) == (
        "run_capsule.py", "Python", "3.11.7",
    )  # fmt: skip
    assert [asset["name"] for asset in code["input_data"]] == RUN["input_assets"]
    assert code["parameters"] == {"threshold": "5", "filter_low": 300}
    resources = record["resources"]
    assert (resources["cpu_cores"], resources["gpu"]) == (4, "NVIDIA A10G")
    assert (resources["ram"], resources["ram_unit"]) == (16.0, "Gigabyte")
    assert resources["ram_usage"][0]["usage"] == 12.5
    assert resources["cpu_usage"][0]["usage"] == 25.0
    assert make_record(RUN).gaps == ()


def test_a_run_that_failed() -> None:
    """The notes say how it ended, and what the processing noted."""
    run = {**RUN, "status": "fail", "exit_code": 3, "error_type": "ValueError", "error_message": "bad",
           "notes": [{"text": "channel 5 was dead"}]}  # fmt: skip
    notes = make_record(run).content["notes"]
    assert notes == "The run failed (exit status 3): ValueError: bad\nchannel 5 was dead"


@pytest.mark.parametrize("message", ["first\nsecond\n\n  third\n", "\n\nbad", "a\r\nb", "x" * 2000])
def test_an_error_of_several_lines_is_whole(message: str) -> None:
    """Line breaks, empty lines and indents of what the failure said are in the notes as they are."""
    run = {**RUN, "status": "fail", "exit_code": 1, "error_type": "E", "error_message": message}
    expected = f"The run failed (exit status 1): E: {message}\nnoted"
    run["notes"] = [{"text": "noted"}]
    assert make_record(run).content["notes"] == expected
    assert draft_data_process_v1(run).content["notes"] == expected


@pytest.mark.parametrize("message", [None, "", " \n", 7, ["a"]])
def test_a_failure_that_said_nothing(message: Any) -> None:
    """Its type stands alone."""
    run = {**RUN, "status": "fail", "error_type": "E", "error_message": message}
    assert make_record(run).content["notes"] == "The run failed (exit status 0): E"


def test_notes_that_are_too_long_are_marked() -> None:
    """What does not fit is cut at the end, and that is seen."""
    notes = make_record({**RUN, "notes": [{"text": "x" * 20_000}]}).content["notes"]
    assert (len(notes), notes[-2:]) == (10_000, "x…")


COMMIT = "26c2b127281288fe5197185e663b91bef5011fba"


@pytest.mark.parametrize(
    ("code", "given", "version", "notes"),
    [
        (
            {"commit": COMMIT},
            None,
            "26c2b1272812-dirty",
            ["The code was changed after this commit"],
        ),
        (
            {"commit": COMMIT, "version": "v1.0"},
            None,
            "v1.0+dirty",
            ["The code was changed after this commit"],
        ),
        (
            {"commit": COMMIT, "version": "v1.0"},
            "2.0",
            "2.0+dirty",
            ["The code was changed after this commit"],
        ),
        ({"version": "1.0"}, None, "1.0+dirty", ["The code was changed after this version"]),
        ({"version": "1.0+dirty"}, None, "1.0+dirty", ["The code was changed after this version"]),
    ],
)
def test_code_that_was_changed_after_its_commit(
    code: dict[str, Any], given: str | None, version: str, notes: list[str]
) -> None:
    """The commit stays the commit, the version is marked, the notes say it; so in both forms."""
    told = {} if given is None else {"code_version": given}
    run = {**RUN, "code": {**code, "is_dirty": True, "notes": ["No more"]}, "provenance": told}
    record = make_record(run).content
    assert record["code"].get("commit_hash") == code.get("commit")
    assert record["code"]["version"] == version
    assert record["notes"].splitlines() == [*notes, "No more"]
    old = draft_data_process_v1(run).content
    assert old["code_version"] == version
    commit = [f"Commit: {COMMIT}"] if "commit" in code else []
    assert old["notes"].splitlines() == [*commit, *notes, "No more"]


@pytest.mark.parametrize("is_dirty", [None, False, "true", 1])
def test_code_that_is_its_commit(is_dirty: Any) -> None:
    """Nothing is added where nothing was changed, or where that is not known."""
    code = {"commit": COMMIT, "version": "v1.0", "is_dirty": is_dirty, "notes": [1, " "]}
    record = make_record({**RUN, "code": code}).content
    assert record["code"]["version"] == "v1.0"
    assert "notes" not in record
    assert draft_data_process_v1({**RUN, "code": code}).content["code_version"] == COMMIT


def test_what_is_not_known_is_said_with_its_setting() -> None:
    """Of a run with nothing set each gap names the setting that fills it, and the record is valid."""
    run = {name: RUN[name] for name in ("started_at", "run_id")} | {"process_name": "job-7"}
    assert set(_gaps(run)) == {
        "provenance.process_type", "provenance.code_url", "provenance.code_version", "experimenters",
    }  # fmt: skip
    record = make_record(run).content
    assert (record["process_type"], record["code"]["url"]) == ("Other", "unknown")


def test_every_setting_that_fills_something_is_named() -> None:
    """Of a task with nothing set: each setting of provenance, the people and the pipeline's name."""
    run = {**RUN, "provenance": {}, "pipeline": {}, "code": {}, "process_name": "job-7"}
    run["environment"] = {**RUN["environment"], "run_mode": "pipeline_task"}
    # What these leave open has a default that is right.
    given = {"stage", "schema_version", "carry_metadata"}
    settings = {field.name for field in fields(ProvenanceSettings)} - given
    fillable = {f"provenance.{name}" for name in settings} | {"experimenters", "PIPELINE_NAME"}
    assert set(_gaps(run)) == fillable
    without_place = {"experimenters", "PIPELINE_NAME", "provenance.container"}
    run["provenance"] = {"schema_version": 1}
    assert set(_gaps(run)) == fillable - without_place


@pytest.mark.parametrize(
    ("mode", "missing"),
    [
        ("workstation", set()),
        ("container", {"provenance.container"}),
        ("code_ocean_capsule", {"provenance.container"}),
        ("pipeline_task", {"provenance.container", "PIPELINE_NAME"}),
    ],
)
def test_what_is_missing_depends_on_where_a_run_is(mode: str, missing: set[str]) -> None:
    """A container's image is asked for inside of one, and a pipeline's name inside of a pipeline."""
    given = {"experimenters": ["Ada"]}
    run = {**RUN, "provenance": given, "pipeline": {}, "environment": {"run_mode": mode}}
    assert set(_gaps(run)) == missing


def test_what_is_nothing_is_a_value(tmp_path: Path) -> None:
    """A parameter or metric that is null (NaN is null in JSON) stays; the schema's own are left out."""
    said = {"a": None, "b": [None, {"c": None}]}
    record = make_record({**RUN, "parameters": said, "metrics": {"nan": float("nan")}}).content
    assert record["code"]["parameters"] == said
    assert record["output_parameters"] == {"nan": None}
    assert "core_dependency" not in record["code"]
    assert "notes" not in record


def test_a_record_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A target that is a folder is an error, and no piece of a file is left beside it."""
    run_json, target = tmp_path / "run.json", tmp_path / "data_process.json"
    run_json.write_text(json.dumps(RUN))
    target.mkdir()
    with pytest.raises(OSError, match="data_process"):
        write_record(str(run_json), str(target))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data_process.json", "run.json"]


def test_a_process_type_that_is_none() -> None:
    """A wrong process type is said with its value, and the record is valid all the same."""
    run = {**RUN, "provenance": {**RUN["provenance"], "process_type": "Spike sortign"}}
    assert "Spike sortign" in _gaps(run)["provenance.process_type"]
    assert make_record(run).content["process_type"] == "Other"


def test_an_analysis_is_of_that_stage() -> None:
    """The stage follows the process type, but for a setting."""
    run = {**RUN, "provenance": {"process_type": "analysis"}}
    assert make_record(run).content["stage"] == "Analysis"
    run = {**RUN, "provenance": {"process_type": "analysis", "stage": "Processing"}}
    assert make_record(run).content["stage"] == "Processing"


def test_without_a_start_there_is_no_record() -> None:
    """A run of which the start is not known makes none, and that is said."""
    with pytest.raises(InvalidRecordError, match="started"):
        make_record({**RUN, "started_at": "yesterday"})


def test_a_clock_that_went_back() -> None:
    """An end before the start is moved to it: the schema takes no other."""
    record = make_record({**RUN, "ended_at": "2025-12-31T23:59:00.000000Z"}).content
    assert record["end_date_time"] == record["start_date_time"]


@settings(max_examples=300)
@given(damaged_runs())
def test_any_run_makes_a_valid_record(run: dict[str, Any]) -> None:
    """Whatever is missing or wrong in a `run.json` (but its start), the schema takes the record."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = make_record(run)
    assert record.content["start_date_time"]


@settings(max_examples=300)
@given(damaged_runs())
def test_any_run_makes_a_record_of_version_1(run: dict[str, Any]) -> None:
    """The same of the older form, by its rules."""
    assert find_faults(draft_data_process_v1(run).content) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Spike sorting", "Spike sorting"),
        ("aind-ephys-spike-sorting-kilosort4", "Spike sorting"),
        ("dff_estimation", "dF/F estimation"),
        ("ephys-postprocessing", "Ephys postprocessing"),
        ("aind-ophys-video-motion-correction", "Video motion correction"),
        ("session-qc", None),
        ("my-analysis-of-things", None),
        ("pipeline-dispatch", None),
        ("nodenoising", None),
        ("no-denoising", None),
        ("denoising", "Denoising"),
        ("spike-sorting-qc", None),
        ("pre-spike-sorting", None),
        ("spike-sorting-pipeline", None),
        ("Spike_Sorting.v2", "Spike sorting"),
        ("zarr-decompression", None),
        ("zarr-compression", None),
        ("ephys-compression-2", "Compression"),
        ("ephys-preprocessing-spike-sorting", None),
        ("aind-ophys-dff-estimation", "dF/F estimation"),
        ("image-flat-field-correction-gpu", "Image flat-field correction"),
        ("aind-analysis", None),
        ("spike-sorting" + "-1" * 30, "Spike sorting"),
        ("spike-sorting" + "-1" * 31, None),
        ("", None),
        ("other", "Other"),
    ],
)
def test_types_by_name(name: str, expected: str | None) -> None:
    """Whole words of the table alone, beside words that do not make the process another one."""
    assert find_process_type(name, find_process_types()) == expected


@pytest.mark.parametrize("version", [2, 1])
def test_a_guess_of_the_type_says_so(version: int) -> None:
    """What the name only contains is marked in the notes and told, with the setting to state it."""
    provenance = {**RUN["provenance"], "schema_version": version}
    run = {**RUN, "process_name": "aind-spike-sorting-ks4", "provenance": provenance}
    record = make_record(run).content
    assert record["process_type" if version == 2 else "name"] == "Spike sorting"
    assert record["notes"] == (
        "The process type is a guess by the name of the process, 'aind-spike-sorting-ks4'"
    )
    told = "the process type, for which 'Spike sorting' is a guess by the name"
    assert _gaps(run) == {"provenance.process_type": told}
    run["provenance"] = {**provenance, "process_type": "spike sorting"}
    assert _gaps(run) == {}
    assert "notes" not in make_record(run).content


@pytest.mark.parametrize("name", ["nodenoising", "spike-sorting-qc", "zarr-decompression"])
def test_a_type_that_nobody_states_is_other(name: str) -> None:
    """Unless it is stated; a stated one that is no type is not guessed at either."""
    run = {**RUN, "process_name": name}
    assert make_record(run).content["process_type"] == "Other"
    run["provenance"] = {**RUN["provenance"], "process_type": "spike_sorting"}
    assert make_record(run).content["process_type"] == "Spike sorting"
    run["provenance"] = {**RUN["provenance"], "process_type": "aind spike sorting"}
    assert make_record(run).content["process_type"] == "Other"
    assert _gaps(run) == {"provenance.process_type": "'aind spike sorting' is no process type"}


def test_every_type_is_found_by_its_own_name() -> None:
    """In both forms of the schema."""
    for types in (find_process_types(), TYPES):
        names = [kind.lower().replace(" ", "-") for kind in types]
        assert [find_process_type(name, types) for name in names] == list(types)
        assert [read_process_type(name, types) for name in names] == list(types)


@pytest.mark.parametrize(
    ("command", "script"),
    [
        (["./run"], "./run"),
        (["python3.11", "-u", "code/run.py", "--x", "1"], "code/run.py"),
        (["env", "A=1", "python", "x.py"], "x.py"),
        (["python", "-m", "session_qc", "data"], "session_qc"),
        (["bash", "-c", "echo"], None),
        (["bash"], None),
        ([], None),
    ],
)
def test_the_script_of_a_command(command: list[str], script: str | None) -> None:
    """The script is what an interpreter runs, or the program itself."""
    assert find_script(command) == script
