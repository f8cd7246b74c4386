"""Records and banners for people: on stderr, and in the session file.

Pure text in, text out; whoever calls decides where it goes, how wide that is, and by how much its
clock differs from UTC.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from aind_capsule.logs.folding import count_cells, cut, fold
from aind_capsule.records.encode import encode
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import decode_bytes
from aind_capsule.records.timestamps import US_PER_S

_COLOURS = {
    "DEBUG": "\x1b[2m",
    "INFO": "",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
_DIM, _BOLD, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_WIDTH = 72
#: Below the message of a record.
HANGING = 22
#: Before the rows of a banner.
_INDENT = 3
#: A value with one of these is shown with quotes.
_QUOTED_CHARACTERS = frozenset(" =\"'\n\r\x1b")
#: Control characters that would move a terminal's cursor or hide text; tabs and line ends stay.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}


def format_record(
    record: Mapping[str, Any],
    *,
    colours: bool = False,
    utc_offset_s: int = 0,
    columns: int | None = None,
) -> str:
    """Format one record without its line end; an exception's traceback follows below it.

    Args:
        record: The record.
        colours: Colour it for a terminal.
        utc_offset_s: Seconds that the shown clock is ahead of UTC.
        columns: No line is longer. Of a message that has lines already each keeps its form.

    >>> format_record({"timestamp": "2026-01-02T03:04:05.678901Z", "level": "INFO",
    ...                "message": "read", "logger": "qc", "lineno": 7, "trials": 3})
    '03:04:05.678 INFO     qc:7 - read  trials=3'
    """
    level = str(record.get("level", "INFO"))
    place = format_place(record)
    clock = shift_clock(str(record.get("timestamp", ""))[11:23], utc_offset_s)
    message = escape_controls(str(record.get("message", "")))
    extras = format_extras(record)
    if columns is not None and "\n" not in message:
        room = max(columns - HANGING - len(" - "), 1)
        if count_cells(place) > room:  # the end tells most
            place = "…" + cut(place[::-1], room - 1)[::-1]
        width = HANGING + (count_cells(f"{place} - ") if place else 0)
        lines = fold(message.expandtabs(4), columns, first=width, rest=HANGING)
        used = (width if len(lines) == 1 else HANGING) + count_cells(lines[-1])
        if extras and used + 2 + count_cells(extras) > columns:
            lines, extras = [*lines, *fold(extras, columns, HANGING, HANGING)], ""
        message = f"\n{' ' * HANGING}".join(lines)
    text = join_parts(clock, level, place, message, extras, colours=colours)
    exception = record.get("exception")
    if isinstance(exception, Mapping) and exception.get("traceback"):
        text += "\n" + escape_controls(str(exception["traceback"]).rstrip("\n"))
    return text


def format_place(record: Mapping[str, Any]) -> str:
    """Return the logger and line that a record came from; empty where it names no logger."""
    if "logger" not in record:
        return ""
    return escape_controls(
        ":".join(str(record[key]) for key in ("logger", "lineno") if key in record)
    )


def format_extras(record: Mapping[str, Any]) -> str:
    """Return the fields of a record that are not the standard's.

    >>> format_extras({"message": "read", "trials": 3, "rig": "two words"})
    'trials=3 rig="two words"'
    """
    shown = [
        f"{name}={_format_value(value)}" for name, value in record.items() if name not in BY_NAME
    ]
    return escape_controls(" ".join(shown))


def join_parts(
    clock: str, level: str, place: str, message: str, extras: str, *, colours: bool
) -> str:
    """Return the parts of a record as one line; place and extras may be empty."""
    start, end = (_COLOURS.get(level, ""), _RESET) if colours else ("", "")
    dim = _DIM if colours else ""
    text = f"{dim}{clock}{end} {start}{level:<8}{end}"
    text += f" {dim}{place}{end} -" if place else ""
    text += f" {start}{message}{end}"
    text += f"  {dim}{extras}{end}" if extras else ""
    return text


def read_utc_offset_s() -> int:
    """Return the seconds that this machine's clock is now ahead of UTC."""
    return time.localtime().tm_gmtoff


