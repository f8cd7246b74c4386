"""Errors of usage in a box, as typer, rich-click and cyclopts print them."""

from __future__ import annotations

import re

from aind_capsule.running.capture.groups.line_group import GroupedLines, LineGroup

_TOP = re.compile(r"╭─{1,4} (?:Usage )?Error ─{1,400}╮\s{0,8}$")


def opens(line: str) -> bool:
    """Return whether a line is the top of such a box."""
    return _TOP.match(line) is not None


class ErrorBox(LineGroup):
    """A box with an error; it is one record where its bottom follows.

    Args:
        first: A line that `opens`.
    """

    def _takes(self, line: str) -> bool:
        return line.startswith(("│", "╰"))

    def _note(self, line: str) -> None:
        if line.startswith("╰"):
            self._keep()
            self.is_done = True

    def build(self) -> GroupedLines:
        """Return the record."""
        return GroupedLines("ERROR", self._join_kept())
