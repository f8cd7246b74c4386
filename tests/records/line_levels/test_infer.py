"""The level that a line of a real program states, and where it states none."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records.line_levels.forms import FORMS, Form
from aind_capsule.records.line_levels.infer import begins_record, infer_level
from aind_capsule.records.line_levels.leads import MAX_LEADS, find_starts
from aind_capsule.records.line_levels.literals import FIRST_LETTERS, LITERALS
from aind_capsule.records.line_levels.values import ends_with_value, is_value

STATED = {
    "DEBUG": ["DEBUG: x", "time=1 level=debug msg=x", "[debug] x", "10:00:00 | DEBUG | a:b:3 - x", "trace: entering f"],
    "WARNING": [
        "[WARNING] 3 labels missing", "warning: unused", "Warning message:", "WARN  12:00:00 x", "2026-01-02 03:04:05 WARN a.b - x",
        "W0102 03:04:05.678 1234 f.cc:5] slow", "[W 03:04:05.678 LabApp] slow", "W: no index", "<4>disk slow", "(pid=33) WARNING: x", "(worker 3) WARNING: x",
        "/code/a.py:3: UserWarning: careful", "/a path/with blank.py:12: RuntimeWarning: x", "npm WARN old lockfile", "UserWarning: x y",
        "CMake Warning at a.cmake:3:", "PHP Warning:  Undefined variable", "WARNING:root:low signal", "WARNING:root:no", "** WARNING: x",
        "2026-01-01 10:00:00.123 | WARNING  | mod:f:3 - x", "level=warning msg=x n=3",
        "[WARNING/ForkPoolWorker-1] x", "[WARNING|train.py:80] 10:00:00 >> x", "[rank0]:W0102 03:04:05.678 12 a/b.py:5] slow",
        "[WARN] [1700000000.12] [camera]: frames dropped", "Warning! no index", "WARNING -- x", "Warning 1: unknown tag", "==12==WARNING: MemorySanitizer: x",
        "(node:12) [DEP0005] DeprecationWarning: x", "k.cu(3): warning #177-D: never used", "CMake Deprecation Warning at a:1 (f):", "libpng warning: x y",
        "Warning: 10% of frames dropped", "Warning: 0.5 mm more than expected",
    ],
    "ERROR": [
        "ERROR: no such file", "Error: cannot open", "error: x", "2026-01-01 10:00:00,123 ERROR x", "ERROR 5 files missing", "ERROR: exit status: 1",
        "10:00:00 my.logger    ERROR    x", "2026-01-02T03:04:05Z [ERROR] x", "[10:00:00] ERROR x", "[main] ERROR: x", "❌ Error: x", "*** ERROR: x",
        "file.c:3:1: error: expected ;", "main.c:3: fatal error: no.h: no such file", "fatal: not a repository", "E0102 03:04:05.6 12 f.cc:5] x",
        "2026-01-02 03:04:05.6: E a/b.cc:271] failed", "E: Unable to locate package x", "error[E0308]: mismatched types",
        "run: line 3: nope: command not found", "run: line 9:  123 Segmentation fault      (core dumped) ./a", "bash: line 1: X: unbound variable",
        "Segmentation fault (core dumped)", "a: a.c:3: main: Assertion `n > 0' failed.", "ValueError: bad shape", "java.lang.IllegalStateException: x",
        "a.b.MyError: x y", "Error in f(3) : subscript out of bounds: 3", "Error processing plane: 3", "Error opening input file", "SEVERE: cannot write",
        "<3>disk failed", "sorter: ERROR: no units", "p.py: error: argument --rate: invalid float value", "Fortran runtime error: out of bounds",
        "Exception in thread main", "panic: nil map", "Error in read.csv(x)", "ERROR - giving up", "myapp.ERROR: x",
        "[2026-01-01 10:00:00,123: ERROR/MainProcess] x", "[sorter ERROR] x", "[10:00:00 ERROR] x", "10:00 ERROR x", "2026-01-01 ERROR x",
        "20260101 10:00:00 ERROR x", "Thu Jan  1 10:00:00 2026 ERROR x", "Thu Jan 01 10:00:00 UTC 2026: ERROR: x", "1700000000.123 ERROR x",
        "10:00:00, ERROR, x", "10:00:00; ERROR; x", "10:00:00 sorter:12 ERROR x", "Jan  1 10:00:00 host sorter[12]: error: x", "sorter[12]: ERROR: x", "2026-01-01 10:00:00 host sorter[12] ERROR x",
        "sorter.py:12 ERROR x", "sorter.py:12: ERROR x", "meson.build:3:0: ERROR: x", "sorter ERROR: x", "rank 0: ERROR: x", "root      : ERROR    x",
        "[ERROR] [1700000000.12]: node died", "#8 ERROR: failed to solve", "==> ERROR: x", "--- ERROR: x ---", "[!] Error: x", "**ERROR**: x",
        "ERROR | main:f:3 | x", "error | no file", "ERROR! x y", "Exception: cannot read", "AssertionError [ERR_ASSERTION]: not equal",
        "ERROR: 5 files missing: a, b", "ERROR: 3: no such plane", "a.ts(3,1): error TS2304: x", "error TS2304: x", "k.cu(3): error: x",
        "rsync error: some files (code 23)", "HDF5-DIAG: Error detected in HDF5 (1.10.7) thread 0:", "Unhandled exception. System.Exception: x",
        "a.out: error while loading shared libraries: libx.so: cannot open", "libc++abi: terminating due to uncaught exception of type x",
        "==12==ERROR: AddressSanitizer: x", "*** stack smashing detected ***: terminated", "double free or corruption (out)", "free(): invalid pointer",
        "run.sh: 4: cd: can't cd to /nope", "run.sh: 6: /etc/passwd: Permission denied", "sh: 1: sortt: not found", 'sh: 1: Syntax error: "then" unexpected',
        "run.sh: 3: X: parameter not set", "bash: line 1: 08: value too great for base", "./run: line 3: [: too many arguments", "-bash: sortt: command not found",
        "zsh:1: command not found: sortt", "12 --- [main] ERROR: x", "2026-01-01 10:00:00,123 - name - ERROR - x", "Jan 02 2026 03:04:05 ERROR x", "{a.py:3} ERROR - x",
    ],
    "CRITICAL": ["CRITICAL: out of space", "FATAL: x", "[FATAL] x", "F0102 03:04:05.6 12 f.cc:5] x", "Fatal Python error: Aborted", "<2>x", "[C 03:04:05 App] x"],
    "INFO": [
        "", "the error was small", "no warnings", "Error rate: 3 %", "[INFO] retry after ERROR: x", "INFORMATION about errors", "0 errors, 0 warnings",
        "Error: 0.02", "ERROR: 0", "error = nan", "Warning: 0, Error: 0", "Mean error: 0.3 px", "MeanSquaredError: 0.2", "Error in slope = 0.3", "err: 3e-4",
        "Error: 3 ± 1", "Error: 0.02 | Accuracy: 0.9", "errors: []", "warnings: none", "FATAL errors found: 0", "trace: [1.0, 2.0]", "W: 640 H: 480",
        '  "level": "error",', "    level: ERROR", "  ERROR          error mode", "--level=debug", "+ echo ERROR: x", "> ERROR: x", "# ERROR: x",
        "| ERROR | 3 |", "ERROR     2", "DEBUG text without a sign", "INFO: start", "E   assert 1 == 2", "I0102 03:04:05.6 12 f.cc:5] x", "<6>x",
        "ls: cannot access x: No such file", "error_rate: high", "errors.py:3 is fine", "See Error 3 below", "level: 3", "1   error 1",
        "Error: array([0.1, 0.2])", "Error: <0.001", "Error: ~3 %", "error: +-0.1", "Error: [0.1 0.2", "Error: 0.02 Val loss: 0.9", "Error: ---",
        "ERROR MODE: strict", "Error | Accuracy | Epoch", "<error>text</error>", "Step 3: error: 0.2", "PIPELINE ERROR:",
        "10:00:00 - hello: WARNING inside", "paper.txt: line 3: the quick fox", "a.txt: 3: was found", "INFO ERROR: x", "3/10 ERROR", "[No ERROR] x",
        "Using tolerance (error) = 0.3", "- ERROR: in a list", "Error handling", "Error checking is on", "++ ERROR: x", "D: 3", "ok: no error: x", "critical: 3 (p < 0.05)",
    ],
}  # fmt: skip
CASES = [(line, level) for level, lines in STATED.items() for line in lines]


@pytest.mark.parametrize(("line", "level"), CASES)
def test_a_line_states_its_level(line: str, level: str) -> None:
    """A level is read where the line itself states it, by one of the usual forms, and else INFO."""
    assert infer_level(line) == level


@pytest.mark.parametrize(("line", "level"), [case for case in CASES if case[1] != "INFO"])
def test_the_literals_find_it(line: str, level: str) -> None:
    """Each line with a level has one of the literals that are looked for first."""
    text = f"\n{line}\n".lower()
    assert any(literal in text for literal in LITERALS)
    anchored = [literal for literal in LITERALS if literal[0] == "\n" and literal in text]
    if not any(literal in text for literal in LITERALS if literal[0] != "\n"):
        assert anchored
        assert line[:1].encode() in FIRST_LETTERS


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.example)
def test_each_form_has_its_example(form: Form) -> None:
    """The example of each form has this form, and its level is not INFO."""
    starts = [place for place, _, _ in find_starts(form.example)] or [0]
    assert any(re.compile(form.pattern).match(form.example, place) for place in starts)
    assert infer_level(form.example) != "INFO"


@given(st.text())
def test_a_line_without_the_literals_is_info(line: str) -> None:
    """The literals miss no line that has a level of its own."""
    if infer_level(line) != "INFO":
        assert any(literal in f"\n{line}".lower() for literal in LITERALS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [("10:00:00 x", True), ("2026-01-02 03:04:05,123 x", True), ("INFO: x", True), ("[main] x", True), ("root.INFO: x", True),
     ("ERROR x", True), ("see log", False), ("  E: no such file", False), ("", False), ("at 10:00:00", False)],
)  # fmt: skip
def test_what_begins_a_record(line: str, expected: bool) -> None:
    """A level or a time ends the message before it; other text may go on with it."""
    assert begins_record(line) == expected


def test_values() -> None:
    """Numbers with units, lists and words of truth are values; text is none."""
    for value in (
        "3",
        " 0.3 px",
        "1e-3",
        "nan",
        "[1, 2]",
        "(0.1)",
        "none",
        "True",
        "n/a",
        "3 %",
        "-",
        "5, loss: 3",
    ):
        assert is_value(value), value
    for text in (
        "5 files missing",
        "no such file",
        "none of them",
        "3rd plane",
        "exit status: 1",
        "offline",
    ):
        assert not is_value(text), text
    assert ends_with_value("slope = 0.3")
    assert not ends_with_value("file = x")


def test_few_things_before_a_level() -> None:
    """At most four things stand before a level, so that a level word in a sentence is none."""
    lead = "[a] "
    assert infer_level(lead * MAX_LEADS + "ERROR: x") == "ERROR"
    assert infer_level(lead * (MAX_LEADS + 1) + "ERROR: x") == "INFO"


TOKENS = [
    "[a] ",
    "10:00:00 ",
    "(a) ",
    "{a} ",
    "*** ",
    "- ",
    "a.",
    "a: ",
    "ERROR ",
    "1 --- ",
    ":1: ",
    "a=1 ",
    '"',
    "x:1",
    " ",
    "\t",
    "1",
    ".",
    "A",
    "<",
    "| ",
    "a[1]: ",
    "#1 ",
    "==1==",
    "==> ",
    "--- ",
    "Thu Jan 1 ",
    "20260101 ",
    "[0.1 ",
    "array(",
    "a 1 : ",
    "<~",
    "0.1 a",
    "a(1): ",
    "sh: 1: ",
    "** ",
]


@pytest.mark.parametrize("token", TOKENS)
def test_hostile_lines(token: str) -> None:
    """No line takes long, whatever is repeated in it: a line is looked at for 300 characters."""
    for text in (token * 300, token * 40 + "ERROR", token * 100_000, "ERROR: " + token * 300):
        infer_level(text)  # compiled
        start = time.process_time()
        for _ in range(5):
            infer_level(text)
        assert time.process_time() - start < 0.25
