"""How a log is labelled: settled in its first record, so that every resend is byte-identical.

The form of a log is its `shipping` object (`records.naming.build_shipping` makes it). Settings at
the time of a push do not change it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.errors import LogFileError
from aind_capsule.logs.reader import LogTail
from aind_capsule.records.naming import build_shipping
from aind_capsule.records.shrink import MAX_LINE_BYTES

FORMAT = 1
#: A first record is looked for in so many lines; what has none is no log of records.
_LOOK_AT_LINES = 1000
_LEAST_LINE_BYTES = 16 * 1024
_MAX_METADATA = 100


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one log.

    Attributes:
        labels: Names and values of its stream.
        metadata: Fields that are indexed beside the line.
        max_line: Longest line in bytes; a longer record is cut.
        run_id: The run, where the log names one.
    """

    labels: Mapping[str, str]
    metadata: tuple[str, ...]
    max_line: int
    run_id: str | None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Form:
        """The form that a log's first record gives; without a `shipping` object format 1's.

        Raises:
            LogFileError: The log's format is newer than this toolkit.
        """
        given = record.get("shipping")
        given = given if isinstance(given, Mapping) else {}
        version = given.get("v", FORMAT)
        if version != FORMAT:
            raise LogFileError(
                f"The log's shipping format is {version!r}; this toolkit knows {FORMAT}",
                hint="Deliver it with the release of aind-capsule that wrote it, or a later one.",
            )
        usual = build_shipping(record)
        labels, metadata = given.get("labels"), given.get("metadata")
        if not isinstance(labels, Mapping) or not _is_text_table(labels):
            labels = usual["labels"]
        if not isinstance(metadata, list) or not all(isinstance(name, str) for name in metadata):
            metadata = usual["metadata"]
        max_line = given.get("max_line")
        if not isinstance(max_line, int) or not _LEAST_LINE_BYTES <= max_line <= MAX_LINE_BYTES:
            max_line = MAX_LINE_BYTES
        run_id = record.get("run_id")
        return cls(
            dict(labels),
            tuple(name for name in metadata if name)[:_MAX_METADATA],
            max_line,
            run_id if isinstance(run_id, str) else None,
        )


def read_form(path: str) -> Form | None:
    """A log's form; None while it has no whole line yet.

    The first line that is a record gives it: the one before may be torn or damaged.

    Raises:
        LogFileError: There is no record, or the log's format is newer than this toolkit.
        OSError: It cannot be read.
    """
    with contextlib.closing(LogTail(path)) as tail:
        seen = 0
        while lines := tail.read():
            for line in lines:
                if line.record is not None:
                    return Form.from_record(line.record)
            seen += len(lines)
            if seen >= _LOOK_AT_LINES:
                break
        if not seen:
            return None
    raise LogFileError(
        f"{path} holds no record in its first {seen} lines",
        hint="Logs of other programs are converted first: capsule push --process-name NAME FILE.",
    )


def _is_text_table(table: Mapping[Any, Any]) -> bool:
    parts = [part for pair in table.items() for part in pair]
    return bool(parts) and all(isinstance(part, str) and part for part in parts)
