r"""Lines that a program draws over: progress bars, spinners, tables that are printed anew.

A small part of a terminal: the rows that the cursor can still go back to. What stays on the screen
is kept, as lines. What is drawn over is sampled: at most one state a second for the whole stream.
Blank rows are left out, and so is every control sequence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator

from aind_capsule.running.capture.line_assembler import RECORD_SEPARATOR, Line

#: A state becomes a record at most this often.
INTERVAL_S = 1.0
#: So many rows can be drawn over.
_MAX_ROWS = 64
#: Only in a row that is no longer the cursor goes to a column.
_MAX_COLUMNS_BYTES = 1024
#: Bars that are closed stay on the screen. More of them than these in a time are sampled too, also
#: in a longer time where they lie in others.
_MAX_CLOSED = 5
_CLOSED_IN_S, _CLOSED_INSIDE_IN_S = 1.0, 5.0
_TOKEN = re.compile(
    rb"[\r\n\x08\x1e]|\x1b(?:\[([0-?]{0,30})[ -/]{0,4}([@-~])"
    rb"|\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)|[()][0-9A-Za-z]|([78=>M]))"
)
#: What may become a token when more has come.
_PARTIAL = re.compile(
    rb"\x1b(?:\[[0-?]{0,30}[ -/]{0,4}|\][^\x07\x1b\n]{0,2000}\x1b?|[()])?\Z"
    rb"|[\xc0-\xf7][\x80-\xbf]{0,2}\Z"
)
_LONGEST_PARTIAL = 2048
_LETTERS = re.compile(rb"[^\W\d_]{1,40}")


class _Row:
    """One row: its text, and what has become of the texts before."""

    __slots__ = ("covered", "is_bar", "is_ended", "is_over_text", "shown", "text")

    def __init__(self, *, is_bar: bool = False) -> None:
        self.text = bytearray()
        self.shown: bytes | None = None
        self.is_bar = is_bar  # something was drawn over here
        self.is_ended = False  # its line's end has come
        self.is_over_text = False  # the present text has taken another one's place
        self.covered = b""  # that other text, where nobody has seen it

    @property
    def is_pending(self) -> bool:
        """Whether its text has not been shown."""
        return bytes(self.text) != self.shown and not (self.text.isspace() or not self.text)


class RedrawnLines:
    """Makes lines of a stream that moves its cursor.

    Args:
        limit_bytes: A longer row is no bar: it is handed back.
        read_clock_s: A clock that never goes back, in seconds.
        stops_at_record: Hand back what begins with a record separator.

    Attributes:
        has_overflowed: What was handed back last is a row that is too long.
    """

    def __init__(
        self, limit_bytes: int, read_clock_s: Callable[[], float], *, stops_at_record: bool
    ) -> None:
        self.has_overflowed = False
        self._limit = limit_bytes
        self._read_clock_s = read_clock_s
        self._stops_at_record = stops_at_record
        self._partial = b""
        self._shown_at = float("-inf")
        self._closed = 0
        self._closed_since = float("-inf")
        self._kept_back: bytes | None = None
        self._start_anew()

    def _start_anew(self) -> None:
        self._rows = [_Row()]
        self._pinned: dict[bytes, _Row] = {}
        self._row = self._rows[0]
        self._index = 0
        self._column: int | None = None  # None is the text's end
        self._has_covered = False  # what is being written has taken a text's place
        self._saved: tuple[_Row, int] | None = None
        self._is_at_start = False  # what is written next takes the text's place
        self._height = 0  # so many rows above the lowest the cursor has been
        self._plain_rows = 0

    @property
    def is_open(self) -> bool:
        """Whether what comes next may be drawn over what is here."""
        is_moved = self._is_at_start or self._column is not None
        is_saved = self._saved is not None and self._saved[0] in self._rows
        is_used = len(self._rows) > 1 or self._row.text or self._row.is_bar
        return bool(
            self._partial or self._pinned or self._height or is_moved or is_saved or is_used
        )

    @property
    def has_pending(self) -> bool:
        """Whether `flush` may have something to show later."""
        return self._kept_back is not None or any(row.is_pending for row in self._find_rows())

    def feed(self, data: bytes) -> Generator[Line, None, bytes]:
        """Take bytes.

        Returns:
            What was not taken: it begins with a record, or with a row that is too long.
        """
        data, self._partial = self._partial + data, b""
        position = 0
        for match in _TOKEN.finditer(data):
            if match.start() > position:
                yield from self._write(data[position : match.start()])
                if len(self._row.text) > self._limit:
                    return (yield from self._hand_back(data[match.start() :]))
            position = match.end()
            self._has_covered = False
            token = data[match.start()]
            if token == 0x0A:
                yield from self._end_line()
            elif token == 0x0D:
                self._go_to_column(0)
            elif token == 0x08 and len(self._row.text) <= _MAX_COLUMNS_BYTES:
                # Letters are struck over one by one: the text behind the cursor stays.
                self._column, self._is_at_start = max(0, self._find_column() - 1), False
            elif token == 0x1E:
                if self._stops_at_record:
                    return data[match.start() :]
                yield from self._write(RECORD_SEPARATOR)
            else:
                yield from self._obey(match)
        partial = _PARTIAL.search(data, max(position, len(data) - _LONGEST_PARTIAL))
        end = partial.start() if partial else len(data)
        self._partial = data[end:]
        if end > position:
            yield from self._write(data[position:end])
            if len(self._row.text) > self._limit:
                left, self._partial = self._partial, b""
                return (yield from self._hand_back(left))
        return b""

    def break_line(self) -> Iterator[Line]:
        """End an ordinary line where a record begins."""
        partial, self._partial = self._partial, b""
        if partial:
            yield from self._write(partial)
        if self._row.text and not self._row.is_bar:
            yield from self._end_line()

    def flush(self) -> Iterator[Line]:
        """Show what has been waiting, as far as it is time for it."""
        for row in self._rows[: self._index]:
            if row.is_pending and not row.is_bar:
                yield from self._show(row)
        if self._is_due():
            pending = [row for row in self._find_rows() if row.is_pending]
            if pending:
                yield from self._show_state(self._row if self._row in pending else pending[-1])
            else:
                yield from self._let_out()

    def finish(self) -> Iterator[Line]:
        """Show the last state of everything: the stream has ended."""
        if self._partial:
            yield from self._write(self._partial)
            self._partial = b""
        rows, last = [*self._rows, *self._pinned.values()], self._rows[-1]
        for row in rows:
            if row.text or row is not last:
                yield from self._commit(row)
        yield from self._let_out()
        self._start_anew()

    def _find_rows(self) -> list[_Row]:
        """Return the rows that may be shown: all but an ordinary line without its end."""
        rows = [*self._rows, *self._pinned.values()]
        return [row for row in rows if row is not self._row or row.is_bar]

    def _write(self, text: bytes) -> Iterator[Line]:
        row = self._row
        if self._is_at_start:
            yield from self._cover(row)
            row.text.clear()
            self._is_at_start, self._column = False, None
            row.is_bar = True
        elif self._column is not None:
            old = row.text.decode("utf-8", "surrogateescape")
            new = text.decode("utf-8", "surrogateescape")
            column, end = self._column, self._column + len(new)
            if old[column:end] != new:
                # Else it is a gap, an underlined letter, or goes on with what has just begun.
                is_over = old[column:end] != new[: len(old) - column]
                if is_over and old[column:].strip(" _") and not self._has_covered:
                    yield from self._cover(row)
                    row.is_bar = self._has_covered = True
                merged = old[:column].ljust(column) + new + old[end:]
                row.text[:] = merged.encode("utf-8", "surrogateescape")
            self._column = end if end < len(old) else None
            return
        row.text += text

    def _cover(self, row: _Row) -> Iterator[Line]:
        """Another text takes the row's place: show it, where it is time for it."""
        is_text = bool(row.text) and not row.text.isspace()
        row.covered = b""
        if is_text and row.is_pending:
            if row.is_ended and not row.is_bar:
                yield from self._show(row)
            elif self._is_due():
                yield from self._show_state(row)
            else:
                row.covered = bytes(row.text)
        row.is_over_text = is_text

    def _erase(self, row: _Row, begin: int = 0) -> Iterator[Line]:
        if len(row.text) > begin:
            yield from self._cover(row)
            del row.text[begin:]
            row.is_bar = True
            row.is_over_text = row.is_over_text and begin > 0
            row.covered = row.covered if begin else b""

    def _end_line(self) -> Iterator[Line]:
        self._column, self._is_at_start = None, False
        if self._row is not self._rows[self._index]:  # behind a pinned row the cursor goes back
            self._row = self._rows[self._index]
            return
        self._row.is_ended = True
        self._plain_rows += 1
        if self._plain_rows > _MAX_ROWS:  # nothing is drawn over any more
            self._height = 0
            for row in self._pinned.values():
                yield from self._commit(row)
            self._pinned.clear()
        self._index += 1
        if self._index == len(self._rows):
            self._rows.append(_Row())
            while len(self._rows) - 1 > self._height:
                yield from self._commit(self._rows.pop(0))
                self._index -= 1
        else:
            self._is_at_start = True
        self._row = self._rows[self._index]

    def _obey(self, match: re.Match[bytes]) -> Iterator[Line]:
        """Do what a control sequence says; most say nothing that matters here."""
        given, final = match.group(1), match.group(2) or match.group(3)
        first = (given or b"").split(b";")[0]
        count = int(first[:4]) if first.isdigit() else 0
        if final == b"A":
            self._go_up(max(count, 1))
        elif final == b"F":
            self._go_up(max(count, 1))
            self._go_to_column(0)
        elif final in (b"B", b"E"):
            column = self._find_column()
            self._go_to_row(min(self._index + max(count, 1), len(self._rows) - 1))
            self._go_to_column(0 if final == b"E" else column)
        elif final in (b"C", b"D"):
            step = max(count, 1)
            self._go_to_column(self._find_column() + (step if final == b"C" else -step))
        elif final == b"G":
            self._go_to_column(max(count, 1) - 1)
        elif final in (b"H", b"f"):
            yield from self._go_to_place(first)
        elif final in (b"s", b"7"):
            self._saved = (self._row, self._find_column())
        elif final in (b"u", b"8"):
            saved, column = self._saved or (None, 0)
            is_known = saved in self._rows
            self._go_to_row(self._rows.index(saved) if saved and is_known else self._index)
            if is_known:
                self._go_to_column(column)
        elif final in (b"J", b"K") and not (given or b"").startswith(b"?"):
            yield from self._obey_erase(final, count)

    def _obey_erase(self, final: bytes, count: int) -> Iterator[Line]:
        row, column = self._row, self._find_column()
        if final == b"J":
            for other in self._rows[0 if count else self._index + 1 :]:
                if other is not row:
                    yield from self._erase(other)
        if count:
            yield from self._erase(row)
            self._column = None
        elif self._is_at_start or self._column is not None:
            kept = row.text.decode("utf-8", "surrogateescape")[:column]
            yield from self._erase(row, len(kept.encode("utf-8", "surrogateescape")))

    def _go_up(self, count: int) -> None:
        column = self._find_column()
        missing = min(count - self._index, _MAX_ROWS + 1 - len(self._rows))
        if missing > 0:  # rows that have been let out
            self._rows[:0] = [_Row(is_bar=True) for _ in range(missing)]
            self._index += missing
        self._go_to_row(max(0, self._index - count))
        self._height = max(self._height, len(self._rows) - 1 - self._index)
        self._plain_rows = 0
        self._go_to_column(column)

    def _go_to_row(self, index: int) -> None:
        self._index = index
        self._row = self._rows[index]
        self._column, self._is_at_start = None, False

    def _go_to_place(self, row: bytes) -> Iterator[Line]:
        """Go to a row of the screen: the first one begins a page, others are a status's own."""
        if row in (b"", b"0", b"1"):
            yield from self.finish()
            return
        if len(self._pinned) < _MAX_ROWS or row in self._pinned:
            self._row = self._pinned.setdefault(row, _Row(is_bar=True))
        self._plain_rows = 0
        self._go_to_column(0)

    def _find_column(self) -> int:
        if self._is_at_start:
            return 0
        if self._column is not None:
            return self._column
        if len(self._row.text) > _MAX_COLUMNS_BYTES:
            return _MAX_COLUMNS_BYTES
        return len(self._row.text.decode("utf-8", "surrogateescape"))

    def _go_to_column(self, column: int) -> None:
        self._is_at_start = column <= 0
        is_known = 0 < column < _MAX_COLUMNS_BYTES >= len(self._row.text)
        self._column = column if is_known else None

    def _hand_back(self, data: bytes) -> Generator[Line, None, bytes]:
        """Let go of a row that is too long for a bar, and of what comes behind it."""
        self.has_overflowed = True
        row = self._row
        text = bytes(row.text)
        row.text.clear()
        yield from self.finish()
        return text + data

    def _commit(self, row: _Row) -> Iterator[Line]:
        """Let go of a row: what is in it stays on the screen."""
        if not row.is_pending:
            if not row.text.strip() and not row.is_bar and not self._height:
                yield Line(bytes(row.text))
            return
        if not row.is_over_text:
            yield from self._show(row)
            return
        now_s = self._read_clock_s()
        interval_s = _CLOSED_INSIDE_IN_S if self._height else _CLOSED_IN_S
        if now_s - self._closed_since >= interval_s:
            self._closed_since, self._closed = now_s, 0
        self._closed += 1
        if self._closed > _MAX_CLOSED:
            self._kept_back = bytes(row.text)
            return
        if row.covered and not self._height and _begin_differently(row.covered, row.text):
            yield Line(row.covered)  # a bar that has ended without a line's end
        yield from self._show_state(row)

    def _show(self, row: _Row) -> Iterator[Line]:
        yield from self._let_out()
        row.shown = bytes(row.text)
        yield Line(row.shown)

    def _show_state(self, row: _Row) -> Iterator[Line]:
        self._kept_back = None
        row.shown = bytes(row.text)
        self._shown_at = self._read_clock_s()
        yield Line(row.shown.rstrip())

    def _let_out(self) -> Iterator[Line]:
        """Show the last closed bar that was kept back."""
        if self._kept_back is not None:
            text, self._kept_back = self._kept_back, None
            yield Line(text.rstrip())

    def _is_due(self) -> bool:
        return self._read_clock_s() - self._shown_at >= INTERVAL_S


def _begin_differently(one: bytes, other: bytes | bytearray) -> bool:
    """Return whether two texts are of different things: their first words differ.

    >>> _begin_differently(b"doing 99%", b"done"), _begin_differently(b" 9%| it/s", b"10%| it/s")
    (True, False)
    """
    first, second = _LETTERS.search(one), _LETTERS.search(other)
    return (first and first.group()) != (second and second.group())
