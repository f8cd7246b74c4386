"""Generate a sample session, the same one every time, in the layout of the real ones.

`python -m session_qc.sample DIR` writes a raw data asset below DIR: the tables of the NWB file that
the QC reads, and minimal metadata of version 1 beside it. Called by `make demo` and by tests. The
file has no NWB specification inside, so that it is small; pynwb is not meant to open it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from session_qc.session import LEFT, LICKS, NO_RESPONSE, RIGHT, TRIALS

SUBJECT = "000000"
SESSION = f"{SUBJECT}_2024-01-02_03-04-05"
ASSET = f"behavior_{SESSION}"
_START = "2024-01-02T03:04:05-08:00"
_SEED = 20240102
#: The rig's clock at the first trial, seconds.
_CLOCK_START_S = 2_000_000.0
#: Reward probabilities (left, right) that blocks of trials have.
_BLOCKS = ((0.7, 0.1), (0.1, 0.7), (0.6, 0.2), (0.4, 0.4), (0.2, 0.6), (0.7, 0.1), (0.1, 0.7))
_COLUMNS = (
    "start_time", "stop_time", "animal_response", "rewarded_historyL", "rewarded_historyR",
    "goCue_start_time", "reward_outcome_time", "reward_probabilityL", "reward_probabilityR",
)  # fmt: skip


@dataclass(slots=True)
class _Recording:
    """What the rig wrote down, by table."""

    trials: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _COLUMNS})
    licks_s: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def add_trial(self, **values: float) -> None:
        for name, value in values.items():
            self.trials[name].append(value)


def write_sample(data: Path, trials: int = 300) -> Path:
    """Write the sample asset below a folder.

    Args:
        data: The data folder; made where it is missing.
        trials: Number of trials.

    Returns:
        The asset's folder.
    """
    asset = data / ASSET
    (asset / "nwb").mkdir(parents=True, exist_ok=True)
    _write_nwb(asset / "nwb" / f"{SESSION}.nwb", _simulate(trials))
    for name, content in _build_metadata().items():
        (asset / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return asset


def _simulate(trials: int) -> _Recording:
    # The standard library's generator: its stream is the same in every version of Python.
    rng = random.Random(_SEED)
    recording = _Recording()
    value = [0.4, 0.4]  # what the animal expects of each port
    clock_s, block, block_left = _CLOCK_START_S, -1, 0
    for trial in range(trials):
        if block_left == 0:
            block, block_left = block + 1, rng.randint(35, 60)
        block_left -= 1
        probability = _BLOCKS[block % len(_BLOCKS)]
        start_s = clock_s
        go_cue_s = start_s + 1 + min(7.0, rng.expovariate(0.5)) + 2
        outcome_s, is_rewarded, response = go_cue_s + 1, False, NO_RESPONSE
        # The animal responds less often towards the end of the session.
        if rng.random() > 0.01 + 0.25 * (trial / trials) ** 4:
            p_right = 1 / (1 + math.exp(-4 * (value[RIGHT] - value[LEFT])))
            response = RIGHT if rng.random() < p_right else LEFT
            is_rewarded = rng.random() < probability[response]
            value[response] += 0.25 * (is_rewarded - value[response])
            outcome_s = go_cue_s + 0.06 + rng.expovariate(8)
            licks = rng.randint(8, 16) if is_rewarded else rng.randint(1, 4)
            lick_s = outcome_s
            for _ in range(licks):
                recording.licks_s[response].append(lick_s)
                lick_s += rng.uniform(0.11, 0.18)
        clock_s = max(outcome_s, go_cue_s) + 3
        recording.add_trial(
            start_time=start_s,
            stop_time=clock_s,
            animal_response=response,
            rewarded_historyL=is_rewarded and response == LEFT,
            rewarded_historyR=is_rewarded and response == RIGHT,
            goCue_start_time=go_cue_s,
            reward_outcome_time=outcome_s,
            reward_probabilityL=probability[LEFT],
            reward_probabilityR=probability[RIGHT],
        )
        clock_s += 0.2
    return recording


def _write_nwb(path: Path, recording: _Recording) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"nwb_version": "2.7.0", "neurodata_type": "NWBFile"})
        file["identifier"] = ASSET
        file["session_description"] = "A simulated session, for demonstration"
        file["session_start_time"] = _START
        file["general/subject/subject_id"] = SUBJECT
        table = file.create_group(TRIALS)
        table.attrs.update({"neurodata_type": "TimeIntervals", "colnames": [*recording.trials]})
        count = len(recording.trials["start_time"])
        table["id"] = np.arange(count, dtype=np.int32)
        for name, column in recording.trials.items():
            is_flag = name.startswith("rewarded_")
            # Microseconds, so that the last bit of a logarithm on another machine is no matter.
            table[name] = np.array(column, bool) if is_flag else np.round(column, 6).astype(float)
        for side, licks_s in zip(("left", "right"), recording.licks_s, strict=True):
            series = file.create_group(LICKS[side])
            series.attrs.update({"neurodata_type": "TimeSeries"})
            series["timestamps"] = np.round(licks_s, 6) if licks_s else np.array([np.nan])
            series["timestamps"].attrs["unit"] = "seconds"
            series["data"] = np.ones(len(licks_s) or 1)


def _build_metadata() -> dict[str, dict[str, object]]:
    return {
        "data_description.json": {
            "schema_version": "1.0.3",
            "name": ASSET,
            "subject_id": SUBJECT,
            "creation_time": _START,
            "data_level": "raw",
            "institution": {
                "name": "Allen Institute for Neural Dynamics",
                "abbreviation": "AIND",
            },
            "platform": {"name": "Behavior platform", "abbreviation": "behavior"},
            "modality": [{"name": "Behavior", "abbreviation": "behavior"}],
            "investigators": [{"name": "Sample"}],
            "funding_source": [{"funder": {"name": "Allen Institute", "abbreviation": "AI"}}],
            "related_data": [],
        },
        "subject.json": {
            "schema_version": "1.0.2",
            "subject_id": SUBJECT,
            "sex": "Female",
            "date_of_birth": "2023-10-01",
            "genotype": "wt/wt",
            "species": {"name": "Mus musculus", "registry_identifier": "NCBI:txid10090"},
            "source": {"name": "Allen Institute", "abbreviation": "AI"},
        },
        "session.json": {
            "schema_version": "1.0.3",
            "subject_id": SUBJECT,
            "session_start_time": _START,
            "session_type": "Coupled Without Baiting",
            "rig_id": "sample_1_a",
            "experimenter_full_name": ["Sample"],
            "mouse_platform_name": "mouse_tube_foraging",
            "active_mouse_platform": False,
            "data_streams": [],
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a sample data asset with one session.")
    parser.add_argument("data", type=Path, metavar="DIR", help="the data folder to write it into")
    print(write_sample(parser.parse_args().data))
