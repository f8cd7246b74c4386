"""What a terminal shows of records and banners: colours, width, the clock."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.logs.console import (
    format_banner,
    format_record,
    format_utc_offset,
    shift_clock,
)
from aind_capsule.logs.folding import count_cells, cut, fold
from aind_capsule.logs.screen import Screen, find_screen


def _set_size(fd: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@pytest.fixture
def terminal() -> Iterator[int]:
    """The program's end of a terminal of 60 columns."""
    ours, theirs = pty.openpty()
    _set_size(theirs, 60)
    yield theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("environ", "moves_cursor", "has_colours"),
    [
        ({}, True, True),
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"NO_COLOR": "0", "TERM": "xterm-256color"}, True, False),
    ],
)
def test_what_a_terminal_can_show(
    terminal: int, environ: dict[str, str], moves_cursor: bool, has_colours: bool
) -> None:
    """Colours unless NO_COLOR is set and not empty; a dumb terminal has none, and no line is replaced there."""
    assert find_screen(terminal, environ) == Screen(terminal, True, moves_cursor, has_colours)


def test_what_is_no_terminal(tmp_path: os.PathLike[str]) -> None:
    """A file, a pipe and no stream at all have no colours and no width."""
    read_fd, write_fd = os.pipe()
    for fd in (None, read_fd, 9999):
        screen = find_screen(fd, {"TERM": "xterm"})
        assert (screen.is_terminal, screen.moves_cursor, screen.has_colours) == (False,) * 3
        assert screen.count_columns() is None
    os.close(read_fd)
    os.close(write_fd)


def test_the_width_is_the_present_one(terminal: int) -> None:
    """A window may be resized; one that tells no width has none, and a tiny one counts for 20."""
    screen = find_screen(terminal, {})
    widths = []
    for columns in (60, 132, 5, 0):
        _set_size(terminal, columns)
        widths.append(screen.count_columns())
    assert widths == [60, 132, 20, None]
    assert Screen(None, is_terminal=True).count_columns() is None
    assert Screen(9999, is_terminal=True).count_columns() is None  # it has gone away


PATH = "/scratch/.capsule/20261128T013252-92676e60/python3-20261128T013252-92676e60.log.jsonl"


def test_a_banner_in_60_columns() -> None:
    """The rule ends with the screen; a path that does not fit beside its name stands below, cut at slashes."""
    rows = [("status", "fail"), ("error", "NotFound: " + "word " * 20), ("log", PATH), ("run", PATH[:50])]  # fmt: skip
    lines = format_banner("capsule run", rows, columns=60).split("\n")
    assert max(map(len, lines)) == 60
    assert lines[0] == "── capsule run " + "─" * 45
    assert lines[2] == "   error   NotFound: word word word word word word word word"
    assert lines[3] == "           " + " ".join(["word"] * 10)
    assert lines[5:] == [
        "   log",
        "   /scratch/.capsule/20261128T013252-92676e60/",
        "   python3-20261128T013252-92676e60.log.jsonl",
        "   run",
        "   /scratch/.capsule/20261128T013252-92676e60/python3",
    ]
    title = format_banner("t" * 80 + " failed", [], columns=60)
    assert title == "── " + "t" * 46 + "… failed ──"


def test_a_banner_that_goes_into_a_file() -> None:
    """Without a width every value stays whole, in its row."""
    lines = format_banner("capsule run", [("log", PATH * 2)]).split("\n")
    assert (len(lines[0]), lines[1]) == (72, f"   log  {PATH * 2}")
    assert len(format_banner("x", [], columns=200)) == 72


OWN = {
    "timestamp": "2026-01-02T23:04:05.678901Z",
    "level": "WARNING",
    "message": "The log is not put into results: run_files leaves it out",
}


def test_a_record_in_60_columns() -> None:
    """A long message goes on below itself, and so do fields that have no room behind it."""
    lines = format_record({**OWN, "left": 3}, columns=60).split("\n")
    assert lines == [
        "23:04:05.678 WARNING  The log is not put into results:",
        "                      run_files leaves it out  left=3",
    ]
    lines = format_record({**OWN, "left": "x" * 14}, columns=60).split("\n")
    assert lines[2] == "                      left=xxxxxxxxxxxxxx"
    lines = format_record({**OWN, "message": "ok", "left": "x" * 29}, columns=60).split("\n")
    assert lines == ["23:04:05.678 WARNING  ok  left=" + "x" * 29]
    lines = format_record({**OWN, "message": "ok", "left": "x" * 30}, columns=60).split("\n")
    assert len(lines) == 2
    lines = format_record({**OWN, "logger": "qc", "lineno": 70}, columns=60).split("\n")
    assert lines[0] == "23:04:05.678 WARNING  qc:70 - The log is not put into"
    assert format_record({**OWN, "message": "a b\nc " * 20}, columns=60).count("\n") == 20
    assert "\n" not in format_record(OWN)
    assert format_record({**OWN, "message": "ok", "lineno": 7}) == "23:04:05.678 WARNING  ok"


