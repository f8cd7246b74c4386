"""Why a run failed: chosen out of everything that its processing printed and logged."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.line_levels.literals import LITERALS as WORDS
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.running.capture.stream_capture import StreamCapture
from aind_capsule.running.journal import Journal
from aind_capsule.running.recording.failure_evidence import (
    KEPT_LINES,
    FailureEvidence,
    is_closing_line,
)
from aind_capsule.running.recording.failure_reason import find_reason
from aind_capsule.running.recording.worker_deaths import is_worker_death

OUT, ERR, INSIDE, OWN = "stdout", "stderr", "inside", "own"
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    f()\nValueError: no units\n'
RUNNER = 'Traceback (most recent call last):\n  File "nbclient/client.py", line 918, in _check\n    raise CellExecutionError.from_cell_and_msg(cell, content)\n'
NBCLIENT = (
    RUNNER
    + "nbclient.exceptions.CellExecutionError: An error occurred while executing the following cell:\n------------------\nf(3)  # KeyError: 'x'\n------------------\n\n\n"
)
PAPERMILL = (
    RUNNER
    + 'papermill.exceptions.PapermillExecutionError: \n---------------------------\nException encountered at "In [3]":\n---------------------------\n'
)
FRAMES = "".join(f"Cell In[2], line {n}, in g(a)\n      {n} def g(a):\n----> {n}     h(a)\n\n" for n in range(60))  # fmt: skip
CELL = f"\x1b[31mValueError\x1b[39m                                Traceback (most recent call last)\n{FRAMES}\x1b[31mValueError\x1b[39m: cellfail\n\n"


def _say(*said: tuple[str, str]) -> FailureEvidence:
    """Return what is known after texts on streams, records from inside, and the wrapper's own."""
    writer = LogWriter("/dev/null", reserves=False)
    journal = Journal(writer, {"run_id": "r"}, redactor=Redactor(SecretNames(), words=WORDS))
    streams = {name: StreamCapture(name, journal, has_stderr=name == ERR) for name in (OUT, ERR)}
    for where, text in said:
        if where == OWN:
            journal.log("ERROR", text)
        elif where == INSIDE:
            for stream in streams.values():
                stream.tick()  # it comes a while after what was printed
            record: dict[str, Any] = {"timestamp": "2026-01-02T03:04:05.000006Z"}
            journal.write_inside(json.dumps({**record, **json.loads(text)}).encode())
        else:
            streams[where].feed(text.encode())
    for stream in streams.values():
        stream.finish()
    writer.close()
    return journal.evidence


def _log(level: str, message: str, **fields: Any) -> tuple[str, str]:
    return INSIDE, json.dumps({"level": level, "message": message, **fields})


