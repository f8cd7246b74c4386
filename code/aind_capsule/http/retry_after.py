"""The header `Retry-After`, as seconds. Called by `client`."""

from __future__ import annotations

import datetime as dt
import email.utils
import re

#: The longest pause that a server can ask for.
MAX_RETRY_AFTER_S = 3600.0


def parse_retry_after(value: str | None, now_s: float) -> float | None:
    """Return the seconds that a number or a date asks for, or None for anything else.

    >>> parse_retry_after("120", 0.0), parse_retry_after("Thu, 01 Jan 1970 00:00:30 GMT", 10.0)
    (120.0, 20.0)
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) is not None:
        wait_s = float(value)
    else:
        try:
            date = email.utils.parsedate_to_datetime(value)
            if date.tzinfo is None:  # "-0000"; a date of HTTP is always in UTC
                date = date.replace(tzinfo=dt.timezone.utc)
            wait_s = date.timestamp() - now_s
        except (ValueError, OverflowError):
            return None
    return min(wait_s, MAX_RETRY_AFTER_S) if wait_s >= 0 else None
