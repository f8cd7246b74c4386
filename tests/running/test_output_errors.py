"""What becomes of a run whose own output cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from aind_capsule.context.procfs import find_children
from aind_capsule.running.outcome import Outcome, judge_output
from tests.conftest import Capsule, wait_until
from tests.running.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

FULL = "No space left on device"


def test_a_full_stdout_fails_the_run_and_closes_nothing(capsule: Capsule) -> None:
    """74 and OutputError; the shell goes on as without us, the log has every line, one ERROR tells it."""
    script = "echo a; sleep 0.2; echo b; echo c >&2; exit 0"
    with open("/dev/full", "wb") as full:
        run = capsule.run("sh", "-c", script, stdout=full)
    told = run.canonical
    assert run.status == 74
    assert (told["status"], told["level"], told["event_type"], told["exit_code"]) == (
        "fail", "ERROR", "stage_failure", 0,
    )  # fmt: skip
    assert told["error_type"] == "OutputError"
    assert told["error_message"] == f"4 bytes of stdout could not be written: {FULL}"
    assert told["lost_output_bytes"] == {"stdout": 4}
    assert sorted(run.messages) == ["a", "b", "c"]
    (error,) = [record for record in run.records[:-1] if record["level"] == "ERROR"]
    assert error["message"] == (
        f"Cannot write to stdout: {FULL}. The processing goes on and is still logged"
    )
    assert run.stderr.count(error["message"].encode()) == 1


@pytest.mark.parametrize(
    ("script", "options", "status", "error_type", "lost"),
    [
        ("echo a; echo b >&2", (), 74, "OutputError", {"stdout": 2, "stderr": 2}),
        ("echo a; echo b >&2", ("--merge-streams",), 74, "OutputError", {"stdout": 4}),
        ("echo b >&2", ("--redact-output",), 74, "OutputError", {"stderr": 2}),
        ("echo a; exit 3", ("--strict",), 3, "ExitStatus", {"stdout": 2}),
        ("echo a; kill -9 $$", (), 137, "Signal", {"stdout": 2}),
        ("true", ("--strict",), 0, None, None),  # a banner is not the processing's
        ("echo a; true", ("--tty",), 0, None, None),  # nor is there anything of ours to fail
    ],
)
def test_both_full(
    capsule: Capsule,
    script: str,
    options: tuple[str, ...],
    status: int,
    error_type: str | None,
    lost: dict[str, int] | None,
) -> None:
    """The processing's own failure stays; its bytes count, ours do not; the log is whole."""
    with open("/dev/full", "wb") as full:
        run = capsule.run("sh", "-c", script, options=options, stdout=full, stderr=full)
    told = run.canonical
    assert (run.status, told.get("error_type")) == (status, error_type)
    assert told.get("lost_output_bytes") == lost
    assert "lost_records" not in told


def test_only_a_success_becomes_an_output_error() -> None:
    """A stopped run stays stopped, whatever was not passed on; a success with all of it stays one."""
    success = Outcome("success", "INFO", 0, 0)
    stopped = Outcome("stopped", "WARNING", 143, 143, "SIGTERM", "Signal", "…")
    assert judge_output(success, None) is success
    assert judge_output(stopped, "1 byte") is stopped
    assert judge_output(success, "1 byte").wrapper_status == 74


def _start_on_stuck_pipe(
    capsule: Capsule, *command: str, options: tuple[str, ...]
) -> tuple[subprocess.Popen[bytes], int]:
    read_fd, write_fd = os.pipe()
    process = capsule.start(*command, options=options, stdout=write_fd)
    os.close(write_fd)
    return process, read_fd


def test_a_reader_that_takes_nothing_does_not_hold_up_a_stop(capsule: Capsule) -> None:
    """After the grace what is still waiting is given up and counted; every byte is in the log."""
    script = f"yes {'0123456789' * 30} & sleep 0.3; echo ready >&2; wait"
    process, read_fd = _start_on_stuck_pipe(
        capsule, "bash", "-c", script, options=("--grace", "0.5", "--console", "off")
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"ready\n"
    process.terminate()
    run = capsule.finish(process)
    told = run.canonical
    assert (run.status, told["status"]) == (143, "stopped")
    received = b""
    while data := os.read(read_fd, 100_000):
        received += data
    os.close(read_fd)
    lines = [record["message"] for record in run.records if record.get("stream") == "stdout"]
    text = "\n".join(lines).encode()
    assert text.startswith(received)
    lost = told["lost_output_bytes"]["stdout"]
    assert len(text) - len(received) in (lost, lost - 1)  # whether the last line was whole
    (error,) = [record for record in run.records if record["level"] == "ERROR"]
    assert "its reader takes nothing" in error["message"]


def test_a_stuck_reader_and_a_timeout(capsule: Capsule) -> None:
    """Nor a timeout."""
    process, read_fd = _start_on_stuck_pipe(
        capsule,
        "yes",
        "0123456789" * 30,
        options=("--timeout", "0.3", "--grace", "0.3", "--console", "off"),
    )
    run = capsule.finish(process)
    os.close(read_fd)
    assert (run.status, run.canonical["error_type"]) == (124, "Timeout")


def test_a_stop_is_heard_while_the_terminal_takes_nothing(capsule: Capsule) -> None:
    """The wrapper is never blocked in a write to a terminal that nobody reads; a second stop waits for nothing."""
    command = capsule.get_command("yes", "0123456789" * 30, options=("--grace", "1h"))
    terminal = Terminal(capsule, command)
    terminal.read_until(b"0123")
    os.kill(terminal.pid, signal.SIGTERM)
    os.kill(terminal.pid, signal.SIGHUP)
    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) in (143, 129)
    os.close(terminal.fd)


@pytest.mark.parametrize("number", [1, 2])
def test_a_late_reader_gets_everything(capsule: Capsule, number: int) -> None:
    """What the processing has printed waits for its reader, on either stream, when all else is over."""
    process = capsule.start("sh", "-c", f"seq 30000 >&{number}", options=("--console", "off"))
    wait_until(lambda: (log := capsule.find_log()) and b'"30000"' in log.read_bytes())
    wait_until(lambda: not find_children(process.pid))
    run = capsule.finish(process)
    assert (run.status, run.canonical["status"]) == (0, "success")
    assert (run.stdout + run.stderr).endswith(b"\n30000\n")
