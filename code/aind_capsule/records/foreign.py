"""Records of other programs: whatever JSON object arrives, in the form of the standard.

For records in other languages (RFC 7464), and for logs that others wrote. Known besides the
standard's own names are those of the standard library's `logging` (as python-json-logger and
aind-log-utils write them), structlog, loguru's `serialize=True`, bunyan and pino (numeric levels
of their own), and the Elastic Common Schema. Sources are the documentation of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.records.levels import LEVEL_NUMBERS, find_standard_level
from aind_capsule.records.merge import RESERVED_FIELDS, fits, rename_taken
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import simplify_text
from aind_capsule.records.timestamps import format_timestamp, parse_timestamp

_TIME_NAMES = ("timestamp", "time", "ts", "@timestamp", "asctime", "datetime", "@t")
_LEVEL_NAMES = ("level", "levelname", "severity", "log.level", "log_level", "lvl", "@l")
_MESSAGE_NAMES = ("message", "msg", "event", "short_message", "@m", "@mt")
#: Names of levels that the standard's own name says as well; others are kept beside it.
PLAIN_LEVELS = frozenset({*LEVEL_NUMBERS, "WARN", "ERR", "CRIT", "FATAL", "INFORMATION"})
#: What programs write into a field of which they know nothing.
_NOTHING = frozenset({"undefined", "null"})

#: Attributes of the standard library's log records.
_STDLIB = {"name": "logger", "funcName": "function"}
#: aind-log-utils puts the platform's ids under names of the SIPE log server.
_AIND_LOG_UTILS = {"comp_id": "computation_id", "version": "capsule_id"}
#: Levels of bunyan and pino: https://github.com/trentm/node-bunyan#levels
_NODE_LEVELS = {10: "DEBUG", 20: "DEBUG", 30: "INFO", 40: "WARNING", 50: "ERROR", 60: "CRITICAL"}
_NODE = {"name": "logger", "pid": "process"}
#: https://www.elastic.co/guide/en/ecs/current/ecs-field-reference.html
_ECS = {
    "log.logger": "logger",
    "log.origin.file.line": "lineno",
    "log.origin.function": "function",
    "process.pid": "process",
    "process.name": "processName",
    "process.thread.id": "thread",
    "process.thread.name": "threadName",
    "host.hostname": "hostname",
    "host.name": "hostname",
    "service.name": "software_name",
    "service.version": "software_version",
}
_ECS_OBJECTS = ("log", "process", "host", "service", "error", "ecs")
_ECS_ERROR = {"error.type": "type", "error.message": "message", "error.stack_trace": "traceback"}
_EXCEPTION_NAMES = ("exception", "exc_info", "exc_text", "stack_trace")

TRACEBACK_START = "Traceback (most recent call last):"
#: The line of a traceback that names the exception.
TRACEBACK_END = re.compile(r"^(?:[\w.]*\.)?([A-Za-z_]\w*)(?:: (.*)|:)?$")


@dataclass(frozen=True, slots=True)
class ForeignRecord:
    """What another program's record says, as far as it could be understood.

    Attributes:
        message: None where it has none.
        time_us: Microseconds since 1970, or None.
        level: One of the standard's, or None.
        fields: Everything else.
    """

    message: str | None
    time_us: int | None = None
    level: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


def normalise(
    foreign: Mapping[str, Any],
    now_us: int,
    reserved: Collection[str] = RESERVED_FIELDS,
) -> dict[str, Any]:
    """A record of the standard with everything that the other program's object says.

    A time, level or message that cannot be read as such stays as a field with a `_` behind its
    name, and so does what bears a reserved name; nothing is left out.

    >>> normalise({"msg": "hi", "level": "warn", "n": 1}, 1700000000000000)["level"]
    'WARNING'
    """
    return complete(read_object(foreign, _read_time), now_us, reserved)


def complete(
    read: ForeignRecord, now_us: int, reserved: Collection[str] = RESERVED_FIELDS
) -> dict[str, Any]:
    """Return the standard's record of one that was understood; see `normalise`."""
    record = {
        "timestamp": format_timestamp(read.time_us if read.time_us is not None else now_us),
        "level": read.level or "INFO",
        "message": read.message or "",
    }
    return {**record, **rename_taken(read.fields, {*record, *reserved})}


def _read_time(value: Any) -> int | None:
    return parse_timestamp(str(value))