KEY_ERROR = {"type": "KeyError", "message": "'x'", "traceback": "t"}
CELL_ERROR = {
    "type": "nbclient.exceptions.CellExecutionError",
    "message": CELL,
    "traceback": NBCLIENT + CELL,
}
#: What was said, and the exception's type and message, or the text.
ROWS: dict[str, tuple[list[tuple[str, str]], str | None, str | None]] = {
    "nothing": ([], None, None),
    "sys.exit with a text": ([(ERR, "[qc] video not found: /x.mp4\n")], None, "[qc] video not found: /x.mp4"),
    "without a line end": ([(ERR, "video not found")], None, "video not found"),
    "stdout is no reason": ([(OUT, "12 units\n")], None, None),
    "stderr before stdout": ([(ERR, "no units\n"), (OUT, "12 units\n")], None, "no units"),
    "an error on stdout": ([(OUT, "ERROR: no units\n"), (ERR, "bye\n")], None, "ERROR: no units"),
    "the last error": ([(ERR, "ERROR: 1\nERROR: two\nERROR: three\nbye\n")], None, "ERROR: three"),
    "errors of both streams": ([(ERR, "ERROR: first\n"), (OUT, "ERROR: last\n")], None, "ERROR: last"),
    "critical": ([(ERR, "ERROR: 1 skipped\nCRITICAL: no disk\nWARNING: slow\n")], None, "CRITICAL: no disk"),
    "a warning": ([(ERR, "WARNING: 3 labels missing\n")], None, "WARNING: 3 labels missing"),
    "a record from inside": ([_log("ERROR", "no units"), (ERR, "bye\n")], None, "no units"),
    "a warning from inside": ([_log("WARNING", "no units")], None, None),
    "the wrapper's own": ([(OWN, "Cannot write to stdout: No space left")], None, None),
    "usage": ([(ERR, "usage: qc [-h]\nqc: fault: unrecognized arguments: --foo\n")], None, "qc: fault: unrecognized arguments: --foo"),
    "blank lines": ([(ERR, "no units\n\n  \t\n\n")], None, "no units"),
    "colours": ([(ERR, "\x1b[1;31mno units\x1b[0m\n\x1b[0m\n\x1b]8;;x\x1b\\\n")], None, "no units"),
    "MATLAB's brackets": ([(ERR, "{\x08no units (see {x})}\x08 \n")], None, "no units (see {x})"),
    "a progress bar": ([(ERR, "no units\n\r  0%|     | 0/3\r100%|█████| 3/3 [00:01<00:00]\n")], None, "no units"),
    "only a bar": ([(ERR, "100%|█████| 3/3 [00:01<00:00]\n\x1b[K ━━━━━ 2/2 MB\n[====>  ] 3\n")], None, None),
    "no bar": ([(ERR, "== 93% of channels [dead] ==\n")], None, "== 93% of channels [dead] =="),
    "a secret": ([(ERR, "cannot open https://u:quokka-77-x@host/x\n")], None, "cannot open https://[redacted]@host/x"),
    # A traceback is more than any text, whenever it came.
    "a traceback": ([(ERR, TRACEBACK)], "ValueError", "no units"),
    "and a later text": ([(ERR, TRACEBACK), (ERR, "ERROR: stopped\nbye\n")], "ValueError", "no units"),
    "of a record": ([_log("ERROR", "failed", exception=KEY_ERROR), (ERR, "bye\n")], "KeyError", "'x'"),
    "of a warning": ([_log("WARNING", "again", exception=KEY_ERROR), (ERR, "bye\n")], None, "bye"),
    "the last of two": ([(ERR, TRACEBACK + "go on\n"), _log("CRITICAL", "failed", exception=KEY_ERROR)], "KeyError", "'x'"),
    # What only closes: nothing is said by it, unless nothing else is.
    "set -x": ([(ERR, "+ echo hi\n+ test -f units.npy\n+ exit 3\n")], None, "+ test -f units.npy"),
    "make": ([(ERR, "ls: cannot access 'x'\nmake: *** [Makefile:2: all] Error 2\n")], None, "ls: cannot access 'x'"),
    "only make": ([(ERR, "make: *** [Makefile:2: all] Error 2\n")], None, "make: *** [Makefile:2: all] Error 2"),
    "make's own reason": ([(ERR, "make: *** No rule to make target 'x'.  Stop.\n")], None, "make: *** No rule to make target 'x'.  Stop."),
    "rsync": ([(ERR, 'rsync: link_stat "/x" failed: No such file\nrsync error: some files (see previous errors) (code 23)\n')], None, 'rsync: link_stat "/x" failed: No such file'),
    "tar": ([(ERR, "tar: x.tar: Cannot open: No such file\ntar: Error is not recoverable: exiting now\n")], None, "tar: x.tar: Cannot open: No such file"),
    "conda": ([(ERR, "no units\nERROR conda.cli.main_run:execute(127): `conda run x` failed. (See above for error)\n")], None, "no units"),
    "gcc": ([(ERR, "ld: x.c: undefined reference to `f'\ncollect2: error: ld returned 1 exit status\n")], None, "ld: x.c: undefined reference to `f'"),
    "a signal": ([(ERR, "free(): invalid pointer\nAborted (core dumped)\n")], None, "free(): invalid pointer"),
    "only a signal": ([(ERR, "\nKilled\n")], None, "Killed"),
    "go": ([(ERR, "2026/01/02 open /x: no such file\nexit status 1\n")], None, "2026/01/02 open /x: no such file"),
    "octave": ([(ERR, "error: 'f' undefined\nerror: ignoring const execution_exception& while preparing to exit\n")], None, "error: 'f' undefined"),
    "octave in a file": ([(ERR, "error: no units\nerror: called from\n    f at line 2 column 2\n")], None, "error: no units"),
    "octave in two reads": ([(ERR, "error: 'f' undefined\n"), (ERR, "error: ignoring const execution_exception& while\n")], None, "error: 'f' undefined"),
    "only the close": ([(ERR, "error: ignoring const execution_exception& while\n")], None, "error: ignoring const execution_exception& while"),
    "R": ([(ERR, "Error in f(3) : no units\nExecution halted\n")], None, "Error in f(3) : no units"),
    "R, a long call": ([(ERR, "Error in f(aaaaaaa = 3, bbbbbbb = 4,  : \n  no units\nCalls: f\nExecution halted\n")], None, "Error in f(aaaaaaa = 3, bbbbbbb = 4,  : \n  no units"),
    "a heading at the end": ([(ERR, "ERROR: the reasons are:\n")], None, "ERROR: the reasons are:"),
    "only R's close": ([(ERR, "Execution halted\n")], None, "Execution halted"),
    # A notebook's runner is not the reason.
    "nbconvert": ([(ERR, NBCLIENT + CELL)], "ValueError", "cellfail"),
    "papermill": ([(ERR, PAPERMILL + CELL)], "ValueError", "cellfail"),
    "two lines": ([(ERR, PAPERMILL + "RuntimeError: no units\nin any probe\n\nbye\n")], "RuntimeError", "no units\nin any probe"),
    "no message": ([(ERR, NBCLIENT + "AssertionError      Traceback (most recent call last)\nCell In[1]\n\nAssertionError: \n")], "AssertionError", ""),
    "a name of its own": ([(ERR, NBCLIENT + "NoUnits      Traceback (most recent call last)\nCell In[1]\n\nNoUnits: in A\n\nNote: x\n")], "NoUnits", "in A"),
    "sys.exit in a cell": ([(ERR, NBCLIENT + "An exception has occurred, use %tb to see the full traceback.\n\n\x1b[31mSystemExit\x1b[39m\x1b[31m:\x1b[39m no video\n\n")], "SystemExit", "no video"),
    "syntax": ([(ERR, PAPERMILL + "  Cell In[1], line 1\n    x = = 3\n        ^\nSyntaxError: invalid syntax\n")], "SyntaxError", "invalid syntax"),
    "and the shell": ([(ERR, PAPERMILL + CELL + "ERROR: the notebook failed\nError: 1 step\n")], "ValueError", "cellfail"),
    "R's kernel": ([(ERR, PAPERMILL + "Error in f(3): no units\nTraceback:\n\n1. f(3)\n")], "PapermillExecutionError", "Error in f(3): no units"),
    "from inside": ([_log("ERROR", "failed", exception=CELL_ERROR)], "ValueError", "cellfail"),
    "its message alone": ([_log("ERROR", "failed", exception={"type": "CellExecutionError", "message": CELL})], "ValueError", "cellfail"),
    "older errors": ([_log("ERROR", "OldError: x"), (ERR, "OldError: x\n"), _log("ERROR", "failed", exception=CELL_ERROR)], "ValueError", "cellfail"),
    "its rest on stdout": ([_log("ERROR", "failed", exception={**CELL_ERROR, "traceback": NBCLIENT}), _log("ERROR", "KeyError: 'trials'")], "KeyError", "'trials'"),
    "R's kernel, one rule": ([_log("ERROR", "failed", exception={"type": "PapermillExecutionError", "traceback": 'PapermillExecutionError: \n----\nException encountered at "In [1]":\n\nError in f: no units\n'})], "PapermillExecutionError", "Error in f: no units"),
    "nothing of a kernel": ([_log("ERROR", "failed", exception={"type": "CellExecutionError", "message": "m", "traceback": "CellExecutionError: m\n----\n"})], "CellExecutionError", "m"),
    "R's kernel, no rule": ([_log("ERROR", "failed", exception={"type": "PapermillExecutionError", "message": "no units"})], "PapermillExecutionError", "no units"),
    "a kernel that died": ([(ERR, RUNNER + "nbclient.exceptions.DeadKernelError: Kernel died\n")], "DeadKernelError", "Kernel died"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "kind", "text"), ROWS.values(), ids=ROWS)
