"""What people see of a run on stderr: everything once, by their own clock, and no wider than the screen."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from aind_capsule.logs.folding import count_cells
from tests.conftest import Capsule, parse_strictly
from tests.running.terminal import Terminal

PY = sys.executable
SCRIPT = r"""
import os
from aind_capsule import configure_logging
from loguru import logger
configure_logging()
logger.info("from inside")
os.write(2, b'begun\x1e{"level":"warn","msg":"from R"}\n\x1e{"message": torn in R\n')
os.write(2, b'{"level":"ERROR","message":"a line of JSON"}\nWARNING: a plain line\n')
os.write(2, b'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no units\n')
os._exit(3)
"""
#: Each is in the log; the first is not on stderr until we show it.
SAID = ("from inside", "from R", "torn in R", "a line of JSON", "a plain line", "no units")


def test_what_was_printed_is_not_printed_again(capsule: Capsule) -> None:
    """A traceback, a record of another language, a torn one and JSON stand once; records from inside are shown.

    The session file has all of it.
    """
    script = str(capsule.write("talks.py", SCRIPT))
    run = capsule.run(PY, script, options=("--session",))
    before_the_end, _, end = run.stderr.decode().partition("── talks failed")
    assert {text: before_the_end.count(text) for text in SAID} == dict.fromkeys(SAID, 1)
    assert b'"traceback"' not in run.stderr
    assert "ValueError: no units" in end
    assert run.canonical["error_type"] == "ValueError"
    session = Path(str(run.log).replace(".log.jsonl", ".log.txt")).read_text()
    assert all(text in session for text in SAID)
    files = {"CAPSULE_RUN_FILES": "log,provenance"}
    shown = capsule.run(PY, script, options=("--console", "json"), env=files).stderr.decode()
    *lines, canonical = shown.splitlines(keepends=True)
    assert (
        parse_strictly(canonical.encode())["status"] == "fail"
    )  # advice for people is not among JSON
    before_the_end = "".join(lines)
    assert {text: before_the_end.count(text) for text in SAID} == dict.fromkeys(SAID, 1)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "command", "status", "reason"),
    [
        ((), "no-such-program", 127, "'no-such-program' was not found"),
        ((), "/", 126, "'/' is a directory"),
        (("--results", "/no/such"), "true", 78, "/no/such"),
    ],
)
def test_what_stops_a_run_before_its_start_is_said_with_the_console_off(
    capsule: Capsule, options: tuple[str, ...], command: str, status: int, reason: str
) -> None:
    """`--console off`: why nothing was started is one line, and the only one."""
    run = capsule.run(command, options=("--console", "off", *options))
    assert run.status == status
    (line,) = run.stderr.decode().splitlines()
    assert line == f"capsule: {run.canonical['error_message']}"
    assert reason in line


def test_with_the_console_off_nothing_else_is_said(capsule: Capsule) -> None:
    """`--console off`: a run that was started says nothing, however it ends; nor is a refusal said twice."""
    assert capsule.run("false", options=("--console", "off")).stderr == b""
    loud = {"CAPSULE_CONSOLE__LEVEL": "CRITICAL"}
    for mode, count in (("json", 1), ("plain", 1)):
        run = capsule.run("no-such-program", options=("--console", mode), env=loud)
        assert run.stderr.count(b"was not found") == count, mode
        assert (b"capsule: " in run.stderr) == (mode == "json")


@pytest.mark.parametrize("mode", ["pretty", "plain"])
def test_a_screen_of_60_columns(capsule: Capsule, mode: str) -> None:
    """Nothing of ours is wider than the screen, and its times are local with the offset said once."""
    capsule.environ.update(TZ="Asia/Kolkata", CAPSULE_RUN_FILES="none", TERM="xterm")
    options = ("--console", mode, "--process-name", f"脳波 {'very-long-' * 10}")
    command = capsule.get_command("sh", "-c", "exit 139", options=options)
    terminal = Terminal(capsule, command, columns=60)
    assert terminal.wait() == 139
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.seen.decode().replace("\r", ""))
    assert (b"\x1b" in terminal.seen) == (mode == "pretty")
    assert max(map(count_cells, shown.splitlines())) == 60
    (zone,) = re.findall(r"\n   time     (\S+ \S+) \+05:30\n", shown)
    log = capsule.find_log()
    assert log is not None
    assert "".join(shown.split()).count(str(log)) == 2  # in both banners, cut at slashes
    (seen,) = re.findall(r"\n([0-9:.]{12}) INFO     The log is not put", shown)
    assert seen[:5] == zone[11:16] or seen[:2] != zone[11:13]
    written = re.findall(rb'T([0-9:]{8})[^"]*Z","level":"INFO","message":"The log', log.read_bytes())  # fmt: skip
    hours, minutes = divmod((int(seen[:2]) * 60 + int(seen[3:5]) - 330) % 1440, 60)
    assert written[0].decode() == f"{hours:02d}:{minutes:02d}:{seen[6:8]}"
