"""A word with only a value behind it is a metric: `Error: 0.02`, `warnings: 3`, `ERROR = nan`."""

from __future__ import annotations

import functools
import re

_NUMBER = (
    r"(?:[-+]?\d[\d.,]{0,30}(?:e[-+]?\d{1,3})?|[-+]?\.\d{1,30}(?:e[-+]?\d{1,3})?|nan|[-+]?inf)"
)
#: `<0.001`, `~3`, `array([0.1, 0.2])`.
_BEFORE_NUMBER = (
    r"[<>~≈±=]{0,2}\s?(?:(?:array|tensor|Decimal|(?:np|numpy)\.\w{1,12})\(\s{0,4})?[\[(]{0,3}"
)
_UNIT = r"(?:(?:%|px|ms|µs|us|ns|s|min|h|m?V|[kM]?Hz|dB|°C?|[µumnk]?m|rad|deg|[kmgt]i?b)(?!\w))"
#: What may stand behind a number that is a whole value: nothing, a bracket, another value.
_STOP = (
    r"(?=\s{0,8}(?:$|[,;)}(+±|]|/\s{0,4}\d{1,9}\s{0,4}$|[A-Za-z]\w{0,30}\s?[:=]\s{0,4}[-+.\d])"
    r"|\s{1,8}-?[\d.])"
)
#: A fraction is a measure of something: `0.02 Val loss: 0.9`. So many files are a number.
_FRACTION = r"[-+]?\d{1,9}\.\d{1,12}(?=\s{1,8}[A-Za-z][\w ]{0,30}[:=])"
_NUMBERS = (
    rf"(?:{_FRACTION}|{_BEFORE_NUMBER}\s{{0,4}}[+±-]{{0,2}}{_NUMBER}\s{{0,2}}{_UNIT}?"
    rf"(?: CI)?\]{{0,3}}\){{0,3}}{_STOP})"
)
_WORDS = r"(?:none|null|true|false|yes|no|on|off|n/a|-{1,10}|\[\]|\{\}|\(\))\s{0,8}(?=$|[,;])"
#: `MODE: strict` behind `ERROR`: the name of a setting.
_SETTING = r"[A-Z][A-Z_ ]{1,30}[:=]\s{0,8}\S{1,40}$"
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


def is_setting(rest: str) -> bool:
    """Return whether a text is the rest of a setting's name in capitals, and its value.

    >>> is_setting("MODE: strict"), is_setting("no such file: x")
    (True, False)
    """
    return re.match(_SETTING, rest) is not None
