"""Measure a session. Every rate that needs more trials than there are is None, and says why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from session_qc.session import LEFT, NO_RESPONSE, RIGHT, Session


@dataclass(frozen=True)
class SessionMetrics:
    """The QC of one session.

    Attributes:
        trials: Number of trials.
        responses: Trials with a choice.
        response_rate: responses ÷ trials.
        choice_bias: (right − left) ÷ (right + left) choices; −1 all left, 0 none, 1 all right.
        rewards: Trials whose choice was rewarded.
        reward_rate: rewards ÷ responses.
        licks_left: Licks at the left port.
        licks_right: Licks at the right port.
        session_length_s: From the first trial's start to the last one's stop.
        reaction_time_s: Median from the go cue to the first lick of trials with a choice.
        reasons: Why a value is None, by its name.
    """

    session: str
    trials: int
    responses: int
    response_rate: float | None
    choice_bias: float | None
    rewards: int
    reward_rate: float | None
    licks_left: int
    licks_right: int
    session_length_s: float | None
    reaction_time_s: float | None
    reasons: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """The metrics as JSON has them."""
        return asdict(self)


def measure(session: Session) -> SessionMetrics:
    """Measure a session."""
    trials = len(session.response)
    left = int(np.sum(session.response == LEFT))
    right = int(np.sum(session.response == RIGHT))
    responses = left + right
    rewards = int(np.sum(session.is_rewarded))
    reasons: dict[str, str] = {}

    def divide(name: str, number: float, by: int, of: str) -> float | None:
        if by == 0:
            reasons[name] = f"there are no {of}"
            return None
        return round(number / by, 6)

    length_s = None
    if trials:
        length_s = round(float(np.nanmax(session.stop_s) - np.nanmin(session.start_s)), 3)
    else:
        reasons["session_length_s"] = "there are no trials"
    return SessionMetrics(
        session=session.name,
        trials=trials,
        responses=responses,
        response_rate=divide("response_rate", responses, trials, "trials"),
        choice_bias=divide("choice_bias", right - left, responses, "choices"),
        rewards=rewards,
        reward_rate=divide("reward_rate", rewards, responses, "choices"),
        licks_left=len(session.licks_s["left"]),
        licks_right=len(session.licks_s["right"]),
        session_length_s=length_s,
        reaction_time_s=_measure_reaction_time(session, reasons),
        reasons=reasons,
    )


def _measure_reaction_time(session: Session, reasons: dict[str, str]) -> float | None:
    licks_s = np.sort(np.concatenate(list(session.licks_s.values())))
    chosen = session.response != NO_RESPONSE
    cues_s, stops_s = session.go_cue_s[chosen], session.stop_s[chosen]
    first = np.searchsorted(licks_s, cues_s)
    has_lick = first < len(licks_s)
    times_s = licks_s[first[has_lick]] - cues_s[has_lick]
    times_s = times_s[times_s <= (stops_s - cues_s)[has_lick]]
    if not len(times_s):
        reasons["reaction_time_s"] = "no lick follows a go cue"
        return None
    return round(float(np.median(times_s)), 6)
