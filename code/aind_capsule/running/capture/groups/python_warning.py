"""Warnings of Python with the line of source that they show."""

from __future__ import annotations

import re

from aind_capsule.records.line_levels.infer import begins_record
from aind_capsule.running.capture.groups import python_traceback
from aind_capsule.running.capture.groups.line_group import GroupedLines, LineGroup

_WARNING = re.compile(r".{1,1000}?:\d{1,9}: (?:[\w.]{1,200}\.)?\w{0,200}Warning: ")
#: A warning's message has at most so many further lines before its source.
_MAX_MESSAGE_LINES = 20


def opens(line: str) -> bool:
    """Return whether a line is a warning as `warnings.showwarning` writes it."""
    return "Warning: " in line and _WARNING.match(line) is not None


class PythonWarning(LineGroup):
    """A warning, the further lines of its message, and its source line.

    Args:
        first: A line that `opens`.
    """

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._keep()

    def _takes(self, line: str) -> bool:
        if python_traceback.opens(line):
            return False
        if self._is_source(line):
            return True
        has_room = len(self.lines) <= _MAX_MESSAGE_LINES
        return has_room and not begins_record(line)

    def _is_source(self, line: str) -> bool:
        return line.startswith("  ") and line[2:3].strip() != ""

    def _note(self, line: str) -> None:
        if self._is_source(line):
            self._keep()
            self.is_done = True

    def build(self) -> GroupedLines:
        """Return the record."""
        return GroupedLines("WARNING", self._join_kept())
