"""How a run ended: what was seen of the processing's end becomes status, level and error.

A pure function of what `supervise` saw; the table is in the documentation (exit statuses).
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

EXIT_TIMEOUT = 124
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
_KILLED = 128 + 9
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
    """

    wait_status: int
    stopped_by: int = 0
    was_killed: bool = False
    timeout_s: float | None = None
    on_terminal: bool = False
    cpu_s: float = 0.0
    max_rss_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run ended, as the canonical record says it.

    Attributes:
        wrapper_status: Exit status of the wrapper.
        exit_code: Exit status of the processing; None where it was never started.
        other_failures: Failures beside the one that is told; only a run without a wrapper has them.
    """

    status: str
    level: str
    wrapper_status: int
    exit_code: int | None = None
    signal: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    other_failures: int = 0

    @property
    def event_type(self) -> str:
        """Place in the run's life cycle."""
        return "stage_complete" if self.status == "success" else "stage_failure"


def judge(ended: Ended, *, oom_kills: int = 0, exception: tuple[str, str] | None = None) -> Outcome:
    """Tell how a run ended.

    Args:
        ended: What was seen.
        oom_kills: How far the container's counter of out-of-memory kills rose during the run.
        exception: Type and message of the last traceback.
    """
    number = os.WTERMSIG(ended.wait_status) if os.WIFSIGNALED(ended.wait_status) else 0
    own_code = os.WEXITSTATUS(ended.wait_status) if not number else 128 + number
    if ended.stopped_by:
        code = 128 + ended.stopped_by if ended.was_killed else own_code
        return _stopped(ended.stopped_by, code)
    if ended.timeout_s is not None:
        return Outcome(
            "fail", "ERROR", EXIT_TIMEOUT, EXIT_TIMEOUT, None, "Timeout",
            f"It was still running after {ended.timeout_s:g} s",
        )  # fmt: skip
    for keyboard, code in _KEYBOARD.items():
        if ended.on_terminal and (number == keyboard or (not number and own_code == code)):
            return _stopped(keyboard, own_code)
    if own_code == 0:
        return Outcome("success", "INFO", 0, 0)
    name = get_signal_name(number) if number else None
    if oom_kills > 0:
        message = f"The kernel killed {oom_kills} of its processes: memory ran out"
        return Outcome("fail", "ERROR", own_code, own_code, name, "OutOfMemory", message)
    if name:
        message = f"It was ended by {name}"
        if number == _KILLED - 128:
            message += "; nobody but the kernel or an administrator sends that"
        return Outcome("fail", "ERROR", own_code, own_code, name, "Signal", message)
    if exception is not None:
        kind, message = exception
        return Outcome("fail", "ERROR", own_code, own_code, None, kind, message or kind)
    message = f"It ended with exit status {own_code}"
    if own_code == _KILLED:
        message += ": one of its processes was killed by SIGKILL"
    return Outcome("fail", "ERROR", own_code, own_code, None, "ExitStatus", message)


def _stopped(number: int, code: int) -> Outcome:
    name = get_signal_name(number)
    return Outcome("stopped", "WARNING", code, code, name, "Signal", f"It was stopped by {name}")


def get_signal_name(number: int) -> str:
    """`SIGKILL` of 9; a real-time signal has a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
