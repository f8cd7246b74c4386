"""A log call in Python as one encoded record: loguru's messages and the standard library's.

The hot path of `configure_logging`. Nothing here decides where a record goes, and nothing here
catches what a hostile value may raise beyond its own encoding: `target.SerialTarget` does.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aind_capsule.records.encode import decode, encode, encode_members, encode_quickly
from aind_capsule.records.levels import get_standard_level
from aind_capsule.records.merge import MACHINE_FIELDS, fits, rename_taken
from aind_capsule.records.redaction.cuts import GAP
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.shrink import MAX_SENT_BYTES, shrink
from aind_capsule.records.simplify import (
    CUT_MARK,
    MAX_REPR_CHARACTERS,
    cut_text,
    repr_safely,
    simplify,
    simplify_text,
    str_safely,
)
from aind_capsule.records.timestamps import format_second

if TYPE_CHECKING:
    import logging

    from loguru import Record

#: A longer traceback keeps its beginning and its end.
MAX_TRACEBACK_CHARACTERS = 100_000
#: So many places of log calls are remembered.
_MAX_PLACES = 10_000

_GAP = GAP.decode()
_TRACEBACK = "Traceback (most recent call last):"
_EPOCH = datetime.fromtimestamp(0, timezone.utc)
_SECOND = timedelta(seconds=1)
_STANDARD_NAMES = frozenset(BY_NAME)
#: What a `LogRecord` has of itself; everything else came by `extra`.
_LOG_RECORD_NAMES = frozenset(
    {
        "args", "asctime", "created", "exc_info", "exc_text", "filename", "funcName", "levelname",
        "levelno", "lineno", "message", "module", "msecs", "msg", "name", "pathname", "process",
        "processName", "relativeCreated", "stack_info", "taskName", "thread", "threadName",
    }
)  # fmt: skip

_Second = tuple[int, int, int, int, timezone, bytes]
#: What structlog puts beside its event.
_STRUCTLOG_NAMES = frozenset({"_logger", "_name"})


class RecordBuilder:
    """Makes encoded records (one JSON object, without a line end).

    A field of one call wins over the same field of all calls; neither overwrites what the
    machinery or the wrapper says.

    Args:
        fields: The user's fields of every record (from `configure_logging`).
        taken: Fields that somebody else puts into every record (the wrapper), with their values.
        redactor: Hides secrets; None where somebody else does (the wrapper).
        cut_redactor: Hides them in what must be cut, before it is; by default `redactor`.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        taken: Mapping[str, Any],
        redactor: Redactor | None = None,
        cut_redactor: Redactor | None = None,
    ) -> None:
        self._redactor = redactor
        self._cut_redactor = redactor or cut_redactor
        self._taken = {**dict.fromkeys(MACHINE_FIELDS), **simplify(taken)}
        constant = rename_taken(simplify(fields), self._taken)
        self._constant = constant if redactor is None else redactor.redact_fields(constant)
        self._suffix = encode_members(self._constant).encode() + b"}"
        self._guarded = frozenset(self._taken) | _STANDARD_NAMES | frozenset(self._constant)
        self._free = _STANDARD_NAMES - frozenset(self._taken) - frozenset(self._constant)
        #: Second, minute, hour, day and zone of the last time, and its text.
        self._second: _Second = (-1, -1, -1, -1, timezone.utc, b"")
        #: What stands before the message and behind the call's own fields, by place.
        self._places: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}

    def build_from_loguru(self, record: Record, shown: str = "") -> bytes:
        """A loguru record as ours.

        Of an ordinary one only time, message and own fields are new each time; the rest is that of
        its place.

        Args:
            record: The record.
            shown: What loguru's own format made of it. A record that came through loguru's queue
                (`enqueue=True`) has its traceback there alone.
        """
        message, extra = record["message"], record["extra"]
        dynamic = encode_quickly(message) if type(message) is str else None
        if dynamic is None or record["exception"] is not None:
            return self._build_slowly(record, shown)
        if extra:
            is_plain = self._guarded.isdisjoint(extra) or self._are_harmless(extra)
            own = encode_quickly(extra) if is_plain and "extra" not in extra else None
            if own is None:
                return self._build_slowly(record, shown)
            dynamic = b"%b,%b" % (dynamic, own[1:-1])
        is_long = len(dynamic) > MAX_SENT_BYTES // 2
        if is_long or (self._redactor is not None and self._redactor.may_be_in(dynamic)):
            return self._build_slowly(record, shown)
        process, thread, level = record["process"], record["thread"], record["level"].no
        key = (
            record["line"], record["name"], record["function"], level, thread.id, thread.name,
            process.id, process.name,
        )  # fmt: skip
        place = self._places.get(key) or self._encode_place(key, record)
        if place is None:
            return self._build_slowly(record, shown)
        second, microsecond = self._split_time(record["time"])
        return b'{"timestamp":"%b%06dZ%b%b%b' % (second, microsecond, place[0], dynamic, place[1])

    def _build_slowly(self, record: Record, shown: str) -> bytes:
        """A record in which something needs a closer look."""
        message: object = record["message"]
        fields: dict[str, Any] = {
            "timestamp": self._format_time(record["time"]),
            "level": get_standard_level(record["level"].no),
            # A patcher of the user's may have put anything there.
            "message": message if isinstance(message, str) else str_safely(message),
            **_describe_place(record),
        }
        exception = record["exception"]
        if exception is not None and exception.type is not None:
            fields["exception"] = self.describe_exception(
                exception.type, exception.value, exception.traceback
            )
            trace = "" if exception.traceback else _find_traceback(shown, fields["message"])
            if trace:
                fields["exception"]["traceback"] = _tidy_traceback(trace, self._cut_redactor)
        return self._encode(fields, record["extra"])

    def _encode_place(self, key: tuple[Any, ...], record: Record) -> tuple[bytes, bytes] | None:
        """The fields that all records of one level from one place have in common."""
        fields = _describe_place(record)
        data = encode_quickly(fields)
        if data is None or (self._redactor is not None and self._redactor.may_be_in(data)):
            return None
        level = get_standard_level(record["level"].no).encode()
        after = b",%b" % data[1:-1] if fields else b""
        place = b'","level":"%b","message":' % level, after + self._suffix
        if len(self._places) >= _MAX_PLACES:
            self._places.clear()
        self._places[key] = place
        return place

    def build_from_stdlib(self, record: logging.LogRecord) -> bytes:
        """A standard library's record as ours; its own place, thread and time are kept."""
        try:
            message = record.getMessage()
        except Exception:  # the call's arguments do not fit its message, or cannot be printed
            message = f"{str_safely(record.msg)} {repr_safely(record.args)}"
        fields: dict[str, Any] = {
            "timestamp": self._format_time(datetime.fromtimestamp(record.created, timezone.utc)),
            "level": get_standard_level(record.levelno),
            "message": message,
            "lineno": record.lineno if isinstance(record.lineno, int) else None,
            "process": str(record.process or os.getpid()),
            "processName": record.processName,
            "thread": str(record.thread or ""),
            "threadName": record.threadName,
            "logger": record.name,
            "function": record.funcName,
        }
        _drop_unknown(fields)
        if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
            fields["exception"] = self.describe_exception(*record.exc_info)
        own = record.__dict__
        extra = {name: own[name] for name in own if name not in _LOG_RECORD_NAMES}
        if isinstance(record.msg, dict) and isinstance(record.msg.get("event"), str):
            # structlog on its way to a ProcessorFormatter: an event with its fields.
            fields["message"] = record.msg["event"]
            extra = {k: v for k, v in extra.items() if k not in _STRUCTLOG_NAMES}
            extra |= {k: v for k, v in record.msg.items() if k not in ("event", *fields)}
        if record.stack_info:
            extra.setdefault("stack", record.stack_info)
        return self._encode(fields, extra)

    def build_from_fields(self, fields: dict[str, Any], extra: Mapping[str, Any]) -> bytes:
        """A record of our own making (a warning, an uncaught exception)."""
        _drop_unknown(fields)
        return self._encode(fields, extra)

    def describe_exception(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> dict[str, str]:
        """An exception as the record's `exception`."""
        return describe_exception(kind, value, trace, self._cut_redactor)

    def _format_time(self, time: datetime) -> str:
        """A timestamp."""
        second, microsecond = self._split_time(time)
        return f"{second.decode()}{microsecond:06d}Z"

    def _split_time(self, time: datetime) -> tuple[bytes, int]:
        """A timestamp's whole seconds, which are formatted once a second, and its microseconds."""
        second, minute, hour, day, zone, text = self._second
        # To subtract times of two zone objects, which loguru's times have, costs twice as much.
        if (
            time.second != second
            or time.minute != minute
            or time.hour != hour
            or time.toordinal() != day
            or time.tzinfo != zone
        ):
            text = format_second((time - _EPOCH) // _SECOND).encode()
            # The offset of another kind of zone may change within an hour of the same name.
            if type(time.tzinfo) is timezone:
                day = time.toordinal()
                self._second = (time.second, time.minute, time.hour, day, time.tzinfo, text)
        return text, time.microsecond

    def _encode(self, fields: dict[str, Any], extra: Mapping[str, Any]) -> bytes:
        if "extra" in extra:
            extra = _flatten(extra)
        data = None
        if self._guarded.isdisjoint(extra) or self._are_harmless(extra):
            data = encode_quickly({**fields, **extra})
        if data is not None:
            data = data[:-1] + self._suffix
        else:
            own = rename_taken(simplify(extra), self._taken)
            constant = {k: v for k, v in self._constant.items() if k not in own}
            data = encode({**fields, **own, **constant})
        if self._redactor is not None:
            data = self._redactor.redact_record(data)
        elif len(data) > MAX_SENT_BYTES and self._cut_redactor is not None:
            data = self._cut_redactor.redact_record(data)  # half a secret is not found any more
        if len(data) > MAX_SENT_BYTES:
            data = encode(shrink(decode(data) or fields, MAX_SENT_BYTES))
        return data

    def _are_harmless(self, extra: Mapping[str, Any]) -> bool:
        """Whether the guarded names in a call's fields are free, and say what they may."""
        names = self._guarded.intersection(extra)
        return names <= self._free and all(
            type(extra[name]) is str and fits(name, extra[name]) for name in names
        )


def _describe_place(record: Record) -> dict[str, Any]:
    """Where a loguru record was made."""
    process, thread = record["process"], record["thread"]
    fields: dict[str, Any] = {
        "lineno": record["line"],
        "process": str(process.id),
        "processName": process.name,
        "thread": str(thread.id),
        "threadName": thread.name,
        "logger": record["name"],
        "function": record["function"],
    }
    _drop_unknown(fields)
    return fields


def _drop_unknown(fields: dict[str, Any]) -> None:
    """Leave out what is not known: a logger without a name, a thread without one."""
    for name in [name for name, value in fields.items() if value is None or value == ""]:
        if name != "message":
            del fields[name]


def _flatten(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of `logger.info(…, extra={…})`, which is the standard library's way."""
    nested = extra["extra"]
    if not isinstance(nested, Mapping):
        return extra
    plain = nested if type(nested) is dict else simplify(nested)
    rest = {name: value for name, value in extra.items() if name != "extra"}
    return {**rest, **plain} if isinstance(plain, dict) else {**rest, "extra": plain}


def describe_exception(
    kind: type[BaseException] | None,
    value: BaseException | None,
    trace: TracebackType | None,
    redactor: Redactor | None = None,
) -> dict[str, str]:
    """An exception as the record's `exception`: type, message, and traceback as one string.

    The traceback is the interpreter's own, with causes, notes and groups, and without the values
    of variables.

    Args:
        redactor: Hides secrets in what is too long, before it is cut.
    """
    name = kind.__name__ if kind is not None else "Exception"
    try:
        text = "".join(traceback.format_exception(kind, value, trace))
    except Exception:  # the exception's own code failed while it was printed
        text = "".join(traceback.format_tb(trace)) + name
    return {
        "type": name,
        "message": _read_message(value, redactor),
        "traceback": _tidy_traceback(text, redactor),
    }


def _tidy_traceback(text: str, redactor: Redactor | None) -> str:
    return simplify_text(_cut_middle(text, redactor))


def _find_traceback(shown: str, message: str) -> str:
    r"""Return the traceback that stands below a message; empty where there is none.

    >>> _find_traceback("now - x\nTraceback (most recent call last):\nKeyError: 1", "x")
    'Traceback (most recent call last):\nKeyError: 1'
    """
    start = shown.find(_TRACEBACK, max(shown.find(message), 0) + len(message))
    return shown[shown.rfind("\n", 0, start) + 1 :].rstrip("\n") if start >= 0 else ""


def _cut_middle(text: str, redactor: Redactor | None) -> str:
    if len(text) <= MAX_TRACEBACK_CHARACTERS:
        return text
    if redactor is not None:
        text = redactor.redact_text(text)
    half = MAX_TRACEBACK_CHARACTERS // 2
    left_out = len(text) - 2 * half
    if left_out <= 0:
        return text
    return f"{text[:half]}{CUT_MARK}\n{CUT_MARK} {left_out} characters left out{_GAP}{text[-half:]}"


def _read_message(value: BaseException | None, redactor: Redactor | None) -> str:
    if value is None:
        return ""
    try:
        text = simplify_text(str(value))
    except Exception:  # the exception's own code failed
        return simplify_text(str_safely(value))
    if len(text) > MAX_REPR_CHARACTERS and redactor is not None:
        text = redactor.redact_text(text)
    return cut_text(text, MAX_REPR_CHARACTERS)


def describe_origin() -> dict[str, str]:
    """Process and thread of the caller, for records that no logging library made."""
    thread = threading.current_thread()
    process = sys.modules.get("multiprocessing.process")
    name = process.current_process().name if process is not None else "MainProcess"
    return {
        "process": str(os.getpid()),
        "processName": name,
        "thread": str(thread.ident or ""),
        "threadName": thread.name,
    }
