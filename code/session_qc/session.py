"""Read a dynamic-foraging session from its NWB file (HDF5).

Layout, as the foraging rigs write it: `intervals/trials` with one row a trial, and
`acquisition/<event>/timestamps` in seconds of the rig's clock. An event that never happened is
stored as one NaN.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT, NO_RESPONSE = 0, 1, 2
TRIALS = "intervals/trials"
_TRIAL_COLUMNS = (
    "animal_response", "rewarded_historyL", "rewarded_historyR", "start_time", "stop_time",
    "goCue_start_time",
)  # fmt: skip
_LICKS = {"left": "acquisition/left_lick_time", "right": "acquisition/right_lick_time"}


class SessionError(Exception):
    """The file is no session that can be read; the message says which file and what is wrong."""


@dataclass(frozen=True)
class Session:
    """One session; all arrays but the licks have one entry a trial.

    Attributes:
        name: The file's name without its ending.
        response: 0 left, 1 right, 2 none (`animal_response`).
        is_rewarded: Whether the choice earned a reward, on either side (`rewarded_historyL`/`R`).
        start_s: Start of the trial, seconds of the rig's clock (`start_time`).
        stop_s: End of the trial (`stop_time`).
        go_cue_s: The go cue (`goCue_start_time`).
        probability_left: Reward probability of the left port, or NaN (`reward_probabilityL`).
        probability_right: The same of the right port.
        licks_s: Lick times by side, seconds of the rig's clock.
    """

    name: str
    response: NDArray[np.int64]
    is_rewarded: NDArray[np.bool_]
    start_s: NDArray[np.float64]
    stop_s: NDArray[np.float64]
    go_cue_s: NDArray[np.float64]
    probability_left: NDArray[np.float64]
    probability_right: NDArray[np.float64]
    licks_s: dict[str, NDArray[np.float64]]


def find_sessions(data: Path) -> list[Path]:
    """The NWB files below the data folder; linked folders are followed, loops are not."""
    return sorted(_walk(data))


def _walk(data: Path) -> Iterator[Path]:
    seen = set()
    for folder, names, files in os.walk(data, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in files if name.endswith(".nwb"))


def read_session(path: Path) -> Session:
    """Read one session.

    Raises:
        SessionError: The file cannot be read, or a table is missing.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except OSError as error:
        raise SessionError(f"{path} cannot be read as HDF5: {error}") from error


def _read(file: h5py.File, path: Path) -> Session:
    needed = [*(f"{TRIALS}/{name}" for name in _TRIAL_COLUMNS), *_LICKS.values()]
    missing = [name for name in needed if name not in file]
    if missing:
        raise SessionError(f"{path} lacks {', '.join(missing)}; is it a dynamic-foraging session?")
    trials = file[TRIALS]
    columns = {name: trials[name][()] for name in _TRIAL_COLUMNS}
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise SessionError(f"{path}: the trials' columns differ in length: {counts}")
    count = counts["start_time"]
    rewarded = columns["rewarded_historyL"].astype(bool) | columns["rewarded_historyR"].astype(bool)
    return Session(
        name=path.stem,
        response=columns["animal_response"].astype(np.int64),
        is_rewarded=rewarded,
        start_s=columns["start_time"].astype(float),
        stop_s=columns["stop_time"].astype(float),
        go_cue_s=columns["goCue_start_time"].astype(float),
        probability_left=_read_optional(trials, "reward_probabilityL", count),
        probability_right=_read_optional(trials, "reward_probabilityR", count),
        licks_s={side: _read_events(file[name]) for side, name in _LICKS.items()},
    )


def _read_optional(trials: h5py.Group, name: str, count: int) -> NDArray[np.float64]:
    if name in trials and len(trials[name]) == count:
        return np.asarray(trials[name][()], dtype=float)
    return np.full(count, np.nan)


def _read_events(series: h5py.Group) -> NDArray[np.float64]:
    times = np.asarray(series["timestamps"][()], dtype=float)
    return times[np.isfinite(times)]
