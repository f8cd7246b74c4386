"""Bars of every kind: one state a second, the last one, and every line that stays on the screen."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.records.shrink import MAX_RECORD_BYTES
from aind_capsule.running.capture.line_assembler import Line, LineAssembler

LIMIT = 1000


class Screen:
    """An assembler with a clock of its own, and the lines that came out of it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.lines: list[str] = []
        self.assembler = LineAssembler(LIMIT, lambda: self.now_s, record_bytes=4 * LIMIT)

    def feed(self, text: str) -> None:
        """Print something."""
        block, lines = self.assembler.feed(text.encode())
        self._take(Line(one) for one in block.split(b"\n")[:-1])
        self._take(lines)

    def draw(self, texts: Iterable[str], pause_s: float = 0.05) -> None:
        """Print one after the other, with pauses."""
        for text in texts:
            self.feed(text)
            self.now_s += pause_s

    def rest(self, seconds: float) -> None:
        """Print nothing for a while."""
        for _ in range(int(seconds / 0.5)):
            self.now_s += 0.5
            if self.assembler.has_progress:
                self._take(self.assembler.flush_progress())

    def finish(self) -> list[str]:
        """End the stream."""
        self._take(self.assembler.finish())
        return self.lines

    def _take(self, lines: Iterable[Line]) -> None:
        self.lines += [line.text.decode() for line in lines]


def show(texts: Iterable[str], pause_s: float = 0.05) -> list[str]:
    """The lines of what is printed with pauses."""
    screen = Screen()
    screen.draw(texts, pause_s)
    return screen.finish()


#: How bars are drawn: what is printed for each state.
FORMS = {
    "carriage return first": "\rat {}%",
    "carriage return last": "at {}%\r",
    "padded": "\rat {}%        ",
    "erased line": "\x1b[2K\x1b[1Gat {}%",
    "erased line and carriage return": "\r\x1b[2Kat {}%",
    "erased to the end": "\rat {}%\x1b[K",
    "previous line": "\x1b[Fat {}%\n",
    "line above": "\x1b[1A\x1b[2K\rat {}%\n",
    "line above, moved by hand": "\x1b[A\x1b[3Dat {}%\n",
    "hidden cursor": "\x1b[?25l\rat {}%\x1b[?25h",
    "coloured": "\r\x1b[32mat \x1b[1m{}%\x1b[0m",
    "saved place": "\x1b[s\x1b[0Jat {}%\x1b[u",
    "saved place of DEC": "\x1b7\x1b[0Jat {}%\x1b8",
    "row of the screen": "\x1b[24;1Hat {}%\x1b[K",
    "title": "\x1b]0;at {}%\x07\rat {}%",
}


@pytest.mark.parametrize("form", FORMS)
def test_one_state_a_second(form: str) -> None:
    """A bar of 10 s has about ten records, its last state among them, and no control sequence."""
    first = "" if "above" not in form and "previous" not in form else "\n"
    states = [FORMS[form].replace("{}", str(n)) for n in range(101)]
    lines = [line for line in show([first, *states, "\n", "end\n"], 0.1) if line]
    last = ["end", "at 100%"] if form == "row of the screen" else ["at 100%", "end"]
    assert lines[-2:] == last
    assert lines[0] == "at 0%"
    assert 9 <= len(lines) <= 14
    assert {line[:3] for line in lines} == {"at ", "end"}


def test_backspaces() -> None:
    """A counter that goes back by backspaces shows whole states."""
    texts = ["at "] + [f"{n}%" + "\b" * len(f"{n}%") for n in range(101)]
    lines = show([*texts, "\n", "end\n"], 0.1)
    assert lines[-2:] == ["at 100%", "end"]
    assert all(line == "end" or line[3:].rstrip("%").isdigit() for line in lines)
    assert 9 <= len(lines) <= 14
    assert (
        show(["working |", *["\b/", "\b-", "\b\\", "\b|"] * 5, "\bdone\n"], 0)[-1] == "working done"
    )


