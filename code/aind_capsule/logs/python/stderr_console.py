"""This process's records for people, on its stderr, as the console's settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.logs.console import format_utc_offset, read_utc_offset_s
from aind_capsule.logs.line_formatter import LineFormatter
from aind_capsule.logs.screen import find_screen
from aind_capsule.logs.stderr import find_stderr, write_stderr
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.levels import LEVEL_NUMBERS
from aind_capsule.settings.groups import ConsoleSettings

#: Where a record of ours has its level's first letters, which differ, and what they mean.
_LEVEL = slice(41, 56)
_NUMBERS = {b'","level":"%b' % name[:4].encode(): number for name, number in LEVEL_NUMBERS.items()}
#: A timestamp's beginning in a record of ours, up to and with the second.
_SECOND = slice(14, 33)


class StderrConsole:
    """Shows encoded records on stderr.

    Args:
        settings: Mode and level.
        environ: The environment (`NO_COLOR`, `TERM`).

    Attributes:
        is_on: Whether anything is shown.
    """

    def __init__(self, settings: ConsoleSettings, environ: Mapping[str, str]) -> None:
        has_colours = settings.mode == "pretty" and (
            find_screen(find_stderr(), environ).has_colours
        )
        self.is_on = settings.mode != "off"
        self._environ = environ
        self._is_json = settings.mode == "json"
        self._threshold = LEVEL_NUMBERS[settings.level]
        self._formatter = LineFormatter(colours=has_colours)
        self._second = b""

    def show_start(self, first: Mapping[str, Any]) -> None:
        """Show the first record; for people it says which clock the times are by."""
        if not self._is_json:
            offset = format_utc_offset(read_utc_offset_s())
            first = {**first, "message": f"{first['message']} (times here: UTC{offset})"}
        self.show(encode(first))

    def show(self, record: bytes, *, is_needed: bool = False) -> None:
        """Show a record where its level is high enough, or where it is nowhere else."""
        is_wanted = self.is_on and find_level(record) >= self._threshold
        if not is_wanted and not is_needed:
            return
        if self._is_json:
            write_stderr(record + b"\n")
            return
        # Terminals are resized and clocks are changed; to look each time would cost a third.
        second = record[_SECOND]
        if second != self._second:
            columns = find_screen(find_stderr(), self._environ).count_columns()
            self._formatter.set_view(columns=columns, utc_offset_s=read_utc_offset_s())
            self._second = second
        try:
            line = self._formatter.format_line(record)
        except Exception:  # a broken record must not break the processing
            return
        write_stderr(line)


def find_level(record: bytes) -> int:
    """The number of an encoded record's level; looked for where our records have it.

    >>> find_level(b'{"timestamp":"2026-01-02T03:04:05.000006Z","level":"ERROR","message":""}')
    40
    """
    number = _NUMBERS.get(record[_LEVEL])
    if number is None:
        number = LEVEL_NUMBERS.get(str((decode(record) or {}).get("level")), 20)
    return number
