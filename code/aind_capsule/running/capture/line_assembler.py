"""Bytes of one stream into lines, in bounded memory: whole lines, progress bars, and huge lines.

Called by `capture`, which makes records of what comes out. A block of plain lines goes through in
one piece; only what holds a carriage return or is too long is looked at line by line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: A progress bar becomes a record at most this often.
PROGRESS_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or a piece of one that was too long, or a state of a progress bar."""

    text: bytes
    is_first: bool = True
    is_last: bool = True


class LineAssembler:
    """Cuts a stream at its line ends.

    Args:
        limit_bytes: Longer lines come in parts of this size.
        read_clock_s: A clock that never goes back, in seconds.
        find_cut: Where else than at the limit a text should be cut.
        look_ahead_bytes: So much of a line behind the limit is waited for before it is cut.
    """

    def __init__(
        self,
        limit_bytes: int,
        read_clock_s: Callable[[], float] = time.monotonic,
        *,
        find_cut: Callable[[bytes, int], int] | None = None,
        look_ahead_bytes: int = 0,
    ) -> None:
        self._limit = limit_bytes
        self._find_cut = find_cut or (lambda _text, limit_bytes: limit_bytes)
        self._look_ahead = look_ahead_bytes
        self._read_clock_s = read_clock_s
        self._rest = b""
        self._is_cut = False
        self._progress: bytes | None = None
        self._shown: bytes | None = None
        self._shown_at = float("-inf")

    def feed(self, data: bytes) -> tuple[bytes, Iterator[Line]]:
        """Take bytes.

        Returns:
            A block of plain whole lines with their ends (or nothing), and the lines after it that
            needed a closer look; to be taken in this order.
        """
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest += data
            if b"\r" in data or len(self._rest) > self._limit + self._look_ahead:
                return b"", self._take_rest()
            return b"", iter(())
        block, self._rest = self._rest + data[:end], data[end:]
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        is_fresh = not self._is_cut and self._progress is None and self._shown is None
        is_plain = is_fresh and b"\r" not in block
        if is_plain and (
            len(block) <= self._limit or max(map(len, block.split(b"\n"))) <= self._limit
        ):
            if b"\r" in self._rest:
                return block, self._take_rest()
            return block, iter(())
        return b"", self._take_lines(block)

    def flush_progress(self) -> Iterator[Line]:
        """The progress bar's present state where it has not been shown for a while."""
        state = self._progress or (self._rest if self._shown is not None else None)
        if state and state != self._shown and self._is_due():
            yield self._show(state)

    def finish(self) -> Iterator[Line]:
        """What is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        if rest or self._progress or self._is_cut:
            yield from self._take_line(rest)

    @property
    def has_progress(self) -> bool:
        """Whether the unfinished line is a progress bar's."""
        return self._progress is not None or self._shown is not None

    def _take_lines(self, block: bytes) -> Iterator[Line]:
        for text in block.split(b"\n")[:-1]:
            yield from self._take_line(text)
        yield from self._take_rest()

    def _take_rest(self) -> Iterator[Line]:
        """Look at the unfinished line: progress states in it, and parts that are full."""
        if b"\r" in self._rest[:-1]:  # at its very end it may be half of a \r\n
            done, _, last = self._rest[:-1].rpartition(b"\r")
            self._rest = last + self._rest[-1:]
            states = [state for state in done.split(b"\r") if state]
            if states:
                self._progress = states[-1]
                if self._is_due():
                    yield self._show(states[-1])
        while len(self._rest) > self._limit + self._look_ahead:
            piece, self._rest = self._cut_piece(self._rest)
            yield piece

    def _take_line(self, text: bytes) -> Iterator[Line]:
        """A line that has come to its end."""
        if b"\r" in text or self._progress is not None or self._shown is not None:
            states = [state for state in text.split(b"\r") if state]
            last = states[-1] if states else self._progress
            is_repeat = last is None or last == self._shown
            self._progress = self._shown = None
            if is_repeat and not self._is_cut:
                return
            text = b"" if is_repeat or last is None else last
        yield from self._cut(text)

    def _cut(self, text: bytes) -> Iterator[Line]:
        while len(text) > self._limit:
            piece, text = self._cut_piece(text)
            yield piece
        is_first, self._is_cut = not self._is_cut, False
        yield Line(text, is_first)

    def _cut_piece(self, text: bytes) -> tuple[Line, bytes]:
        cut = find_cut(text, self._find_cut(text, self._limit))
        is_first, self._is_cut = not self._is_cut, True
        return Line(text[:cut], is_first, is_last=False), text[cut:]

    def _is_due(self) -> bool:
        return self._read_clock_s() - self._shown_at >= PROGRESS_INTERVAL_S

    def _show(self, state: bytes) -> Line:
        self._progress = None
        self._shown, self._shown_at = state, self._read_clock_s()
        if len(state) > self._limit:
            state = state[: find_cut(state, self._find_cut(state, self._limit))]
        return Line(state)


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
