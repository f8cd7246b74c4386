"""Start a module of ours in a Python of its own, as this one finds it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aind_capsule.context.descriptors import spare_standard
from aind_capsule.records.encode import decode

#: Not `-m`, which would look for modules in the working folder first, and that is the user's.
_BOOT = (
    "import sys; module, count = sys.argv[1], int(sys.argv[2]); words = sys.argv[3:3 + count]\n"
    "sys.path[:] = sys.argv[3 + count:]; sys.argv[1:] = words\n"
    "import runpy; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def wait_patiently(seconds: float) -> bool:
    """Wait, for those who stop only where somebody interrupts them."""
    time.sleep(seconds)
    return False


def build_own_command(module: str, words: Sequence[str]) -> list[str]:
    """The command line of a module of ours.

    Raises:
        FileNotFoundError: Nobody knows where this Python is.
    """
    if not sys.executable:
        raise FileNotFoundError("the path of this Python is unknown")
    # -B: nothing is written into the code folder.
    return [sys.executable, "-B", "-c", _BOOT, module, str(len(words)), *words, *sys.path]


def start_own_python(module: str, words: Sequence[str]) -> Any:
    """Start a module of ours that is told what to do on its stdin, and answers on its stdout.

    It lives in a session of its own; its answers are read without waiting for them.

    Returns:
        The process, a `subprocess.Popen[bytes]`.

    Raises:
        OSError: No process is to be had.
    """
    import subprocess

    command = build_own_command(module, words)
    with block_signals(), spare_standard():
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    return process


def ask_own_python(
    module: str, words: Sequence[str], limit_s: float, must_hurry: Callable[[float], bool]
) -> dict[str, Any]:
    """Have a module of ours do something in a process of its own, and return what it says.

    Args:
        module: It prints one line of JSON.
        words: Its arguments.
        limit_s: It is killed after so many seconds.
        must_hurry: Waits for so many seconds, or less; returns whether to stop waiting.

    Returns:
        The object that it printed; `problem` where there is none.
    """
    import subprocess

    try:
        command = build_own_command(module, words)
        with block_signals(), spare_standard():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except OSError as error:
        return {"problem": f"no process can be started for it: {error}"}
    with process:
        deadline = time.monotonic() + limit_s
        while process.poll() is None and time.monotonic() < deadline and not must_hurry(0.02):
            pass
        if process.poll() is None:
            process.kill()
            return {"problem": "there was no time for it"}
        assert process.stdout is not None
        told = decode(process.stdout.readline())
    return {"problem": "the process for it ended without a word"} if told is None else told


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """What is started meanwhile begins with all signals blocked, and says what to do with them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
