"""The derived asset's `data_description.json`: what it is derived from, its name, and when there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.core.data_description import DataDescription

from aind_capsule.provenance.derived_description import Derived, NoSourceError, derive
from aind_capsule.provenance.gather import Source
from aind_capsule.provenance.known_runs import KnownRun
from aind_capsule.provenance.schema import InvalidRecordError, SchemaMissingError
from tests.conftest import build_environ
from tests.provenance.runs import RUN

RAW = "812345_2026-01-02_03-04-05"
V2: dict[str, Any] = {
    "name": RAW, "subject_id": "812345", "creation_time": "2026-01-02T03:04:05Z", "data_level": "raw",
    "institution": {"name": "Allen Institute for Neural Dynamics", "abbreviation": "AIND",
                    "registry": "Research Organization Registry (ROR)", "registry_identifier": "04szwah67"},
    "funding_source": [{"funder": {"name": "Allen Institute", "abbreviation": "AI",
                                   "registry": "Research Organization Registry (ROR)",
                                   "registry_identifier": "03cpe7c52"}}],
    "investigators": [{"name": "Ada Lovelace"}], "project_name": "Foraging",
    "modalities": [{"name": "Behavior", "abbreviation": "behavior"}],
}  # fmt: skip
_ROR = {"name": "Research Organization Registry", "abbreviation": "ROR"}
V1: dict[str, Any] = {
    "name": f"behavior_{RAW}", "subject_id": "812345", "creation_time": "2026-01-02T03:04:05",
    "data_level": "raw", "platform": {"name": "Behavior platform", "abbreviation": "behavior"},
    "institution": {**V2["institution"], "registry": _ROR},
    "funding_source": [{"funder": {**V2["funding_source"][0]["funder"], "registry": _ROR},
                        "grant_number": None, "fundee": "Ada Lovelace, Grace Hopper"}],
    "investigators": [{"name": "Ada Lovelace", "abbreviation": None, "registry": None}],
    "project_name": "Foraging", "modality": [{"name": "Behavior", "abbreviation": "behavior"}],
    "related_data": [], "input_data_name": None,
}  # fmt: skip


def _derive(*descriptions: dict[str, Any], source: str | None = None, **more: Any) -> Derived:
    sources = [Source(f"/data/{n}/data_description.json", d) for n, d in enumerate(descriptions)]
    return derive(sources, more.get("runs", ()), "sorted-ks4", source)


@pytest.mark.parametrize(("description", "name"), [(V2, RAW), (V1, f"behavior_{RAW}")])
def test_from_raw(description: dict[str, Any], name: str) -> None:
    """From raw data of both versions: AIND's name, its level, its source, and all that is inherited."""
    content = _derive(description).content
    valid = DataDescription.model_validate(content)
    parsed = DataDescription.parse_name(str(valid.name), valid.data_level)
    assert (parsed["input"], parsed["process_name"]) == (name, "sorted-ks4")
    assert valid.data_level == "derived"
    assert valid.source_data == [name]
    assert valid.subject_id == "812345"
    assert valid.project_name == "Foraging"
    assert [person.name for person in valid.investigators] == ["Ada Lovelace"]
    assert valid.creation_time.strftime("%Y-%m-%d_%H-%M-%S") == str(valid.name)[-19:]


def test_from_derived() -> None:
    """From a derived asset: the name keeps the first input, the source is the derived one."""
    derived = _derive(V2).content
    again = _derive(derived).content
    assert again["name"].startswith(f"{RAW}_sorted-ks4_")
    assert again["name"].count("sorted-ks4") == 1
    assert again["source_data"] == [derived["name"]]


def test_the_last_of_a_chain_is_the_source() -> None:
    """Where raw and derived asset are both there, the derived one is what the next comes from."""
    derived = _derive(V2).content
    assert _derive(V2, derived).sources == (derived["name"],)
    assert _derive(derived, V2).sources == (derived["name"],)


def test_two_of_one_acquisition_are_both_sources() -> None:
    """Two assets derived from one acquisition: it is named for that, and both are its sources."""
    first = {**_derive(V2).content, "name": f"{RAW}_a_2026-02-01_00-00-00"}
    second = {**first, "name": f"{RAW}_b_2026-02-02_00-00-00"}
    derived = _derive(second, first)
    assert derived.sources == (first["name"], second["name"])
    assert derived.content["source_data"] == [first["name"], second["name"]]
    assert derived.content["name"].startswith(f"{RAW}_sorted-ks4_")


