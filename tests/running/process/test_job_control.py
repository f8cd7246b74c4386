"""The wrapper is suspended with its processing by Ctrl-Z, and by nothing else."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.conftest import Capsule, wait_until


def _get_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _is_suspended(pid: int) -> bool:
    return _get_state(pid) == "T"


def _has_nothing_to_do(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return _get_state(pid) in "ST" and f"ShdPnd:\t{0:016x}" in status


def test_a_processing_that_others_suspend_leaves_the_wrapper_awake(
    capsule: Capsule, tmp_path: Path
) -> None:
    """SIGSTOP to the processing is its own affair, after another signal and after Ctrl-Z too."""
    output = tmp_path / "output"
    script = (
        "trap 'echo winch' WINCH; trap 'exit 0' USR2\n"
        "echo $$; while :; do echo tick; read -t 0.05 <> <(:); done"
    )
    with output.open("wb") as stdout:
        wrapper = capsule.start("bash", "-c", script, stdout=stdout)
    try:
        wait_until(lambda: b"tick\n" in output.read_bytes())
        child = int(output.read_text().split()[0])

        def suspend_the_processing() -> None:
            os.kill(child, signal.SIGSTOP)
            wait_until(lambda: _is_suspended(child))
            wait_until(lambda: _has_nothing_to_do(wrapper.pid))  # it has seen that
            os.kill(child, signal.SIGCONT)
            printed = output.read_bytes().count(b"tick\n")  # what follows comes through
            wait_until(lambda: output.read_bytes().count(b"tick\n") > printed + 5)

        wrapper.send_signal(signal.SIGWINCH)
        wait_until(lambda: b"winch\n" in output.read_bytes())
        suspend_the_processing()
        wrapper.send_signal(signal.SIGTSTP)
        wait_until(lambda: _is_suspended(wrapper.pid))
        wrapper.send_signal(signal.SIGCONT)
        wait_until(lambda: not _is_suspended(child))
        suspend_the_processing()
        wrapper.send_signal(signal.SIGUSR2)
        assert wrapper.wait(10) == 0
    finally:
        wrapper.kill()
        wrapper.communicate()
