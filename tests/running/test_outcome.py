"""How a run ended, as a table: what was seen of the processing, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from aind_capsule.running.outcome import Ended, describe_exit_status, judge
from aind_capsule.running.recording.traceback_info import Traceback
from aind_capsule.running.recording.worker_deaths import is_worker_death

WHO_KILLS = "(out of memory, a time limit of the container or batch system, or kill -9)"
NO_UNITS = Traceback("ValueError", "no units", "")
BROKEN = Traceback("BrokenProcessPool", "A process was terminated abruptly", "")
OOM = "Memory ran out: the kernel killed 1 process of this container"
SHARED = "Memory ran out: the kernel killed 1 process, by a counter shared with other processes of this machine"


def _exit(code: int) -> int:
    return code << 8


#: What was seen, and (status, wrapper's status, exit code, signal, type, message).
ROWS: list[tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]] = [
    (dict(wait_status=0), {}, ("success", 0, 0, None, None, None)),
    (dict(wait_status=0), dict(oom_kills=2, exception=NO_UNITS), ("success", 0, 0, None, None, None)),
    (dict(wait_status=_exit(3)), {}, ("fail", 3, 3, None, "ExitStatus", "Ended with exit status 3")),
    (dict(wait_status=_exit(1)), dict(exception=NO_UNITS), ("fail", 1, 1, None, "ValueError", "no units")),
    (dict(wait_status=_exit(1)), dict(exception=Traceback("KeyError", "", "")), ("fail", 1, 1, None, "KeyError", "KeyError")),
    # What it said itself is the message; what a shell would mean by the status stands before it.
    (dict(wait_status=_exit(3)), dict(text="no video"), ("fail", 3, 3, None, "ExitStatus", "no video")),
    (dict(wait_status=_exit(1)), dict(exception=NO_UNITS, text="bye"), ("fail", 1, 1, None, "ValueError", "no units")),
    (dict(wait_status=_exit(139)), dict(text="step 3"), ("fail", 139, 139, None, "ExitStatus", "Ended with exit status 139, as a shell reports SIGSEGV: step 3")),
    (dict(wait_status=_exit(139)), dict(exception=NO_UNITS), ("fail", 139, 139, None, "ValueError", "no units")),
    (dict(wait_status=_exit(128)), dict(text="fatal: no"), ("fail", 128, 128, None, "ExitStatus", "fatal: no")),
    (dict(wait_status=_exit(3)), dict(text="x" * 9000), ("fail", 3, 3, None, "ExitStatus", "x" * 1999 + "…")),
    (dict(wait_status=_exit(3)), dict(exception=Traceback("E", "y" * 2001, "")), ("fail", 3, 3, None, "E", "y" * 1999 + "…")),
    (dict(wait_status=_exit(3)), dict(exception=Traceback("E", "y" * 2000, "")), ("fail", 3, 3, None, "E", "y" * 2000)),
    # A program that crashes has said why; one that was ended from outside has not.
    (dict(wait_status=6), dict(text="free(): invalid pointer"), ("fail", 134, 134, "SIGABRT", "Signal", "Ended by SIGABRT: free(): invalid pointer")),
    (dict(wait_status=11), dict(exception=NO_UNITS), ("fail", 139, 139, "SIGSEGV", "Signal", "Ended by SIGSEGV: ValueError: no units")),
    (dict(wait_status=6), dict(text="x" * 9000), ("fail", 134, 134, "SIGABRT", "Signal", "Ended by SIGABRT: " + "x" * 1981 + "…")),
    (dict(wait_status=15), dict(text="step 3"), ("fail", 143, 143, "SIGTERM", "Signal", "Ended by SIGTERM")),
    (dict(wait_status=9), dict(text="step 3"), ("fail", 137, 137, "SIGKILL", "Signal", f"Killed by SIGKILL {WHO_KILLS}")),
    (dict(wait_status=9), dict(oom_kills=1, text="step 3"), ("fail", 137, 137, "SIGKILL", "OutOfMemory", OOM)),
    (dict(wait_status=_exit(1)), dict(oom_kills=1, text="Killed"), ("fail", 1, 1, None, "OutOfMemory", OOM)),
    (dict(wait_status=0, timeout_s=0.5), dict(text="step 3"), ("fail", 124, 124, None, "Timeout", "Still running after 0.5 s")),
    (dict(wait_status=_exit(5), stopped_by=2), dict(text="step 3"), ("stopped", 5, 5, "SIGINT", "Signal", "Stopped by SIGINT")),
    (dict(wait_status=_exit(137)), {}, ("fail", 137, 137, None, "ExitStatus", f"Ended with exit status 137, as a shell reports SIGKILL {WHO_KILLS}")),
    (dict(wait_status=_exit(139)), {}, ("fail", 139, 139, None, "ExitStatus", "Ended with exit status 139, as a shell reports SIGSEGV")),
    (dict(wait_status=9), {}, ("fail", 137, 137, "SIGKILL", "Signal", f"Killed by SIGKILL {WHO_KILLS}")),
    (dict(wait_status=11), {}, ("fail", 139, 139, "SIGSEGV", "Signal", "Ended by SIGSEGV")),
    (dict(wait_status=11 | 0x80), {}, ("fail", 139, 139, "SIGSEGV", "Signal", "Ended by SIGSEGV")),  # with a core
    (dict(wait_status=15), dict(exception=NO_UNITS), ("fail", 143, 143, "SIGTERM", "Signal", "Ended by SIGTERM")),
    (dict(wait_status=40), {}, ("fail", 168, 168, "SIG40", "Signal", "Ended by SIG40")),
    # Memory ran out: by SIGKILL of the child, of its tree, by the shell's 137, or without an exception.
    (dict(wait_status=9), dict(oom_kills=1), ("fail", 137, 137, "SIGKILL", "OutOfMemory", OOM)),
    (dict(wait_status=9), dict(oom_kills=1, exception=NO_UNITS), ("fail", 137, 137, "SIGKILL", "OutOfMemory", OOM)),
    (dict(wait_status=_exit(137)), dict(oom_kills=1), ("fail", 137, 137, None, "OutOfMemory", OOM)),
    (dict(wait_status=_exit(137)), dict(oom_kills=1, exception=NO_UNITS), ("fail", 137, 137, None, "OutOfMemory", OOM)),
    (dict(wait_status=_exit(1)), dict(oom_kills=1), ("fail", 1, 1, None, "OutOfMemory", OOM)),
    (dict(wait_status=_exit(1)), dict(oom_kills=1, is_oom_shared=True), ("fail", 1, 1, None, "OutOfMemory", SHARED)),
    (dict(wait_status=_exit(1)), dict(oom_kills=1, exception=BROKEN),
     ("fail", 1, 1, None, "OutOfMemory", f"{OOM} (BrokenProcessPool: A process was terminated abruptly)")),
    (dict(wait_status=6, has_killed_orphan=True), dict(oom_kills=1), ("fail", 134, 134, "SIGABRT", "OutOfMemory", OOM)),
    # It did not, or that is not the reason.
    (dict(wait_status=_exit(1)), dict(oom_kills=1, exception=NO_UNITS), ("fail", 1, 1, None, "ValueError", "no units")),
    (dict(wait_status=_exit(1), has_killed_orphan=True), dict(oom_kills=1, exception=NO_UNITS), ("fail", 1, 1, None, "ValueError", "no units")),
    (dict(wait_status=_exit(1)), dict(oom_kills=1, exception=Traceback("MemoryError", "", "")), ("fail", 1, 1, None, "MemoryError", "MemoryError")),
    (dict(wait_status=_exit(1)), dict(exception=BROKEN), ("fail", 1, 1, None, "BrokenProcessPool", BROKEN.message)),
    (dict(wait_status=6), dict(oom_kills=1), ("fail", 134, 134, "SIGABRT", "Signal", "Ended by SIGABRT")),
    (dict(wait_status=6), dict(oom_kills=1, exception=BROKEN), ("fail", 134, 134, "SIGABRT", "Signal", f"Ended by SIGABRT: BrokenProcessPool: {BROKEN.message}")),
    (dict(wait_status=6, has_killed_orphan=True), {}, ("fail", 134, 134, "SIGABRT", "Signal", "Ended by SIGABRT")),
    # A stop and a time limit are what they are, whatever came of them.
    (dict(wait_status=9, stopped_by=15, was_killed=True), dict(oom_kills=1), ("stopped", 143, 143, "SIGTERM", "Signal", "Stopped by SIGTERM")),
    (dict(wait_status=9, stopped_by=15), {}, ("stopped", 137, 137, "SIGTERM", "Signal", "Stopped by SIGTERM")),
    (dict(wait_status=_exit(5), stopped_by=2), dict(exception=NO_UNITS), ("stopped", 5, 5, "SIGINT", "Signal", "Stopped by SIGINT")),
    (dict(wait_status=0, stopped_by=15), {}, ("stopped", 0, 0, "SIGTERM", "Signal", "Stopped by SIGTERM")),
    (dict(wait_status=0, timeout_s=2592000.0), dict(oom_kills=1), ("fail", 124, 124, None, "Timeout", "Still running after 2592000 s")),
    (dict(wait_status=9, timeout_s=0.5, was_killed=True), {}, ("fail", 124, 124, None, "Timeout", "Still running after 0.5 s")),
    # The keyboard, on a terminal only.
    (dict(wait_status=2, on_terminal=True), {}, ("stopped", 130, 130, "SIGINT", "Signal", "Stopped by SIGINT")),
    (dict(wait_status=3, on_terminal=True), {}, ("stopped", 131, 131, "SIGQUIT", "Signal", "Stopped by SIGQUIT")),
    (dict(wait_status=_exit(130), on_terminal=True), {}, ("stopped", 130, 130, "SIGINT", "Signal", "Stopped by SIGINT")),
    (dict(wait_status=_exit(131), on_terminal=True), {}, ("stopped", 131, 131, "SIGQUIT", "Signal", "Stopped by SIGQUIT")),
    (dict(wait_status=2), {}, ("fail", 130, 130, "SIGINT", "Signal", "Ended by SIGINT")),
    (dict(wait_status=_exit(130)), {}, ("fail", 130, 130, None, "ExitStatus", "Ended with exit status 130, as a shell reports SIGINT")),
    (dict(wait_status=15, on_terminal=True), {}, ("fail", 143, 143, "SIGTERM", "Signal", "Ended by SIGTERM")),
    (dict(wait_status=_exit(1), on_terminal=True), {}, ("fail", 1, 1, None, "ExitStatus", "Ended with exit status 1")),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "known", "expected"), ROWS)
def test_what_is_said_of_an_end(
    seen: dict[str, Any], known: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """Each end has its status, exit status, signal, type and reason; memory ran out only where it did."""
    told = judge(Ended(**seen), **known)
    row = (told.status, told.wrapper_status, told.exit_code, told.signal, told.error_type, told.error_message)  # fmt: skip
    assert row == expected
    assert told.level == {"success": "INFO", "fail": "ERROR", "stopped": "WARNING"}[told.status]
    assert told.event_type == ("stage_complete" if told.status == "success" else "stage_failure")


@pytest.mark.parametrize(
    ("code", "known", "text", "reason"),
    [
        (3, {}, "exit status 3", "Ended with exit status 3"),
        (3, dict(text="no video"), "exit status 3: no video", "no video"),
        (1, dict(exception=NO_UNITS), "exit status 1: ValueError: no units", "ValueError: no units"),
        (1, dict(exception=Traceback("KeyError", "", "")), "exit status 1: KeyError", "KeyError"),
        (139, {}, "exit status 139, as a shell reports SIGSEGV", "Ended with exit status 139, as a shell reports SIGSEGV"),
        (139, dict(text="step 3"), "exit status 139, as a shell reports SIGSEGV: step 3",
         "Ended with exit status 139, as a shell reports SIGSEGV: step 3"),
    ],
)  # fmt: skip
def test_what_people_read(code: int, known: dict[str, Any], text: str, reason: str) -> None:
    """The record's message has the exit status and the reason behind it, the banner the reason."""
    outcome = judge(Ended(_exit(code)), **known)
    assert (outcome.exit_text, outcome.reason) == (text, reason)


