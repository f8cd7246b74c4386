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
#: To the line's start, and all of it away (ECMA-48: EL).
_COLUMNS = 80
_CLEAR = b"\r\x1b[K"


class Output(Protocol):
    """Our stderr: `outlet.Outlet`, or one that is written at once.

    Attributes:
        ends_line: Whether what stands there ends with a line end.
    """

    ends_line: bool

    @property
    def fd(self) -> int | None:
        """The descriptor; None where there is none."""

    def write(self, data: bytes) -> None:
        """Write bytes."""


class ConsoleView:
    """Banners and records on stderr; what the processing prints itself goes there verbatim.

    Args:
        outlet: Our stderr.
        settings: Mode and level.
        environ: Our environment (`NO_COLOR`).
        fields: What every record of the run bears.
        beside: Our stdout, which may be on the same terminal.
    """

    def __init__(
        self,
        outlet: Output,
        settings: ConsoleSettings,
        environ: Mapping[str, str],
        fields: Mapping[str, Any],
        beside: Output | None = None,
    ) -> None:
        mode = settings.mode
        is_terminal = _is_terminal(outlet)
        is_coloured = is_terminal and not environ.get("NO_COLOR")
        self.mode = "plain" if mode == "pretty" and not is_coloured else mode
        self._outlet = outlet
        self._threshold = LEVEL_NUMBERS[settings.level]
        self._fields = fields
        self._is_terminal = is_terminal
        self._beside = beside if is_terminal and beside and _is_terminal(beside) else None
        self._has_line = False  # the terminal's last line is one that the next replaces

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
            # A record's own name and identity go before what was known at the start.
            self.write(format_line({**record, **self._fields, **record}, "json"))
        elif not is_bannered:
            self.write(format_line(record, self.mode))

    def show_banner(self, title: str, rows: Sequence[tuple[str, str]], level: str = "INFO") -> None:
        """Show a banner; as JSON the records say it all."""
        if self.mode in ("pretty", "plain"):
            text = format_banner(title, rows, level=level, colours=self.mode == "pretty")
            self.write(text.encode("utf-8", "replace") + b"\n")

    def show_progress(self, text: str) -> None:
        """Show a line that the next one replaces, an empty one too; on a terminal only."""
        fd = self._outlet.fd
        if fd is None or not self._is_terminal or self.mode not in ("pretty", "plain"):
            return
        if not text and not self._has_line:
            return
        with contextlib.suppress(OSError):
            text = text[: (os.get_terminal_size(fd).columns or _COLUMNS) - 1]
        self._begin_line(text.encode("utf-8", "replace"))
        self._has_line = True

    def write(self, data: bytes) -> None:
        """Write whole lines, on lines of their own."""
        self._begin_line(data)
        self._has_line = False

    def _begin_line(self, data: bytes) -> None:
        beside = self._beside
        if self._has_line:
            data = _CLEAR + data
        elif not self._outlet.ends_line or (beside is not None and not beside.ends_line):
            data = b"\n" + data
        if beside is not None:
            beside.ends_line = True
        self._outlet.write(data)


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


def _is_terminal(output: Output) -> bool:
    return output.fd is not None and os.isatty(output.fd)
