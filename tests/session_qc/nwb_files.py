"""Tiny sessions, written as real HDF5 files, and the capsule's processing as a plain program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT, build_environ

h5py = pytest.importorskip("h5py")
np = pytest.importorskip("numpy")

ASSETS = ROOT.parent / "shared" / "assets"
LEFT, RIGHT, NONE = 0, 1, 2


def write_session(
    path: Path,
    response: Sequence[float],
    rewarded: Sequence[bool],
    *,
    without: Sequence[str] = (),
    **columns: object,
) -> Path:
    """A session whose trials start every 10 s from 100 s on and last 9 s.

    The go cue comes at 2 s, and 0.2 s later one lick at the chosen port.

    Args:
        path: The file.
        response: `animal_response` of each trial.
        rewarded: Whether the choice was rewarded.
        without: Columns and groups to leave out.
        **columns: Columns of the trials table that replace or add to the usual ones.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    start = 100.0 + 10 * np.arange(len(response))
    choice, reward = np.array(response, dtype=float), np.array(rewarded, dtype=bool)
    table = {
        "animal_response": choice,
        "rewarded_historyL": reward & (choice == LEFT),
        "rewarded_historyR": reward & (choice == RIGHT),
        "start_time": start,
        "stop_time": start + 9,
        "goCue_start_time": start + 2,
    }
    with h5py.File(path, "w") as file:
        for name, column in (table | columns).items():
            if name not in without and "trials" not in without:
                file[f"intervals/trials/{name}"] = column
        for side, code in (("left", LEFT), ("right", RIGHT)):
            licks = (start + 2.2)[choice == code]
            if f"{side}_lick_time" not in without:
                file[f"acquisition/{side}_lick_time/timestamps"] = (
                    licks if len(licks) else np.array([np.nan])
                )
    return path


def run_qc(
    folder: Path, *arguments: str, script: Path = ROOT / "code" / "run_capsule.py", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the processing on `folder/data`, with results in `folder/results`."""
    for name in ("data", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "results").exists():
        (folder / "results").mkdir()
    env = build_environ(folder) | {
        "CAPSULE_DATA": str(folder / "data"),
        "CAPSULE_RESULTS": str(folder / "results"),
        "CAPSULE_SCRATCH": str(folder / "scratch"),
    }
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        env=env | environ,
        cwd=folder,
        check=False,
    )


def list_lines(done: subprocess.CompletedProcess[str], level: str) -> list[str]:
    """The lines on stderr that have a level."""
    return [line for line in done.stderr.splitlines() if line.split()[1:2] == [level]]
