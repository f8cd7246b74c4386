"""The records of another program as a log of ours: fields, times, sizes, and what is secret.

Written for `convert`. A record of ours is at most `MAX_LINE_BYTES` long; of a longer one the
beginning stays a record, and all of it follows as text in parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.errors import LogFileError, UsageError
from aind_capsule.logs.foreign_records import split_message
from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.encode import decode, encode, encode_members
from aind_capsule.records.foreign import ForeignRecord
from aind_capsule.records.merge import RESERVED_FIELDS, rename_taken
from aind_capsule.records.naming import build_shipping
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.shrink import MAX_FIELDS_BYTES, MAX_LINE_BYTES, shrink
from aind_capsule.records.simplify import cut_text
from aind_capsule.records.timestamps import US_PER_S, format_second

_OWN = ("timestamp", "level", "message")
#: How a line came into the other log: on which stream, and in parts where it was too long.
_MARKS = frozenset({"stream", "split_part", "split_last"})
#: What stands around a message: timestamp, level, logger, the marks of a part.
_ENVELOPE_BYTES = 2000
#: The writer's `seq` and the line's end.
_SEQ_BYTES = 48
_BATCH_BYTES = 512 * 1024
_LONGEST_SUMMARY = 1000


class ConvertedLog:
    """A log while it is written.

    Args:
        writer: The file.
        fields: What every record bears.
        redactor: Hides secrets in every record.

    Raises:
        UsageError: The fields are too long.

    Attributes:
        limit_bytes: A longer message does not fit into one record.
        last_us: The last record's time; None before there is one.
    """

    def __init__(self, writer: LogWriter, fields: Mapping[str, Any], redactor: Redactor) -> None:
        constant = redactor.redact_fields(fields)
        self._writer = writer
        self._redactor = redactor
        self._suffix = encode_members(constant).encode()
        self._shipping = encode_members({"shipping": build_shipping(constant)}).encode()
        own_bytes = len(self._suffix) + len(self._shipping)
        if own_bytes > MAX_FIELDS_BYTES:
            raise UsageError(
                f"The fields of every record are {own_bytes} bytes long",
                hint=f"Give fields of at most {MAX_FIELDS_BYTES} bytes.",
            )
        self._taken = {**dict.fromkeys((*_OWN, *(RESERVED_FIELDS - _MARKS))), **constant}
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._second = (-1, "")
        self.limit_bytes = MAX_LINE_BYTES - own_bytes - _ENVELOPE_BYTES - _SEQ_BYTES
        self.last_us: int | None = None

    def take(self, read: ForeignRecord, first_us: int) -> None:
        """Write a record.

        Args:
            first_us: The time of records before the first that has one.

        Raises:
            LogFileError: The file cannot be written.
        """
        if read.time_us is not None:
            self.last_us = read.time_us
        elif self.last_us is not None:
            self.last_us += 1
        record = {
            "timestamp": self._format_time(first_us if self.last_us is None else self.last_us),
            "level": read.level or "INFO",
            "message": self._summarise(read.fields) if read.message is None else read.message,
        }
        if read.fields:
            record.update(rename_taken(read.fields, self._taken))
        self._write(record)

    def finish(self, first_us: int) -> None:
        """Write what has not been written; a log of nothing says so.

        Raises:
            LogFileError: The file cannot be written.
        """
        if self._shipping:
            self.take(ForeignRecord("The log is empty"), first_us)
        self._flush()

    def _write(self, record: dict[str, Any]) -> None:
        data = self._redactor.redact_record(encode(record))
        if len(data) <= self.limit_bytes + _ENVELOPE_BYTES:
            self._put(data)
            return
        self._put(encode(shrink(decode(data) or record, self.limit_bytes)))
        # What was cut is still there, as text: the whole record, in parts.
        own = {name: record[name] for name in _OWN}
        pieces = list(split_message(data.decode(), self.limit_bytes))
        for number, piece in enumerate(pieces, 1):
            marks = {"split_part": number, "split_last": number == len(pieces)}
            self._put(encode({**own, "level": "INFO", "message": piece, **marks}))

    def _put(self, data: bytes) -> None:
        line = b"%b%b%b" % (data[:-1], self._shipping, self._suffix)
        self._shipping = b""  # in the first record only
        self._batch.append(line)
        self._batch_bytes += len(line)
        if self._batch_bytes > _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        lost = self._writer.append(self._batch)
        self._batch, self._batch_bytes = [], 0
        if lost:
            raise LogFileError(
                f"The log {self._writer.path} cannot be written ({', '.join(self._writer.lost)})",
                hint="Make room, or give another folder.",
            )

    def _format_time(self, time_us: int) -> str:
        second, microsecond = divmod(time_us, US_PER_S)
        if second != self._second[0]:
            self._second = (second, format_second(second))
        return f"{self._second[1]}{microsecond:06d}Z"

    def _summarise(self, fields: Mapping[str, Any]) -> str:
        """A message for a record that has none: the beginning of what it says."""
        text = encode(fields).decode()
        if len(text) > _LONGEST_SUMMARY:
            text = encode(self._redactor.redact_values(fields)).decode()
        return cut_text(text, _LONGEST_SUMMARY)
