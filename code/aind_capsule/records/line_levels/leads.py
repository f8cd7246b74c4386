"""What may stand before the word of a level: times, groups, decorations."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

#: A line is a statement only where few things stand before the word.
MAX_LEADS = 4
_DATE = r"(?:\d{4}[-/.]\d\d[-/.]\d\d|20\d{6})"
#: `2026-01-02 03:04:05,678`, `03:04:05.678`, `02-Jan-2026 03:04:05`, `2026/01/02T03:04:05Z`,
#: `Thu Jan  1 03:04:05 UTC 2026`.
TIME = (
    rf"(?:(?:{_DATE}|\d\d[-/.]\d\d[-/.]\d\d(?:\d\d)?|\d\d[- ][A-Z][a-z]{{2}}[- ]\d{{4}}"
    r"|(?:[A-Z][a-z]{2},? )?[A-Z][a-z]{2}[- ] ?\d{1,2}(?:[- ,]{1,2}\d{4})?)[- T_,]{1,2})?"
    r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9}){0,2}(?:\ ?[AP]M)?"
    r"(?:\ ?(?:Z|UTC|GMT|[CEMPW]E?[SD]?T|[+-]\d\d:?\d\d)\b)?(?:\ \d{4}(?=[\s\]:,]))?"
)
#: Less than a whole time: a date, hours and minutes, seconds since 1970.
_PART_OF_TIME = rf"(?:{_DATE}|\d{{1,2}}:\d\d|1\d{{9}}(?:\.\d{{1,9}})?)(?=[\s\],;|])"
_TIME_LEAD = rf"[\[(]?(?:{TIME}|{_PART_OF_TIME})[\])]?[\s:,;|-]{{0,8}}"
#: `[group] `, `(name) `, `{file.py:3} `, `12345 --- `, `host name[12]: `, `#8 `, `==12==`, `==> `,
#: `--- `, `*** `.
_OTHER_LEADS = (
    r"\[[^\[\]{}\"']{1,60}\][\s:|-]{0,8}",
    r"\([\w .:/@=,#%-]{1,40}\)\s{1,8}",
    r"\{[^{}\"']{1,60}\}\s{0,8}",
    r"\d{1,9}\s{1,4}---\s{1,4}",
    r"(?:[\w.-]{1,60} )?[\w./-]{1,60}\[\d{1,9}\]:?\s{1,4}",
    r"#\d{1,4} (?:\d{1,6}\.\d{1,3} )?",
    r"==\d{1,9}==\s{0,4}",
    r"[=-]{1,3}>\s{1,4}",
    r"-{3,10}\s{1,4}",
    # An arrow, a star, a sign. Not `+`, `>`, `#` and `|`, which begin traces, diffs and tables.
    r"[^\w\s\[\]<>|+#({\"'`~/\\.-][^\w\s\[\]<>|+#({\"'`~/\\-]{0,10}\s{1,8}",
)
_OTHER_LEAD = "|".join(_OTHER_LEADS)


@functools.cache
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def find_starts(line: str) -> Iterator[tuple[int, bool, bool]]:
    """Yield where a level's word may stand, and what stands before it.

    Returns:
        The place, whether a time stands before it, and whether that is all that is certain: a
        group or a decoration stands before it as well.

    >>> [line[0] for line in find_starts("10:00:00 [main] *** ERROR")]
    [0, 9, 16, 20]
    """
    position = len(line) - len(line.lstrip(" "))
    if position > 3:
        return
    has_time = has_other = False
    yield position, has_time, has_other
    for _ in range(MAX_LEADS):
        match = _compile(_TIME_LEAD).match(line, position)
        if match is not None and match.end() > position:
            has_time = True
        else:
            match = _compile(_OTHER_LEAD).match(line, position)
            has_other = True
        if match is None or match.end() == position:
            return
        position = match.end()
        yield position, has_time, has_other


def begins_with_time(line: str) -> bool:
    """Return whether a line begins with a time, as those of a logger do."""
    return _compile(_TIME_LEAD).match(line) is not None
