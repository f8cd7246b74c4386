"""Draw a session: what was chosen, what was rewarded, and how both changed."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from session_qc.metrics import SessionMetrics
from session_qc.session import LEFT, NO_RESPONSE, RIGHT, Session

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 (the backend must be chosen before)

#: Trials that a running fraction looks at.
WINDOW_TRIALS = 15
_LEFT_COLOUR, _RIGHT_COLOUR, _GREY = "#2166ac", "#b2182b", "#6b6b6b"


def draw_session(session: Session, metrics: SessionMetrics, path: Path) -> None:
    """Draw choices and rewards over the session as a PNG."""
    figure, (ticks, running) = plt.subplots(
        2, 1, figsize=(10, 5.2), sharex=True, height_ratios=(1, 1.5), layout="constrained"
    )
    trial = np.arange(1, len(session.response) + 1)
    _draw_ticks(ticks, session, trial)
    _draw_running(running, session, trial)
    figure.suptitle(_make_title(metrics), x=0.01, ha="left", fontsize=11)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _make_title(metrics: SessionMetrics) -> str:
    def show(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    minutes = None if metrics.session_length_s is None else metrics.session_length_s / 60
    return (
        f"{metrics.session}\n{metrics.trials} trials in {show(minutes, '.0f')} min · "
        f"response rate {show(metrics.response_rate, '.0%')} · "
        f"choice bias {show(metrics.choice_bias, '+.2f')} · "
        f"reward rate {show(metrics.reward_rate, '.0%')}"
    )


def _draw_ticks(axes: plt.Axes, session: Session, trial: NDArray[np.int64]) -> None:
    for response, colour, side in ((RIGHT, _RIGHT_COLOUR, 1), (LEFT, _LEFT_COLOUR, -1)):
        chosen = session.response == response
        for rewarded, height, alpha in ((True, 1.0, 1.0), (False, 0.45, 0.55)):
            shown = trial[chosen & (session.is_rewarded == rewarded)]
            axes.vlines(shown, 0.1 * side, height * side, color=colour, lw=1.4, alpha=alpha)
    missed = trial[session.response == NO_RESPONSE]
    axes.plot(missed, np.zeros(len(missed)), "|", color=_GREY, ms=5)
    axes.set_yticks([-0.55, 0, 0.55], ["left", "none", "right"])
    axes.set_ylim(-1.15, 1.15)
    axes.set_ylabel("choice\n(tall: rewarded)")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _draw_running(axes: plt.Axes, session: Session, trial: NDArray[np.int64]) -> None:
    if np.isfinite(session.probability_left).any():
        total = session.probability_left + session.probability_right
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = np.where(total > 0, session.probability_right / total, np.nan)
        axes.step(trial, expected, where="mid", color="#c9a227", lw=1.6, label="right share of reward probability")  # fmt: skip
    is_choice = session.response != NO_RESPONSE
    choice = np.where(is_choice, session.response == RIGHT, np.nan)
    axes.plot(trial, _smooth(choice), color="black", lw=1.8, label="right choices")
    axes.plot(trial, _smooth(is_choice.astype(float)), color=_GREY, lw=1, ls="--", label="responses")  # fmt: skip
    axes.axhline(0.5, color="#dddddd", lw=0.8, zorder=0)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlim(0.5, max(len(trial), 1) + 0.5)
    axes.set_ylabel(f"fraction\n(running, {WINDOW_TRIALS} trials)")
    axes.set_xlabel("trial")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, frameon=False, fontsize=9)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred running mean over trials that have a value; NaN where the window holds none."""
    values = values.astype(float)
    known = np.isfinite(values)
    window = np.ones(min(WINDOW_TRIALS, max(len(values), 1)))
    if not len(values):
        return values
    total = np.convolve(np.where(known, values, 0), window, mode="same")
    count = np.convolve(known.astype(float), window, mode="same")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)
