"""The five levels of the standard, and how other scales map to them."""

from __future__ import annotations

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
    "EMERG": "CRITICAL",
    "ALERT": "CRITICAL",
}


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
