"""Hide secrets in a stream of bytes: line by line, in long lines piece by piece.

What goes over several lines is seen in the lines before: blocks of keys, and commands that a
backslash carries on. The result does not depend on where the stream is cut.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from aind_capsule.records.literals import Hit
from aind_capsule.records.redaction.blocks import OPENINGS, SecretBlocks
from aind_capsule.records.redaction.continued import (
    CONTEXT_BYTES,
    CONTINUED,
    find_behind,
    find_context,
)
from aind_capsule.records.redaction.redactor import Redactor, replace_spans
from aind_capsule.records.redaction.rules import Span

#: So far behind the place of a cut a secret is looked for that may lie across it.
LOOK_AHEAD_BYTES = 16 * 1024
#: What is remembered of the text before a cut, where a secret's name may stand; and of a secret
#: that is so long that it must be cut, its beginning.
_BEFORE_BYTES, _BEGINNING_BYTES = 160, 64
#: A carriage return ends a line, too: a state of a progress bar.
_LINE_END = r"(\r\n|\n|\r)"
#: A line that is passed on is cut into pieces of this size.
_PIECE_BYTES = 256 * 1024


class StreamRedactor:
    """Redacts one stream.

    Args:
        redactor: Knows what is secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._blocks = SecretBlocks()
        self._before = b""  # the end of the lines before
        self._carry = b""

    def redact_block(self, block: bytes, hits: Sequence[Hit]) -> bytes:
        """Return whole lines without their secrets; their number stays.

        Args:
            block: The lines. The last one may lack its end.
            hits: Where literals of secrets stand in the block (`Redactor.find`).
        """
        is_open = self._blocks.is_open or self._redactor.looks_at_all
        is_continued = self._before.endswith(CONTINUED)
        if not hits and not is_open and not is_continued:
            self._remember(block)
            return block
        lines = block.split(b"\n")
        offsets = [0]
        for line in lines:
            offsets.append(offsets[-1] + len(line) + 1)
        if is_open or any(opening in block for opening in OPENINGS):
            wanted = set(range(len(lines) - (not lines[-1])))
        else:
            wanted = {bisect_right(offsets, start) - 1 for _, start, _ in hits}
        if is_continued:
            wanted.add(0)
        redacted = list(lines)
        for index in _follow(sorted(wanted), lines):
            redacted[index] = self._redact(lines[index], self._find_before(block, offsets[index]))
        self._remember(block)
        return b"\n".join(redacted)

    def redact_line(self, line: bytes) -> bytes:
        """Return one whole line without its secrets."""
        redacted = self._redact(line, self._before)
        self._remember(line + b"\n")
        return redacted

    def redact_piece(self, piece: bytes, *, is_first: bool) -> bytes:
        """Return one piece of a long line without its secrets; they may go on in the next."""
        carry = find_context(self._before) if is_first else self._carry
        text = carry + piece
        spans = self._redactor.find_spans(text)
        self._carry = text[-_BEFORE_BYTES:]
        if spans and spans[-1][1] == len(text):  # it may go on in the next piece
            start = spans[-1][0]
            self._carry = text[max(0, start - _BEFORE_BYTES) : start + _BEGINNING_BYTES]
        self._before = b""
        spans = _unite(spans, self._blocks.take(text))
        return replace_spans(piece, _shift(spans, len(carry), 0))

    def find_cut(self, text: bytes, limit_bytes: int) -> int:
        """Return where to cut a long line: at the limit, or beside a secret that lies across it."""
        window = text[: limit_bytes + LOOK_AHEAD_BYTES]
        for start, end in self._redactor.find_spans(window):
            if start < limit_bytes < end and (end < len(window) or len(window) == len(text)):
                return start or end
        return limit_bytes

    def _redact(self, line: bytes, before: bytes) -> bytes:
        """Return a line without its secrets, given the end of the lines before it."""
        spans = list(find_behind(find_context(before), line, self._redactor.find_spans))
        return replace_spans(line, _unite(spans, self._blocks.take(line)))

    def _find_before(self, block: bytes, offset: int) -> bytes:
        """Return the end of what stands before a place of a block."""
        if offset >= CONTEXT_BYTES:
            return block[offset - CONTEXT_BYTES : offset]
        return (self._before + block[:offset])[-CONTEXT_BYTES:]

    def _remember(self, text: bytes) -> None:
        is_enough = len(text) >= CONTEXT_BYTES
        self._before = (text if is_enough else self._before + text)[-CONTEXT_BYTES:]


def _follow(indexes: Sequence[int], lines: Sequence[bytes]) -> Iterable[int]:
    """Yield the indexes of lines, and of those that a backslash at their ends carries on."""
    done = -1
    for first in indexes:
        index = max(first, done + 1)
        while index == first or (index < len(lines) and lines[index - 1].endswith(b"\\")):
            if index > done:
                yield index
                done = index
            index += 1


def _unite(spans: list[Span], more: Span | None) -> list[Span]:
    """Return spans and one more, in order and apart from one another."""
    if more is None:
        return spans
    start = min([more[0], *(s for s, e in spans if s <= more[1] and e >= more[0])])
    end = max([more[1], *(e for s, e in spans if s <= more[1] and e >= more[0])])
    return sorted([*(span for span in spans if span[1] < start or span[0] > end), (start, end)])


def _shift(spans: Iterable[Span], by: int, first: int) -> list[Span]:
    """Return spans so much further to the left, as far as they do not lie before a place."""
    return [(max(first, start - by), end - by) for start, end in spans if end - by > first]


class OutputRedactor:
    """Redacts a stream that is passed on: whole lines, and pieces of long ones.

    A line is passed on when it ends, by a line end or a carriage return: before that nobody can say
    that it holds no secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._stream = StreamRedactor(redactor)
        self._rest = b""
        self._is_first = True
        self._is_half_end = False  # a line feed that comes next belongs to the line before

    def feed(self, data: bytes) -> bytes:
        """Take bytes; returns those that may be passed on."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end:
            self._rest += data
            return self._take_pieces()
        block, self._rest = self._rest + data[:end], data[end:]
        return self._redact(block) + self._take_pieces()

    def finish(self) -> bytes:
        """Return what is left: the stream has ended."""
        rest, self._rest = self._rest, b""
        return self._redact(rest) if rest else b""

    def _redact(self, block: bytes) -> bytes:
        """Return whole lines, the first of which may have begun in pieces."""
        head = b""
        if self._is_half_end and block[:1] == b"\n":
            head, block = b"\n", block[1:]
        elif not self._is_first:
            end = min(i for i in (block.find(b"\n"), block.find(b"\r"), len(block)) if i >= 0)
            head, block = block[:end], block[end:]
            head = self._stream.redact_piece(head, is_first=False)
        self._is_first = True
        self._is_half_end = block[-1:] == b"\r"
        if b"\r" not in block:
            return head + self._stream.redact_block(block, self._redactor.find(block)[0])
        *parts, rest = re.split(_LINE_END.encode(), block)
        lines = zip(parts[::2], parts[1::2], strict=True)
        done = [self._stream.redact_line(line) + end for line, end in lines]
        return b"".join([head, *done, self._stream.redact_line(rest) if rest else b""])

    def _take_pieces(self) -> bytes:
        done = b""
        while len(self._rest) > _PIECE_BYTES + LOOK_AHEAD_BYTES:
            cut = self._stream.find_cut(self._rest, _PIECE_BYTES)
            piece, self._rest = self._rest[:cut], self._rest[cut:]
            done += self._stream.redact_piece(piece, is_first=self._is_first)
            self._is_first = False
        return done
