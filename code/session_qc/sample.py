"""Generate a sample session: the same one every time, in the layout of the real ones.

`python -m session_qc.sample DIR` writes a data asset with its metadata below DIR.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np

from session_qc.session import LEFT, NO_RESPONSE, RIGHT, TRIALS

ASSET = "behavior_000000_2024-01-02_03-04-05"
_SEED = 20240102


def write_sample(data: Path, trials: int = 300) -> Path:
    """Write the sample asset; returns its folder."""
    asset = data / ASSET
    (asset / "nwb").mkdir(parents=True, exist_ok=True)
    name = ASSET.removeprefix("behavior_")
    _write_nwb(asset / "nwb" / f"{name}.nwb", trials)
    start = "2024-01-02T03:04:05-08:00"
    described = {
        "data_description.json": {
            "schema_version": "1.0.0", "name": ASSET, "subject_id": "000000", "data_level": "raw",
            "modality": [{"name": "Behavior", "abbreviation": "behavior"}], "creation_time": start,
        },
        "subject.json": {"schema_version": "1.0.0", "subject_id": "000000", "sex": "Female"},
        "session.json": {
            "schema_version": "1.0.0", "subject_id": "000000", "session_start_time": start,
            "rig_id": "sample_1_a", "session_type": "Uncoupled Baiting",
        },
    }  # fmt: skip
    for file, content in described.items():
        (asset / file).write_text(json.dumps(content, indent=2) + "\n")
    return asset


def _write_nwb(path: Path, trials: int) -> None:
    random = np.random.default_rng(_SEED)
    block = np.arange(trials) // 45 % 2
    probability_right = np.where(block == 0, 0.08, 0.7)
    probability_left = np.where(block == 0, 0.7, 0.08)
    # The animal follows the block with a lag, and tires towards the end.
    tendency = np.zeros(trials)
    for trial in range(1, trials):
        tendency[trial] = 0.88 * tendency[trial - 1] + 0.12 * probability_right[trial - 1] / 0.78
    chooses_right = random.random(trials) < 0.08 + 0.84 * tendency
    is_missed = random.random(trials) < np.linspace(0.02, 0.3, trials) ** 1.5
    response = np.where(is_missed, NO_RESPONSE, np.where(chooses_right, RIGHT, LEFT))
    probability = np.where(response == RIGHT, probability_right, probability_left)
    rewarded = ~is_missed & (random.random(trials) < probability)
    start_s = 1000 + np.cumsum(random.uniform(6, 12, trials))
    go_cue_s = start_s + 2
    stop_s = start_s + 5.5
    first_lick_s = go_cue_s + random.gamma(4, 0.05, trials)
    bouts_s = first_lick_s[:, None] + np.arange(6) * 0.15
    with h5py.File(path, "w") as file:
        table = file.create_group(TRIALS)
        columns = {
            "id": np.arange(trials),
            "animal_response": response.astype(float),
            "rewarded_historyL": rewarded & (response == LEFT),
            "rewarded_historyR": rewarded & (response == RIGHT),
            "reward_probabilityL": probability_left,
            "reward_probabilityR": probability_right,
            "start_time": start_s,
            "goCue_start_time": go_cue_s,
            "stop_time": stop_s,
        }
        for name, column in columns.items():
            table.create_dataset(name, data=column)
        for side, code in (("left", LEFT), ("right", RIGHT)):
            licks_s = bouts_s[response == code].ravel()
            series = file.create_group(f"acquisition/{side}_lick_time")
            series.create_dataset("timestamps", data=licks_s if len(licks_s) else [np.nan])
            series.create_dataset("data", data=np.ones(max(1, len(licks_s))))
        file["session_start_time"] = "2024-01-02T03:04:05-08:00"


if __name__ == "__main__":
    print(write_sample(Path(sys.argv[1])))
