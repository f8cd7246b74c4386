"""Read a dynamic-foraging session from its NWB file (HDF5), without pynwb.

Called by `run_capsule.py`. Never computes: what the numbers mean is in `metrics`.

Layout of the files that the foraging rigs make; times are seconds of the rig's clock (Harp):

- `intervals/trials/<column>`: one value a trial.
- `acquisition/<side>_lick_time/timestamps`: one value a lick. A side without a lick holds one NaN,
  since an empty series cannot be stored. (The description of `right_lick_time` says "left licks";
  the data are those of the right port: the first lick after the go cue is on the chosen side.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT, NO_RESPONSE = 0, 1, 2
TRIALS = "intervals/trials"
LICKS = {"left": "acquisition/left_lick_time", "right": "acquisition/right_lick_time"}
_NEEDED = ("animal_response", "rewarded_historyL", "rewarded_historyR", "start_time", "stop_time")
_OPTIONAL = ("goCue_start_time", "reward_probabilityL", "reward_probabilityR")


class SessionError(Exception):
    """A file is no session that can be read; the message says which, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session; all arrays but the licks have one entry a trial.

    Attributes:
        name: What the session is called in titles and logs.
        response: 0 left, 1 right, 2 none (`animal_response`).
        is_rewarded: Whether the choice earned water (`rewarded_historyL` or `rewarded_historyR`;
            water that the rig gave unasked, `auto_waterL`/`R`, is not in these).
        start_s: Start of the trial (`start_time`).
        stop_s: End of the trial (`stop_time`).
        go_cue_s: The go cue (`goCue_start_time`); NaN in files without that column.
        probability_left: Reward probability of the left port, 0 to 1 (`reward_probabilityL`); NaN
            in files without that column.
        probability_right: The same of the right port (`reward_probabilityR`).
        licks_left_s: Sorted lick times at the left port (`left_lick_time`).
        licks_right_s: The same at the right port (`right_lick_time`).
    """

    name: str
    response: NDArray[np.int64]
    is_rewarded: NDArray[np.bool_]
    start_s: NDArray[np.float64]
    stop_s: NDArray[np.float64]
    go_cue_s: NDArray[np.float64]
    probability_left: NDArray[np.float64]
    probability_right: NDArray[np.float64]
    licks_left_s: NDArray[np.float64]
    licks_right_s: NDArray[np.float64]


def read_session(path: Path, name: str) -> Session:
    """Read one session.

    Args:
        path: The NWB file.
        name: What to call the session.

    Raises:
        SessionError: The file cannot be read, a table is missing, or its values make no sense.
    """
    if path.is_dir():
        raise SessionError(f"{path} is NWB stored as Zarr; attach the session's HDF5 file instead")
    try:
        # Only read, and network mounts often refuse locks.
        with h5py.File(path, "r", locking=False) as file:
            return _build_session(file, path, name)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        # All of these are what h5py raises where the bytes of a file are damaged.
        told = " ".join(str(error).split())
        raise SessionError(
            f"{path} cannot be read as HDF5 ({type(error).__name__}: {told}); it is truncated, "
            "damaged or no NWB file: compare it with its source and attach it again"
        ) from error


def _build_session(file: h5py.File, path: Path, name: str) -> Session:
    _check_tables(file, path)
    columns = {column: _read_column(file, path, f"{TRIALS}/{column}") for column in _NEEDED}
    count = len(columns["animal_response"])
    for column in _OPTIONAL:
        name_in_file = f"{TRIALS}/{column}"
        columns[column] = (
            _read_column(file, path, name_in_file)
            if _has(file, name_in_file)
            else np.full(count, np.nan)
        )
    lengths = {column: len(values) for column, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise SessionError(f"{path}: columns of {TRIALS} differ in length: {lengths}")
    response = columns["animal_response"]
    is_unknown = ~np.isin(response, (LEFT, RIGHT, NO_RESPONSE))
    if is_unknown.any():
        raise SessionError(
            f"{path}: {TRIALS}/animal_response is {response[is_unknown][0]:g} in trial "
            f"{int(np.argmax(is_unknown))} (from 0); it must be 0 (left), 1 (right) or 2 (none)"
        )
    licks_s = {side: _read_events(file, path, series) for side, series in LICKS.items()}
    return Session(
        name=name,
        response=response.astype(np.int64),
        # `> 0`, because a NaN would count as true.
        is_rewarded=(columns["rewarded_historyL"] > 0) | (columns["rewarded_historyR"] > 0),
        start_s=columns["start_time"],
        stop_s=columns["stop_time"],
        go_cue_s=columns["goCue_start_time"],
        probability_left=columns["reward_probabilityL"],
        probability_right=columns["reward_probabilityR"],
        licks_left_s=licks_s["left"],
        licks_right_s=licks_s["right"],
    )


def _check_tables(file: h5py.File, path: Path) -> None:
    missing = [series for series in LICKS.values() if not _has(file, f"{series}/timestamps")]
    if _has(file, TRIALS):
        columns = (f"{TRIALS}/{column}" for column in _NEEDED)
        missing += [column for column in columns if not _has(file, column)]
    else:
        missing.append(TRIALS)
    if missing:
        raise SessionError(
            f"{path} lacks {', '.join(sorted(missing))}; attach the NWB file of a "
            "dynamic-foraging session"
        )


def _has(file: h5py.File, name: str) -> bool:
    # Not `in`, which is also true of a link to something that is gone.
    return file.get(name) is not None


def _read_column(file: h5py.File, path: Path, name: str) -> NDArray[np.float64]:
    column = file[name]
    if not isinstance(column, h5py.Dataset):
        raise SessionError(f"{path}: {name} is a group; it must be a column of numbers")
    if column.shape is None:  # HDF5's "null" data space: some writers' empty column
        return np.zeros(0)
    if len(column.shape) != 1:
        raise SessionError(f"{path}: {name} has the shape {column.shape}; it must be a column")
    if column.dtype.kind not in "biuf":
        raise SessionError(f"{path}: {name} holds no numbers ({column.dtype})")
    return np.asarray(column[()], dtype=np.float64)


def _read_events(file: h5py.File, path: Path, series: str) -> NDArray[np.float64]:
    times_s = _read_column(file, path, f"{series}/timestamps")
    return np.sort(times_s[np.isfinite(times_s)])
