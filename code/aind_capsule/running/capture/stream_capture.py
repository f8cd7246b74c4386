"""One captured stream into records: plain lines in bulk, the rest with a closer look.

Called by `supervise` with what was read; gives encoded records to the journal. Nothing here
reads or writes a descriptor.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from aind_capsule.records.encode import decode, encode_members, encode_text
from aind_capsule.records.levels import infer_level
from aind_capsule.records.redaction.stream import LOOK_AHEAD_BYTES, StreamRedactor
from aind_capsule.records.shrink import MAX_LINE_BYTES, MAX_RECORD_BYTES
from aind_capsule.running.capture.line_assembler import (
    RECORD_SEPARATOR,
    Line,
    LineAssembler,
    find_cut,
)
from aind_capsule.running.capture.traceback_grouper import START, TracebackGrouper
from aind_capsule.running.journal import Journal

#: So much of an exception's message is told where its line is too long for one record.
_MESSAGE_BYTES = 2000
#: One byte becomes at most so many in JSON: a control character (`\u0001`).
_MAX_ESCAPE = 6
#: Stands for a line end while a block is encoded in one piece; no text that is read holds it.
_MARK = "\U0010ffff"
_MARK_BYTES = _MARK.encode()


class StreamCapture:
    """The records of one stream of the processing.

    Args:
        stream: `stdout` or `stderr`: what the records say.
        journal: Takes the records.
        has_tracebacks: Look for Python tracebacks and records of other languages.
        has_stderr: Whether it brings stderr, whose last line may say why the processing failed.
        read_clock_s: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        stream: str,
        journal: Journal,
        *,
        has_tracebacks: bool,
        has_stderr: bool = False,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bytes_read = 0
        self._stream = stream
        self._journal = journal
        self._looks_closely = has_tracebacks
        self._evidence = journal.evidence if has_stderr else None
        self._suffix = journal.build_suffix({"stream": stream})
        self._limit = MAX_LINE_BYTES - len(self._suffix) - 256
        self._secrets = StreamRedactor(journal.redactor)
        self._lines = LineAssembler(
            self._limit,
            read_clock_s,
            find_cut=self._secrets.find_cut,
            look_ahead_bytes=LOOK_AHEAD_BYTES,
            record_bytes=MAX_RECORD_BYTES if has_tracebacks else 0,
        )
        self._part = 0
        self._grouper = TracebackGrouper()

    def feed(self, data: bytes) -> None:
        """Take bytes as they were read."""
        self.bytes_read += len(data)
        block, lines = self._lines.feed(data)
        if block:
            self._take_block(block)
        self._take_lines(lines)

    def tick(self) -> None:
        """Let out what has been waiting for more: a progress bar's state, a traceback's end."""
        self._close_traceback()
        self._take_lines(self._lines.flush_progress())

    def finish(self) -> None:
        """The stream has ended."""
        self._take_lines(self._lines.finish())
        self._close_traceback()

    @property
    def needs_tick(self) -> bool:
        """Whether `tick` may have something to let out later."""
        return self._grouper.is_open or self._lines.has_progress

    def _take_block(self, block: bytes) -> None:
        if self._looks_closely and (
            self._grouper.looks_closely or START in block or RECORD_SEPARATOR in block
        ):
            self._take_lines(Line(text) for text in block.split(b"\n")[:-1])
            return
        hits, starts = self._journal.redactor.find(block)
        levels = _find_levels(block, starts)
        block = self._secrets.redact_block(block, hits)
        if _MARK_BYTES in block:
            block = block.replace(_MARK_BYTES, b"\\U0010ffff")
        marked = block[:-1].replace(b"\n", _MARK_BYTES).decode("utf-8", "backslashreplace")
        texts = encode_text(marked)[1:-1].split(_MARK_BYTES)
        if len(block) * _MAX_ESCAPE > self._limit and max(map(len, texts)) > self._limit:
            for text in block.split(b"\n")[:-1]:
                self._write_line(Line(text))
            return
        self._journal.write_captured(texts, levels, self._suffix)
        if self._evidence is not None:
            self._evidence.note_stderr(texts)

    def _take_lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            is_whole = line.is_first and line.is_last
            if line.is_beginning:
                self._close_traceback()
                self._write_beginning(line.text[1:])
            elif is_whole and self._looks_closely:
                self._take_closely(line.text)
            else:
                if self._looks_closely and line.text[:1] == RECORD_SEPARATOR:
                    self._journal.count_lost("torn_foreign_records")
                redacted = self._redact(line)
                if line.is_first and self._grouper.looks_closely:
                    # An exception whose message is too long for one line has a type all the same.
                    self._grouper.feed(redacted.text[: find_cut(redacted.text, _MESSAGE_BYTES)])
                self._close_traceback()
                self._write_line(redacted)

    def _take_closely(self, text: bytes) -> None:
        if RECORD_SEPARATOR in text:
            self._close_traceback()
            before, *records = text.split(RECORD_SEPARATOR)
            if before:
                self._write_line(self._redact(Line(before)))
            for record in records:
                self._write_foreign(record)
            return
        line = self._redact(Line(text))
        if not self._grouper.feed(line.text):
            self._close_traceback()
            if not self._grouper.feed(line.text):
                self._write_line(line)

    def _write_foreign(self, data: bytes) -> None:
        foreign = decode(data)
        if foreign is not None:
            self._journal.write_foreign(foreign)
        elif data.strip():
            self._journal.count_lost("torn_foreign_records")
            self._write_line(self._redact(Line(data)))

    def _write_beginning(self, data: bytes) -> None:
        """Write what is left of a record that is too long: its fields, or its text."""
        if self._journal.write_beginning(data, is_printed=True):
            return
        self._journal.count_lost("torn_foreign_records")
        text = self._secrets.redact_line(data).decode("utf-8", "backslashreplace")
        self._journal.write_fields(
            {"level": "INFO", "message": text}, self._suffix, is_printed=True
        )

    def _redact(self, line: Line) -> Line:
        if line.is_first and line.is_last:
            return Line(self._secrets.redact_line(line.text))
        text = self._secrets.redact_piece(line.text, is_first=line.is_first)
        return Line(text, line.is_first, line.is_last)

    def _close_traceback(self) -> None:
        if not self._grouper.is_open:
            return
        found, held_back = self._grouper.close()
        if found is not None:
            message = f"{found.type}: {found.message}" if found.message else found.type
            exception = {"type": found.type, "message": found.message, "traceback": found.text}
            self._journal.write_fields(
                {"level": "ERROR", "message": message, "exception": exception},
                self._suffix,
                is_printed=True,
            )
        for text in held_back:
            self._write_line(Line(text))

    def _write_line(self, line: Line) -> None:
        """One line, or one piece of a line; what becomes too long by its escapes is cut further."""
        level = _infer_level(line.text) if line.is_first else "INFO"
        encoded = _encode(line.text)
        if self._evidence is not None and line.is_first:
            self._evidence.note_stderr([encoded])
        if line.is_first and line.is_last and len(encoded) <= self._limit:
            self._journal.write_captured([encoded], {0: level}, self._suffix)
            return
        pieces = [encoded]
        if len(encoded) > self._limit:
            pieces = [
                _encode(piece) for piece in _cut_evenly(line.text, self._limit // _MAX_ESCAPE)
            ]
        self._part = 0 if line.is_first else self._part
        for index, piece in enumerate(pieces, 1):
            self._part += 1
            marks = {"split_part": self._part, "split_last": line.is_last and index == len(pieces)}
            suffix = self._suffix + encode_members(marks).encode()
            self._journal.write_captured([piece], {0: level}, suffix)


def _find_levels(block: bytes, starts: Sequence[int]) -> dict[int, str]:
    """The lines of a block that state a level other than INFO, by their index.

    Args:
        starts: Where words stand that a level may be.
    """
    if not starts:
        return {}
    offsets = [0]
    while (end := block.find(b"\n", offsets[-1])) >= 0:
        offsets.append(end + 1)
    levels = {}
    for index in {bisect_right(offsets, start) - 1 for start in starts}:
        level = _infer_level(block[offsets[index] : offsets[index + 1] - 1])
        if level != "INFO":
            levels[index] = level
    return levels


def _cut_evenly(text: bytes, size_bytes: int) -> Iterator[bytes]:
    while len(text) > size_bytes:
        cut = find_cut(text, size_bytes)
        yield text[:cut]
        text = text[cut:]
    yield text


def _infer_level(text: bytes) -> str:
    return infer_level(text[:256].decode("utf-8", "replace"))


def _encode(text: bytes) -> bytes:
    return encode_text(text.decode("utf-8", "backslashreplace"))[1:-1]
