"""What people see of a run: the console on stderr, and the session file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aind_capsule.logs.console import format_banner
from aind_capsule.records.levels import LEVEL_NUMBERS
from aind_capsule.running.journal import format_line
from aind_capsule.settings.groups import ConsoleSettings

#: Captured lines are in the session file; on the console they are there as they came.
_CAPTURED = "stream"


class Output(Protocol):
    """Our stderr: `outlet.Outlet`, or one that is written at once."""

    @property
    def fd(self) -> int | None:
        """The descriptor; None where there is none."""

    @property
    def ends_line(self) -> bool:
        """Whether what stands there ends with a line end."""

    def write(self, data: bytes) -> None:
        """Write bytes."""


class ConsoleView:
    """Banners and records on stderr; what the processing prints itself goes there verbatim.

    Args:
        outlet: Our stderr.
        settings: Mode and level.
        environ: Our environment (`NO_COLOR`).
        fields: What every record of the run bears.
    """

    def __init__(
        self,
        outlet: Output,
        settings: ConsoleSettings,
        environ: Mapping[str, str],
        fields: Mapping[str, Any],
    ) -> None:
        mode = settings.mode
        is_terminal = outlet.fd is not None and os.isatty(outlet.fd)
        is_coloured = is_terminal and not environ.get("NO_COLOR")
        self.mode = "plain" if mode == "pretty" and not is_coloured else mode
        self._outlet = outlet
        self._threshold = LEVEL_NUMBERS[settings.level]
        self._fields = fields

    @property
    def is_on(self) -> bool:
        """Whether anything is shown."""
        return self.mode != "off"

    def show(self, record: Mapping[str, Any]) -> None:
        """Show a record from inside or of the wrapper's own."""
        is_json = self.mode == "json"
        is_bannered = "shipping" in record or "status" in record
        level = LEVEL_NUMBERS.get(str(record.get("level")), 20)
        if not self.is_on or _CAPTURED in record or level < self._threshold:
            return
        if is_json:
            self.write(format_line({**record, **self._fields}, "json"))
        elif not is_bannered:
            self.write(format_line(record, self.mode))

    def show_banner(self, title: str, rows: Sequence[tuple[str, str]], level: str = "INFO") -> None:
        """Show a banner; as JSON the records say it all."""
        if self.mode in ("pretty", "plain"):
            text = format_banner(title, rows, level=level, colours=self.mode == "pretty")
            self.write(text.encode("utf-8", "replace") + b"\n")

    def write(self, data: bytes) -> None:
        """Write whole lines, on lines of their own."""
        self._outlet.write(data if self._outlet.ends_line else b"\n" + data)


class SessionView:
    """The session file: the whole log for people, with the banners.

    Attributes:
        lost: Lines that could not be written.
    """

    def __init__(self, path: str, level: str) -> None:
        self.lost = 0
        self._threshold = LEVEL_NUMBERS[level]
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by `close`)

    def show(self, record: Mapping[str, Any]) -> None:
        """Write a record, captured lines included."""
        if LEVEL_NUMBERS.get(str(record.get("level")), 20) >= self._threshold:
            self._write(format_line(record, "plain"))

    def show_banner(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Write a banner."""
        self._write(format_banner(title, rows).encode("utf-8", "replace") + b"\n")

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError:
            self.lost += 1
