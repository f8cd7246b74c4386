"""Durations as settings give them: a number of seconds, or numbers with units.

As in `values`, each function raises ValueError with what was expected.
"""

from __future__ import annotations

import math
import re
from typing import Any

#: Between two samples of resources.
SHORTEST_INTERVAL_S = 0.1
LONGEST_INTERVAL_S = 86_400.0
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?"
# Compiled where they are used: few runs have such a setting, and every start would pay.
_SECONDS = rf"(?i){_NUMBER}"
_DURATION_PART = (
    rf"(?i)\s*({_NUMBER})\s*(?:(d|days?)|(h|hrs?|hours?)|(m|mins?|minutes?)|(s|secs?|seconds?))"
    r"(?![a-z])\s*"
)
#: Seconds of the units above, from the largest on.
_DURATION_UNITS = (86400, 3600, 60, 1)
#: What waits takes no more than 292 years; nothing here runs for a hundred.
LONGEST_S = 100 * 365.25 * 86400
_NO_LIMIT = frozenset({"none", "off", "inf", "infinity", "unlimited"})


def parse_duration(value: Any) -> float:
    """Seconds above zero.

    >>> parse_duration("90m"), parse_duration(2.5), parse_duration("1.5 h")
    (5400.0, 2.5, 5400.0)
    """
    seconds = parse_grace(value)
    if seconds == 0:
        raise ValueError("more than 0 seconds, such as 30, 90m or 2h")
    return seconds


def parse_time_limit(value: Any) -> float | None:
    """Seconds after which something is ended; zero means never.

    >>> parse_time_limit("30d"), parse_time_limit(0), parse_time_limit("none")
    (2592000.0, None, None)
    """
    if isinstance(value, (str, float)) and str(value).strip().lower() in _NO_LIMIT:
        return None
    try:
        return parse_grace(value) or None
    except ValueError as error:
        raise ValueError(f"{error}; 0 for none") from error


def parse_interval(value: Any) -> float | None:
    """Seconds between two samples; zero means none are taken.

    >>> parse_interval("5s"), parse_interval("0")
    (5.0, None)
    """
    seconds = parse_time_limit(value)
    if seconds and not SHORTEST_INTERVAL_S <= seconds <= LONGEST_INTERVAL_S:
        raise ValueError("0.1 s to a day, such as 5s or 1m; 0 for none")
    return seconds


def parse_grace(value: Any) -> float:
    """Seconds, zero included: a number, or numbers with units from the largest to the smallest.

    >>> parse_grace("1h30m"), parse_grace(".5"), parse_grace("2 D"), parse_grace("90 min")
    (5400.0, 0.5, 172800.0, 5400.0)
    """
    text = "" if isinstance(value, bool) else str(value).strip()
    seconds = float(text) if re.fullmatch(_SECONDS, text) else _add_up(text)
    if seconds is None:
        raise ValueError("seconds, or numbers with d, h, m or s, such as 30, 90m, 1h30m or 30d")
    return min(seconds, LONGEST_S)


def _add_up(text: str) -> float | None:
    """The seconds of `1h30m` and its like; None where it is something else."""
    expression = re.compile(_DURATION_PART)
    seconds, end, largest = 0.0, 0, -1
    while end < len(text):
        part = expression.match(text, end)
        # Each unit once, the larger ones first: `5m2h` is more likely a slip than a time.
        if part is None or part.lastindex is None or part.lastindex - 2 <= largest:
            return None
        largest, end = part.lastindex - 2, part.end()
        seconds += float(part.group(1)) * _DURATION_UNITS[largest]
    return seconds if end else None


def parse_days(value: Any) -> float:
    """Days, zero included."""
    try:
        days = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        days = math.nan
    if not 0 <= days < 1e5:
        raise ValueError("a number of days, 0 or more")
    return days
