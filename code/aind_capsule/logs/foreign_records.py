"""The records in a log of another program: JSON objects and text, line by line.

Read by `convert`. A line is a record by itself, but for what goes on with the one before it
(indented lines, tracebacks), JSON over several lines, and lines that are too long for one record.
Secrets in text are hidden here, where lines can be seen in their order (private keys have many).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from aind_capsule.logs.foreign_file import MAX_LINE_BYTES, Piece, cut_lines
from aind_capsule.records.encode import decode, encode_text
from aind_capsule.records.foreign import (
    TRACEBACK_START,
    ForeignRecord,
    describe_traceback,
    read_object,
)
from aind_capsule.records.foreign_lines import Continuation, is_traceback_start, read_line
from aind_capsule.records.foreign_times import ForeignTimes
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.redaction.stream import StreamRedactor

#: A whole file of JSON (an array of records, or one over many lines) is read up to this size.
_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
_DOCUMENT = re.compile(rb"\s*(?:\[\s*)?\{")
#: Text that goes on with a record is kept together up to this size.
_MAX_GROUP_CHARACTERS = 100_000
#: A longer line is a record by itself, in parts where it must be.
_MAX_HEAD_BYTES = 50_000
#: Deeper values would be cut when they are written; such a line stays text.
_MAX_DEPTH = 90
_GRAVE = ("WARNING", "ERROR", "CRITICAL")


class ForeignRecords:
    """The records of one file, in their order; to be iterated once.

    Args:
        chunks: The file's text.
        times: Reads times.
        redactor: Knows what is secret.
        limit_bytes: Longer messages come in parts.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        times: ForeignTimes,
        redactor: Redactor,
        limit_bytes: int,
    ) -> None:
        self._chunks = chunks
        self._times = times
        self._secrets = StreamRedactor(redactor)
        self._limit = limit_bytes
        self._continuation = Continuation()
        self._head: ForeignRecord | None = None
        self._more: list[str] = []
        self._size = 0
        self._part = 0

    def __iter__(self) -> Iterator[ForeignRecord]:
        chunks = self._chunks
        head = next(chunks, b"")
        if _DOCUMENT.match(head):
            objects, chunks = _read_document(head, chunks)
            if objects is not None:
                for item in objects:
                    yield read_object(item, self._times.read)
                return
        else:
            chunks = chain([head], chunks)
        for piece in cut_lines(chunks, self._limit, self._secrets.find_cut):
            yield from self._take(piece)
        yield from self._close()

    def _take(self, piece: Piece) -> Iterator[ForeignRecord]:
        if not (piece.is_first and piece.is_last):
            yield from self._close()
            yield from self._take_parts(piece)
            return
        line = piece.text.rstrip(b"\0\r").lstrip(b"\0")
        found = read_json(line)
        if found is not None:
            yield from self._close()
            self._head = read_object(found, self._times.read)
            self._continuation.begin("")
        elif len(line) > _MAX_HEAD_BYTES:
            yield from self._close()
            yield from self._take_parts(Piece(line))
        else:
            yield from self._take_text(
                self._secrets.redact_line(line).decode("utf-8", "backslashreplace")
            )

    def _take_text(self, line: str) -> Iterator[ForeignRecord]:
        is_empty = not line.strip()
        if is_empty and (self._head is None or not self._continuation.is_in_traceback):
            return
        read = ForeignRecord("") if is_empty else read_line(line, self._times)
        line = "" if is_empty else line
        size = self._size + len(line) + 1
        may_go_on = self._head is not None and read.time_us is None
        if may_go_on and size <= _MAX_GROUP_CHARACTERS and self._continuation.takes(line):
            self._more.append(line)
            self._size = size
        elif not is_empty:
            yield from self._close()
            self._head = read
            self._continuation.begin(read.message or "")

    def _take_parts(self, piece: Piece) -> Iterator[ForeignRecord]:
        """Records for a line that is too long for one, or for a piece of it."""
        if piece.is_first:
            self._part = 0
        if piece.is_first and piece.is_last:
            redacted = self._secrets.redact_line(piece.text)
        else:
            redacted = self._secrets.redact_piece(piece.text, is_first=piece.is_first)
        text = redacted.decode("utf-8", "backslashreplace")
        read = read_line(text, self._times) if piece.is_first else ForeignRecord(text)
        messages = list(split_message(read.message or "", self._limit))
        for index, message in enumerate(messages, 1):
            self._part += 1
            is_end = piece.is_last and index == len(messages)
            if is_end and self._part == 1:
                yield ForeignRecord(message, read.time_us, read.level, read.fields)
                return
            marks = {"split_part": self._part, "split_last": is_end}
            if index == 1:
                yield ForeignRecord(message, read.time_us, read.level, {**read.fields, **marks})
            else:
                yield ForeignRecord(message, fields=marks)

    def _close(self) -> Iterator[ForeignRecord]:
        """The record that was begun, with the text that went on with it."""
        head, more = self._head, self._more
        self._head, self._more, self._size = None, [], 0
        if head is None:
            return
        if more:
            yield from _join(head, more, self._times)
        elif head.message is not None and head.message.rstrip() == TRACEBACK_START:
            yield from _join(head, [""], self._times)
        else:
            yield head