def test_a_record_that_just_fits() -> None:
    """What fills the last column goes on in no further line, with a place before it too."""
    message = "x" * 30 + " " + "y" * 7
    assert len(format_record({**OWN, "message": message}, columns=60)) == 60
    placed = {**OWN, "message": "ok", "logger": "qc", "lineno": 7, "left": "x" * 22}
    assert len(format_record(placed, columns=60)) == 60
    assert format_record({**placed, "left": "x" * 23}, columns=60).count("\n") == 1
    folded = {**placed, "message": "word " * 8, "left": "x" * 21}
    assert (
        format_record(folded, columns=60).split("\n")[1] == " " * 22 + "word word  left=" + "x" * 21
    )
    assert format_record({**folded, "left": "x" * 30}, columns=60).count("\n") == 2


def test_a_place_that_is_too_long() -> None:
    """Of a long logger's name the end is shown, and the message stands below it."""
    record = {
        **OWN,
        "message": "word " * 9 + "a\tb",
        "logger": "a.very.long.library." * 3,
        "lineno": 7,
    }
    lines = format_record(record, columns=60).split("\n")
    assert lines[0] == "23:04:05.678 WARNING  …ong.library.a.very.long.library.:7 - "
    assert lines[1:] == [f"{' ' * 22}{'word ' * 6}word", f"{' ' * 22}word word a  b"]


def test_control_characters_are_shown() -> None:
    """No text of a record or a banner moves the cursor, hides anything or makes a line of its own."""
    record = {**OWN, "message": "a\rb\x9bc\x1b[2K", "logger": "l\x07", "x": "\x9b1m"}
    assert format_record(record).endswith(r"l\x07 - a\x0db\x9bc\x1b[2K  x=\x9b1m")
    assert format_record({**OWN, "message": "a\r\nb"}).endswith("a\nb")
    assert format_banner("x", [("error", "a\r\nb\x1b[1m\nc")]).endswith(r"a b\x1b[1m c")


def test_an_exception_without_its_traceback() -> None:
    """An exception of which only type and message are known adds no line."""
    assert "\n" not in format_record({**OWN, "exception": {"type": "ValueError"}})
    assert "\n" not in format_record({**OWN, "exception": "ValueError"})


def test_spaces_and_words_that_no_line_holds() -> None:
    """Spaces at the start and inside stay; at a fold they go; a long word is cut."""
    assert fold("x" * 30, 20, 0, 0) == ["x" * 20, "x" * 10]
    assert fold("x" * 16, 20, 10, 4) == ["", "x" * 16]
    assert fold("  " + "x" * 20, 20, 0, 0) == ["x" * 20]
    assert fold("  ab  cd", 20, 0, 0) == ["  ab  cd"]
    assert fold("aaaa bbbb    cccc", 20, 11, 12) == ["aaaa bbbb", "cccc"]
    assert fold("aaaaaa b  c", 7, 0, 0) == ["aaaaaa", "b  c"]
    assert fold("aaaa b c d e f g", 20, 14, 14) == ["aaaa b", "c d e", "f g"]


def test_records_by_the_clock_of_the_zone() -> None:
    """The shown clock is UTC and the offset, over midnight too."""
    assert format_record(OWN, utc_offset_s=3600).startswith("00:04:05.678 ")
    assert format_record(OWN, utc_offset_s=-5400).startswith("21:34:05.678 ")
    assert shift_clock("22:59:59.001", 1) == "23:00:00.001"
    assert (format_utc_offset(39600), format_utc_offset(-60)) == ("+11:00", "-00:01")
    assert [shift_clock(text, 60) for text in ("", "soon", "10:20", "1x:20:30")] == ["", "soon", "10:20", "1x:20:30"]  # fmt: skip


@given(
    text=st.lists(st.text("ab/. ", max_size=30), max_size=12).map(" ".join),
    columns=st.integers(20, 80),
    first=st.integers(0, 19),
    rest=st.integers(0, 19),
)
def test_folding_loses_nothing(text: str, columns: int, first: int, rest: int) -> None:
    """Whatever is folded is all there, and no line is longer than the screen."""
    lines = fold(text, columns, first, rest)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for index, line in enumerate(lines):
        room = columns - (rest if index else first)
        assert count_cells(line) <= room


def test_wide_characters_and_marks() -> None:
    """A character of two cells counts for two, a combining mark for none; nothing is cut in half."""
    assert [count_cells(text) for text in ("e\u0301", "\u200b", "\U0001f9e0", "é")] == [1, 0, 2, 1]
    assert cut("a脳波", 4) == "a脳"
    assert cut("a脳波", 5) == "a脳波"
    rows = [("process", "脳波" * 20), ("error", "脳 " * 40)]
    lines = format_banner("脳波" * 20 + " stopped", rows, columns=60).split("\n")
    assert lines[0].endswith("波… stopped ───")
    assert max(map(count_cells, lines)) == count_cells(lines[0]) == 60
    lines = format_record({**OWN, "message": "脳波" * 40}, columns=60).split("\n")
    assert (lines[0], max(map(count_cells, lines))) == (
        "23:04:05.678 WARNING  " + "脳波" * 9 + "脳",
        60,
    )
