"""Metadata of the input in results: one input's set, or what all inputs agree on, never a mixture."""

from __future__ import annotations

import json
import os
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.assets import find_assets
from aind_capsule.provenance.carry import FILE_NAMES, Choice, choose_metadata
from tests.conftest import ROOT, Capsule

A, B = "812345_2026-01-02_03-04-05", "999999_2026-01-02_03-04-05"
ASSETS = ROOT.parent / "shared" / "assets"


def _make(data: Path, name: str, **files: Any) -> Path:
    """An input data asset; `subject=1` writes subject.json with that content."""
    folder = data / name
    folder.mkdir(parents=True)
    for stem, content in files.items():
        (folder / f"{stem}.json").write_text(json.dumps({"subject_id": name[:6], "said": content}))
    return folder


def _choose(data: Path, wanted: str | None = None) -> Choice:
    return choose_metadata(find_assets(str(data)), wanted)


def test_one_input(tmp_path: Path) -> None:
    """One input with metadata: its complete set, and nothing that is the derived asset's own."""
    _make(
        tmp_path,
        A,
        subject=1,
        procedures=1,
        acquisition=1,
        instrument=1,
        data_description=1,
        processing=1,
    )
    (tmp_path / "model").mkdir()
    choice = _choose(tmp_path)
    assert sorted(choice.files) == [
        "acquisition.json",
        "instrument.json",
        "procedures.json",
        "subject.json",
    ]
    assert choice.sources == (A,)


def test_one_input_holds_all_that_the_others_hold(tmp_path: Path) -> None:
    """A raw asset and one derived from it: the fuller set, which agrees with the other."""
    _make(tmp_path, "raw", subject=1, session=1, rig=1, data_description=1)
    first = (tmp_path / "raw" / "subject.json").read_text()
    folder = _make(tmp_path, "derived", data_description=2)
    (folder / "subject.json").write_text(json.dumps(json.loads(first), indent=7))
    choice = _choose(tmp_path)
    assert len(choice.sources) == 1
    assert sorted(choice.files) == ["rig.json", "session.json", "subject.json"]


def test_inputs_that_disagree(tmp_path: Path) -> None:
    """Two acquisitions of a subject: what both say alike; the rest is left out and named."""
    for name, acquisition in (("a", 1), ("b", 2)):
        folder = _make(tmp_path, name, acquisition=acquisition, data_description=1)
        (folder / "subject.json").write_text('{"subject_id": "812345"}')
    (tmp_path / "a" / "procedures.json").write_text("{}")
    choice = _choose(tmp_path)
    assert sorted(choice.files) == ["subject.json"]
    assert choice.left_out == ("procedures.json", "acquisition.json")
    assert choice.lone == ("procedures.json",)


def test_the_one_that_is_named(tmp_path: Path) -> None:
    """A named input's complete set, by the asset's name or its folder's; nobody is a problem."""
    _make(tmp_path, A, subject=1, session=1)
    _make(tmp_path, B, subject=2, session=2)
    choice = _choose(tmp_path, B)
    assert choice.sources == (B,)
    assert all(f"/{B}/" in path for path in choice.files.values())
    assert "nobody" in str(_choose(tmp_path, "nobody").problem)


@given(
    st.lists(
        st.dictionaries(st.sampled_from([n[:-5] for n in FILE_NAMES]), st.integers(0, 1)),
        min_size=1,
        max_size=4,
    )
)
def test_never_a_mixture(
    tmp_path_factory: pytest.TempPathFactory, sets: list[dict[str, int]]
) -> None:
    """Whatever the inputs hold: what is chosen is one input's set, or the same in all of them."""
    data = tmp_path_factory.mktemp("data")
    for number, files in enumerate(sets):
        folder = data / str(number)
        folder.mkdir()
        for stem, content in {**files, "data_description": number}.items():
            (folder / f"{stem}.json").write_text(json.dumps({"said": content}))
    choice = _choose(data)
    known = [files for files in sets if files]
    chosen = {
        name[:-5]: json.loads(Path(path).read_text())["said"] for name, path in choice.files.items()
    }
    is_one = len(choice.sources) == 1 and any(chosen == files for files in known)
    assert is_one or all(
        files.get(name) == said for name, said in chosen.items() for files in known
    )
    for one, other in combinations(known, 2):
        for name in one.keys() & other.keys() & chosen.keys():
            assert one[name] == other[name]


@pytest.fixture
def capsule(tmp_path: Path) -> Capsule:
    """A capsule that carries metadata."""
    capsule = Capsule(tmp_path / "capsule")
    capsule.environ["CAPSULE_PROVENANCE__CARRY_METADATA"] = "true"
    return capsule