def test_letters_struck_over() -> None:
    """Bold and underlined text of manual pages is one line of its letters."""
    assert show(["N\bNA\bAM\bME\bE\n", "_\bl_\bs -l\n"], 0) == ["NAME", "ls -l"]


def test_lines_printed_above_one_bar() -> None:
    """Every line that `tqdm.write` prints is kept once, whenever it comes."""
    texts = []
    for n in range(100):
        texts += [f"\rbar {n}%", "\r       \r", f"note {n}\n", f"\rbar {n}%"]
    lines = show(texts, 0.01)
    assert [line for line in lines if line.startswith("note")] == [f"note {n}" for n in range(100)]
    assert len(lines) <= 100 + 6


def test_lines_printed_above_two_bars() -> None:
    """With bars in rows above one another too, drawn by `\\r` or erased first; bars are sampled."""
    for erase in ("\r      \x1b[A\r      \r", "\r\x1b[2K\x1b[1A\x1b[2K"):
        texts = ["\rone 0%\n\rtwo 0%"]
        for n in range(100):
            texts += [erase, f"note {n}\n", f"\rone {n}%\n\rtwo {n}%"]
        screen = Screen()
        screen.draw(texts, 0.01)
        screen.feed("\n")
        lines = screen.finish()
        assert [line for line in lines if line[0] == "n"] == [f"note {n}" for n in range(100)]
        assert lines[-2:] == ["one 99%", "two 99%"]
        assert len(lines) <= 100 + 10


def test_rows_that_are_printed_anew() -> None:
    """A block of rows under a cursor that goes up: about a state a second, and all last rows."""
    texts = ["step 0\nloss 9\nrate 5\n"]
    texts += [f"\x1b[3Astep {n}\nloss {n}\nrate {n}\n" for n in range(1, 101)]
    lines = show([*texts, "end\n"], 0.1)
    assert lines[:3] == ["step 0", "loss 9", "rate 5"]
    assert lines[-4:] == ["step 100", "loss 100", "rate 100", "end"]
    assert len(lines) <= 18


def test_bars_that_are_closed() -> None:
    """A closed bar stays on the screen: it is kept, unless there are more than five a second."""
    bars = [text for n in range(4) for text in (f"\rbar {n}: 0%", f"\rbar {n}: 100%", "\n")]
    lines = show(bars, 0.01)
    assert [line for line in lines if "100" in line] == [f"bar {n}: 100%" for n in range(4)]
    many = [f"\rbar {n}: 0%\rbar {n}: 100%\n" for n in range(1000)]
    lines = show(many, 0.001)
    assert len(lines) <= 8
    assert lines[-1] == "bar 999: 100%"
    lines = show([*many, "end\n"], 0.001)
    assert "bar 999: 100%" in lines


def test_nested_bars() -> None:
    """Bars inside of a bar: about one record a second in a minute of a hundred inner ones."""
    texts = ["\router 0/100"]
    for n in range(100):
        for m in range(10):
            texts.append(f"\n\rinner {n}: {m}/10\x1b[A")
        texts += [f"\rinner {n}: 10/10\n", f"\router {n + 1}/100"]
    lines = show([*texts, "\n"], 0.05)
    assert len(lines) <= 130
    assert lines[-1] == "outer 100/100"


def test_a_bar_that_ends_in_other_words() -> None:
    """The last state is kept where the program goes on in the same row."""
    assert show(["at 99%\r", "at 100%\r", "done\n"], 0.01) == ["at 99%", "at 100%", "done"]
    assert show(["\rat 99%", "\rat 100%", "\n"], 0.01) == ["at 99%", "at 100%"]


