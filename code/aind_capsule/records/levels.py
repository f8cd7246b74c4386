"""The five levels of the standard, and how other scales and plain lines of text map to them."""

from __future__ import annotations

import functools
import re

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEVEL_NUMBERS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}

_SYNONYMS = {
    "TRACE": "DEBUG",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "INFORMATION": "INFO",
    "NOTICE": "INFO",
    "SUCCESS": "INFO",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "ERR": "ERROR",
    "ERROR": "ERROR",
    "SEVERE": "ERROR",
    "CRIT": "CRITICAL",
    "CRITICAL": "CRITICAL",
    "FATAL": "CRITICAL",
    "EMERGENCY": "CRITICAL",
}

#: Lower-case words of which one must stand in a line before its level can be other than INFO.
SEVERITY_LITERALS = ("trace", "debug", "warn", "err", "severe", "crit", "fatal", "emergency")

_WORD = (
    r"(?:TRACE|DEBUG|INFO(?:RMATION)?|NOTICE|SUCCESS|WARN(?:ING)?|ERR(?:OR)?|SEVERE"
    r"|CRIT(?:ICAL)?|FATAL|EMERGENCY)"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: What people and logging libraries write; the first place in the line that says a level decides.
_STATED_LEVEL = rf"""
      ^\s*(?i:({_WORD}))\s*(?::|\||\ -\ |!:)                # ERROR: …   warning: …   INFO | …
    | [\[<(]\s*(?i:({_WORD}))\s*[\])>]                      # [WARNING] …   <error>
    | (?:^|[\s|:\]])\|\s*({_WORD})\s*\|                     # time | WARNING | …
    | \s-\s({_WORD})\s-\s                                   # time - name - WARNING - …
    | ^[\d\-/.:,TZ+\s\[\]]{{8,40}}\s({_WORD})\b             # 2026-01-01 10:00:00,123 ERROR …
    | ^\s*({_WORD})\s                                       # ERROR no such file
    | \blevel["']?\s*[=:]\s*["']?(?i:({_WORD}))\b           # level=warning, "level": "error"
    | ^(Error)\ in\ | ^(Warning)\ messages?:               # R
    | :\d+:\s(?:\d+:\s)?(?:fatal\s)?(?i:(error|warning)):\s # file.c:3:1: error: … (compilers)
    | ^\S+:\d+:\s\w*(Warning):\s                            # /x.py:3: UserWarning: … (Python)
    """
#: Levels are stated early in a line; what is further on is the message.
_LOOK_AT_CHARACTERS = 200


def get_standard_level(number: int) -> str:
    """The standard level of a numeric one (loguru's and the standard library's scale).

    >>> [get_standard_level(n) for n in (5, 10, 20, 25, 30, 35, 40, 50, 99)]
    ['DEBUG', 'DEBUG', 'INFO', 'INFO', 'WARNING', 'WARNING', 'ERROR', 'CRITICAL', 'CRITICAL']
    """
    if number < 20:
        return "DEBUG"
    if number < 30:
        return "INFO"
    if number < 40:
        return "WARNING"
    return "ERROR" if number < 50 else "CRITICAL"


def find_standard_level(name: object) -> str | None:
    """The standard level that a level's name or number in another program's record means.

    >>> find_standard_level("warn"), find_standard_level(30), find_standard_level("loud")
    ('WARNING', 'WARNING', None)
    """
    if isinstance(name, (int, float)) and not isinstance(name, bool):
        return get_standard_level(int(name)) if name == name and abs(name) < 1e9 else None  # noqa: PLR0124
    return _SYNONYMS.get(name.strip().upper()) if isinstance(name, str) else None


@functools.cache
def _compile_stated_level() -> re.Pattern[str]:
    """Compile when it is first needed: a run's start has no line yet."""
    return re.compile(_STATED_LEVEL, re.VERBOSE)


def infer_level(line: str) -> str:
    """The level that a line of text states itself; INFO where it states none.

    A word somewhere in a sentence is no statement.

    >>> infer_level("[WARNING] 3 labels missing"), infer_level("ERROR: no such file")
    ('WARNING', 'ERROR')
    >>> infer_level("the error was small"), infer_level("[INFO] retry after ERROR: x")
    ('INFO', 'INFO')
    """
    match = _compile_stated_level().search(_COLOUR.sub("", line[:_LOOK_AT_CHARACTERS]))
    if match is None:
        return "INFO"
    return _SYNONYMS[next(word for word in match.groups() if word).upper()]
