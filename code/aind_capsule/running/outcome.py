"""How a run ended: what was seen of the processing's end becomes status, level and error.

A pure function of what `supervise` saw; the table is in the documentation (exit statuses).
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from aind_capsule.records.failure_text import describe_failure
from aind_capsule.records.simplify import CUT_MARK
from aind_capsule.running.process.signal_names import get_signal_name
from aind_capsule.running.recording.traceback_info import Traceback
from aind_capsule.running.recording.worker_deaths import is_worker_death

EXIT_OUTPUT = 74
EXIT_TIMEOUT = 124
_SIGKILL = 9
#: Signals that a program ends itself by: what it said last is why.
_CRASHES = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"})
_WHO_KILLS = "(out of memory, a time limit of the container or batch system, or kill -9)"
#: An `error_message` is at most so long. Its beginning is whole.
MAX_MESSAGE_CHARACTERS = 2000
#: In place of an exit status that cannot be seen.
UNKNOWN_STATUS = -1
#: A child that ends like this on a terminal was interrupted from its keyboard.
_KEYBOARD = {2: 128 + 2, 3: 128 + 3}


@dataclass(frozen=True, slots=True)
class Ended:
    """What was seen of the processing's end.

    Attributes:
        wait_status: The status that `wait` gave.
        stopped_by: Signal that asked the wrapper to stop, or 0.
        was_killed: Whether we had to kill the processing after its grace.
        timeout_s: The time limit that it exceeded, or None.
        on_terminal: Whether it had the terminal's foreground.
        cpu_s: CPU seconds of all its processes that were waited for.
        max_rss_bytes: Largest resident memory of one of them.
        has_killed_orphan: Whether another process of the run was ended by a SIGKILL of others.
    """

    wait_status: int
    stopped_by: int = 0
    was_killed: bool = False
    timeout_s: float | None = None
    on_terminal: bool = False
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    has_killed_orphan: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run ended, as the canonical record says it.

    Attributes:
        wrapper_status: Exit status of the wrapper.
        exit_code: Exit status of the processing; None where it was never started.
        other_failures: Failures beside the one that is told; only a run without a wrapper has them.
        exit_text: The exit status and the reason behind it, where the processing left with one.
    """

    status: str
    level: str
    wrapper_status: int
    exit_code: int | None = None
    signal: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    other_failures: int = 0
    exit_text: str | None = None

    @property
    def event_type(self) -> str:
        """Place in the run's life cycle."""
        return "stage_complete" if self.status == "success" else "stage_failure"

    @property
    def reason(self) -> str:
        """Why the run failed, as people read it beside the exit status."""
        return describe_failure(self.error_type, self.error_message)


def judge(
    ended: Ended,
    *,
    oom_kills: int = 0,
    is_oom_shared: bool = False,
    exception: Traceback | None = None,
    text: str | None = None,
) -> Outcome:
    """Tell how a run ended.

    Args:
        ended: What was seen.
        oom_kills: How far the counter of out-of-memory kills rose during the run.
        is_oom_shared: Whether that counter belongs to more than this container.
        exception: The last traceback.
        text: What the processing said last, where there is no traceback.
    """
    number = os.WTERMSIG(ended.wait_status) if os.WIFSIGNALED(ended.wait_status) else 0
    own_code = os.WEXITSTATUS(ended.wait_status) if not number else 128 + number
    if ended.stopped_by:
        code = 128 + ended.stopped_by if ended.was_killed else own_code
        return _stopped(ended.stopped_by, code)
    if ended.timeout_s is not None:
        return Outcome(
            "fail", "ERROR", EXIT_TIMEOUT, EXIT_TIMEOUT, None, "Timeout",
            f"Still running after {ended.timeout_s:.15g} s",
        )  # fmt: skip
    for keyboard, code in _KEYBOARD.items():
        if ended.on_terminal and own_code == code:
            return _stopped(keyboard, own_code)
    if own_code == 0:
        return Outcome("success", "INFO", 0, 0)
    name = get_signal_name(number) if number else None
    if oom_kills > 0 and _is_out_of_memory(ended, own_code, exception):
        message = describe_oom(oom_kills, is_shared=is_oom_shared)
        if exception is not None and is_worker_death(exception):
            message += f" ({exception.type}: {exception.message})"
        return Outcome("fail", "ERROR", own_code, own_code, name, "OutOfMemory", message)
    if name:
        message = f"Killed by {name} {_WHO_KILLS}" if number == _SIGKILL else f"Ended by {name}"
        reason = _describe(exception, text)
        if reason and name in _CRASHES:
            message = cut_message(f"{message}: {reason}")
        return Outcome("fail", "ERROR", own_code, own_code, name, "Signal", message)
    return _judge_exit(own_code, exception, text)