def test_ordinary_lines_are_kept() -> None:
    """Control sequences that move nothing lose no line: compilers, pages, a cleared screen."""
    lines = [f"a.c:{n}: error: x" for n in range(300)]
    coloured = [f"\x1b[01m\x1b[K{line[:5]}\x1b[m\x1b[K{line[5:]}\x1b[K\n" for line in lines]
    assert show(coloured, 0) == lines
    assert show([f"{line}\n\x1b[H\x1b[2J\x1b[3J" for line in lines], 0) == lines
    assert show(["a\n", "\x1b[?25hb\n", "\x1b[0Kc\n"], 0) == ["a", "b", "c"]
    assert show(["\r 1%\r 2%\n", *[f"{line}\n" for line in lines]], 0)[2:] == lines
    assert show(["one\ntwo\n\x1b[2Athree\nfour\n", *[f"{line}\n" for line in lines]], 0) == [
        "one", "two", "three", "four", *lines,
    ]  # fmt: skip
    assert show(["a\n\n\nb\n"], 0) == ["a", "", "", "b"]


def test_what_waits_is_shown() -> None:
    """A state is shown after some rest, each of several bars; half a line is not."""
    screen = Screen()
    screen.draw(["\rat 1%", "\rat 2%", "\rat 3%"], 0.01)
    screen.rest(2)
    assert screen.lines == ["at 1%", "at 3%"]
    screen.rest(5)
    screen.draw(["\n\rlow 7%\x1b[A\rat 4%", "\rat 5%"], 0.01)
    screen.rest(5)
    assert sorted(screen.lines[2:]) == ["at 4%", "at 5%", "low 7%"]
    assert not screen.assembler.has_progress
    screen.draw(["\n\nhalf a"], 0.01)
    screen.rest(2)
    screen.feed(" line\n")
    assert screen.finish()[5:] == ["half a line"]


def test_what_is_no_state() -> None:
    """Half of what is being written, a blank row of a block, and a letter struck over are none."""
    assert show(["at 99%", "\b\b\b", "1", "00%", "\n"], 2.0) == ["at 99%", "at 100%"]
    assert show(["one\ntwo\n\x1b[2A3\n4\n\n5\n"]) == ["one", "two", "3", "4", "5"]
    assert show(["\rx 1%\rx 2%\n", "at 1%\b\b2%\n"], 0) == ["x 1%", "x 2%", "at 2%"]


def test_a_block_that_rests() -> None:
    """Rows of a block are shown one a second when nothing is printed, not all at once."""
    screen = Screen()
    screen.draw(["a 1\nb 1\n", "\x1b[2Aa 2\nb 2\n", "\x1b[2Aa 3\nb 3\n"], 0.01)
    screen.rest(0.5)
    assert screen.lines == ["a 1", "b 1", "a 2"]
    screen.rest(3)
    assert sorted(screen.lines[3:]) == ["a 3", "b 3"]


def test_plain_lines_behind_bars_are_a_block_again() -> None:
    """Behind a bar, and 64 lines behind bars in several rows, lines go through in one piece."""
    screen = Screen()
    screen.draw(["\rat 1%\rat 2%\n"])
    assert screen.assembler.feed(b"x\ny\n")[0] == b"x\ny\n"
    screen.draw(["one\ntwo\n\x1b[2A3\n4\n", "plain\n" * 70])
    assert screen.assembler.feed(b"x\ny\n")[0] == b"x\ny\n"


def test_a_row_that_is_too_long() -> None:
    """What is too long for a bar comes in parts, and nothing of it is lost."""
    lines = show(["\rat 1%", "\r" + "x" * 5 * LIMIT + "\n", "end\n"])
    assert lines[0] == "at 1%"
    assert "".join(lines[1:-1]) == "x" * 5 * LIMIT
    assert max(map(len, lines)) <= LIMIT
    lines = show(["\x1b[?25l", *["y" * 100] * 100, "\n", "end\n"])
    assert "".join(lines[:-1]) == "y" * 10_000
    assert show(["\x1b[9999A\x1b[9999Bat\x1b[9999C\x1b[9999G1%\n"]) == ["at1%"]