def test_the_reason(said: list[tuple[str, str]], kind: str | None, text: str | None) -> None:
    """The last traceback is the reason, else the last error's text, else the last line of stderr."""
    exception, found = find_reason(_say(*said))
    if exception is None:
        assert (kind, text) == (None, found)
    else:
        assert (kind, text, None) == (exception.type, exception.message, found)


@pytest.mark.parametrize(
    ("lines", "levels", "text"),
    [
        (
            ["Error using load", "No file x.mat.", "", "Error in qc (line 3)", "Error in run (line 9)"],
            {0: "ERROR", 3: "ERROR", 4: "ERROR"},
            "Error using load\nNo file x.mat.",
        ),
        (["Error in qc (line 3)"], {0: "ERROR"}, "Error in qc (line 3)"),
        (["ERROR: a", "WARNING: b"], {1: "WARNING", 0: "ERROR"}, "ERROR: a"),
        (["ERROR: a", "ERROR: b", "c"], {1: "ERROR", 0: "CRITICAL"}, "ERROR: b"),
        (["WARNING: b"], {0: "WARNING"}, None),
    ],
    ids=["MATLAB", "only a caller", "a warning behind it", "any order", "none"],
)  # fmt: skip
def test_the_last_error_of_a_block(
    lines: list[str], levels: dict[int, str], text: str | None
) -> None:
    """Of many lines at once the last error is kept, with the line that it announces."""
    evidence = FailureEvidence()
    evidence.note_lines([line.encode() for line in lines], levels)
    assert evidence.error == text


