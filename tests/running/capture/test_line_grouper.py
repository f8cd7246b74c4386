"""Lines that belong together are one record, whatever program printed them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from aind_capsule.running.capture.groups.line_group import (
    MAX_GROUP_BYTES,
    MAX_MESSAGE_LINES,
    GroupedLines,
)
from aind_capsule.running.capture.groups.openings import open_group
from aind_capsule.running.capture.line_grouper import LineGrouper

TRACEBACK = "Traceback (most recent call last):"
FRAME = '  File "/code/a.py", line 3, in f\n    f()\n    ^^^'
BARS = "  + Exception Group Traceback (most recent call last):"
#: A text, and the exception of its one group: level, type, message, whether it is ignored.
ONE = {
    "plain": (f"{TRACEBACK}\n{FRAME}\nValueError: bad", "ERROR", "ValueError", "bad", False),
    "no message": (f"{TRACEBACK}\n{FRAME}\nKeyboardInterrupt", "ERROR", "KeyboardInterrupt", "", False),
    "a dotted name": (f"{TRACEBACK}\n{FRAME}\na.b.Bad: x", "ERROR", "Bad", "x", False),
    "a class of a function": (f"{TRACEBACK}\n{FRAME}\nmake.<locals>.Bad: x", "ERROR", "Bad", "x", False),
    "more lines": (f"{TRACEBACK}\n{FRAME}\nE: a\n\nb:\n  E: c", "ERROR", "E", "a\n\nb:\n  E: c", False),
    "notes": (f"{TRACEBACK}\n{FRAME}\nE: a\nnote one", "ERROR", "E", "a\nnote one", False),
    "during": (
        f"{TRACEBACK}\n{FRAME}\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n{TRACEBACK}\n{FRAME}\nE: b",
        "ERROR", "E", "b", False,
    ),
    "cause": (
        f"{TRACEBACK}\n{FRAME}\nKeyError: 'a'\nmore\n\nThe above exception was the direct cause of the following exception:\n\n{TRACEBACK}\n{FRAME}\nE: b",
        "ERROR", "E", "b", False,
    ),
    "a pool's": (
        f'multiprocessing.pool.RemoteTraceback: \n"""\n{TRACEBACK}\n{FRAME}\nE: a\n"""\n\n'
        f"The above exception was the direct cause of the following exception:\n\n{TRACEBACK}\n{FRAME}\nE: a",
        "ERROR", "E", "a", False,
    ),
    "a thread's": (f"Exception in thread Thread-1 (f):\n{TRACEBACK}\n{FRAME}\nE: a", "ERROR", "E", "a", False),
    "a process's": (f"Process ForkProcess-1:\n{TRACEBACK}\n{FRAME}\nE: a", "ERROR", "E", "a", False),
    "a task's": (f"Task exception was never retrieved\nfuture: <Task finished>\n{TRACEBACK}\n{FRAME}\nE: a", "ERROR", "E", "a", False),
    "ignored": (f"Exception ignored in: <function A.__del__ at 0x7f>\n{TRACEBACK}\n{FRAME}\nE: a", "WARNING", "E", "a", True),
    "of logging": (
        f"--- Logging error ---\n{TRACEBACK}\n{FRAME}\nTypeError: a\nCall stack:\n  File \"b\", line 1, in g\nMessage: 'x %d'\nArguments: ('y',)",
        "ERROR", "TypeError", "a", True,
    ),
    "indented": (f'    {TRACEBACK}\n      File "a", line 1, in f\n    E: a\n    more', "ERROR", "E", "a\n    more", False),
    "loguru's": (f'{TRACEBACK}\n\n{FRAME}\n    └ <function f>\n\n> File "a", line 1, in f\n\nE: a', "ERROR", "E", "a", False),
    "rich's": ("╭──── Traceback (most recent call last) ────╮\n│ a.py:3 in f │\n╰────╯\nE: a", "ERROR", "E", "a", False),
    "a group": (
        f'{BARS}\n  |   File "a", line 1, in f\n  | ExceptionGroup: many (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n'
        "    | ValueError: a\nb\n    +---------------- 2 ----------------\n    | TypeError: c\n    +------------------------------------",
        "ERROR", "ExceptionGroup", "many (2 sub-exceptions)", False,
    ),
    "behind text": (f"ERROR:root:failed: {TRACEBACK}\n{FRAME}\nE: a", "ERROR", "E", "a", False),
    "behind a time": (f"10:00:00 failed: {TRACEBACK}\n{FRAME}\nE: a", "ERROR", "E", "a", False),
    "a group behind text": (
        "failed: " + BARS + '\n  |   File "a", line 1, in f\n  | ExceptionGroup: many (1 sub-exception)\n  +-+---------------- 1 ----------------\n'
        "    | ValueError: a\n    +------------------------------------",
        "ERROR", "ExceptionGroup", "many (1 sub-exception)", False,
    ),
    "behind a bar": (f" 10%|# | 1/10 [00:00<?]{TRACEBACK}\n{FRAME}\nE: a", "ERROR", "E", "a", False),
    "rich's in a log": (
        "      ╭──── Traceback (most recent call last) ────╮      \n      │ a.py:3 in f │   \n      ╰────╯   \n      E: a",
        "ERROR", "E", "a", False,
    ),
    "IPython's": (
        "ValueError                 Traceback (most recent call last)\nCell In[1], line 6\n      5 \n----> 6 f(3)\n\nFile /a.py:2, in f(x)\n"
        "      1 def f(x):\n----> 2     raise ValueError(x)\n\nValueError: bad\nmore",
        "ERROR", "ValueError", "bad\nmore", False,
    ),
    "IPython's chain": (
        "KeyError            Traceback (most recent call last)\n/a.py in f(x)\n----> 1 {}[3]\n\nKeyError: 3\n\nDuring handling of the above exception, "
        "another exception occurred:\n\nBad                 Traceback (most recent call last)\n<ipython-input-1-ab> in <module>\n----> 1 f(3)\n\na.Bad: x",
        "ERROR", "Bad", "x", False,
    ),
    "a SyntaxError": ('  File "/code/a.py", line 2\n    x = (1\n        ^\nSyntaxError: never closed', "ERROR", "SyntaxError", "never closed", False),
    "without its end": (f"{TRACEBACK}\n{FRAME}", "ERROR", "Exception", "^^^", False),
    "a box": ("╭─ Error ──────╮\n│ no option -x │\n╰──────────────╯", "ERROR", "", "", False),
    "a warning": ("/code/a.py:3: UserWarning: careful\n  warnings.warn(x)", "WARNING", "", "", False),
    "a warning of more lines": ("/code/a.py:3: a.b.MyWarning: one\ntwo\n  warn(x)", "WARNING", "", "", False),
    "Java": ('Exception in thread "main" a.b.BadException: x\ny\n\tat a.B.c(B.java:3)\nCaused by: a.C: d\ne\n\tat a.D(D.java:1)\n\t... 2 more', "ERROR", "BadException", "x\ny", False),
    "Java without a thread": ("java.lang.NullPointerException\n\tat a.B(B.java:1)", "ERROR", "NullPointerException", "", False),
    "Node": ("TypeError: x is no function\n    at f (a.js:1:2) {\n  code: 'E',\n  path: '/x'\n}", "ERROR", "TypeError", "x is no function", False),
    "an assertion of Node": (
        "AssertionError [ERR_ASSERTION]: equal:\n\n1 !== 2\n\n    at a.js:1:2 {\n  actual: 1\n}",
        "ERROR", "AssertionError", "equal:\n\n1 !== 2", False,
    ),
    ".NET": ("Unhandled exception. System.IO.IOException: x\n   at A.B() in /a.cs:line 3", "ERROR", "IOException", "x", False),
    "Ruby": ("a.rb:1:in `f': bad (ArgumentError)\n\tfrom a.rb:3:in `<main>'", "ERROR", "ArgumentError", "bad", False),
    "PHP": ("PHP Fatal error:  Uncaught RuntimeException: no x in /a.php:2\nStack trace:\n#0 {main}\n  thrown in /a.php on line 2", "ERROR", "RuntimeException", "no x", False),
    "Go": ("panic: nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:4 +0x1\nexit status 2", "ERROR", "panic", "nil map", False),
    "Rust": ("thread 'main' (12) panicked at a.rs:1:2:\nno x\nstack backtrace:\n   0: f\n             at a.rs\nnote: run with RUST_BACKTRACE", "ERROR", "panic", "no x", False),
    "old Rust": ("thread 'main' panicked at 'no x', a.rs:1:2\nnote: run with", "ERROR", "panic", "no x", False),
    "C++": ("terminate called after throwing an instance of 'std::runtime_error'\n  what():  no x", "ERROR", "std::runtime_error", "no x", False),
    "C++ of more lines": (
        "terminate called after throwing an instance of 'a::Bad'\n  what():  no x\n\nsee y",
        "ERROR", "a::Bad", "no x\n\nsee y", False,
    ),
    "PHP of a command": ("PHP Fatal error:  Uncaught Exception: x in Command line code:1\nStack trace:\n#0 {main}\n  thrown in Command line code on line 1", "ERROR", "Exception", "x", False),
    "faulthandler": ('Fatal Python error: Aborted\n\nCurrent thread 0x7f (most recent call first):\n  File "a", line 1 in f', "CRITICAL", "Fatal Python error", "Aborted", False),
    "a time limit": ('Timeout (0:00:05)!\nThread 0x7f (most recent call first):\n  File "a", line 1 in f', "ERROR", "Timeout", "Timeout (0:00:05)!", False),
}  # fmt: skip
#: These end by themselves: nothing behind them is taken.
PLAIN = [
    "a line", "Process finished: all", "Timeout (5 s)!", "Exception: none", '  File "x", line 3', "panic: x", "thread pool started",
    "terminate called without an active exception", "ValueError       Traceback (most recent call last)", "╭─ Error ──────╮", "╭─ Error bars ──╮", f"it ends with {TRACEBACK}", f"+ echo {TRACEBACK}", "/code/a.py:3: UserWarning: alone", "ValueError: caught", '"""', "future: <x>",
]  # fmt: skip


