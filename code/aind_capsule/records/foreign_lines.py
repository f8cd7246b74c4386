"""Lines of text that other programs logged: time, level, logger, event and its values.

For logs that others wrote. Forms that are known behind the time: loguru's default
(`time | LEVEL | module:function:line - message`), the usual ones of the standard library's
`logging` (`time - name - LEVEL - message`, `time LEVEL name: message`), and brackets
(`time [LEVEL] EpochEnd: epoch=1, loss=0.2`).
"""

from __future__ import annotations

import re
from typing import Any

from aind_capsule.records.foreign import (
    PLAIN_LEVELS,
    TRACEBACK_END,
    TRACEBACK_START,
    ForeignRecord,
)
from aind_capsule.records.foreign_times import ForeignTimes
from aind_capsule.records.levels import find_standard_level
from aind_capsule.records.line_levels.infer import infer_level

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OPENING = re.compile(r"[ \t]*[\[(<]?")
_GAP = re.compile(r"[\])>]?[ \t]*(?:[-|:,][ \t]+)?")

_LOGGER = r"(?P<logger>[^\s|\]\[]{1,200})"
_PLACE = r"(?P<logger>[^\s:|]{1,200}):(?P<function>[^\s:|]{1,200}):(?P<lineno>\d{1,9})\ -\ "
_MESSAGE = r"(?P<message>.*)"
#: What stands between time and message; the first that fits, with a word that is a level.
_FORMS = tuple(
    re.compile(form, re.VERBOSE | re.DOTALL)
    for form in (
        rf"[\])>]?\s*\|\s*(?P<level>[A-Za-z]+)\s*\|\s*(?:{_PLACE})?{_MESSAGE}",
        rf"[\])>]?\s*(?:[-|]\s+)?(?P<level>[A-Z]+)(?:\s+-\s|\s*[:|]\s|\s|$)\s*{_MESSAGE}",
        rf"[\])>]?\s*[-:]?\s*\[\s*(?P<level>[A-Za-z]+)\s*\]\s*(?:[-:]\s)?\s*{_MESSAGE}",
        rf"[\])>]?\s*-\s+{_LOGGER}\s+-\s+(?P<level>[A-Z]+)\s+-\s+{_MESSAGE}",
        rf"[\])>]?\s*\[{_LOGGER}\]\s*\[\s*(?P<level>[A-Za-z]+)\s*\]\s*(?:[-:]\s)?\s*{_MESSAGE}",
        rf"[\])>]?\s+(?P<logger>[\w.]{{1,200}})\s+(?P<level>[A-Z]+):?\s+{_MESSAGE}",
    )
)

_EVENT = re.compile(r"([A-Za-z_]\w{0,99}):\s+(?=[A-Za-z_][\w.\-]*=)")
_LEVEL_PREFIX = re.compile(r"\s*\[?([A-Za-z]+)\]?:?\s+")
_PAIR = re.compile(
    r"""([A-Za-z_][\w.\-]{0,99})=
        ( (?: "[^"]*" | '[^']*' | \([^()]*\) | \[[^\[\]]*\] | \{[^{}]*\} ) \s*
        | [^,=\s"'] [^,=]* )?
        (?: ,\s* | $ )""",
    re.VERBOSE,
)
#: A longer message is no event with values.
_MAX_EVENT_CHARACTERS = 10_000
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})%?")
_NUMBER = re.compile(r"[+-]?(?=\.?\d)(?:0|[1-9]\d{0,17})?(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?%?")

_CLOSING = re.compile(r"[\]})]+[,;]?\s*$")
_CHAIN = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


