"""One captured stream into records: plain lines in bulk, the rest with a closer look.

Called by `supervise` with what was read; gives encoded records to the journal. Nothing here
reads or writes a descriptor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aind_capsule.records.colours import strip_colours
from aind_capsule.records.encode import decode, encode_members, encode_text
from aind_capsule.records.foreign import read_logged
from aind_capsule.records.line_levels.infer import LOOK_AT_CHARACTERS, infer_level
from aind_capsule.records.line_levels.literals import FIRST_LETTERS
from aind_capsule.records.literals import Hit
from aind_capsule.records.redaction.rules import Span
from aind_capsule.records.redaction.stream import LOOK_AHEAD_BYTES, StreamRedactor
from aind_capsule.records.shrink import MAX_LINE_BYTES, MAX_RECORD_BYTES
from aind_capsule.records.simplify import simplify_text
from aind_capsule.running.capture.groups.line_group import GroupedLines
from aind_capsule.running.capture.groups.openings import open_group
from aind_capsule.running.capture.line_assembler import (
    RECORD_SEPARATOR,
    Line,
    LineAssembler,
    find_cut,
)
from aind_capsule.running.capture.line_grouper import LineGrouper
from aind_capsule.running.journal import Journal

#: So much of an exception's message is told where its line is too long for one record.
_MESSAGE_BYTES = 2000
#: One byte becomes at most so many in JSON: a control character (`\u0001`).
_MAX_ESCAPE = 6
#: Stands for a line end while a block is encoded in one piece; no text that is read holds it.
_MARK = "\U0010ffff"
_MARK_BYTES = _MARK.encode()
_LINE_END = 0x0A


class StreamCapture:
    """The records of one stream of the processing.

    Args:
        stream: `stdout` or `stderr`: what the records say.
        journal: Takes the records.
        has_stderr: Whether it brings stderr: records of other languages stand in it, and its last
            line may say why the processing failed.
        read_clock_s: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        stream: str,
        journal: Journal,
        *,
        has_stderr: bool,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bytes_read = 0
        self._stream = stream
        self._journal = journal
        self._has_records = has_stderr
        self._evidence = journal.evidence if has_stderr else None
        self._suffix = journal.build_suffix({"stream": stream})
        self._limit = MAX_LINE_BYTES - len(self._suffix) - 256
        self._secrets = StreamRedactor(journal.redactor)
        self._lines = LineAssembler(
            self._limit,
            read_clock_s,
            find_cut=self._secrets.find_cut,
            look_ahead_bytes=LOOK_AHEAD_BYTES,
            record_bytes=MAX_RECORD_BYTES if has_stderr else 0,
        )
        self._part = 0
        self._grouper = LineGrouper()

    def feed(self, data: bytes) -> None:
        """Take bytes as they were read."""
        self.bytes_read += len(data)
        block, lines = self._lines.feed(data)
        if block:
            self._take_block(block)
        self._take_lines(lines)

    def tick(self) -> None:
        """Let out what has been waiting for more: a progress bar's state, a group's end."""
        self._close_group()
        self._take_lines(self._lines.flush_progress())

    def finish(self) -> None:
        """The stream has ended."""
        self._take_lines(self._lines.finish())
        self._close_group()

    @property
    def needs_tick(self) -> bool:
        """Whether `tick` may have something to let out later."""
        return self._grouper.is_open or self._lines.has_progress

    def _take_block(self, block: bytes) -> None:
        """Take whole lines: those that need a closer look one by one, the others in bulk."""
        if b"\x1b" in block:
            block = strip_colours(block)
        if self._has_records and RECORD_SEPARATOR in block:
            self._take_lines(Line(text) for text in block.split(b"\n")[:-1])
            return
        hits, starts = self._journal.redactor.find(block)
        candidates = _find_candidates(block, starts)
        if not candidates and not self._grouper.looks_closely:
            self._take_plain(block, hits, {})
            return
        self._take_mixed(block, hits, candidates)

    def _take_mixed(self, block: bytes, hits: Sequence[Hit], candidates: Sequence[Span]) -> None:
        done = 0  # so much of the block has been taken
        levels: dict[int, str] = {}
        for start, end in [*candidates, (len(block), len(block))]:
            while self._grouper.looks_closely and done < start:
                stop = block.index(b"\n", done) + 1
                self._take_closely(block[done : stop - 1])
                done = stop
            if start < done:
                continue
            text = block[start:end]
            if start < len(block) and not _is_special(text):
                level = _infer_level(text)
                if level != "INFO":
                    levels[start] = level
                continue
            if done < start:
                self._take_plain(
                    block[done:start],
                    hits if not done and start == len(block) else None,
                    {place - done: level for place, level in levels.items() if place >= done},
                )
            levels.clear()
            done = start
            if start < len(block):
                self._take_closely(text)
                done = end + 1

    def _take_plain(
        self, block: bytes, hits: Sequence[Hit] | None, levels: Mapping[int, str]
    ) -> None:
        """Take whole lines in bulk.

        Args:
            block: The lines, with their ends.
            hits: Where literals of secrets stand in it, if that is known.
            levels: Levels other than INFO, by the place where their line begins.
        """
        if hits is None:
            hits = self._journal.redactor.find(block)[0]
        indexes = _count_lines(block, levels)
        block = self._secrets.redact_block(block, hits)
        if _MARK_BYTES in block:
            block = block.replace(_MARK_BYTES, b"\\U0010ffff")
        marked = block[:-1].replace(b"\n", _MARK_BYTES).decode("utf-8", "backslashreplace")
        texts = encode_text(marked)[1:-1].split(_MARK_BYTES)
        if len(block) * _MAX_ESCAPE > self._limit and max(map(len, texts)) > self._limit:
            for text in block.split(b"\n")[:-1]:
                self._write_line(Line(text))
            return
        self._journal.write_captured(texts, indexes, self._suffix)
        if self._evidence is not None:
            self._evidence.note_stderr(texts)

    def _take_lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            is_whole = line.is_first and line.is_last
            if line.is_beginning:
                self._close_group()
                self._write_beginning(line.text[1:])
            elif is_whole:
                self._take_closely(line.text)
            else:
                if self._has_records and line.text[:1] == RECORD_SEPARATOR:
                    self._journal.count_lost("torn_foreign_records")
                redacted = self._redact(line)
                if line.is_first and self._grouper.looks_closely:
                    # An exception whose message is too long for one line has a type all the same.
                    beginning = redacted.text[: find_cut(redacted.text, _MESSAGE_BYTES)]
                    for found in self._grouper.feed(_decode(beginning)):
                        if isinstance(found, GroupedLines):
                            self._write_group(found)
                self._close_group()
                self._write_line(redacted)

    def _take_closely(self, text: bytes) -> None:
        if self._has_records and RECORD_SEPARATOR in text:
            self._close_group()
            before, *records = text.split(RECORD_SEPARATOR)
            if before:
                self._write_line(self._redact(Line(before)))
            for record in records:
                self._write_foreign(record)
            return
        if text[:1] == b"{" and (logged := read_logged(text)) is not None:
            self._close_group()
            self._journal.write_printed(logged, self._suffix)
            return
        line = self._redact(Line(strip_colours(text) if b"\x1b" in text else text))
        self._write_found(self._grouper.feed(_decode(line.text)))

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

    def _close_group(self) -> None:
        self._write_found(self._grouper.flush())

    def _write_found(self, found: Iterable[str | GroupedLines]) -> None:
        for each in found:
            if isinstance(each, GroupedLines):
                self._write_group(each)
            else:
                self._write_line(Line(each.encode("utf-8", "surrogateescape")))

    def _write_group(self, group: GroupedLines) -> None:
        text = simplify_text(group.text)
        if not group.error_type:
            fields: dict[str, Any] = {"level": group.level, "message": text}
        else:
            message = simplify_text(group.error_message)
            fields = {
                "level": group.level,
                "message": f"{group.error_type}: {message}" if message else group.error_type,
                "exception": {"type": group.error_type, "message": message, "traceback": text},
            }
        self._journal.write_fields(
            fields, self._suffix, is_printed=True, is_reason=not group.is_ignored
        )

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