def read_logged(text: bytes) -> ForeignRecord | None:
    """Return what a line says that a logger printed as JSON; None where it is none.

    A logger's object is whole and has a level and a message. A number is a level from 10 to 60,
    which is the scale of Python's and of Node's loggers.

    >>> read_logged(b'{"level": "warn", "msg": "low"}') is None
    False
    >>> read_logged(b'{"level": 3, "message": "door"}'), read_logged(b'{"error": 0.02}')
    (None, None)
    """
    foreign = decode(text)
    if foreign is None:
        return None
    if not any(name in foreign for name in _LEVEL_NAMES) and "record" not in foreign:
        return None
    read = read_object(foreign, _read_time)
    if read.level is None or read.message is None:
        return None
    numbers = [
        foreign[name] for name in _LEVEL_NAMES if isinstance(foreign.get(name), (int, float))
    ]
    return read if all(10 <= number <= 60 for number in numbers) else None


def read_object(
    foreign: Mapping[str, Any], read_time: Callable[[Any], int | None]
) -> ForeignRecord:
    """Understand another program's record.

    Args:
        foreign: The decoded object.
        read_time: Microseconds since 1970 of a value that is a time, else None.
    """
    rest = dict(foreign)
    text, inner = rest.get("text"), rest.get("record")
    if isinstance(inner, Mapping) and len(rest) == 2 and isinstance(inner.get("level"), Mapping):
        rest = _unfold_loguru(inner, text if isinstance(text, str) else "")
    else:
        _translate(rest)
    time_us = _take(rest, _TIME_NAMES, read_time)
    given_level: Any = None

    def read_level(value: Any) -> str | None:
        nonlocal given_level
        given_level = value
        return find_standard_level(value)

    level = _take(rest, _LEVEL_NAMES, read_level)
    if level is not None and not _is_plain_level(given_level):
        name = "level_"
        while name in rest:
            name += "_"
        rest[name] = given_level
    message = _take(rest, _MESSAGE_NAMES, lambda value: value)
    if message is not None:
        message = simplify_text(message if isinstance(message, str) else encode(message).decode())
    return ForeignRecord(message, time_us, level, _drop_unknown(rest))


def describe_traceback(text: str) -> dict[str, str]:
    r"""The record's `exception` for a Python traceback that is there as text.

    >>> describe_traceback("Traceback (most recent call last):\n  …\nos.error: gone")["message"]
    'gone'
    """
    lines = text.split("\n")
    starts = [index for index, line in enumerate(lines) if TRACEBACK_START in line]
    last = ""
    for line in lines[starts[-1] + 1 if starts else 0 :]:
        if line.strip() and line[0] not in " \t>|+":
            match = TRACEBACK_END.match(line)
            if match is None:
                break
            return {"type": match[1], "message": match[2] or "", "traceback": text}
        last = line.strip(" |+-") or last
    return {"type": "Exception", "message": last, "traceback": text}


def _take(rest: dict[str, Any], names: tuple[str, ...], read: Callable[[Any], Any]) -> Any:
    """The first of the names whose value can be read; it is taken out."""
    for name in names:
        if name in rest:
            value = read(rest[name])
            if value is not None:
                del rest[name]
                return value
    return None


def _is_plain_level(given: Any) -> bool:
    """Whether the standard's name says all that the given level says."""
    if isinstance(given, str):
        return given.strip().upper() in PLAIN_LEVELS
    return given in LEVEL_NUMBERS.values()


def _translate(rest: dict[str, Any]) -> None:
    """Give fields of the known dialects the standard's names."""
    if "levelname" in rest:
        if "timestamp" not in rest and isinstance(rest.get("created"), float):
            rest["timestamp"] = rest.pop("created")  # `asctime` is a local time, this is not
        _rename(rest, _STDLIB)
        if "CO_CPUS" in rest:
            _rename(rest, _AIND_LOG_UTILS)
    elif _is_node(rest):
        rest["level"] = _NODE_LEVELS[rest["level"]]
        _rename(rest, _NODE)
    elif "@timestamp" in rest:
        for name in _ECS_OBJECTS:
            if isinstance(rest.get(name), Mapping):
                for inner, value in _flatten(rest.pop(name), name):
                    rest.setdefault(inner, value)
        _rename(rest, _ECS)
    _find_exception(rest)