def _judge_exit(code: int, exception: Traceback | None, text: str | None) -> Outcome:
    """Tell how a run failed whose processing left with an exit status of its own."""
    status = describe_exit_status(code)
    exit_text = cut_message(": ".join(filter(None, [status, _describe(exception, text)])))
    if exception is not None:
        kind, message = exception.type, cut_message(exception.message or exception.type)
    elif text is None or is_shells_signal(code):
        kind, message = "ExitStatus", f"Ended with {exit_text}"
    else:
        kind, message = "ExitStatus", cut_message(text)
    return Outcome("fail", "ERROR", code, code, None, kind, message, exit_text=exit_text)


def _describe(exception: Traceback | None, text: str | None) -> str | None:
    return text if exception is None else describe_failure(exception.type, exception.message)


def _is_out_of_memory(ended: Ended, own_code: int, exception: Traceback | None) -> bool:
    """Return whether the kernel's kill is the reason of a failure, and not just beside it."""
    if own_code == 128 + _SIGKILL:
        return True
    if os.WIFSIGNALED(ended.wait_status):
        return ended.has_killed_orphan
    return exception is None or is_worker_death(exception)


def describe_oom(kills: int, *, is_shared: bool) -> str:
    """Return a sentence on the kernel's kills for want of memory.

    >>> describe_oom(1, is_shared=False)
    'Memory ran out: the kernel killed 1 process of this container'
    >>> describe_oom(2, is_shared=True).rpartition(", ")[2]
    'by a counter shared with other processes of this machine'
    """
    count = f"{kills} {'process' if kills == 1 else 'processes'}"
    if is_shared:
        count += ", by a counter shared with other processes of this machine"
    else:
        count += " of this container"
    return f"Memory ran out: the kernel killed {count}"


def describe_exit_status(code: int) -> str:
    """Return an exit status in words, with the signal that a shell would mean by it.

    >>> describe_exit_status(3), describe_exit_status(139)
    ('exit status 3', 'exit status 139, as a shell reports SIGSEGV')
    """
    text = f"exit status {code}"
    if is_shells_signal(code):
        text += f", as a shell reports {get_signal_name(code - 128)}"
    return f"{text} {_WHO_KILLS}" if code == 128 + _SIGKILL else text


def is_shells_signal(code: int) -> bool:
    """Return whether a shell may report a signal by an exit status.

    A program may choose such a number itself (papermill leaves with 138), so no signal is claimed.
    """
    return code - 128 in set(signal.Signals)


def cut_message(text: str) -> str:
    """Return a text within the bound of an `error_message`.

    >>> cut_message("no units"), len(cut_message("x" * 10_000))
    ('no units', 2000)
    """
    if len(text) <= MAX_MESSAGE_CHARACTERS:
        return text
    return text[: MAX_MESSAGE_CHARACTERS - len(CUT_MARK)] + CUT_MARK


def judge_output(outcome: Outcome, problem: str | None) -> Outcome:
    """Tell how a run ended whose output was not passed on whole; a failure of its own stays.

    Args:
        outcome: How the processing ended.
        problem: What could not be written to our own stdout and stderr, and why; None: nothing.
    """
    if problem is None or outcome.status != "success":
        return outcome
    return Outcome("fail", "ERROR", EXIT_OUTPUT, outcome.exit_code, None, "OutputError", problem)


def _stopped(number: int, code: int) -> Outcome:
    name = get_signal_name(number)
    return Outcome("stopped", "WARNING", code, code, name, "Signal", f"Stopped by {name}")
