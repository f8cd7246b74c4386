"""Each metric against sessions small enough to count by hand."""

from __future__ import annotations

import doctest
import importlib
import json
from pathlib import Path

import pytest

from tests.session_qc.nwb_files import LEFT, NONE, RIGHT, h5py, np, write_session

from session_qc.metrics import Undefined, measure_session  # isort: skip
from session_qc.session import read_session  # isort: skip


def measure(path: Path) -> dict[str, object]:
    """What `qc.json` would hold."""
    return measure_session(read_session(path, "s")).describe()


def test_the_formulas(tmp_path: Path) -> None:
    """Five trials counted by hand: 1 left, 3 right, 1 without response, 3 rewarded."""
    told = measure(
        write_session(
            tmp_path / "s.nwb",
            [LEFT, RIGHT, RIGHT, NONE, RIGHT],
            [True, False, True, False, True],
        )
    )
    assert told == {
        "session": "s",
        "trials": 5,
        "choices_left": 1,
        "choices_right": 3,
        "responses": 4,
        "response_rate": 0.8,  # 4 of 5
        "choice_bias": 0.5,  # (3 - 1) of 4
        "rewards": 3,
        "reward_rate": 0.75,  # 3 of 4 choices
        "licks_left": 1,
        "licks_right": 3,
        "session_length_s": 49.0,  # 100 to 149
        "reaction_time_s": 0.2,
        "reasons": {},
    }


def test_fractions_are_rounded(tmp_path: Path) -> None:
    """Six decimals, so that equal sessions give equal files."""
    told = measure(write_session(tmp_path / "s.nwb", [LEFT, LEFT, NONE], [True, False, False]))
    assert told["response_rate"] == 0.666667


@pytest.mark.parametrize(
    ("response", "values", "undefined"),
    [
        ([], {"trials": 0}, {"response_rate", "choice_bias", "reward_rate", "session_length_s",
                             "reaction_time_s"}),
        ([NONE], {"trials": 1, "response_rate": 0.0, "session_length_s": 9.0},
         {"choice_bias", "reward_rate", "reaction_time_s"}),
        ([RIGHT], {"trials": 1, "response_rate": 1.0, "reward_rate": 0.0, "choices_right": 1},
         {"choice_bias"}),
        ([RIGHT, RIGHT], {"choice_bias": 1.0}, set()),
        ([LEFT, LEFT], {"choice_bias": -1.0}, set()),
        ([LEFT, RIGHT], {"choice_bias": 0.0}, set()),
    ],
)  # fmt: skip
def test_few_trials(
    tmp_path: Path, response: list[int], values: dict[str, float], undefined: set[str]
) -> None:
    """What needs more trials than there are is null and has its reason; the rest has its value."""
    told = measure(write_session(tmp_path / "s.nwb", response, [False] * len(response)))
    assert {name: told[name] for name in values} == values
    assert {name for name, value in told.items() if value is None} == undefined
    assert set(told["reasons"]) == undefined
    assert all(told["reasons"].values())
    json.dumps(told, allow_nan=False)


def test_water_that_was_given_unasked_is_no_reward(tmp_path: Path) -> None:
    """`auto_waterL` and `auto_waterR` do not count as rewards of a choice."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], auto_waterL=[1], auto_waterR=[1])
    assert measure(path)["rewards"] == 0


def test_a_nan_in_the_reward_history_is_no_reward(tmp_path: Path) -> None:
    """NaN, which is true in Python, is not a reward."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], rewarded_historyL=[np.nan])
    assert measure(path)["rewards"] == 0


def test_session_length_of_times_that_are_unknown(tmp_path: Path) -> None:
    """Unknown times are passed over; where all are unknown, so is the length."""
    nan = np.nan
    some = write_session(tmp_path / "a.nwb", [LEFT] * 3, [False] * 3, stop_time=[109, 119, nan])
    none = write_session(tmp_path / "b.nwb", [LEFT] * 2, [False] * 2, stop_time=[nan, nan])
    assert measure(some)["session_length_s"] == 19.0
    assert measure(none)["session_length_s"] is None


def test_reaction_time_takes_the_first_lick_of_the_trial(tmp_path: Path) -> None:
    """Licks before the go cue and after the trial's end are no reaction; the median is taken."""
    path = write_session(tmp_path / "s.nwb", [LEFT] * 4, [False] * 4, without=["left_lick_time"])
    with h5py.File(path, "a") as file:
        # Go cues at 102, 112, 122, 132; the trials end at 109, 119, 129, 139.
        file["acquisition/left_lick_time/timestamps"] = [
            101.9, 102.1, 102.2,  # 0.1
            112.3,  # 0.3
            129.5,  # after the third trial's end
            132.5,  # 0.5
        ]  # fmt: skip
    assert measure(path)["reaction_time_s"] == 0.3


def test_no_reaction_time_without_go_cues(tmp_path: Path) -> None:
    """A file without go cues is measured all the same, without reaction time."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], without=["goCue_start_time"])
    metrics = measure_session(read_session(path, "s"))
    assert metrics.reaction_time_s == Undefined("no lick follows a go cue")


@pytest.mark.parametrize("module", ["inputs", "metrics", "figure"])
def test_the_examples_in_the_docstrings(module: str) -> None:
    """Each formula's example is what the function returns."""
    result = doctest.testmod(importlib.import_module(f"session_qc.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