def test_records_between_bars() -> None:
    """A record of another language begins anywhere, a bar goes on behind it."""
    record = '\x1e{"message":"m"}'
    lines = show(["\rat 1%", f"{record}\n", "\rat 2%", f"half {record}{record}\n", "\rat 3%\n"], 2)
    assert lines == ["at 1%", record, "at 2%", "half ", record, record, "at 3%"] or (
        lines.count(record) == 3 and lines[-1] == "at 3%"
    )


TOKENS = st.sampled_from(
    [
        "\r", "\n", "\r\n", "\b\b", "\x1b[A", "\x1b[2A", "\x1b[2K", "\x1b[K", "\x1b[J", "\x1b[5G", "\x1b[H",
        "\x1b[7;1H", "\x1b[s", "\x1b[u", "\x1b[B", "\x1b[F", "\x1b[2C", "\x1b[2D", "\x1b[?25l", "abc", "10%", "99%",
        "  ", "é", "note\n", '\x1e{"message":"m"}\n', "_\bN", "\x1b[2J", "x" * 600,
    ]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    tokens=st.lists(TOKENS, max_size=25),
    cuts=st.lists(st.floats(0, 1, exclude_max=True), max_size=6),
)
def test_any_reads(tokens: list[str], cuts: list[float]) -> None:
    """Whatever moves the cursor, the lines are the same however it is read, and hold no control."""
    data = "".join(tokens).encode()
    places = sorted({0, len(data), *(int(cut * len(data)) for cut in cuts)})

    def assemble(pieces: list[bytes]) -> list[Line]:
        assembler = LineAssembler(LIMIT, lambda: 0.0, record_bytes=4 * LIMIT)
        lines: list[Line] = []
        for piece in pieces:
            block, more = assembler.feed(piece)
            lines += [*map(Line, block.split(b"\n")[:-1]), *more]
        found: list[Line] = []
        for line in [*lines, *assembler.finish()]:  # records in plain lines are split by the caller
            before, *records = line.text.split(b"\x1e")
            if before or not records:
                found.append(Line(before, line.is_first, line.is_last))
            found += [Line(b"\x1e" + record) for record in records]
        return found

    whole = assemble([data])
    assert assemble([data[a:b] for a, b in zip(places, places[1:], strict=False)]) == whole
    assert assemble([data[n : n + 1] for n in range(len(data))]) == whole
    for line in whole:
        if b"\x1e" not in line.text and len(data) < LIMIT:
            assert not {b"\r", b"\b", b"\x1b"} & {bytes([byte]) for byte in line.text}


@pytest.mark.slow
@pytest.mark.parametrize(
    "token",
    [
        "\r", "\b", "\n", "\x1b", "\x1b[", "\x1b]", "\x1b]8;;", "\x1b[A", "\x1b[2K", "\x1b[1A\x1b[2K", "\x1b[5G", "\x1b[H",
        "\x1b[7;1H", "\x1b[s\x1b[u", "\x1b[64A\n", "\x1b[0;", "x\b", "xy\b\b", "\rat 5%", "at\n\x1b[A", "\x1e", "\x1e{", "\x1e{}\n",
        '\x1e{"a":"', "\\u00e9", "x", "é", "x\n", "x\r\n", " ", "1 ", "\r ",
    ],
)  # fmt: skip
def test_time_is_linear(token: str) -> None:
    """A megabyte takes as long in a text of 1.2 MB as in one of 0.3 MB, whatever it is made of."""

    def measure(size: int) -> float:
        data = (token * (size // len(token) + 1)).encode()[:size]
        begin = time.perf_counter()
        assembler = LineAssembler(
            250_000, look_ahead_bytes=16 * 1024, record_bytes=MAX_RECORD_BYTES
        )
        for start in range(0, size, 4093):
            _, lines = assembler.feed(data[start : start + 4093])
            for _ in lines:
                pass
        for _ in assembler.finish():
            pass
        return (time.perf_counter() - begin) / size * 1e6

    rates = [min(measure(size) for _ in range(2)) for size in (300_000, 600_000, 1_200_000)]
    assert max(rates) < 2.5 * min(rates) + 0.1, rates