def test_what_is_kept_is_bounded() -> None:
    """However much is on stderr, only its last lines are kept, from one block or from many."""
    evidence = FailureEvidence()
    for first in range(0, 1000, 100):
        evidence.note_stderr([b"line %d" % (first + n) for n in range(100)])
    evidence.note_stderr([b"the end"])
    lines = evidence.read_stderr()
    assert (len(lines), lines[0], lines[-1]) == (KEPT_LINES, "line 969", "the end")


def test_a_worker_that_died_in_a_cell() -> None:
    """The cell's traceback tells what its exception was raised from: a pool whose worker is gone."""
    text = (
        "\x1b[31mBrokenProcessPool\x1b[39m      Traceback (most recent call last)\nCell In[1]\n\n"
        "\x1b[31mBrokenProcessPool\x1b[39m: A process was terminated abruptly\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "\x1b[31mRuntimeError\x1b[39m      Traceback (most recent call last)\nCell In[1]\n\n"
    )
    exception, _ = find_reason(
        _say((ERR, f"{NBCLIENT}{text}\x1b[31mRuntimeError\x1b[39m: no units\n"))
    )
    assert exception is not None
    assert (exception.type, exception.message) == ("RuntimeError", "no units")
    assert is_worker_death(exception)


def test_a_line_in_pieces_is_whole_at_its_beginning() -> None:
    """Of a line that is too long for one record the beginning is the reason."""
    _, text = find_reason(_say((ERR, f"no units in {'x' * 600_000}\n")))
    assert text is not None
    assert text.startswith("no units in x")


@pytest.mark.slow
@pytest.mark.parametrize(
    "token", ["Error in ", "make: *** [", "] Error 2", "(see ", "+", "=", "[==", "1%", "█", "\x1b]8;", "\x1b[3", "---- ", "x.Error: ", "ValueError  "]
)  # fmt: skip
def test_long_lines_take_linear_time(token: str) -> None:
    """A line of any length is looked at in time in proportion to it, whatever it repeats."""

    def measure(size: int) -> float:
        line = (token * (size // len(token))).encode().replace(b"\x1b", b"\\u001b")
        evidence = FailureEvidence()
        evidence.note_lines([line], {0: "ERROR"})
        evidence.error = None
        evidence.note_stderr([line])
        begin = time.process_time()
        for exception in (None, {"type": "CellExecutionError", "traceback": line.decode()}):
            if exception is not None:
                evidence.note_record({"level": "ERROR", "message": "m", "exception": exception})
                evidence.note_stderr([line])
            find_reason(evidence)
        return time.process_time() - begin

    small, large = (
        min(measure(100_000) for _ in range(3)),
        min(measure(1_600_000) for _ in range(3)),
    )
    assert large < 16 * 4 * max(small, 0.001)


@pytest.mark.parametrize("text", ["exit status 0.3 of all", "Execution halted by the user", "Node.js is missing", "+ exiting", "Killed 3 jobs", "error: aborting due to 1 previous error", "error: called from f"])  # fmt: skip
def test_lines_that_do_not_only_close(text: str) -> None:
    """What merely begins like a closing line may be the reason."""
    assert not is_closing_line(text)