def test_a_shells_number_is_no_signal_by_itself() -> None:
    """Only 128 + n of a signal that there is names one: 128, 160 and 255 do not."""
    named = [code for code in range(256) if "shell" in describe_exit_status(code)]
    assert named[0] == 129
    assert not {0, 1, 127, 128, 128 + 32, 255}.intersection(named)
    assert {129, 130, 134, 137, 138, 139, 141, 143, 159}.issubset(named)


FRAMES = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    raise RuntimeError("exit status 137")\n'
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
POOL = FRAMES + "concurrent.futures.process.BrokenProcessPool: A process was terminated abruptly\n"
UNITS = FRAMES + "ValueError: no units"
DEATHS = [
    ("BrokenProcessPool", "A process in the process pool was terminated abruptly", ""),
    ("joblib.externals.loky.process_executor.TerminatedWorkerError", "A worker process …", ""),
    ("KilledWorker", "Attempted to run task 'x' on 4 different workers", ""),
    ("WorkerLostError", "Worker exited prematurely: signal 9 (SIGKILL) Job: 0.", ""),
    ("WorkerCrashedError", "The worker died unexpectedly while executing this task.", ""),
    ("OutOfMemoryError", "Task was killed due to the node running low on memory.", ""),
    ("DeadKernelError", "Kernel died", ""),
    ("RuntimeError", "DataLoader worker (pid 17) is killed by signal: Killed. ", ""),
    ("RuntimeError", "DataLoader worker (pid(s) 1, 2) exited unexpectedly", ""),
    ("RuntimeError", "Worker-0 died unexpectedly", ""),
    ("CalledProcessError", "Command '['ks']' died with <Signals.SIGKILL: 9>.", ""),
    ("CalledProcessError", "Command 'ks' returned non-zero exit status 137.", ""),
    ("ProcessExitedException", "process 0 terminated with signal SIGKILL", ""),
    ("RuntimeError", "sorter failed (return code: -9)", ""),
    ("RuntimeError", "exitcode=-9", ""),
    ("Exception", "the step exited with code 137", ""),
    ("RuntimeError", "sorting failed", POOL + CAUSE + FRAMES + "RuntimeError: sorting failed"),
    ("RuntimeError", "chunk 3", f'multiprocessing.pool.RemoteTraceback: \n"""\n{POOL}"""\n{CAUSE}{FRAMES}RuntimeError: chunk 3'),
    ("RuntimeError", "chunk 3", f"joblib.externals.loky.process_executor._RemoteTraceback: \n'''\n{FRAMES}joblib.externals.loky.process_executor.TerminatedWorkerError: A worker\n'''\n{CAUSE}{FRAMES}RuntimeError: chunk 3"),
    ("Exception", "1", "  + Exception Group Traceback (most recent call last):\n  |   File x\n  | ExceptionGroup: tasks (1 sub-exception)\n"
     "  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    |   File y\n    | KilledWorker: x\n    +---"),
]  # fmt: skip
OTHERS = [
    ("ValueError", "no units", ""),
    ("ValueError", "no units", UNITS),
    ("MemoryError", "Unable to allocate 3.2 GiB for an array", ""),
    ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB", ""),
    ("CalledProcessError", "Command 'ks' returned non-zero exit status 1.", ""),
    ("CalledProcessError", "Command 'ks' died with <Signals.SIGSEGV: 11>.", ""),
    ("RuntimeError", "exit status 1370", ""),
    ("RuntimeError", "signal 99 was lost in 137 of 900 channels", ""),
    ("RuntimeError", "DataLoader worker (pid 17) is killed by signal: Segmentation fault", ""),
    ("RuntimeError", "the worker has 137 units", ""),
    ("ValueError", "no units", POOL + CONTEXT + UNITS),
    ("ValueError", "no units", POOL + CAUSE + FRAMES + "RuntimeError: x\n" + CONTEXT + UNITS),
    ("ValueError", "no units", UNITS + CAUSE + UNITS),
]


@pytest.mark.parametrize(("kind", "message", "text"), DEATHS)
def test_exceptions_that_say_that_a_worker_was_killed(kind: str, message: str, text: str) -> None:
    """What pools, schedulers and sub-processes raise when a process of theirs is killed, and what is raised from it."""
    assert is_worker_death(Traceback(kind, message, text))


@pytest.mark.parametrize(("kind", "message", "text"), OTHERS)
def test_exceptions_that_do_not(kind: str, message: str, text: str) -> None:
    """Another exception keeps its name, also one that came up while a worker's death was being handled."""
    assert not is_worker_death(Traceback(kind, message, text))
