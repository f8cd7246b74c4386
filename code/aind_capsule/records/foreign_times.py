"""Times as other programs write them: ISO 8601 and its relatives, and numbers since 1970.

For logs that others wrote. Read are `2025-07-30T13:05:11.123456+02:00`, `2025-07-30 13:05:11,123`
(the standard library's `logging`), `2025/07/30 13:05:11` (Go, nginx), `30-Jul-2025 13:05:11`
(MATLAB), and seconds, milliseconds, microseconds or nanoseconds since 1970 as a number or its text.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from aind_capsule.records.timestamps import US_PER_S

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: A time; group 1 is all down to its second, which many lines in a row have in common. An offset
#: behind a space needs its minutes: `-10 dB` is none.
_TIME = rf"""
    (
      (?: (\d{{4}})([-/.])(\d\d)\3(\d\d) | (\d\d?)-({"|".join(_MONTHS)})-(\d{{4}}) )
      (?: [Tt_] | \s{{1,3}} )
      (\d\d):(\d\d)(?: :(\d\d) )?
    )
    (?: (?<=:\d\d:\d\d)[.,](\d{{1,9}}) )?
    (?: (?:\ ?(Z|UTC|GMT) | ([+-]\d\d) | \ ?([+-]\d\d:?\d\d) ) (?! \w | :\d ) )?
    (?! :?\d )
"""
_OFFSET = re.compile(r"^(?:UTC|GMT)?([+-])(\d\d?)(?::?(\d\d))?$", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND = timedelta(seconds=1)
#: The year 9999 is the last that a timestamp can write; offsets may lead out of it.
_LAST_S = 253_370_764_800
#: Numbers are times where they mean one of the years 2000 to 2099; others count something else.
_FIRST_S, _END_S = 946_684_800, 4_102_444_800
#: What a number counts: so many of them are a second.
_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)


@functools.cache
def _compile_time() -> re.Pattern[str]:
    """Compile when it is first needed."""
    return re.compile(_TIME, re.VERBOSE | re.IGNORECASE)


def find_zone(name: str) -> tzinfo:
    """The time zone of a name (`Europe/Berlin`) or an offset (`+02:00`).

    >>> find_zone("-0730").utcoffset(None) == timedelta(hours=-7, minutes=-30)
    True

    Raises:
        ValueError: There is none.
    """
    plain = name.strip()
    if plain.upper() in ("UTC", "GMT", "Z"):
        return timezone.utc
    match = _OFFSET.match(plain)
    if match is not None:
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset < timedelta(hours=24):
            return timezone(-offset if sign == "-" else offset)
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(plain)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


class ForeignTimes:
    """Reads times; those that name no zone are in the given one.

    Args:
        zone: The zone's name or offset.

    Raises:
        ValueError: There is no such zone.
    """

    def __init__(self, zone: str = "UTC") -> None:
        self._zone = find_zone(zone)
        self._last: tuple[str, tzinfo, int] = ("", self._zone, 0)

    def read(self, value: Any) -> int | None:
        """Microseconds since 1970 of a value that stands where a time is expected, or None.

        >>> times = ForeignTimes()
        >>> times.read("2023-11-14 22:13:20,000042"), times.read(1700000000000)
        (1700000000000042, 1700000000000000)
        >>> times.read(12.5), times.read("noon"), times.read(True)
        (None, None, None)
        """
        if isinstance(value, str):
            text = value.strip()
            time_us, end = self.find(text, 0)
            if time_us is not None:
                return time_us if end == len(text) else None
            return _read_numeric_text(text)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _read_number(value)
        return None

    def find(self, text: str, start: int) -> tuple[int | None, int]:
        """The time that begins at a place in a text, and where it ends; None where there is none.

        >>> ForeignTimes().find("[2023-11-14 22:13:20] x", 1)
        (1700000000000000, 20)
        """
        match = _compile_time().match(text, start)
        if match is None:
            return None, start
        whole, fraction, is_utc, hours, offset = match.group(1, 12, 13, 14, 15)
        zone = self._zone
        if is_utc:
            zone = timezone.utc
        elif hours or offset:
            stated = _OFFSET.match(hours or offset)
            if stated is None or int(stated[2]) > 15 or int(stated[3] or 0) > 59:
                return None, start
            zone = find_zone(hours or offset)
        second = self._read_second(whole, zone, match)
        if second is None:
            return None, start
        return second * US_PER_S + int((fraction or "0")[:6].ljust(6, "0")), match.end()

    def _read_second(self, text: str, zone: tzinfo, match: re.Match[str]) -> int | None:
        """Whole seconds since 1970; the last one is remembered."""
        last_text, last_zone, second = self._last
        if text == last_text and zone == last_zone:
            return second
        year, _, month, day, other_day, name, other_year, hour, minute, sec = match.groups()[1:11]
        month_number = int(month) if month else _MONTHS.index(name.lower()) + 1
        is_leap = sec == "60"
        try:
            moment = datetime(
                int(year or other_year),
                month_number,
                int(day or other_day),
                int(hour),
                int(minute),
                59 if is_leap else int(sec or 0),
                tzinfo=zone,
            )
            second = (moment - _EPOCH) // _SECOND + is_leap
        except (ValueError, OverflowError):
            return None
        if not 0 <= second < _LAST_S:
            return None
        self._last = (text, zone, second)
        return second


def _read_number(value: float) -> int | None:
    for per_second in _PER_SECOND:
        if _FIRST_S * per_second <= value < _END_S * per_second:
            if isinstance(value, int):
                return value * US_PER_S // per_second
            return round(value * (US_PER_S / per_second))
    return None


def _read_numeric_text(text: str) -> int | None:
    if not 9 <= len(text) <= 30 or not text.isascii():
        return None
    if text.isdigit():
        return _read_number(int(text))
    head, point, tail = text.partition(".")
    if point and head.isdigit() and tail.isdigit():
        return _read_number(float(text))
    return None
