"""How a block of `capsule_run` was left, and what becomes of the run by it."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TypeGuard, cast

from aind_capsule.records.simplify import str_safely
from aind_capsule.running.outcome import UNKNOWN_STATUS, Outcome, describe_exit_status

_SUCCESS = Outcome("success", "INFO", 0, 0)
#: Of a run that is open when its program has ended in a way that cannot be seen.
UNKNOWN = Outcome(
    "fail",
    "ERROR",
    UNKNOWN_STATUS,
    error_type="ExitStatus",
    error_message="It ended by a SystemExit whose exit status cannot be seen from inside",
)
_STOP_STATUS = 128 + signal.SIGTERM
#: How generators are closed and iterations end, whatever the reason is.
_MEANS = (GeneratorExit, StopIteration, StopAsyncIteration)


class UnseenError(Exception):
    """An exception that is leaving a function, and that Python does not show."""


def judge_block(error: BaseException | None, *, is_stop_requested: bool = False) -> Outcome:
    """Return how the processing of a block ended.

    Args:
        error: The exception that left the block.
        is_stop_requested: Whether a SIGTERM came.
    """
    if isinstance(error, KeyboardInterrupt):
        return _make_stopped(signal.SIGINT)
    if is_stop_requested and _follows_stop(error):
        return _make_stopped(signal.SIGTERM)
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        code &= 0xFF
        if code == 0:
            return _SUCCESS
        said = error.code if isinstance(error.code, str) else describe_exit_status(code)
        return Outcome("fail", "ERROR", code, code, None, "ExitStatus", said)
    if error is None or isinstance(error, GeneratorExit):
        return _SUCCESS
    kind = type(error).__name__
    return Outcome("fail", "ERROR", 1, 1, None, kind, str_safely(error) or kind)


def combine(outcomes: Sequence[Outcome]) -> Outcome:
    """Return how a run of several blocks ended: by its first failure, with the others counted.

    A cancellation follows from something else, and is told where there is nothing else.

    Args:
        outcomes: Of the blocks, in the order in which they were left.
    """
    failures = [outcome for outcome in outcomes if outcome.status != "success"]
    if not failures:
        return _SUCCESS
    causes = [failure for failure in failures if failure.error_type != "CancelledError"]
    return replace((causes or failures)[0], other_failures=len(failures) - 1)


def find_cause(
    error: BaseException | None, frame: FrameType | None, handled: BaseException | None
) -> BaseException | None:
    """Return why a block was left: where a generator was closed or a task cancelled, by what.

    Args:
        error: The exception that left the block.
        frame: The function that the block is in.
        handled: The exception that was being handled when the block was entered.
    """
    if not isinstance(error, GeneratorExit) and not _is_cancellation(error):
        return error
    caller = None if frame is None else frame.f_back
    ending = _find_ending_of_asyncio(caller)
    if ending is not None:
        return ending
    context = error.__context__  # by close() in a `finally`, or by asyncio at its end
    while isinstance(context, _MEANS) or _is_cancellation(context):
        context = context.__context__
    if context is not None and context is not handled:
        return context
    if not isinstance(error, GeneratorExit):
        return error
    while caller is not None:
        leaving = _find_leaving(caller)
        if not isinstance(leaving, GeneratorExit):
            return leaving or error
        caller = caller.f_back
    return error


def _find_leaving(frame: FrameType) -> BaseException | None:
    """Return the exception that is leaving a function, while its variables are let go of.

    `for x in generator(): raise …` closes the generator on the way out, where Python shows the
    exception to nobody; but its traceback is there already, and is young.
    """
    young = (*gc.get_objects(0), *gc.get_objects(1))
    for trace in young:
        if type(trace) is not TracebackType or trace.tb_frame is not frame:
            continue
        if trace.tb_lasti != frame.f_lasti:  # of one that was handled further up
            continue
        for owner in gc.get_referrers(trace):
            if issubclass(type(owner), BaseException) and owner.__traceback__ is trace:
                return cast("BaseException", owner)
        # Before Python 3.12 it gets its traceback when it is caught.
        raised = [error for error in young if issubclass(type(error), BaseException)]
        leaving = [error for error in raised if error.__traceback__ is None]
        return leaving[0] if len(leaving) == 1 else UnseenError()
    return None


def _follows_stop(error: BaseException | None) -> bool:
    if isinstance(error, SystemExit):
        return error.code == _STOP_STATUS
    return _is_cancellation(error)


def _is_cancellation(error: BaseException | None) -> TypeGuard[BaseException]:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _find_ending_of_asyncio(frame: FrameType | None) -> BaseException | None:
    """Return the exception for which the `asyncio.run` that is running here ends its tasks."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "asyncio.runners":
            values = frame.f_locals
            # Ctrl-C cancels the main task; KeyboardInterrupt is raised when that has ended.
            if getattr(values.get("self"), "_interrupt_count", 0):
                return KeyboardInterrupt()
            if frame.f_code.co_name == "__exit__":
                error = values.get("exc_val")
                return error if isinstance(error, BaseException) else None
        frame = frame.f_back
    return None


def _make_stopped(number: signal.Signals) -> Outcome:
    code, name = 128 + number, number.name
    return Outcome("stopped", "WARNING", code, code, name, "Signal", f"Stopped by {name}")


STOPPED = _make_stopped(signal.SIGTERM)
