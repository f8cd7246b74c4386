"""Session QC: the numbers are right, and every odd input has a clear outcome."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, build_environ, check_log_is_sound, parse_strictly

h5py = pytest.importorskip("h5py")
np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")

ASSETS = ROOT.parent / "shared" / "assets"


def write_session(path: Path, response: list[int], rewarded: list[bool], **changes: object) -> Path:
    """A small session: trials of 10 s, the go cue at 2 s, a lick 0.2 s later where there is a choice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(response)
    start = 100.0 + 10 * np.arange(count)
    response_array = np.array(response, dtype=float)
    reward = np.array(rewarded, dtype=bool)
    columns = {
        "animal_response": response_array, "rewarded_historyL": reward & (response_array == 0),
        "rewarded_historyR": reward & (response_array == 1), "start_time": start, "stop_time": start + 9,
        "goCue_start_time": start + 2,
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            if name not in changes.get("without", ()):
                file[f"intervals/trials/{name}"] = column
        for side, code in (("left", 0), ("right", 1)):
            licks = (start + 2.2)[response_array == code]
            file[f"acquisition/{side}_lick_time/timestamps"] = licks if len(licks) else np.array([np.nan])
    return path


def run_qc(data: Path, results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The capsule's processing, as a plain program."""
    results.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "code" / "run_capsule.py"), "--data", str(data), "--results", str(results)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=build_environ(results.parent),
                          cwd=results, check=False)  # fmt: skip


def test_the_formulas(tmp_path: Path) -> None:
    """Each metric of a session small enough to count by hand."""
    write_session(tmp_path / "data" / "s.nwb", [0, 1, 1, 2, 1], [True, False, True, False, True])
    done = run_qc(tmp_path / "data", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "results" / "qc.json").read_text())
    assert told == {
        "session": "s", "trials": 5, "responses": 4, "response_rate": 0.8, "choice_bias": 0.5, "rewards": 3,
        "reward_rate": 0.75, "licks_left": 1, "licks_right": 3, "session_length_s": 49.0,
        "reaction_time_s": 0.2, "reasons": {},
    }  # fmt: skip
    picture = (tmp_path / "results" / "choices_and_rewards.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(("response", "missing"), [
    ([2], {"choice_bias", "reward_rate", "reaction_time_s"}),
    ([1], set()),
    ([], {"response_rate", "choice_bias", "reward_rate", "session_length_s", "reaction_time_s"}),
])  # fmt: skip
def test_few_trials(tmp_path: Path, response: list[int], missing: set[str]) -> None:
    """One trial or none: exit 0, values that cannot be told are null with the reason, and a warning each."""
    write_session(tmp_path / "data" / "s.nwb", response, [False] * len(response))
    done = run_qc(tmp_path / "data", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "results" / "qc.json").read_text())
    assert set(told["reasons"]) == {name for name, value in told.items() if value is None} == missing
    assert done.stderr.count("WARNING") == len(missing)


def test_missing_tables(tmp_path: Path) -> None:
    """A file without a table: exit 1, an ERROR that names file and table, no traceback."""
    path = write_session(tmp_path / "data" / "s.nwb", [1], [True], without=("animal_response",))
    done = run_qc(tmp_path / "data", tmp_path / "results")
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "animal_response" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_corrupt_file(tmp_path: Path) -> None:
    """A file that is no HDF5: exit 1, an ERROR that names it; other sessions are still measured."""
    write_session(tmp_path / "data" / "good.nwb", [1], [True])
    (tmp_path / "data" / "bad.nwb").write_bytes(b"not hdf5" * 100)
    done = run_qc(tmp_path / "data", tmp_path / "results")
    assert done.returncode == 1
    assert "bad.nwb" in done.stderr
    assert (tmp_path / "results" / "good_qc.json").exists()


def test_no_session(tmp_path: Path) -> None:
    """No NWB file: exit 1 and a word about what to do; empty parameters of the platform are no matter."""
    (tmp_path / "data").mkdir()
    done = run_qc(tmp_path / "data", tmp_path / "results", "", "")
    assert done.returncode == 1
    assert "attach a session" in done.stderr
    assert run_qc(tmp_path / "data", tmp_path / "results", "--no-such").returncode == 2


def test_linked_folders_and_loops(tmp_path: Path) -> None:
    """Inputs are often links; a link that leads back is no endless walk."""
    write_session(tmp_path / "elsewhere" / "s.nwb", [1], [True])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "asset").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    assert run_qc(tmp_path / "data", tmp_path / "results").returncode == 0
    assert (tmp_path / "results" / "qc.json").exists()


def test_the_sample_is_the_same_every_time(tmp_path: Path) -> None:
    """The generated session is deterministic, and QC of it says so."""
    told = []
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-m", "session_qc.sample", str(tmp_path / name)], cwd=ROOT / "code",
                       check=True, capture_output=True)  # fmt: skip
        assert run_qc(tmp_path / name, tmp_path / f"{name}_results").returncode == 0
        told.append((tmp_path / f"{name}_results" / "qc.json").read_text())
    assert told[0] == told[1]
    assert json.loads(told[0])["trials"] == 300


REAL = {
    "behavior_705599_2024-05-31_14-06-54": {
        "trials": 1, "responses": 0, "response_rate": 0.0, "choice_bias": None, "rewards": 0, "licks_left": 0,
        "licks_right": 0, "session_length_s": 10.733,
    },
    "behavior_727456_2024-06-12_11-10-53": {
        "trials": 225, "responses": 218, "rewards": 76, "licks_left": 2092, "licks_right": 2286,
        "response_rate": 0.968889, "choice_bias": 0.330275, "reward_rate": 0.348624, "session_length_s": 2947.064,
    },
}  # fmt: skip


@pytest.mark.parametrize("asset", REAL)
def test_real_sessions_through_the_run_script(tmp_path: Path, asset: str) -> None:
    """The two real sessions, by `code/run` as the platform runs it: right numbers, a sound log."""
    if not (ASSETS / asset).is_dir():
        pytest.skip("the real sessions are not here")
    bin_folder = tmp_path / "bin"
    for folder in (bin_folder, tmp_path / "results", tmp_path / "scratch"):
        folder.mkdir()
    for name, command in (("capsule", f'exec "{sys.executable}" -m aind_capsule "$@"'),
                          ("python", f'exec "{sys.executable}" "$@"')):  # fmt: skip
        (bin_folder / name).write_text(f"#!/bin/sh\n{command}\n")
        (bin_folder / name).chmod(0o755)
    env = build_environ(tmp_path) | {
        "PATH": f"{bin_folder}:/usr/bin:/bin", "CAPSULE_DATA": str(ASSETS / asset),
        "CAPSULE_RESULTS": str(tmp_path / "results"), "CAPSULE_SCRATCH": str(tmp_path / "scratch"),
    }  # fmt: skip
    done = subprocess.run(["./run"], cwd=ROOT / "code", env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "results" / "qc.json").read_text())
    assert {name: told[name] for name in REAL[asset]} == REAL[asset]
    (log,) = (tmp_path / "results").glob("session-qc-*.log.jsonl")
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    check_log_is_sound(records)
    assert records[-1]["status"] == "success"