def test_two_acquisitions_need_a_choice() -> None:
    """Two acquisitions: nothing is guessed, both are named, and --source chooses."""
    other = {**V2, "name": "999999_2026-01-02_03-04-05", "subject_id": "999999"}
    with pytest.raises(NoSourceError, match=f"{RAW}, 999999") as caught:
        _derive(V2, other)
    assert "--source" in caught.value.hint
    assert _derive(V2, other, source=str(other["name"])).content["subject_id"] == "999999"
    with pytest.raises(NoSourceError, match="'nobody'"):
        _derive(V2, other, source="nobody")


def test_without_a_source() -> None:
    """None found, or only one that a run has made itself: said, with what to do."""
    with pytest.raises(NoSourceError, match="No data_description"):
        _derive()
    run = KnownRun("r", RUN, "x", outputs={"/data/0"})
    with pytest.raises(NoSourceError, match="No data_description"):
        _derive(V2, runs=[run])


def test_beside_the_run_json_of_what_used_it(tmp_path: Path) -> None:
    """A description that is older than the run whose files lie above it was that run's input."""
    late = {**RUN, "started_at": "2026-01-03T00:00:00Z"}
    run = KnownRun("r", late, "x", outputs={"/data"})
    assert _derive(V2, runs=[run]).sources == (RAW,)
    assert _derive(V1, runs=[run]).sources == (f"behavior_{RAW}",)
    soon = KnownRun("r", {**RUN, "started_at": "2026-01-02T10:00:00Z"}, "x", outputs={"/data"})
    assert _derive(V2, runs=[soon]).sources == (RAW,)
    with pytest.raises(NoSourceError, match="No data_description"):
        _derive(V1, runs=[soon])  # its time has no zone: perhaps it is newer


def test_the_source_that_is_named_is_not_the_only_one() -> None:
    """--source says what the asset is named for; the other inputs are its sources all the same."""
    other = {**V2, "name": "999999_2026-01-02_03-04-05", "subject_id": "999999"}
    derived = _derive(V2, other, source=str(other["name"]))
    assert derived.content["source_data"] == [other["name"], RAW]


@pytest.mark.parametrize(
    "missing", ["investigators", "funding_source", "project_name", "modalities"]
)
def test_what_cannot_be_derived_names_the_field(missing: str) -> None:
    """A description of version 2 that lacks what the schema wants gives none, and names the field."""
    with pytest.raises(InvalidRecordError, match=missing):
        _derive({**V2, missing: None})


@pytest.mark.parametrize(
    "missing", ["investigators", "funding_source", "project_name", "modality", "institution"]
)
def test_what_an_old_description_lacks_is_filled(missing: str) -> None:
    """An old description that lacks what the schema wants gives one, and the gap is listed."""
    derived = _derive({name: value for name, value in V1.items() if name != missing})
    DataDescription.model_validate(derived.content)
    (gap,) = derived.gaps
    assert gap.startswith(f"behavior_{RAW}: {missing} ")
    assert _derive(V1).gaps == ()