def shift_clock(clock: str, utc_offset_s: int) -> str:
    """Return a time of day of UTC as another clock shows it; what is no such time stays.

    >>> shift_clock("23:59:05.678", 5400), shift_clock("", 3600)
    ('01:29:05.678', '')
    """
    parts = clock[:8].split(":")
    if not utc_offset_s or len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return clock
    hour, minute, second = map(int, parts)
    seconds = (hour * 3600 + minute * 60 + second + utc_offset_s) % 86400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{clock[8:]}"


def format_local_time(time_us: int, utc_offset_s: int) -> str:
    """Format a time with the offset of its zone.

    >>> format_local_time(1700000000000042, -12600)
    '2023-11-14 18:43:20 -03:30'
    """
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_us // US_PER_S + utc_offset_s))
    return f"{shown} {format_utc_offset(utc_offset_s)}"


def format_utc_offset(utc_offset_s: int) -> str:
    """Format what a clock is ahead of UTC as ISO 8601 does.

    >>> format_utc_offset(0), format_utc_offset(-12600)
    ('+00:00', '-03:30')
    """
    sign, minutes = "-" if utc_offset_s < 0 else "+", abs(utc_offset_s) // 60
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def escape_controls(text: str) -> str:
    """Return a text as a terminal may show it, whatever is in it."""
    return text if text.isprintable() else text.replace("\r\n", "\n").translate(_CONTROL)


def _format_value(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, str) and value and _QUOTED_CHARACTERS.isdisjoint(value):
        return value
    return decode_bytes(encode(value))[:500]


def format_banner(
    title: str,
    rows: Sequence[tuple[str, str]],
    *,
    level: str = "INFO",
    colours: bool = False,
    columns: int | None = None,
) -> str:
    """Format a banner: a title in a rule, and a row for each thing worth knowing.

    Args:
        title: What it is about.
        rows: Names and values.
        level: Gives the title its colour.
        colours: Colour it for a terminal.
        columns: No line is longer. A path that is too long for its row stands whole on a line of
            its own where it fits there.

    >>> print(format_banner("capsule run", [("log", "/x.jsonl")]))  # doctest: +ELLIPSIS
    ── capsule run ──...
       log  /x.jsonl
    """
    start, end = (_COLOURS.get(level, "") or _BOLD, _RESET) if colours else ("", "")
    width = max((len(name) for name, _ in rows), default=0)
    rule = min(columns or _WIDTH, _WIDTH)
    if columns is not None and count_cells(title) > columns - 6:
        name, _, ending = title.rpartition(" ")  # how it ended tells most
        title = f"{cut(name, columns - 8 - count_cells(ending))}… {ending}"
    lines = [f"{start}── {title} {'─' * max(2, rule - count_cells(title) - 4)}{end}"]
    for name, text in rows:
        value = " ".join(escape_controls(text).splitlines())
        indent = _INDENT + width + 2
        values = [value] if columns is None else fold(value, columns, indent, indent)
        if len(values) > 1 and " " not in value:  # a path: rather whole than beside its name
            lines.append(f"   {name}")
            lines += [f"   {part}" for part in fold(value, columns or 0, _INDENT, _INDENT)]
            continue
        lines.append(f"   {name:<{width}}  {values[0]}")
        lines += [f"{' ' * indent}{more}" for more in values[1:]]
    return "\n".join(lines)


def format_duration(seconds: float) -> str:
    """Seconds for people.

    >>> format_duration(0.25), format_duration(75.2), format_duration(7325)
    ('0.25 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes = int(seconds // 60)
    return (
        f"{minutes} min {int(seconds % 60)} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60} min"
    )


def format_bytes(size_bytes: float) -> str:
    """Bytes for people.

    >>> format_bytes(532), format_bytes(2_400_000)
    ('532 B', '2.4 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