def test_a_run_carries(capsule: Capsule) -> None:
    """After the processing the files are in results, byte for byte, and log and run.json say whose."""
    folder = _make(capsule.data, A, subject=1, session=1, data_description=1)
    (folder / "rig.json").write_bytes(b'{ "rig_id" :\t"7" }\r\n')
    run = capsule.run("sh", "-c", "ls -A ../results; echo own > ../results/session.json; exit 3")
    assert (run.status, run.stdout) == (3, b"")
    for name in ("subject.json", "rig.json"):
        assert (capsule.results / name).read_bytes() == (folder / name).read_bytes()
    assert (capsule.results / "session.json").read_text() == "own\n"
    assert not (capsule.results / "data_description.json").exists()
    report = capsule.run_json()["carried_metadata"]
    assert report["sources"] == [A]
    assert (sorted(report["files"]), report["kept"]) == (
        ["rig.json", "subject.json"],
        ["session.json"],
    )
    assert any(A in r["message"] and r["level"] == "INFO" for r in run.records)
    assert run.canonical["results_files"] == 1  # what the processing left


def test_alone_it_carries_too(capsule: Capsule) -> None:
    """`capsule_run` without the wrapper does the same."""
    import subprocess

    _make(capsule.data, A, subject=1)
    script = "from aind_capsule import capsule_run\nwith capsule_run(): pass\n"
    subprocess.run([sys.executable, "-c", script], cwd=capsule.code, env=capsule.environ,
                   capture_output=True, check=True)  # fmt: skip
    assert (capsule.results / "subject.json").is_file()


@pytest.mark.parametrize("value", ["false", "", "true"])
def test_only_where_it_is_asked_for(capsule: Capsule, value: str) -> None:
    """Not by default, not when it is off, and never into results that are jobs."""
    _make(capsule.data, A, subject=1)
    capsule.environ["CAPSULE_PROVENANCE__CARRY_METADATA"] = value
    if value == "true":
        capsule.write("capsule.toml", "results_are_jobs = true\n")
    run = capsule.run("true")
    said = any("a list of jobs" in record["message"] for record in run.records)
    assert said == (value == "true")
    assert not (capsule.results / "subject.json").exists()
    assert "carried_metadata" not in capsule.run_json()


def test_what_is_left_out_is_said(capsule: Capsule) -> None:
    """Inputs that disagree, a name that is nobody's, no input at all: said; the status is the child's."""
    run = capsule.run("true")
    assert any(r["level"] == "WARNING" and "there are none" in r["message"] for r in run.records)
    _make(capsule.data, A, subject=1)
    _make(capsule.data, B, subject=2)
    run = capsule.run("true")
    assert any("subject.json" in r["message"] and "disagree" in r["message"] for r in run.records)
    run = capsule.run("true", env={"CAPSULE_PROVENANCE__CARRY_METADATA": "nobody"})
    assert run.status == 0
    assert any(r["level"] == "ERROR" and "'nobody'" in r["message"] for r in run.records)
    assert not (capsule.results / "subject.json").exists()


def test_results_that_cannot_take_them(capsule: Capsule) -> None:
    """Results that are gone: an ERROR, and the status is the child's."""
    _make(capsule.data, A, subject=1)
    run = capsule.run("rm", "-rf", "../results")
    assert run.status == 0
    assert any(r["level"] == "ERROR" and "metadata" in r["message"] for r in run.records)
    assert run.canonical["exit_code"] == 0


def test_an_input_that_hangs_does_not_stop_the_end(capsule: Capsule) -> None:
    """A named pipe for a metadata file is no file: the rest is carried."""
    folder = _make(capsule.data, A, subject=1)
    os.mkfifo(folder / "procedures.json")
    run = capsule.run("true", timeout_s=30)
    assert run.status == 0
    assert (capsule.results / "subject.json").is_file()


def test_every_file_that_cannot_be_carried_is_named(capsule: Capsule) -> None:
    """Pipes, folders and links that lead nowhere, in two inputs: nothing hangs, each is named, the rest is there."""
    for name in (A, B):
        folder = capsule.data / name
        folder.mkdir()
        (folder / "subject.json").write_text('{"subject_id": "812345"}')
        os.mkfifo(folder / "procedures.json")
    (capsule.data / A / "session.json").mkdir()
    (capsule.data / A / "rig.json").symlink_to("nowhere")
    run = capsule.run("true", timeout_s=30)
    assert (capsule.results / "subject.json").is_file()
    run = capsule.run("true", env={"CAPSULE_PROVENANCE__CARRY_METADATA": A}, timeout_s=30)
    (error,) = [r["message"] for r in run.records if r["level"] == "ERROR" and "status" not in r]
    assert all(f"{A}/{name}" in error for name in ("procedures.json", "session.json", "rig.json"))


@pytest.mark.skipif(not ASSETS.is_dir(), reason="the real assets are not here")
def test_real_assets() -> None:
    """Of the real assets together nothing is the same; of each alone its complete set."""
    assert not _choose(ASSETS).files
    assert sorted(_choose(ASSETS, "795133_2026-02-10_11-06-18").files) == [
        "acquisition.json",
        "subject.json",
    ]
