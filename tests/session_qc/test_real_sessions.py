"""Two real sessions: numbers derived anew, by other ways than the processing's."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT, build_environ, check_log_is_sound, parse_strictly
from tests.session_qc.nwb_files import ASSETS, h5py

from session_qc.metrics import measure_session  # isort: skip
from session_qc.session import read_session  # isort: skip

ONE_TRIAL = "behavior_705599_2024-05-31_14-06-54"
MANY_TRIALS = "behavior_727456_2024-06-12_11-10-53"
EXPECTED = {
    ONE_TRIAL: {
        "trials": 1, "choices_left": 0, "choices_right": 0, "responses": 0, "response_rate": 0.0,
        "choice_bias": None, "rewards": 0, "reward_rate": None, "licks_left": 0, "licks_right": 0,
        "session_length_s": 10.732992, "reaction_time_s": None,
    },
    MANY_TRIALS: {
        "trials": 225, "choices_left": 73, "choices_right": 145, "responses": 218,
        "response_rate": 0.968889, "choice_bias": 0.330275, "rewards": 76, "reward_rate": 0.348624,
        "licks_left": 2092, "licks_right": 2286, "session_length_s": 2947.064,
        "reaction_time_s": 0.162608,
    },
}  # fmt: skip


def find_file(asset: str) -> Path:
    """The session's file, or skip."""
    paths = list((ASSETS / asset / "nwb").glob("*.nwb"))
    if not paths:
        pytest.skip("the real sessions are not here")
    return paths[0]


@pytest.mark.parametrize("asset", EXPECTED)
def test_the_numbers(asset: str) -> None:
    """What the processing tells is what was counted in the files."""
    told = measure_session(read_session(find_file(asset), "s")).describe()
    assert {name: told[name] for name in EXPECTED[asset]} == EXPECTED[asset]


def test_choices_follow_from_the_licks() -> None:
    """The first lick within the response window, by itself, gives every choice of the table."""
    with h5py.File(find_file(MANY_TRIALS)) as file:
        trials = {name: column[()].tolist() for name, column in file["intervals/trials"].items()}
        licks = sorted(
            (time_s, side)
            for side, name in enumerate(("left_lick_time", "right_lick_time"))
            for time_s in file[f"acquisition/{name}/timestamps"][()].tolist()
        )
    choices, reactions_s = Counter(), []
    for cue_s, window_s in zip(
        trials["goCue_start_time"], trials["response_duration"], strict=True
    ):
        first_s, side = next((lick for lick in licks if lick[0] >= cue_s), (math.inf, 2))
        side = side if first_s <= cue_s + window_s else 2
        choices[side] += 1
        if side != 2:
            reactions_s.append(first_s - cue_s)
    expected = EXPECTED[MANY_TRIALS]
    assert (choices[0], choices[1]) == (expected["choices_left"], expected["choices_right"])
    assert sum(choices.values()) == expected["trials"]
    assert round(statistics.median(reactions_s), 6) == expected["reaction_time_s"]
    assert Counter(side for _, side in licks) == {0: 2092, 1: 2286}


def test_rewards_and_length_agree_with_what_the_rig_wrote_elsewhere() -> None:
    """Water, valve openings and run time, which the processing does not read, say the same."""
    with h5py.File(find_file(MANY_TRIALS)) as file:
        water_ml = file["scratch/metadata/water_in_session_foraging"][0]
        reward_ul = set(file["intervals/trials/reward_size_left"][()].tolist())
        openings = sum(
            len(file[f"acquisition/{side}_reward_delivery_time/timestamps"])
            for side in ("left", "right")
        )
        minutes = file["scratch/metadata/session_run_time_in_min"][0]
    expected = EXPECTED[MANY_TRIALS]
    assert reward_ul == {2.0}
    assert round(water_ml * 1000 / 2) == openings == expected["rewards"]
    assert int(expected["session_length_s"] / 60) == minutes


@pytest.mark.parametrize("asset", EXPECTED)
def test_through_the_run_script(tmp_path: Path, asset: str) -> None:
    """By `code/run`, as the platform runs it: right numbers, a sound log, one canonical record."""
    find_file(asset)
    bin_folder = tmp_path / "bin"
    for folder in (bin_folder, tmp_path / "results", tmp_path / "scratch"):
        folder.mkdir()
    for name, command in (
        ("capsule", f'exec "{sys.executable}" -m aind_capsule "$@"'),
        ("python", f'exec "{sys.executable}" "$@"'),
    ):
        (bin_folder / name).write_text(f"#!/bin/sh\n{command}\n")
        (bin_folder / name).chmod(0o755)
    env = build_environ(tmp_path) | {
        "PATH": f"{bin_folder}:/usr/bin:/bin",
        "CAPSULE_DATA": str(ASSETS / asset),
        "CAPSULE_RESULTS": str(tmp_path / "results"),
        "CAPSULE_SCRATCH": str(tmp_path / "scratch"),
    }
    done = subprocess.run(["./run"], cwd=ROOT / "code", env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "results" / "qc.json").read_text())
    assert told["session"] == asset.removeprefix("behavior_")
    assert {name: told[name] for name in EXPECTED[asset]} == EXPECTED[asset]
    (log,) = (tmp_path / "results").glob("session-qc-*.log.jsonl")
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    check_log_is_sound(records)
    assert records[-1]["status"] == "success"
