"""What a stream can show: colours, a line that the next one replaces, and how many columns.

The one place that decides it, for the wrapper's console, for `configure_logging` and for the
commands that show progress. https://no-color.org says what `NO_COLOR` means.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from aind_capsule.frozen import frozen

#: Text is folded to no less than this.
_FEWEST_COLUMNS = 20


@frozen
class Screen:
    """One stream as people see it.

    Attributes:
        fd: Its descriptor; None where there is none.
        is_terminal: Whether it is a terminal.
        moves_cursor: Whether a line can be written over.
        has_colours: Whether colours are wanted.
    """

    fd: int | None = None
    is_terminal: bool = False
    moves_cursor: bool = False
    has_colours: bool = False

    def count_columns(self) -> int | None:
        """Return the terminal's present width; None where lines may have any length."""
        if self.fd is None or not self.is_terminal:
            return None
        try:
            columns = os.get_terminal_size(self.fd).columns
        except OSError:  # it has gone away
            return None
        return max(columns, _FEWEST_COLUMNS) if columns else None


def find_screen(fd: int | None, environ: Mapping[str, str]) -> Screen:
    """Look at a stream.

    >>> find_screen(None, {}).has_colours
    False
    """
    if fd is None or not os.isatty(fd):
        return Screen(fd)
    moves_cursor = environ.get("TERM") != "dumb"
    return Screen(fd, True, moves_cursor, moves_cursor and not environ.get("NO_COLOR"))