def read_json(line: bytes) -> dict[str, Any] | None:
    """The object on a line, or None; what Python writes beyond JSON (NaN) is read as text.

    >>> read_json(b' {"a": NaN}, '), read_json(b"{}"), read_json(b"[1]")
    ({'a': 'NaN'}, None, None)
    """
    text = line.strip().rstrip(b",")
    if text[:1] != b"{" or text[-1:] != b"}" or len(text) > MAX_LINE_BYTES:
        return None
    found = decode(text)
    if found is None:
        value = _decode_leniently(text)
        found = value if isinstance(value, dict) else None
    if not found or (text.count(b"{") + text.count(b"[") > _MAX_DEPTH and _is_deep(found)):
        return None
    return found


def _decode_leniently(text: bytes) -> Any:
    """A JSON value also where it holds NaN, control characters or bytes that are not UTF-8."""
    try:
        return json.loads(text.decode("utf-8", "replace"), parse_constant=str, strict=False)
    except (ValueError, RecursionError):
        return None


def split_message(text: str, limit_bytes: int) -> Iterator[str]:
    """A text in pieces of which none is longer in JSON, its quotes not counted; at least one."""
    half = len(text) // 2
    if not half or len(encode_text(text)) - len('""') <= limit_bytes:
        yield text
        return
    yield from split_message(text[:half], limit_bytes)
    yield from split_message(text[half:], limit_bytes)


def _is_deep(value: Any) -> bool:
    """Whether a value is nested more deeply than can be written."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _read_document(
    head: bytes, chunks: Iterator[bytes]
) -> tuple[list[dict[str, Any]] | None, Iterator[bytes]]:
    """The objects of a file that is one JSON document, or None; and the chunks that were read."""
    parts = [head]
    first = head.split(b"\n", 1)[0]
    if b"\n" in head and read_json(first) is not None:  # one record a line
        return None, chain(parts, chunks)
    size = len(head)
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > _MAX_DOCUMENT_BYTES:
            return None, chain(parts, chunks)
    value = _decode_leniently(b"".join(parts))
    objects = value if isinstance(value, list) else [value]
    if all(isinstance(item, dict) and item and not _is_deep(item) for item in objects):
        return objects, chunks
    return None, iter(parts)


def _join(head: ForeignRecord, more: list[str], times: ForeignTimes) -> Iterator[ForeignRecord]:
    """A record with the text that goes on with it.

    A traceback belongs to a record that is grave. Behind another it is what ended the program, or
    nobody logged it: a record of its own, as the wrapper makes one of captured output.
    """
    message = head.message or ""
    if message[:1] == "{" and head.time_us is None:
        found = read_json("\n".join([message, *more]).encode())
        if found is not None:
            yield read_object(found, times.read)
            return
    lines = [message, *more]
    start = next((n for n, line in enumerate(lines) if _begins_traceback(line, n)), len(lines))
    trace = "\n".join(lines[start:]).rstrip()
    if start == 0 and message.rstrip() != TRACEBACK_START:  # `Uncaught: Traceback (most …`
        cut = message.rindex(TRACEBACK_START)
        message, trace = message[:cut].rstrip(), trace[cut:]
    elif start == 0:
        message = ""
    else:
        message = "\n".join(line for line in lines[:start] if line)
    if not trace:
        yield ForeignRecord(message, head.time_us, head.level, head.fields)
        return
    exception = describe_traceback(trace)
    told = f"{exception['type']}: {exception['message']}".removesuffix(": ")
    is_one = not message or head.level in _GRAVE
    if is_one and "exception" not in head.fields:
        level = head.level if head.level in _GRAVE else "ERROR"
        fields = {**head.fields, "exception": exception}
        yield ForeignRecord(message or told, head.time_us, level, fields)
    else:
        yield ForeignRecord(message, head.time_us, head.level, head.fields)
        yield ForeignRecord(told, None, "ERROR", {"exception": exception})


def _begins_traceback(line: str, number: int) -> bool:
    return is_traceback_start(line) or (number == 0 and line.rstrip().endswith(TRACEBACK_START))
