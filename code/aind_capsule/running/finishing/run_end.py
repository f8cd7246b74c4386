"""From what was seen of a run's end to its outcome, and to the warnings beside it.

Called by `run`, which imports it when the processing has been started or cannot be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aind_capsule.errors import SettingsError
from aind_capsule.running.helper import NoProcessError
from aind_capsule.running.outcome import (
    Ended,
    Outcome,
    describe_exit_status,
    describe_oom,
    judge,
)
from aind_capsule.running.process.limits import explain
from aind_capsule.running.process.start_failure import find_reason, find_script_fault
from aind_capsule.running.recording.failure_evidence import FailureEvidence
from aind_capsule.running.recording.traceback_info import Traceback


def judge_end(
    ended: Ended,
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    oom_kills: int,
    is_oom_shared: bool,
    evidence: FailureEvidence,
    log: Callable[..., None],
) -> Outcome:
    """Return the outcome of a processing that has ended.

    Args:
        ended: What was seen of its end.
        command: Its program and arguments.
        environ: Its environment.
        oom_kills: Rise of the out-of-memory counter during the run.
        is_oom_shared: Whether that counter belongs to more than this run.
        evidence: What the processing has said.
        log: Writes a record: level, message and fields.
    """
    exception, text = _find_reason(evidence) if ended.wait_status else (None, None)
    outcome = judge(
        ended, oom_kills=oom_kills, is_oom_shared=is_oom_shared, exception=exception, text=text
    )
    if oom_kills and outcome.error_type != "OutOfMemory":
        more: dict[str, Any] = {"oom_kills": oom_kills}
        log("WARNING", describe_oom(oom_kills, is_shared=is_oom_shared), **more)
    fault = find_script_fault(command, environ)
    if fault is not None and outcome.error_type == "ExitStatus":
        exit_text = f"{describe_exit_status(outcome.wrapper_status)}: {fault}"
        message = f"Ended with {exit_text}"
        return dataclasses.replace(outcome, error_message=message, exit_text=exit_text)
    if fault is not None:
        log("WARNING", fault)
    return outcome


def judge_failed_start(
    command: Sequence[str], error: OSError, environ: Mapping[str, str]
) -> Outcome:
    """Return the outcome of a processing that could not be started."""
    if isinstance(error, NoProcessError):
        failed = "The processing cannot be started"
        return refuse(explain(error, failed) or SettingsError(f"{failed}: {error.strerror}"))
    status, kind, message = find_reason(command, error, environ)
    return Outcome("fail", "ERROR", status, status, None, kind, message)


def judge_early_stop(number: int) -> Outcome:
    """Return the outcome of a run that a signal stopped before its processing was started."""
    return judge(Ended(0, stopped_by=number, was_killed=True))


def refuse(reason: SettingsError) -> Outcome:
    """Return the outcome of a run whose processing may not be started."""
    message = f"{reason.message}. {reason.hint}"
    return Outcome("fail", "ERROR", reason.exit_status, None, None, "SettingsError", message)


def _find_reason(evidence: FailureEvidence) -> tuple[Traceback | None, str | None]:
    from aind_capsule.running.recording.failure_reason import find_reason  # after a failure only

    return find_reason(evidence)
