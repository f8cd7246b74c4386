"""A log call in Python as one encoded record: loguru's messages and the standard library's.

The hot path of `configure_logging`. Nothing here decides where a record goes.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aind_capsule.records.encode import encode, encode_members
from aind_capsule.records.levels import get_standard_level
from aind_capsule.records.merge import MACHINE_FIELDS, coerce, rename_taken
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.shrink import shrink
from aind_capsule.records.simplify import simplify_text, str_safely
from aind_capsule.records.timestamps import format_timestamp

if TYPE_CHECKING:
    import logging

    from loguru import Record

#: A longer traceback keeps its beginning and its end.
MAX_TRACEBACK_CHARACTERS = 100_000
#: A record from inside is at most 1 MiB; the rest is for what the wrapper adds.
MAX_RECORD_BYTES = 1000 * 1024

_STANDARD_NAMES = frozenset(BY_NAME)
#: What a `LogRecord` has of itself; everything else came by `extra`.
_LOG_RECORD_NAMES = frozenset(
    {
        "args", "asctime", "created", "exc_info", "exc_text", "filename", "funcName", "levelname",
        "levelno", "lineno", "message", "module", "msecs", "msg", "name", "pathname", "process",
        "processName", "relativeCreated", "stack_info", "taskName", "thread", "threadName",
    }
)  # fmt: skip


class RecordBuilder:
    """Makes encoded records (one JSON object, without a line end).

    Args:
        fields: The user's fields of every record (from `configure_logging`).
        taken: Fields that somebody else puts into every record (the wrapper), with their values.
    """

    def __init__(self, fields: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
        self._taken = {**dict.fromkeys(MACHINE_FIELDS), **taken}
        self._constant = rename_taken(fields, self._taken)
        self._suffix = encode_members(self._constant).encode() + b"}"
        self._reserved = frozenset(self._taken) | _STANDARD_NAMES | frozenset(self._constant)

    def build_from_loguru(self, record: Record) -> bytes:
        """A loguru record as ours."""
        process, thread = record["process"], record["thread"]
        time = record["time"]
        fields: dict[str, Any] = {
            "timestamp": format_timestamp(round(time.timestamp() * 1_000_000)),
            "level": get_standard_level(record["level"].no),
            "message": record["message"],
            "lineno": record["line"],
            "process": str(process.id),
            "processName": process.name,
            "thread": str(thread.id),
            "threadName": thread.name,
            "logger": record["name"] or "unknown",
            "function": record["function"],
        }
        exception = record["exception"]
        if exception is not None and exception.type is not None:
            fields["exception"] = describe_exception(
                exception.type, exception.value, exception.traceback
            )
        return self._encode(fields, record["extra"])

    def build_from_stdlib(self, record: logging.LogRecord) -> bytes:
        """A standard library's record as ours; its own place, thread and time are kept."""
        try:
            message = record.getMessage()
        except Exception:  # the call's arguments do not fit its message
            message = f"{record.msg} {record.args!r:.1000}"
        fields: dict[str, Any] = {
            "timestamp": format_timestamp(round(record.created * 1_000_000)),
            "level": get_standard_level(record.levelno),
            "message": message,
            "lineno": record.lineno,
            "process": str(record.process or os.getpid()),
            "processName": record.processName or "MainProcess",
            "thread": str(record.thread or 0),
            "threadName": record.threadName or "MainThread",
            "logger": record.name,
            "function": record.funcName or "unknown",
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = describe_exception(*record.exc_info)
        own = record.__dict__
        extra = {name: own[name] for name in own.keys() - _LOG_RECORD_NAMES}
        if record.stack_info:
            extra["stack"] = record.stack_info
        return self._encode(fields, extra)

    def build_from_fields(self, fields: dict[str, Any], extra: Mapping[str, Any]) -> bytes:
        """A record of the interception's own (a warning, an uncaught exception)."""
        return self._encode(fields, extra)

    def _encode(self, fields: dict[str, Any], extra: Mapping[str, Any]) -> bytes:
        if extra:
            nested = extra.get("extra")
            if isinstance(nested, Mapping):  # loguru's way of writing `extra={…}`
                extra = {**{k: v for k, v in extra.items() if k != "extra"}, **nested}
            if self._reserved.isdisjoint(extra):
                fields.update(extra)
            else:
                fields.update(self._rename(extra))
        data = encode(fields)[:-1] + self._suffix
        if len(data) > MAX_RECORD_BYTES:
            data = encode(shrink({**fields, **self._constant}, MAX_RECORD_BYTES))
        return data

    def _rename(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The user's fields where some bear names that are taken; a call's wins over a constant."""
        kept: dict[str, Any] = {}
        for name, value in extra.items():
            given = coerce(str(name), value)
            if name in self._constant and self._constant[name] == given:
                continue
            if name in _STANDARD_NAMES and name not in self._taken and name not in self._constant:
                if given is not None:
                    kept[name] = given
                continue
            kept.update(rename_taken({name: value}, {**self._taken, **self._constant, **kept}))
        return kept


def describe_exception(
    kind: type[BaseException] | None,
    value: BaseException | None,
    trace: TracebackType | None,
) -> dict[str, str]:
    """An exception as the record's `exception`: type, message, and traceback as one string.

    The traceback is the interpreter's own, with causes, notes and groups, and without the values
    of variables.
    """
    name = kind.__name__ if kind is not None else "Exception"
    try:
        text = "".join(traceback.format_exception(kind, value, trace))
    except Exception:  # the exception's own code failed while it was printed
        text = "".join(traceback.format_tb(trace)) + name
    if len(text) > MAX_TRACEBACK_CHARACTERS:
        half = MAX_TRACEBACK_CHARACTERS // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    message = simplify_text(str_safely(value)) if value is not None else ""
    return {"type": name, "message": message, "traceback": simplify_text(text)}


def describe_origin() -> dict[str, str]:
    """Process and thread of the caller, for records that no logging library made."""
    import threading

    thread = threading.current_thread()
    process = sys.modules.get("multiprocessing.process")
    name = process.current_process().name if process is not None else "MainProcess"
    return {
        "process": str(os.getpid()),
        "processName": name,
        "thread": str(thread.ident or 0),
        "threadName": thread.name,
    }
