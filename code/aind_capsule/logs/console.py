"""Records and banners for people: on stderr, and in the session file.

Pure text in, text out; whoever calls decides where it goes. Times are UTC, as in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aind_capsule.records.encode import encode
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import decode_bytes

_COLOURS = {
    "DEBUG": "\x1b[2m",
    "INFO": "",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
_DIM, _BOLD, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_WIDTH = 72
#: Control characters that would move a terminal's cursor, hidden text included.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), 11, 12, *range(14, 32), 127)}


def format_record(record: Mapping[str, Any], *, colours: bool = False) -> str:
    """One record as text without its line end; an exception's traceback follows below it.

    >>> format_record({"timestamp": "2026-01-02T03:04:05.678901Z", "level": "INFO",
    ...                "message": "read", "logger": "qc", "lineno": 7, "trials": 3})
    '03:04:05.678 INFO     qc:7 - read  trials=3'
    """
    level = str(record.get("level", "INFO"))
    place = ":".join(str(record[key]) for key in ("logger", "lineno") if key in record)
    start, end = (_COLOURS.get(level, ""), _RESET) if colours else ("", "")
    dim = _DIM if colours else ""
    text = f"{dim}{str(record.get('timestamp', ''))[11:23]}{end} {start}{level:<8}{end}"
    text += f" {dim}{place}{end} -" if place else ""
    text += f" {start}{str(record.get('message', '')).translate(_CONTROL)}{end}"
    extras = " ".join(
        f"{name}={_format_value(value)}" for name, value in record.items() if name not in BY_NAME
    )
    text += f"  {dim}{extras}{end}" if extras else ""
    exception = record.get("exception")
    if isinstance(exception, Mapping) and exception.get("traceback"):
        text += "\n" + str(exception["traceback"]).rstrip("\n").translate(_CONTROL)
    return text


def _format_value(value: Any) -> str:
    if isinstance(value, str) and value and not any(c in value for c in " =\"'\n\r\x1b"):
        return value
    return decode_bytes(encode(value))[:500]


def format_banner(
    title: str, rows: Sequence[tuple[str, str]], *, level: str = "INFO", colours: bool = False
) -> str:
    """A banner: a title in a rule, and a row for each thing worth knowing.

    >>> print(format_banner("capsule run", [("log", "/x.jsonl")]))  # doctest: +ELLIPSIS
    ── capsule run ──...
       log  /x.jsonl
    """
    start, end = (_COLOURS.get(level, "") or _BOLD, _RESET) if colours else ("", "")
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"{start}── {title} {'─' * max(2, _WIDTH - len(title) - 4)}{end}"]
    lines += [f"   {name:<{width}}  {value}" for name, value in rows]
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