def test_without_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without aind-data-schema an old description is refused with what to install, as a new one."""
    monkeypatch.setitem(sys.modules, "aind_data_schema.core", None)
    monkeypatch.setitem(sys.modules, "aind_data_schema_models.organizations", None)
    for description in (V1, V2):
        with pytest.raises(SchemaMissingError) as caught:
            _derive(description)
        assert "pip install" in caught.value.hint


@pytest.mark.parametrize("base", [V1, V2])
@pytest.mark.parametrize(
    ("name", "level", "prefix", "gap"),
    [
        (RAW, "derived", f"{RAW}_sorted-ks4_", "that of raw data"),
        (f"behavior_{RAW}", "derived", f"behavior_{RAW}_sorted-ks4_", "that of raw data"),
        (f"{RAW}_a_2026-02-01_00-00-00", "raw", f"{RAW}_sorted-ks4_", "that of derived data"),
        (RAW, None, f"{RAW}_sorted-ks4_", "not said"),
        (f"{RAW}_a_2026-02-01_00-00-00", None, f"{RAW}_sorted-ks4_", "not said"),
    ],
)
def test_a_level_that_contradicts_the_name(
    base: dict[str, Any], name: str, level: str | None, prefix: str, gap: str
) -> None:
    """The asset is named for the first input by the name, and the contradiction is listed."""
    derived = _derive({**base, "name": name, "data_level": level})
    valid = DataDescription.model_validate(derived.content)
    assert str(valid.name).startswith(prefix)
    assert len(str(valid.name)) == len(prefix) + len("2026-01-02_03-04-05")
    assert (valid.data_level, valid.source_data) == ("derived", [name])
    assert len(derived.gaps) == 1
    assert gap in derived.gaps[0]


def test_sources_go_by_the_names_of_assets() -> None:
    """The folder's name counts where it is an asset's of that subject, and a mount's does not."""
    uploaded = {**V2, "name": "812345_2026-01-09_00-00-00"}
    paths = {
        f"/data/{RAW}": RAW,
        "/data/session": uploaded["name"],
        "/data/999_2026-01-02_03-04-05": uploaded["name"],
    }
    for folder, name in paths.items():
        source = Source(f"{folder}/data_description.json", uploaded)
        for wanted in (None, name, uploaded["name"]):
            derived = derive([source], (), "x", wanted)
            assert derived.content["source_data"] == [name]
            assert derived.content["name"].startswith(f"{name}_x_")


def test_an_analysis_as_source() -> None:
    """An asset of several acquisitions, which has no subject: its name is the input's, whole."""
    name = "foraging_qvalues_2026-02-01_00-00-00"
    derived = _derive({**V2, "name": name, "data_level": "derived", "subject_id": None})
    assert derived.content["name"].startswith(f"{name}_sorted-ks4_")
    assert "or of an analysis" in derived.gaps[0]


def _run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aind_capsule", "provenance", "collect", "runs", "asset"]
    return subprocess.run([*command, "--output", "out", *options], cwd=folder, env=build_environ(folder),
                          capture_output=True, text=True, check=False)  # fmt: skip


def test_by_the_command(tmp_path: Path) -> None:
    """The command writes it beside processing.json, leaves one that is there, and --overwrite replaces."""
    for name in ("runs", "asset", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "runs" / f"{RUN['run_id']}.run.json").write_text(json.dumps(RUN))
    source = tmp_path / "asset" / "data_description.json"
    source.write_text(json.dumps(V2))
    done = _run(tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "out" / "data_description.json"
    first = json.loads(path.read_text())
    assert first["name"].startswith(f"{RAW}_processed_")
    assert first["name"] in done.stdout
    assert "left as it is" in _run(tmp_path, "--label", "x").stderr
    assert json.loads(path.read_text()) == first
    assert _run(tmp_path, "--label", "x", "--overwrite").returncode == 0
    assert json.loads(path.read_text())["name"].startswith(f"{RAW}_x_")
    path.unlink()
    source.write_text(json.dumps({**V1, "name": f"behavior_{RAW}", "data_level": "derived"}))
    done = _run(tmp_path)
    assert done.returncode == 0
    assert f"of behavior_{RAW}: data_level is 'derived'" in done.stderr
    assert json.loads(path.read_text())["source_data"] == [f"behavior_{RAW}"]
    path.unlink()
    source.write_text("{")
    done = _run(tmp_path)
    assert done.returncode == 0
    assert str(source) in done.stderr
    assert "No data_description.json was written" in done.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["processing.json"]


def test_the_only_file_is_broken(tmp_path: Path) -> None:
    """Where there is nothing but a file that cannot be read, it is named all the same."""
    for name in ("runs", "asset", "out"):
        (tmp_path / name).mkdir()
    path = tmp_path / "runs" / "x_processing.json"
    path.write_text("{")
    done = _run(tmp_path)
    assert done.returncode == 1
    assert str(path) in done.stderr


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A target that cannot be replaced is an error, and no piece of a file is left beside it."""
    for name in ("runs", "asset", "out/data_description.json/x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs" / f"{RUN['run_id']}.run.json").write_text(json.dumps(RUN))
    (tmp_path / "asset" / "data_description.json").write_text(json.dumps(V2))
    done = _run(tmp_path, "--overwrite")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["data_description.json", "processing.json"]
