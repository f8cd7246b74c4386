"""How far an upload is, and how people are told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(slots=True)
class Progress:
    """How far an upload is.

    Attributes:
        files: How many there are; `done_files` of them the server has.
        size: Bytes of all; `done_size` of them the server has.
        transferred: Bytes that were sent by this process, in `seconds`.
        vanished: Names of files that were found and are not there any more.
    """

    files: int
    size: int
    done_files: int
    done_size: int
    transferred: int = 0
    transferred_files: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    vanished: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.transferred / max(self.seconds, 1e-3)

    def describe(self) -> str:
        """How far it is, how fast, and how long it will take, on one line."""
        told = (
            f"{self.done_files:,} of {self.files:,} files, {show_bytes(self.done_size)} of"
            f" {show_bytes(self.size)}"
        )
        if not self.transferred:
            return told
        left_s = int((self.size - self.done_size) / self.rate)
        return f"{told}, {show_bytes(self.rate)}/s, {dt.timedelta(seconds=max(left_s, 0))} left"


Tell = Callable[[Progress], object]


def show_bytes(size: float) -> str:
    """Bytes for people.

    >>> show_bytes(81_920_000)
    '81.9 MB'
    """
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
