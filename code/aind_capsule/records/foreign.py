"""Records of other programs: whatever JSON object arrives, in the form of the standard.

For records in other languages (RFC 7464), and for logs that others wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.records.levels import find_standard_level
from aind_capsule.records.merge import rename_taken
from aind_capsule.records.simplify import simplify_text, str_safely
from aind_capsule.records.timestamps import format_timestamp, parse_timestamp

_TIME_NAMES = ("timestamp", "time", "ts", "@timestamp")
_LEVEL_NAMES = ("level", "levelname", "severity")
_MESSAGE_NAMES = ("message", "msg", "event")
#: What the writer and the wrapper alone say of a record.
_RESERVED = ("seq", "stream", "shipping", "run_id")


def normalise(foreign: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    """A record of the standard with everything that the other program's object says.

    A time, level or message that cannot be read as such stays as a field with a `_` behind its
    name; nothing is left out.

    >>> normalise({"msg": "hi", "level": "warn", "n": 1}, 1700000000000000)["level"]
    'WARNING'
    """
    rest = dict(foreign)
    time_us = _take(rest, _TIME_NAMES, lambda value: parse_timestamp(str(value)))
    level = _take(rest, _LEVEL_NAMES, find_standard_level)
    message = _take(rest, _MESSAGE_NAMES, lambda value: None if value is None else value)
    record = {
        "timestamp": format_timestamp(time_us if time_us is not None else now_us),
        "level": level or "INFO",
        "message": simplify_text(
            message if isinstance(message, str) else str_safely(message or "")
        ),
    }
    return {**record, **rename_taken(rest, {*record, *_RESERVED})}


def _take(rest: dict[str, Any], names: tuple[str, ...], read: Any) -> Any:
    """The first of the names whose value can be read; it is taken out."""
    for name in names:
        if name in rest:
            value = read(rest[name])
            if value is not None:
                del rest[name]
                return value
    return None
