"""What people see of a run: the console on stderr, and the session file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aind_capsule.context.files import write_all
from aind_capsule.logs.console import (
    escape_controls,
    format_banner,
    format_local_time,
    format_record,
    read_utc_offset_s,
)
from aind_capsule.logs.folding import cut, fold
from aind_capsule.logs.screen import find_screen
from aind_capsule.records.canonical import is_canonical
from aind_capsule.records.levels import LEVEL_NUMBERS
from aind_capsule.running.journal import format_line
from aind_capsule.settings.groups import ConsoleSettings

#: To the line's start, and all of it away (ECMA-48: EL).
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
        environ: Our environment (`NO_COLOR`, `TERM`).
        fields: What every record of the run bears.
        beside: Our stdout, which may be on the same terminal.
        redact: Hides secrets in sentences of ours; records and banners come without theirs.

    Attributes:
        keeps_canonical: Whether the canonical record is left to the run, whose last line it is.
    """

    def __init__(
        self,
        outlet: Output,
        settings: ConsoleSettings,
        environ: Mapping[str, str],
        fields: Mapping[str, Any],
        beside: Output | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        mode = settings.mode
        self._screen = find_screen(outlet.fd, environ)
        self.keeps_canonical = False
        self.mode = "plain" if mode == "pretty" and not self._screen.has_colours else mode
        self._outlet = outlet
        self._redact = redact
        self._threshold = LEVEL_NUMBERS[settings.level]
        self._fields = fields
        # One offset for all of the run, for the first banner names it once.
        self._utc_offset_s = read_utc_offset_s()
        is_shared = self._screen.is_terminal and beside is not None and _is_terminal(beside)
        self._beside = beside if is_shared else None
        self._has_line = False  # the terminal's last line is one that the next replaces

    @property
    def is_on(self) -> bool:
        """Whether anything is shown."""
        return self.mode != "off"

    def show(self, record: Mapping[str, Any]) -> None:
        """Show a record from inside or of the wrapper's own."""
        is_end = is_canonical(record)
        if not self._is_shown(record) or (is_end and self.keeps_canonical):
            return
        if self.mode == "json":
            # A record's own name and identity go before what was known at the start.
            self.write(format_line({**record, **self._fields, **record}, "json"))
        elif "shipping" not in record and not is_end:  # the banners say these
            text = format_record(
                record,
                colours=self.mode == "pretty",
                utc_offset_s=self._utc_offset_s,
                columns=self._screen.count_columns(),
            )
            self.write(text.encode("utf-8", "replace") + b"\n")

    def show_banner(
        self,
        title: str,
        rows: Sequence[tuple[str, str]],
        level: str = "INFO",
        *,
        time_us: int | None = None,
    ) -> None:
        """Show a banner, with a time if one is given; as JSON the records say it all."""
        if self.mode not in ("pretty", "plain"):
            return
        if time_us is not None:
            rows = [("time", format_local_time(time_us, self._utc_offset_s)), *rows]
        columns = self._screen.count_columns()
        colours = self.mode == "pretty"
        text = format_banner(title, rows, level=level, colours=colours, columns=columns)
        self.write(text.encode("utf-8", "replace") + b"\n")

    def show_refusal(self, canonical: Mapping[str, Any]) -> None:
        """Show why nothing was started where nothing else does: with the console off."""
        if self.is_on and (self.mode != "json" or self._is_shown(canonical)):
            return
        self.say(str(canonical.get("error_message")))

    def advise(self, sentence: str) -> None:
        """Show advice for people; where programs read the console it stays JSON."""
        if self.mode in ("pretty", "plain"):
            self.say(sentence)

    def say(self, sentence: str) -> None:
        """Show a sentence of ours, whatever the mode."""
        text = f"capsule: {escape_controls(self._redact(sentence))}"
        columns = self._screen.count_columns()
        lines = fold(text, columns, 0, 9) if columns is not None else [text]
        self.write(f"\n{' ' * 9}".join(lines).encode("utf-8", "replace") + b"\n")

    def show_progress(self, text: str) -> None:
        """Show a line that the next one replaces, an empty one too; on a terminal only."""
        if not self._screen.moves_cursor or self.mode not in ("pretty", "plain"):
            return
        if not text and not self._has_line:
            return
        text = cut(text, (self._screen.count_columns() or 80) - 1)
        self._begin_line(text.encode("utf-8", "replace"))
        self._has_line = True

    def _is_shown(self, record: Mapping[str, Any]) -> bool:
        level = LEVEL_NUMBERS.get(str(record.get("level")), 20)
        return self.is_on and level >= self._threshold

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

    Args:
        fd: The open file, which is read and closed by the one who opened it.
        level: Lowest level that it shows.

    Attributes:
        lost: Records and banners that could not be written.
        problem: Why not.
    """

    def __init__(self, fd: int, level: str) -> None:
        self.lost = 0
        self.fd = fd
        self.problem = ""
        self._threshold = LEVEL_NUMBERS[level]

    def show(self, record: Mapping[str, Any]) -> None:
        """Write a record, captured lines included."""
        if LEVEL_NUMBERS.get(str(record.get("level")), 20) >= self._threshold:
            self._write(format_line(record, "plain"))

    def show_banner(
        self, title: str, rows: Sequence[tuple[str, str]], *, time_us: int | None = None
    ) -> None:
        """Write a banner; times in a file are UTC, for it travels."""
        if time_us is not None:
            rows = [("time", format_local_time(time_us, 0)), *rows]
        self._write(format_banner(title, rows).encode("utf-8", "replace") + b"\n")

    def _write(self, data: bytes) -> None:
        try:
            write_all(self.fd, data)
        except OSError as error:
            self.lost += 1
            self.problem = error.strerror or str(error)


def _is_terminal(output: Output) -> bool:
    return output.fd is not None and os.isatty(output.fd)