def _group(text: str) -> Iterator[str | GroupedLines]:
    grouper = LineGrouper()
    for line in text.split("\n"):
        yield from grouper.feed(line)
    yield from grouper.flush()
    assert not grouper.is_open


@pytest.mark.parametrize(("text", "level", "kind", "message", "is_ignored"), ONE.values(), ids=ONE)
def test_a_group_is_one(text: str, level: str, kind: str, message: str, is_ignored: bool) -> None:
    """Every form of group is one record with all of its lines, its exception's type and message."""
    assert list(_group(text)) == [GroupedLines(level, text, kind, message, is_ignored)]


@pytest.mark.parametrize(
    "end",
    [
        "INFO: on",
        "10:00:00 x",
        "[a] x",
        "/b.py:1: UserWarning: x",
        TRACEBACK,
        f"failed: {TRACEBACK}",
        "KeyError       Traceback (most recent call last)",
    ],
)
@pytest.mark.parametrize("name", ONE)
def test_a_new_beginning_ends_a_group(name: str, end: str) -> None:
    """A level, a time or another group's opening is no part of what was before it."""
    text = ONE[name][0]
    found = list(_group(f"{text}\n{end}"))
    assert isinstance(found[0], GroupedLines)
    assert found[0].text == text
    assert len(found) == 2