def _rename(rest: dict[str, Any], names: Mapping[str, str]) -> None:
    for old, new in names.items():
        if old in rest and new not in rest:
            rest[new] = rest.pop(old)


def _is_node(rest: Mapping[str, Any]) -> bool:
    """Whether a record has a level of bunyan's and pino's scale."""
    level, time = rest.get("level"), rest.get("time")
    is_number = isinstance(level, int) and not isinstance(level, bool)
    if not is_number or level not in _NODE_LEVELS or "msg" not in rest:
        return False
    return "pid" in rest or "v" in rest or (isinstance(time, int) and time > 10**12)


def _flatten(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """The values of nested objects by their dotted names.

    >>> _flatten({"origin": {"file": {"line": 3}}}, "log")
    [('log.origin.file.line', 3)]
    """
    flat: list[tuple[str, Any]] = []
    waiting = [(prefix, table)]
    while waiting:
        path, inner = waiting.pop()
        for name, value in inner.items():
            if isinstance(value, Mapping) and value:
                waiting.append((f"{path}.{name}", value))
            else:
                flat.append((f"{path}.{name}", value))
    return flat


def _find_exception(rest: dict[str, Any]) -> None:
    """Put an exception into the form that the record has for it."""
    error = rest.get("err")
    if isinstance(error, Mapping) and isinstance(error.get("stack"), str):  # pino's
        more = {name: value for name, value in error.items() if name != "stack"}
        if "exception" not in rest:
            rest["exception"] = {**more, "traceback": error["stack"]}
            del rest["err"]
    elif "exception" not in rest and isinstance(rest.get("error.stack_trace"), str):
        names = [name for name in _ECS_ERROR if isinstance(rest.get(name), str)]
        rest["exception"] = {_ECS_ERROR[name]: rest.pop(name) for name in names}
    for name in _EXCEPTION_NAMES:
        text = rest.get(name)
        if isinstance(text, str) and TRACEBACK_START in text:
            if name == "exception" or "exception" not in rest:
                del rest[name]
                rest["exception"] = describe_traceback(text)
            return


def _unfold_loguru(record: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The record in loguru's `{"text": …, "record": …}`, by our names.

    The text repeats the record, but for the traceback, which stands in it alone.
    https://loguru.readthedocs.io/en/stable/api/logger.html#record
    """

    def get(name: str, key: str) -> Any:
        inner = record.get(name)
        return inner.get(key) if isinstance(inner, Mapping) else None

    name, number = get("level", "name"), get("level", "no")
    is_own_name = find_standard_level(name) is None
    own = {
        "timestamp": get("time", "repr") or get("time", "timestamp"),
        "level": find_standard_level(number) if is_own_name else name,
        "level_": name if is_own_name else None,
        "message": record.get("message"),
        "lineno": record.get("line"),
        "process": get("process", "id"),
        "processName": get("process", "name"),
        "thread": get("thread", "id"),
        "threadName": get("thread", "name"),
        "logger": record.get("name"),
        "function": record.get("function"),
    }
    rest = {name: value for name, value in own.items() if value is not None}
    exception = record.get("exception")
    if isinstance(exception, Mapping):
        start = text.find(TRACEBACK_START)
        trace = text[start:].rstrip() if start >= 0 else ""
        described = {
            "type": exception.get("type"), "message": exception.get("value"), "traceback": trace,
        }  # fmt: skip
        rest["exception"] = {name: value for name, value in described.items() if value}
    extra = record.get("extra")
    if isinstance(extra, Mapping):
        nested = extra.get("extra")  # `logger.info(…, extra={…})`, the standard library's way
        if isinstance(nested, Mapping):
            extra = {**{key: value for key, value in extra.items() if key != "extra"}, **nested}
        rest.update(rename_taken(extra, rest))
    return rest


def _drop_unknown(rest: dict[str, Any]) -> dict[str, Any]:
    """The fields without those of the standard that say that nothing is known."""
    kept: dict[str, Any] = {}
    for name, value in rest.items():
        known = BY_NAME.get(name)
        if known is not None and known.type == "string":
            if isinstance(value, str) and not fits(name, value) and value.lower() in _NOTHING:
                continue
            if isinstance(value, (Mapping, list)):  # as text it would be cut
                kept.update(rename_taken({f"{name}_": value}, {**rest, **kept}))
                continue
        kept[name] = value
    return kept
