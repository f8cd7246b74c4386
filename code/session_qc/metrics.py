"""Measure a session. What cannot be told from its trials is undefined, with the reason.

Called by `run_capsule.py`. Pure: reads no file, writes none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_qc.session import LEFT, NO_RESPONSE, RIGHT, Session

#: One choice is always all left or all right, whatever the animal prefers.
MIN_CHOICES_FOR_BIAS = 2


@dataclass(frozen=True, slots=True)
class Undefined:
    """A value that these trials do not define, and why."""

    reason: str


Measured = float | Undefined


@dataclass(frozen=True, slots=True)
class SessionMetrics:
    """The QC of one session.

    Attributes:
        session: The session's name.
        trials: Number of rows of the trials table.
        choices_left: Trials with `animal_response` 0.
        choices_right: Trials with `animal_response` 1.
        responses: choices_left + choices_right.
        response_rate: See `compute_response_rate`; a fraction, 0 to 1.
        choice_bias: See `compute_choice_bias`; −1 to 1.
        rewards: Trials with `rewarded_historyL` or `rewarded_historyR`.
        reward_rate: See `compute_reward_rate`; a fraction, 0 to 1.
        licks_left: Licks at the left port in the whole file, also between trials.
        licks_right: The same at the right port.
        session_length_s: See `compute_session_length_s`; seconds.
        reaction_time_s: See `compute_reaction_time_s`; seconds.
    """

    session: str
    trials: int
    choices_left: int
    choices_right: int
    responses: int
    response_rate: Measured
    choice_bias: Measured
    rewards: int
    reward_rate: Measured
    licks_left: int
    licks_right: int
    session_length_s: Measured
    reaction_time_s: Measured

    @property
    def reasons(self) -> dict[str, str]:
        """Why a value is undefined, by its name."""
        return {k: v["reason"] for k, v in asdict(self).items() if isinstance(v, dict)}

    def describe(self) -> dict[str, Any]:
        """The metrics as `qc.json` has them: undefined values are null, their reasons at the end.

        Fractions and seconds are rounded to 6 decimals.
        """
        told: dict[str, Any] = {}
        for name, value in asdict(self).items():
            told[name] = round(value, 6) if isinstance(value, float) else value
        reasons = self.reasons
        return told | dict.fromkeys(reasons) | {"reasons": reasons}


def measure_session(session: Session) -> SessionMetrics:
    """Measure a session."""
    trials = len(session.response)
    left = int(np.count_nonzero(session.response == LEFT))
    right = int(np.count_nonzero(session.response == RIGHT))
    rewards = int(np.count_nonzero(session.is_rewarded))
    is_choice = session.response != NO_RESPONSE
    licks_s = np.sort(np.concatenate([session.licks_left_s, session.licks_right_s]))
    return SessionMetrics(
        session=session.name,
        trials=trials,
        choices_left=left,
        choices_right=right,
        responses=left + right,
        response_rate=compute_response_rate(left + right, trials),
        choice_bias=compute_choice_bias(left, right),
        rewards=rewards,
        reward_rate=compute_reward_rate(rewards, left + right),
        licks_left=len(session.licks_left_s),
        licks_right=len(session.licks_right_s),
        session_length_s=compute_session_length_s(session.start_s, session.stop_s),
        reaction_time_s=compute_reaction_time_s(
            session.go_cue_s[is_choice], session.stop_s[is_choice], licks_s
        ),
    )


def compute_response_rate(responses: int, trials: int) -> Measured:
    """Trials with a choice ÷ trials.

    >>> compute_response_rate(3, 4), compute_response_rate(0, 0)
    (0.75, Undefined(reason='there are no trials'))
    """
    return responses / trials if trials else Undefined("there are no trials")


def compute_choice_bias(left: int, right: int) -> Measured:
    """(right − left) ÷ (right + left) choices: −1 all left, 0 even, 1 all right.

    >>> compute_choice_bias(1, 3), compute_choice_bias(1, 0)
    (0.5, Undefined(reason='it needs 2 choices, there are 1'))
    """
    if left + right < MIN_CHOICES_FOR_BIAS:
        return Undefined(f"it needs {MIN_CHOICES_FOR_BIAS} choices, there are {left + right}")
    return (right - left) / (right + left)


def compute_reward_rate(rewards: int, responses: int) -> Measured:
    """Rewarded choices ÷ choices: trials without a response do not count.

    >>> compute_reward_rate(1, 4), compute_reward_rate(0, 0)
    (0.25, Undefined(reason='there are no choices'))
    """
    return rewards / responses if responses else Undefined("there are no choices")


def compute_session_length_s(start_s: NDArray[np.float64], stop_s: NDArray[np.float64]) -> Measured:
    """Last trial's stop − first trial's start, in seconds.

    >>> compute_session_length_s(np.array([100.0, 110.0]), np.array([109.0, 119.5]))
    19.5
    """
    starts_s, stops_s = start_s[np.isfinite(start_s)], stop_s[np.isfinite(stop_s)]
    if not len(start_s):
        return Undefined("there are no trials")
    if not len(starts_s) or not len(stops_s):
        return Undefined("no trial has a start and a stop time")
    return float(stops_s.max() - starts_s.min())


def compute_reaction_time_s(
    go_cue_s: NDArray[np.float64], stop_s: NDArray[np.float64], licks_s: NDArray[np.float64]
) -> Measured:
    """Median over choices of (first lick at either port after the go cue − go cue), in seconds.

    A choice without a lick between its go cue and its trial's end is left out.

    Args:
        go_cue_s: The go cues of trials with a choice.
        stop_s: The ends of these trials.
        licks_s: All licks, sorted.

    >>> compute_reaction_time_s(np.array([2.0, 12.0]), np.array([9.0, 19.0]), np.array([2.25, 3.0]))
    0.25
    """
    if not len(go_cue_s):
        return Undefined("there are no choices")
    first = np.searchsorted(licks_s, go_cue_s)  # a NaN go cue sorts behind every lick
    first_s = np.append(licks_s, np.nan)[first]
    times_s = (first_s - go_cue_s)[first_s <= stop_s]
    return float(np.median(times_s)) if len(times_s) else Undefined("no lick follows a go cue")
