"""What a run would hide of a text: for `capsule check-logs --secrets`.

A line goes the way of captured output. A line that is a record goes the way of records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aind_capsule.logs.foreign_file import MAX_LINE_BYTES, Piece, cut_lines
from aind_capsule.records.colours import strip_colours
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.redaction.naming import RuleNamer
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.redaction.stream import StreamRedactor
from aind_capsule.running.capture.line_assembler import RECORD_SEPARATOR
from aind_capsule.settings.model import Settings

#: Named where no rule finds anything in the line itself.
CONTINUED_RULE = "goes on from the lines before"
_FIELD_RULE = "field with a secret's name"
_RECORD_BEGINS = (b"{", RECORD_SEPARATOR)


@dataclass(frozen=True, slots=True)
class HiddenLine:
    """A line, or a piece of a long one, that a run would change.

    Attributes:
        number: Its number from 1.
        rules: The names of the rules that find something in it.
        text: What the log would hold of it.
    """

    number: int
    rules: tuple[str, ...]
    text: str


class SecretCheck:
    """Looks for secrets in one text.

    Args:
        settings: Those of the capsule.
        environ: The environment that a run would have.

    Attributes:
        lines: Lines that were looked at.
        variables: The variables whose values are known.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.lines = 0
        self._redactor = Redactor.from_settings(settings, environ)
        self._stream = StreamRedactor(self._redactor)
        self._namer = RuleNamer(self._redactor, settings, environ)
        self.variables = self._namer.variables

    def check(self, chunks: Iterator[bytes]) -> Iterator[HiddenLine]:
        """Yield the lines of a text that would be changed."""
        for piece in cut_lines(chunks, MAX_LINE_BYTES, self._stream.find_cut):
            self.lines += piece.is_first
            text = strip_colours(piece.text.rstrip(b"\r"))
            redacted, rest_rule = self._redact(Piece(text, piece.is_first, piece.is_last))
            if redacted != text:
                rules = self._namer.name(text) or [rest_rule]
                shown = redacted.decode("utf-8", "backslashreplace")
                yield HiddenLine(self.lines, tuple(rules), shown)

    def _redact(self, piece: Piece) -> tuple[bytes, str]:
        """Return what is left of a piece, and the rule where none names itself."""
        text = piece.text
        is_whole = piece.is_first and piece.is_last
        is_record = is_whole and text[:1] in _RECORD_BEGINS
        record = decode(text.lstrip(RECORD_SEPARATOR)) if is_record else None
        if record is not None and "message" in record:
            plain = encode(record)
            redacted = self._redactor.redact_record(plain)
            text = text if redacted == plain else redacted
            return text, _FIELD_RULE
        if is_whole:
            redacted = self._stream.redact_line(text)
        else:
            redacted = self._stream.redact_piece(text, is_first=piece.is_first)
        return redacted, CONTINUED_RULE