def read_line(line: str, times: ForeignTimes) -> ForeignRecord:
    """Understand a line of text; without a time of its own all of it is the message.

    >>> read = read_line("2025-07-30 13:05:11 [INFO] EpochEnd: epoch=1, acc=63.0%", ForeignTimes())
    >>> read.level, read.message, read.fields
    ('INFO', 'EpochEnd: epoch=1, acc=63.0%', {'event': 'EpochEnd', 'epoch': 1, 'acc': 63.0})
    """
    time_us, end = _find_time(line, times)
    if time_us is None and "\x1b[" in line[:40]:
        plain = _COLOUR.sub("", line)
        time_us, end = _find_time(plain, times)
        line = line if time_us is None else plain
    if time_us is None:
        return ForeignRecord(line, None, infer_level(line), _read_event(line))
    for form in _FORMS:
        match = form.match(line, end)
        level = match and find_standard_level(match["level"])
        if match is not None and level is not None:
            break
    else:
        gap = _GAP.match(line, end)
        message = line[gap.end() if gap is not None else end :]
        return ForeignRecord(message, time_us, infer_level(line), _read_event(message))
    found = match.groupdict()
    message, word = found.pop("message"), found.pop("level")
    fields: dict[str, Any] = {name: text for name, text in found.items() if text}
    if "lineno" in fields:
        fields["lineno"] = int(fields["lineno"])
    if word.upper() not in PLAIN_LEVELS:
        fields["level_"] = word
    if "=" in message:
        fields.update(_read_event(message))
    return ForeignRecord(message, time_us, level, fields)


def _find_time(line: str, times: ForeignTimes) -> tuple[int | None, int]:
    opening = _OPENING.match(line)
    return times.find(line, opening.end() if opening is not None else 0)


def _read_event(message: str) -> dict[str, Any]:
    """The event and its values in `Event: name=value, name=value`; nothing for other messages."""
    if "=" not in message or len(message) > _MAX_EVENT_CHARACTERS:
        return {}
    prefix = _LEVEL_PREFIX.match(message)
    start = 0
    if prefix is not None and find_standard_level(prefix[1]) is not None:
        start = prefix.end()
    head = _EVENT.match(message, start)
    if head is None:
        return {}
    fields: dict[str, Any] = {"event": head[1]}
    position = head.end()
    while position < len(message):
        pair = _PAIR.match(message, position)
        if pair is None:
            return {}
        name, text = pair.groups()
        while name in fields:
            name += "_"
        fields[name] = _read_value(text or "")
        position = pair.end()
    return fields


def _read_value(text: str) -> Any:
    """A number where the text is one, a percentage as well; numbers with leading zeros are ids.

    >>> [_read_value(text) for text in ("3", "-1e-4", "63.0%", "007", "'a, b'", "1.2.3")]
    [3, -0.0001, 63.0, '007', 'a, b', '1.2.3']
    """
    plain = text.strip()
    if _INTEGER.fullmatch(plain):
        return int(plain.rstrip("%"))
    if _NUMBER.fullmatch(plain):
        return float(plain.rstrip("%"))
    if len(plain) >= 2 and plain[0] == plain[-1] and plain[0] in "\"'":
        return plain[1:-1]
    return plain


class Continuation:
    """Says which lines go on with the record before them.

    Those are indented lines, closing brackets, and a Python traceback with the exceptions that it
    is chained to, in the interpreter's form and in loguru's (with empty lines and `> File`).
    """

    def __init__(self) -> None:
        self._state = ""
        self._has_more = False

    @property
    def is_in_traceback(self) -> bool:
        """Whether an empty line belongs to a traceback."""
        return bool(self._state)

    def begin(self, message: str) -> None:
        """A record begins with this message."""
        self._state = "frames" if message.rstrip().endswith(TRACEBACK_START) else ""
        self._has_more = False

    def takes(self, line: str) -> bool:
        """Whether a line without a time of its own goes on with the record."""
        does = self._takes(line)
        self._has_more = self._has_more or does
        return does

    def _takes(self, line: str) -> bool:
        is_indented = line[:1] in (" ", "\t")
        if is_traceback_start(line):
            self._state = "frames"
            return True
        if self._state == "frames":
            if is_indented or not line or line.startswith(("> File", "|", "+")):
                return True
            self._state = "ended" if TRACEBACK_END.match(line) else ""
            return bool(self._state)
        if self._state and line in _CHAIN:
            return True
        if not line:
            return bool(self._state)
        if not is_indented:
            self._state = ""
        return is_indented or (self._has_more and _CLOSING.match(line) is not None)


def is_traceback_start(line: str) -> bool:
    """Whether a line is the first of a Python traceback."""
    return line.rstrip().endswith(TRACEBACK_START) and (
        line.lstrip(" \t|+-").startswith(("Traceback", "Exception Group"))
    )
