"""Bytes of one stream into lines, in bounded memory: whole lines, huge lines, records, bars.

A block of plain lines goes through in one piece. Only what moves the cursor or is too long is
looked at line by line.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aind_capsule.running.capture.redrawn_lines import RedrawnLines

#: What begins a record of another language (RFC 7464).
RECORD_SEPARATOR = b"\x1e"

#: A control sequence other than a colour's.
_CONTROL = rb"\x1b(?:\[[0-?]{0,30}[ -/]{0,4}[@-ln-~]|[78M])"
_LONGEST_CONTROL = 40
#: So far into a record its brace is looked for.
_RECORD_START_BYTES = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or a piece of one that was too long, or a state of a progress bar.

    Attributes:
        is_beginning: It is the beginning of a record that is too long; the rest is left out.
    """

    text: bytes
    is_first: bool = True
    is_last: bool = True
    is_beginning: bool = False


class LineAssembler:
    """Cuts a stream at its line ends.

    Args:
        limit_bytes: Longer lines come in parts of this size.
        read_clock_s: A clock that never goes back, in seconds.
        find_cut: Where else than at the limit a text should be cut.
        look_ahead_bytes: So much of a line behind the limit is waited for before it is cut.
        record_bytes: Longer records of other languages are cut; 0 where there are none.
    """

    def __init__(
        self,
        limit_bytes: int,
        read_clock_s: Callable[[], float] = time.monotonic,
        *,
        find_cut: Callable[[bytes, int], int] | None = None,
        look_ahead_bytes: int = 0,
        record_bytes: int = 0,
    ) -> None:
        self._limit = limit_bytes
        self._find_cut = find_cut or (lambda _text, limit_bytes: limit_bytes)
        self._look_ahead = look_ahead_bytes
        self._record_bytes = record_bytes
        self._read_clock_s = read_clock_s
        self._rest = bytearray()
        self._searched = 0  # in so much of the rest there is no end of a line or record
        self._is_cut = False  # the rest goes on with a line that has come in parts
        self._is_skipping = False  # the rest goes on with a record that is too long
        self._is_drawing = False  # what comes may be drawn over what was there
        self._redrawn: RedrawnLines | None = None

    def feed(self, data: bytes) -> tuple[bytes, Iterator[Line]]:
        """Take bytes.

        Returns:
            A block of plain whole lines with their ends (or nothing), and the lines after it that
            needed a closer look; to be taken in this order.
        """
        if self._is_cut or self._is_skipping or self._is_drawing:
            return b"", self._take(data)
        control = self._find_control(data)
        if control is None:
            return self._take_plain(data)
        start = data.rfind(b"\n", 0, control) + 1
        block, lines = self._take_plain(data[:start]) if start else (b"", iter(()))
        return block, chain(lines, self._draw(data[start:]))

    def flush_progress(self) -> Iterator[Line]:
        """Yield the present state of progress bars where none has been shown for a while."""
        if self._redrawn is not None:
            yield from self._redrawn.flush()

    def finish(self) -> Iterator[Line]:
        """Yield what is left when the stream has ended."""
        if self._redrawn is not None:
            yield from self._redrawn.finish()
        rest, self._rest = bytes(self._rest), bytearray()
        if rest:
            yield from self._take_whole(rest)

    @property
    def has_progress(self) -> bool:
        """Whether `flush_progress` may have something to show later."""
        return self._redrawn is not None and self._redrawn.has_pending

    def _find_control(self, data: bytes) -> int | None:
        """Return where the cursor is moved first, other than to the next line; 0 before it."""
        places = []
        if b"\r" in data and (found := re.search(rb"\r(?!\n)", data)):
            places.append(found.start())
        if b"\x08" in data:
            places.append(data.index(b"\x08"))
        before = self._rest[-_LONGEST_CONTROL:]
        if b"\x1b" in data or b"\x1b" in before:
            found = re.search(_CONTROL, bytes(before) + data)
            if found:
                places.append(max(0, found.start() - len(before)))
        return min(places, default=None)

    def _take_plain(self, data: bytes) -> tuple[bytes, Iterator[Line]]:
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest += data
            return b"", self._take_long()
        block, self._rest = bytes(self._rest) + data[:end], bytearray(data[end:])
        self._searched = 0
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        if len(block) <= self._limit or max(map(len, block.split(b"\n"))) <= self._limit:
            return block, self._take_long()
        return b"", chain(self._take_block(block), self._take_long())

    def _take_block(self, block: bytes) -> Iterator[Line]:
        for text in block.split(b"\n")[:-1]:
            yield from self._take_whole(text)

    def _take_long(self) -> Iterator[Line]:
        """Take parts of a line that is too long, before its end has come."""
        if len(self._rest) > self._limit + self._look_ahead:
            while (yield from self._take_part()):
                pass

    def _draw(self, data: bytes) -> Iterator[Line]:
        """Take bytes that move the cursor."""
        if self._redrawn is None:
            from aind_capsule.running.capture.redrawn_lines import RedrawnLines  # few runs need it

            self._redrawn = RedrawnLines(
                self._limit + self._look_ahead,
                self._read_clock_s,
                stops_at_record=bool(self._record_bytes),
            )
        if not self._is_cut:
            self._is_drawing = True
        yield from self._take(data, may_close=False)

    def _take(self, data: bytes, *, may_close: bool = True) -> Iterator[Line]:
        """Take bytes behind something that goes on.

        Args:
            may_close: Whether the first line may be the last that is drawn over.
        """
        self._rest += data
        while self._rest:
            is_record = self._record_bytes and self._rest[:1] == RECORD_SEPARATOR
            if self._is_drawing and self._redrawn is not None and is_record and not self._searched:
                yield from self._redrawn.break_line()
            if self._is_cut or self._is_skipping or (self._is_drawing and is_record):
                if not (yield from self._take_part()):
                    break
                continue
            data, self._rest, self._searched = bytes(self._rest), bytearray(), 0
            if not self._is_drawing or self._redrawn is None:
                block, lines = self.feed(data)
                for text in block.split(b"\n")[:-1]:
                    yield Line(text)
                yield from lines
                break
            end = data.find(b"\n") + 1 if may_close else 0
            may_close = False
            self._rest += yield from self._redrawn.feed(data[:end] if end else data)
            if end:
                self._rest += data[end:]
                self._is_drawing = self._redrawn.is_open
            if self._redrawn.has_overflowed:
                self._redrawn.has_overflowed = self._is_drawing = False
                yield self._cut_piece()
        if self._redrawn is not None and not self._redrawn.is_open:
            self._is_drawing = False

    def _take_part(self) -> Generator[Line, None, bool]:
        """Take one part of the rest; return False where more must come first."""
        rest = self._rest
        ends = rb"[\n\x1e]" if self._record_bytes else rb"\n"
        is_begin = rest[:1] == RECORD_SEPARATOR and not self._is_cut and not self._is_skipping
        found = re.compile(ends).search(rest, max(self._searched, int(is_begin)))
        if found is not None:
            stop, is_line = found.start(), found.group() == b"\n"
            del found  # while it lives the bytes cannot be changed
            text = bytes(rest[:stop])
            del rest[: stop + is_line]
            self._searched = 0
            if self._is_skipping:
                self._is_skipping = False
            else:
                yield from self._take_whole(text.removesuffix(b"\r") if is_line else text)
            return True
        self._searched = len(rest)
        if self._is_skipping:
            rest.clear()
            self._searched = 0
        elif not self._is_cut and self._is_record(rest):
            if len(rest) > self._record_bytes + self._look_ahead:
                yield from self._take_record(bytes(rest))
                rest.clear()
                self._searched, self._is_skipping = 0, True
        elif len(rest) > self._limit + self._look_ahead:
            yield self._cut_piece()
            self._searched = len(rest)
            return True
        return False

    def _take_whole(self, text: bytes) -> Iterator[Line]:
        """Take a line that has come to its end, and the records in it."""
        before, *records = text.split(RECORD_SEPARATOR) if self._record_bytes else (text,)
        if before or self._is_cut or not records:
            yield from self._cut(before)
        for record in records:
            yield from self._take_record(RECORD_SEPARATOR + record)

    def _take_record(self, text: bytes) -> Iterator[Line]:
        limit_bytes = self._record_bytes + self._look_ahead
        if not self._is_record(text):
            yield from self._cut(text)
        elif len(text) <= limit_bytes:
            yield Line(text)
        else:
            yield Line(text[:limit_bytes], is_beginning=True)

    def _is_record(self, text: bytes | bytearray) -> bool:
        """Return whether a text begins as a record does; others are lines like any."""
        is_begun = bool(self._record_bytes) and text[:1] == RECORD_SEPARATOR
        return is_begun and text[1:_RECORD_START_BYTES].lstrip()[:1] == b"{"

    def _cut(self, text: bytes) -> Iterator[Line]:
        while len(text) > self._limit:
            cut = self._find_place(text)
            yield self._build_piece(text[:cut])
            text = text[cut:]
        is_first, self._is_cut = not self._is_cut, False
        yield Line(text, is_first)

    def _cut_piece(self) -> Line:
        cut = self._find_place(bytes(self._rest[: self._limit + self._look_ahead + 1]))
        text = bytes(self._rest[:cut])
        del self._rest[:cut]
        return self._build_piece(text)

    def _find_place(self, text: bytes) -> int:
        return find_cut(text, self._find_cut(text, self._limit))

    def _build_piece(self, text: bytes) -> Line:
        is_first, self._is_cut = not self._is_cut, True
        return Line(text, is_first, is_last=False)


def find_cut(text: bytes, limit_bytes: int) -> int:
    """Where to cut so that no UTF-8 sequence is torn: at the limit or up to three bytes before.

    >>> find_cut("aé".encode(), 2)
    1
    """
    cut = min(limit_bytes, len(text))
    if cut == len(text):
        return cut
    while cut > limit_bytes - 4 and cut > 1 and text[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut if text[cut] & 0xC0 != 0x80 else limit_bytes