@pytest.mark.parametrize("line", PLAIN)
def test_plain_lines_come_out_as_they_are(line: str) -> None:
    """A line that only looks like an opening, and lines behind it, are lines in their order."""
    found = [
        each if isinstance(each, str) else each.text for each in _group(f"{line}\nnext\n\nlast")
    ]
    assert found == [line, "next", "", "last"]


@pytest.mark.parametrize("name", ["plain", "C++", "IPython's", "Rust"])
def test_empty_lines_behind_a_group(name: str) -> None:
    """Empty lines at the end are no part of a message."""
    text = ONE[name][0]
    first, *others = _group(f"{text}\n\nINFO: on")
    assert isinstance(first, GroupedLines)
    assert (first.text, others) == (text, ["", "INFO: on"])


def test_a_message_has_a_limit() -> None:
    """A message swallows at most the documented number of lines; the others are lines."""
    more = [f"line {number}" for number in range(100)]
    first, *others = _group("\n".join([TRACEBACK, FRAME, "E: a", *more]))
    assert isinstance(first, GroupedLines)
    assert first.error_message.count("\n") == MAX_MESSAGE_LINES
    assert others == more[MAX_MESSAGE_LINES:]


def test_a_message_has_a_limit_in_bytes() -> None:
    """A message swallows at most the documented number of bytes."""
    first, *others = _group("\n".join([TRACEBACK, FRAME, "E: a", *["x" * 5000] * 6]))
    assert isinstance(first, GroupedLines)
    assert len(others) == 3


