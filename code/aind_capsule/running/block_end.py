"""How a block of `capsule_run` was left, and what becomes of the run by it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from aind_capsule.records.simplify import str_safely
from aind_capsule.running.outcome import UNKNOWN_STATUS, Outcome, describe_exit_status
from aind_capsule.running.program_exit import UnseenExit

_SUCCESS = Outcome("success", "INFO", 0, 0)
UNKNOWN = Outcome(
    "fail",
    "ERROR",
    UNKNOWN_STATUS,
    error_type="ExitStatus",
    error_message="Ended by a SystemExit whose exit status cannot be seen from inside",
)
_STOP_STATUS = 128 + signal.SIGTERM
_CANCELLED = "CancelledError"


def judge_block(error: BaseException | None, *, is_stop_requested: bool = False) -> Outcome:
    """Return how the processing of a block ended.

    Args:
        error: The exception that left the block, or ended the program inside of it.
        is_stop_requested: Whether a SIGTERM came.
    """
    if isinstance(error, KeyboardInterrupt):
        return _make_stopped(signal.SIGINT)
    if is_stop_requested and _follows_stop(error):
        return STOPPED
    if isinstance(error, UnseenExit):
        return UNKNOWN
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        code &= 0xFF
        if code == 0:
            return _SUCCESS
        said = (
            error.code
            if isinstance(error.code, str)
            else f"Ended with {describe_exit_status(code)}"
        )
        return Outcome("fail", "ERROR", code, code, None, "ExitStatus", said)
    if error is None or isinstance(error, GeneratorExit):
        return _SUCCESS
    kind = _CANCELLED if _is_cancellation(error) else type(error).__name__
    return Outcome("fail", "ERROR", 1, 1, None, kind, str_safely(error) or kind)


def combine(outcomes: Sequence[Outcome]) -> Outcome:
    """Return how a run of several blocks ended: by its first failure, with the others counted.

    A cancellation follows from something else. It is named only where there is nothing else.

    Args:
        outcomes: Of the blocks, in the order in which they were left.
    """
    failures = [outcome for outcome in outcomes if outcome.status != "success"]
    causes = list(filter(_is_cause, failures))
    if not failures:
        return _SUCCESS
    first = (causes or failures)[0]
    if first.status == "stopped":  # which stops and cancels the others too
        failures = [first, *(cause for cause in causes if cause.status != "stopped")]
    return replace(first, other_failures=len(failures) - 1)


def has_cause(outcomes: Sequence[Outcome]) -> bool:
    """Return whether a block has failed by itself, and not by a cancellation."""
    return any(map(_is_cause, outcomes))


def is_closing(error: BaseException | None) -> bool:
    """Return whether a generator is closed or a task cancelled, which says nothing of why."""
    return isinstance(error, GeneratorExit) or _is_cancellation(error)


def _is_cause(outcome: Outcome) -> bool:
    return outcome.error_type not in (None, _CANCELLED)


def _follows_stop(error: BaseException | None) -> bool:
    if isinstance(error, SystemExit):
        return isinstance(error, UnseenExit) or error.code == _STOP_STATUS
    return _is_cancellation(error)


def _is_cancellation(error: BaseException | None) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _make_stopped(number: signal.Signals) -> Outcome:
    code, name = 128 + number, number.name
    return Outcome("stopped", "WARNING", code, code, name, "Signal", f"Stopped by {name}")


STOPPED = _make_stopped(signal.SIGTERM)
