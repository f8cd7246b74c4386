"""A word with only a value behind it is a metric: `Error: 0.02`, `warnings: 3`, `ERROR = nan`."""

from __future__ import annotations

import functools
import re

_NUMBER = (
    r"(?:[-+]?\d[\d.,]{0,30}(?:e[-+]?\d{1,3})?|[-+]?\.\d{1,30}(?:e[-+]?\d{1,3})?|nan|[-+]?inf)"
)
_UNIT = r"(?:(?:%|px|ms|µs|us|ns|s|min|h|m?V|[kM]?Hz|dB|°C?|[µumnk]?m|rad|deg|[kmgt]i?b)(?!\w))"
#: What may stand behind a number that is a whole value: nothing, a bracket, another value.
_STOP = r"(?=\s{0,8}(?:$|[,;)\]}(+±|/]|[A-Za-z][\w ]{0,30}[:=])|\s{1,8}-?[\d.])"
_NUMBERS = rf"[\[({{]?\s{{0,4}}{_NUMBER}\s{{0,2}}{_UNIT}?(?: CI)?[\])}}]?{_STOP}"
_WORDS = r"(?:none|null|true|false|yes|no|on|off|n/a|-|\[\]|\{\}|\(\))\s{0,8}(?=$|[,;])"
_VALUE = rf"(?:{_NUMBERS}|{_WORDS})"


@functools.cache
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def is_value(rest: str) -> bool:
    """Return whether a text is only a value, or begins with one and goes on with the next.

    >>> [is_value(rest) for rest in ("0.02", " 3 px", "nan, loss: 0.1", "5 files missing")]
    [True, True, True, False]
    """
    return _compile(rf"[:=\s]{{0,8}}{_VALUE}").match(rest) is not None


def ends_with_value(rest: str) -> bool:
    """Return whether a text ends with a value behind `=` or `:`.

    >>> ends_with_value("count = 0"), ends_with_value("reading = file")
    (True, False)
    """
    tail = rest[-60:]
    return any(
        _compile(rf"\s{{0,8}}{_VALUE}\s{{0,8}}$").match(tail, place + 1) is not None
        for place, sign in enumerate(tail)
        if sign in ":="
    )
