"""The sample session."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, build_environ
from tests.session_qc.nwb_files import ASSETS, h5py, np

from session_qc.metrics import Undefined, measure_session  # isort: skip
from session_qc.sample import ASSET, SESSION, write_sample  # isort: skip
from session_qc.session import read_session  # isort: skip


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


def test_the_sample_is_the_same_every_time(tmp_path: Path) -> None:
    """Byte for byte, also when it is written over the one before."""
    first, again = (
        read_files(write_sample(tmp_path / "a")),
        read_files(write_sample(tmp_path / "b")),
    )
    assert first == again == read_files(write_sample(tmp_path / "a"))
    assert list(first) == [
        "data_description.json", f"nwb/{SESSION}.nwb", "session.json", "subject.json",
    ]  # fmt: skip


def test_the_command_writes_it(tmp_path: Path) -> None:
    """`python -m session_qc.sample DIR` writes the asset and prints where; without DIR it is 2."""
    command = [sys.executable, "-m", "session_qc.sample"]
    run = {"cwd": ROOT / "code", "env": build_environ(tmp_path), "text": True}
    done = subprocess.run([*command, str(tmp_path)], check=True, capture_output=True, **run)
    assert Path(done.stdout.strip()) == tmp_path / ASSET
    assert read_files(tmp_path / ASSET) == read_files(write_sample(tmp_path / "b"))
    assert subprocess.run(command, check=False, capture_output=True, **run).returncode == 2


def test_the_sample_looks_like_an_animal(tmp_path: Path) -> None:
    """It has 300 trials, every metric, both sides, and choices that follow the better port."""
    asset = write_sample(tmp_path)
    session = read_session(asset / "nwb" / f"{SESSION}.nwb", SESSION)
    metrics = measure_session(session)
    assert metrics.trials == 300
    assert metrics.reasons == {}
    assert not isinstance(metrics.choice_bias, Undefined)
    assert abs(metrics.choice_bias) < 0.3
    is_better = np.where(session.response == 1, session.probability_right, session.probability_left)
    other = np.where(session.response == 1, session.probability_left, session.probability_right)
    chosen = (session.response != 2) & (is_better != other)
    assert (is_better > other)[chosen].mean() > 0.6
    blocks = np.count_nonzero(np.diff(session.probability_left))
    assert 4 <= blocks <= 10
    assert (np.diff(session.start_s) > 0).all()
    assert (session.stop_s > session.go_cue_s).all()


def test_a_sample_without_trials_can_be_read(tmp_path: Path) -> None:
    """The generator makes sessions of any length, also of none."""
    asset = write_sample(tmp_path, trials=0)
    assert measure_session(read_session(asset / "nwb" / f"{SESSION}.nwb", SESSION)).trials == 0


def test_its_metadata_tell_who_and_when(tmp_path: Path) -> None:
    """The files beside the session name the asset, the subject and the start, all the same."""
    asset = write_sample(tmp_path)
    description, subject, session = (
        json.loads((asset / f"{name}.json").read_text())
        for name in ("data_description", "subject", "session")
    )
    assert description["name"] == asset.name == ASSET
    assert description["subject_id"] == subject["subject_id"] == session["subject_id"] == "000000"
    assert session["session_start_time"] == description["creation_time"]


def test_its_tables_are_those_of_a_real_session(tmp_path: Path) -> None:
    """Every table and column of the sample stands in a real session, with the same kind of data."""
    real = sorted(ASSETS.glob("behavior_727456*/nwb/*.nwb"))
    if not real:
        pytest.skip("the real sessions are not here")
    asset = write_sample(tmp_path)
    kinds: list[tuple[str, str, str]] = []
    with h5py.File(real[0], "r") as other, h5py.File(asset / "nwb" / f"{SESSION}.nwb") as file:
        file.visititems(
            lambda name, item: (
                kinds.append((name, item.dtype.kind, other[name].dtype.kind))
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    assert len(kinds) > 10
    assert [name for name, kind, real_kind in kinds if kind != real_kind] == []
