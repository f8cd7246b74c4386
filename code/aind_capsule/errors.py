"""The one exception tree: every error of ours has an exit status and a hint that says what to do.

Raised by every layer, printed only by `aind_capsule.cli`. Nothing here is imported from elsewhere.
"""

from __future__ import annotations


class CapsuleError(Exception):
    """Something of ours failed in a way that we can explain.

    Args:
        message: What failed, and with which value.
        hint: What the reader can do about it.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CapsuleError):
    """The command line cannot be understood."""

    exit_status = 2


class SettingsError(CapsuleError):
    """A setting that must hold before the start does not (EX_CONFIG of sysexits.h)."""

    exit_status = 78


class LogFileError(CapsuleError):
    """The log file cannot be opened, or another process writes it."""

    exit_status = 74
