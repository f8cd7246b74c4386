"""Draw a session: what was chosen, what was rewarded, and how both changed.

Called by `run_capsule.py`. Never measures: the title's numbers are those of `metrics`. Without
pyplot, so that no display, window system or state of another figure matters.
"""

from __future__ import annotations

import logging
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from session_qc.metrics import Measured, SessionMetrics, Undefined
from session_qc.session import LEFT, NO_RESPONSE, RIGHT, Session

# It tells at DEBUG of every font on the machine: hundreds of records in the log of one picture.
logging.getLogger("matplotlib").setLevel(logging.INFO)

#: Trials that a running fraction looks at, half of them on either side.
WINDOW_TRIALS = 15
_LEFT_COLOUR, _RIGHT_COLOUR = "#2166ac", "#b2182b"
_GREY, _GOLD = "#6b6b6b", "#c9a227"


def draw_session(session: Session, metrics: SessionMetrics, path: Path) -> None:
    """Draw choices and rewards over the session as a PNG.

    Args:
        session: The session.
        metrics: What was measured of it, for the title.
        path: The file to write.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's matplotlibrc does not change the capsule's results
        figure = Figure(figsize=(10, 5.6), layout="constrained")
        FigureCanvasAgg(figure)
        ticks, running = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.5))
        trial = np.arange(1, len(session.response) + 1)
        _draw_choices(ticks, session, trial)
        _draw_fractions(running, session, trial)
        if len(trial) == 0:
            running.text(
                0.5, 0.56, "no trials", transform=running.transAxes, ha="center", color=_GREY
            )
        _add_minutes(ticks, session, trial)
        figure.suptitle(
            build_title(metrics), x=0.01, ha="left", fontsize=11, linespacing=1.5, parse_math=False
        )
        figure.savefig(path, format="png", dpi=130, metadata={"Software": None})


def build_title(metrics: SessionMetrics) -> str:
    """The session's name and its numbers, `–` where one is undefined."""

    def show(value: Measured, form: str, per: float = 1) -> str:
        return "–" if isinstance(value, Undefined) else format(value / per, form)

    return (
        f"{metrics.session}\n"
        f"{metrics.trials} trial{'s' * (metrics.trials != 1)}"
        f" in {show(metrics.session_length_s, '.1f', per=60)} min"
        f"  ·  response rate {show(metrics.response_rate, '.0%')}"
        f"  ·  choice bias {show(metrics.choice_bias, '+.2f')}"
        f"  ·  reward rate {show(metrics.reward_rate, '.0%')}"
        f"  ·  licks {metrics.licks_left} left, {metrics.licks_right} right"
    )


def compute_running_fraction(
    values: NDArray[np.float64], window_trials: int = WINDOW_TRIALS
) -> NDArray[np.float64]:
    """Mean of the finite values in a window around each trial; NaN where it holds none.

    At the session's ends the window is cut off.

    >>> compute_running_fraction(np.array([1.0, 0.0, np.nan, 0.0, 1.0]), 3).tolist()
    [0.5, 0.5, 0.0, 0.5, 0.5]
    """
    is_known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(is_known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(is_known)])
    trial, half = np.arange(len(values)), window_trials // 2
    first, end = np.maximum(trial - half, 0), np.minimum(trial + half + 1, len(values))
    known = counts[end] - counts[first]
    fraction: NDArray[np.float64] = np.full(len(values), np.nan)
    np.divide(sums[end] - sums[first], known, out=fraction, where=known > 0)
    return fraction


def _draw_choices(axes: Axes, session: Session, trial: NDArray[np.int64]) -> None:
    # Few trials get wide ticks, many get narrow ones that still stand apart.
    width = float(np.clip(420 / max(len(trial), 1), 0.5, 2.5))
    for response, colour, side in ((RIGHT, _RIGHT_COLOUR, 1), (LEFT, _LEFT_COLOUR, -1)):
        is_chosen = session.response == response
        for is_rewarded, height, alpha in ((True, 1.0, 1.0), (False, 0.45, 0.55)):
            shown = trial[is_chosen & (session.is_rewarded == is_rewarded)]
            axes.vlines(shown, 0.12 * side, height * side, color=colour, lw=width, alpha=alpha)
    missed = trial[session.response == NO_RESPONSE]
    axes.vlines(missed, -0.06, 0.06, color=_GREY, lw=width)
    axes.set_yticks([-0.55, 0, 0.55], ["left", "no response", "right"])
    for label, colour in zip(
        axes.get_yticklabels(), (_LEFT_COLOUR, _GREY, _RIGHT_COLOUR), strict=True
    ):
        label.set_color(colour)
    axes.set_ylim(-1.1, 1.1)
    axes.set_ylabel("choice\n(tall: rewarded)")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="both", length=0)


def _draw_fractions(axes: Axes, session: Session, trial: NDArray[np.int64]) -> None:
    # A line through a single trial cannot be seen.
    marker = "o" if len(trial) == 1 else None
    total = session.probability_left + session.probability_right
    share = np.full(len(trial), np.nan)
    np.divide(session.probability_right, total, out=share, where=total > 0)
    is_choice = session.response != NO_RESPONSE
    is_right = np.where(is_choice, session.response == RIGHT, np.nan)
    is_paid = np.where(is_choice, session.is_rewarded, np.nan)
    for values, colour, width, style, label in (
        (is_right, "black", 1.9, "-", "choices to the right"),
        (is_paid, "#1b7837", 1.2, "-", "choices rewarded"),
        (is_choice.astype(np.float64), _GREY, 1.0, "--", "trials with a response"),
    ):
        running = compute_running_fraction(values)
        axes.plot(
            trial, running, color=colour, lw=width, ls=style, marker=marker, label=label,
            zorder=2 + width,
        )  # fmt: skip
    if np.isfinite(share).any():
        label = "reward probability, right ÷ (left + right)"
        axes.step(
            trial, share, where="mid", color=_GOLD, lw=1.6, marker=marker, label=label, zorder=2
        )
    axes.axhline(0.5, color="#dddddd", lw=0.8, zorder=0)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlim(0.5, max(len(trial), 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    axes.set_ylabel(f"fraction\n(running, {WINDOW_TRIALS} trials)")
    axes.set_xlabel("trial (number)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, frameon=False, fontsize=9)


def _add_minutes(axes: Axes, session: Session, trial: NDArray[np.int64]) -> None:
    """A second axis with the time of the trials, where their starts rise as they should."""
    if len(trial) < 2 or not np.all(np.diff(session.start_s) > 0):
        return
    minutes = (session.start_s - session.start_s[0]) / 60
    step = (trial[-1] - trial[0]) / (minutes[-1] - minutes[0])

    # Straight on beyond the first and the last trial: the axis ends half a trial outside of them.
    def to_minutes(values: ArrayLike) -> ArrayLike:
        x = np.asarray(values, dtype=np.float64)
        outside = np.minimum(x - trial[0], 0) + np.maximum(x - trial[-1], 0)
        return np.asarray(np.interp(x, trial, minutes) + outside / step)

    def to_trial(values: ArrayLike) -> ArrayLike:
        x = np.asarray(values, dtype=np.float64)
        outside = np.minimum(x - minutes[0], 0) + np.maximum(x - minutes[-1], 0)
        return np.asarray(np.interp(x, minutes, trial) + outside * step)

    above = axes.secondary_xaxis("top", functions=(to_minutes, to_trial))
    above.set_xlabel("time since the first trial's start (min)", fontsize=9)
    above.tick_params(labelsize=9)
    above.spines["top"].set_color("#bbbbbb")
