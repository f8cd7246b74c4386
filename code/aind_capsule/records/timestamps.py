"""Times of records: ISO 8601, UTC, microseconds, `Z`; whole microseconds since 1970 inside.

`RecordClock` gives the wrapper's own records times that rise, by the rule of the log file.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable

US_PER_S = 1_000_000
#: A clock that went back further than this is believed; less is evened out.
BACKWARD_TOLERANCE_US = US_PER_S

_ISO = r"^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s*(Z|z|[+-]\d\d:?\d\d)?$"


def read_clock_us() -> int:
    """The wall clock in whole microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def format_second(second: int) -> str:
    """A whole second as the start of a timestamp, up to and with the point.

    >>> format_second(1700000000)
    '2023-11-14T22:13:20.'
    """
    year, month, day, hour, minute, sec = time.gmtime(second)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{sec:02d}."


def format_timestamp(time_us: int) -> str:
    """Microseconds since 1970 as the standard writes a time.

    >>> format_timestamp(1700000000000042)
    '2023-11-14T22:13:20.000042Z'
    """
    second, microsecond = divmod(time_us, US_PER_S)
    return f"{format_second(second)}{microsecond:06d}Z"


@functools.cache
def _compile_iso() -> re.Pattern[str]:
    """Compile when it is first needed."""
    return re.compile(_ISO)


def parse_timestamp(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time, or None; without an offset it is UTC.

    >>> parse_timestamp("2023-11-14T23:13:20.000042+01:00")
    1700000000000042
    >>> parse_timestamp("yesterday")
    """
    import calendar

    match = _compile_iso().match(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        return None
    fraction, offset = match.group(7) or "", match.group(8) or "Z"
    total_s = calendar.timegm((year, month, day, hour, minute, min(second, 60)))
    if offset not in ("Z", "z"):
        sign = -1 if offset[0] == "+" else 1
        total_s += sign * (int(offset[1:3]) * 3600 + int(offset[-2:]) * 60)
    return total_s * US_PER_S + int(fraction[:6].ljust(6, "0"))


class RecordClock:
    """Gives rising times to records that the wrapper stamps itself.

    A time is the clock's, or one microsecond after the last where the clock stood still or went
    back a little. Where it went back by more than a second it is followed, and `steps_back` rises.
    """

    def __init__(self, read_us: Callable[[], int] = read_clock_us) -> None:
        self._read_us = read_us
        self._last_us = 0
        self.steps_back = 0

    def take(self, count: int = 1) -> int:
        """Reserve times for `count` records, one microsecond apart; returns the first."""
        now_us = self._read_us()
        if now_us <= self._last_us:
            if self._last_us - now_us > BACKWARD_TOLERANCE_US:
                self.steps_back += 1
            else:
                now_us = self._last_us + 1
        self._last_us = now_us + count - 1
        return now_us