def _find_candidates(block: bytes, starts: Sequence[int]) -> list[Span]:
    """Return the lines of a block that need a look, without their ends.

    Args:
        block: Whole lines, with their ends.
        starts: Where one of the literals begins that are looked for.
    """
    spans = []
    end = -1
    if block[:1] in FIRST_LETTERS:  # what a literal with a line end before it would find
        end = block.index(b"\n")
        spans.append((0, end))
    for place in sorted(starts):
        start = place + (block[place] == _LINE_END)
        if start > end:
            end = block.index(b"\n", start)
            spans.append((block.rfind(b"\n", 0, start) + 1, end))
    return spans


def _count_lines(block: bytes, levels: Mapping[int, str]) -> dict[int, str]:
    """Return levels by the index of their line."""
    indexes = {}
    index = counted = 0
    for place, level in sorted(levels.items()):
        index += block.count(b"\n", counted, place)
        counted = place
        indexes[index] = level
    return indexes


def _is_special(text: bytes) -> bool:
    """Return whether a line may open a group, or is a JSON object."""
    return text[:1] == b"{" or open_group(_decode(text)) is not None


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _cut_evenly(text: bytes, size_bytes: int) -> Iterator[bytes]:
    while len(text) > size_bytes:
        cut = find_cut(text, size_bytes)
        yield text[:cut]
        text = text[cut:]
    yield text


def _infer_level(text: bytes) -> str:
    return infer_level(text[: LOOK_AT_CHARACTERS * 4].decode("utf-8", "replace"))


def _encode(text: bytes) -> bytes:
    return encode_text(text.decode("utf-8", "backslashreplace"))[1:-1]
