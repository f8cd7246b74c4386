"""Hide secrets in a stream of bytes: line by line, in long lines piece by piece.

What goes over several lines (a private key block) or over the cut of a long line is remembered
from one call to the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from aind_capsule.records.literals import Hit
from aind_capsule.records.redaction.redactor import MARK, Redactor, replace_spans
from aind_capsule.records.redaction.rules import KEY_BEGINS, KEY_ENDS, PRIVATE_KEY, compile_once

#: So far behind the place of a cut a secret is looked for that may lie across it.
LOOK_AHEAD_BYTES = 16 * 1024
#: What is remembered of the text before a cut, where a secret's name may stand; and of a secret
#: that is so long that it must be cut, its beginning.
_BEFORE_BYTES, _BEGINNING_BYTES = 160, 64

_KEY_LITERAL = PRIVATE_KEY.upper().encode()
#: A line of a key's block is base64 or a header of its own; after three others it is over.
_KEY_LINE = r"[A-Za-z0-9+/=]{16,}|^\s*$|Proc-Type|DEK-Info|Comment"
_MAX_STRANGE_LINES = 3
_MARK = MARK.encode()
#: A line that is passed on is cut into pieces of this size.
_PIECE_BYTES = 256 * 1024


class StreamRedactor:
    """Redacts one stream.

    Args:
        redactor: Knows what is secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._strange_lines = -1  # in a key's block so many of late were none of its own
        self._carry = b""

    def redact_block(self, block: bytes, hits: Sequence[Hit]) -> bytes:
        """Whole lines without their secrets; their number stays.

        Args:
            hits: Where literals of secrets stand in the block (`Redactor.find`).
        """
        looks_at_all = self._redactor.looks_at_all
        if not hits and not self._is_in_key and not looks_at_all:
            return block
        lines = block.split(b"\n")
        if self._is_in_key or looks_at_all or _KEY_LITERAL in block:
            last = [self.redact_line(line) if line else line for line in lines[-1:]]
            return b"\n".join([self.redact_line(line) for line in lines[:-1]] + last)
        offsets = [0]
        for line in lines:
            offsets.append(offsets[-1] + len(line) + 1)
        for index in {bisect_right(offsets, start) - 1 for _, start, _ in hits}:
            lines[index] = self._redactor.redact_bytes(lines[index])
        return b"\n".join(lines)

    def redact_line(self, line: bytes) -> bytes:
        """One whole line without its secrets."""
        begins = 0
        if self._is_in_key:
            end = compile_once(KEY_ENDS).search(line)
            if end is None:
                is_strange = compile_once(_KEY_LINE).search(line) is None
                self._strange_lines = self._strange_lines + 1 if is_strange else 0
                if self._strange_lines >= _MAX_STRANGE_LINES:
                    self._strange_lines = -1
                return _MARK
            self._strange_lines = -1
            begins = end.end()
        rest = line[begins:]
        start = max((match.end() for match in compile_once(KEY_BEGINS).finditer(rest)), default=-1)
        if start >= 0 and compile_once(KEY_ENDS).search(rest, start) is None:
            self._strange_lines = 0
        return (_MARK if begins else b"") + self._redactor.redact_bytes(rest)

    def redact_piece(self, piece: bytes, *, is_first: bool) -> bytes:
        """One piece of a long line without its secrets; those that go on into the next too."""
        carry = b"" if is_first else self._carry
        text = carry + piece
        spans = self._redactor.find_spans(text)
        self._carry = text[-_BEFORE_BYTES:]
        if spans and spans[-1][1] == len(text):  # it may go on in the next piece
            start = spans[-1][0]
            self._carry = text[max(0, start - _BEFORE_BYTES) : start + _BEGINNING_BYTES]
        begin = len(carry)
        own = [(max(0, start - begin), end - begin) for start, end in spans if end > begin]
        return replace_spans(piece, own)

    def find_cut(self, text: bytes, limit_bytes: int) -> int:
        """Where to cut a long line: at the limit, or beside a secret that lies across it."""
        window = text[: limit_bytes + LOOK_AHEAD_BYTES]
        for start, end in self._redactor.find_spans(window):
            if start < limit_bytes < end and (end < len(window) or len(window) == len(text)):
                return start or end
        return limit_bytes

    @property
    def _is_in_key(self) -> bool:
        return self._strange_lines >= 0


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

    def feed(self, data: bytes) -> bytes:
        """Take bytes; returns those that may be passed on."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end:
            self._rest += data
            return self._take_pieces()
        block, self._rest = self._rest + data[:end], data[end:]
        return self._redact(block) + self._take_pieces()

    def finish(self) -> bytes:
        """The stream has ended: what is left of it."""
        rest, self._rest = self._rest, b""
        return self._redact(rest) if rest else b""

    def _redact(self, block: bytes) -> bytes:
        """Whole lines, the first of which may have begun in pieces."""
        head = b""
        if not self._is_first:
            self._is_first = True
            end = min(i for i in (block.find(b"\n"), block.find(b"\r"), len(block)) if i >= 0)
            head, block = block[:end], block[end:]
            head = self._stream.redact_piece(head, is_first=False)
        return head + self._stream.redact_block(block, self._redactor.find(block)[0])

    def _take_pieces(self) -> bytes:
        done = b""
        while len(self._rest) > _PIECE_BYTES + LOOK_AHEAD_BYTES:
            cut = self._stream.find_cut(self._rest, _PIECE_BYTES)
            piece, self._rest = self._rest[:cut], self._rest[cut:]
            done += self._stream.redact_piece(piece, is_first=self._is_first)
            self._is_first = False
        return done