def test_a_group_has_a_limit() -> None:
    """Frames over the size of a group are lines; the exception behind them is known all the same."""
    count = MAX_GROUP_BYTES // len(FRAME) + 1
    found = list(_group("\n".join([TRACEBACK, *[FRAME] * count, "E: a"])))
    groups = [each for each in found if isinstance(each, GroupedLines)]
    assert [(group.error_type, group.error_message) for group in groups[1:]] == [("E", "a")]


def test_lines_held_back_may_open_a_group() -> None:
    """What was held back for one group and did not belong to it opens the next."""
    text = "/a.py:1: UserWarning: x\nTask exception was never retrieved\n" + ONE["plain"][0]
    found = [each.text if isinstance(each, GroupedLines) else each for each in _group(text)]
    assert found == ["/a.py:1: UserWarning: x", text.partition("\n")[2]]


def test_a_warning_without_source_before_an_exception_group() -> None:
    """An exception group is indented as a warning's source is, and is none."""
    text = f"<string>:1: UserWarning: a\nb\n{ONE['a group'][0]}"
    first, second, group = _group(text)
    assert isinstance(first, GroupedLines)
    assert (first.level, first.text, second) == ("WARNING", "<string>:1: UserWarning: a", "b")
    assert isinstance(group, GroupedLines)
    assert group.error_type == "ExceptionGroup"


def test_heads_alone_are_fed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many lines that may each have frames behind them are not held back again and again."""
    fed = 0
    count = open_group

    def open_counted(line: str) -> object:
        nonlocal fed
        fed += 1
        return count(line)

    monkeypatch.setattr("aind_capsule.running.capture.line_grouper.open_group", open_counted)
    lines = ["java.lang.IllegalStateException"] * 1000
    assert list(_group("\n".join(lines))) == lines
    assert fed <= 2 * len(lines)


@pytest.mark.parametrize("name", ONE)
def test_the_first_line_opens(name: str) -> None:
    """The table of openings knows the first line of every form."""
    assert open_group(ONE[name][0].split("\n")[0]) is not None


@pytest.mark.parametrize("seed", range(50))
def test_every_line_comes_out_once(seed: int) -> None:
    """However lines of groups are mixed, each is in one record, in its order."""
    pool = [line for text, *_ in ONE.values() for line in text.split("\n")] + PLAIN
    chance = random.Random(seed)
    some = chance.sample(pool, chance.choice([1, 2, 3, 5, 9]))
    lines = [chance.choice(some) for _ in range(300)]
    found = [each if isinstance(each, str) else each.text for each in _group("\n".join(lines))]
    assert "\n".join(found).split("\n") == lines
