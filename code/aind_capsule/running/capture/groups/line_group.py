"""What every group of lines has in common."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from aind_capsule.records.line_levels.infer import begins_record

#: A longer group is cut here; the rest comes as lines.
MAX_GROUP_BYTES = 200 * 1024
#: A message that has more lines or bytes behind its first line goes on as lines of their own.
MAX_MESSAGE_LINES, MAX_MESSAGE_BYTES = 40, 16 * 1024
#: What Python says before the frames.
HEADER = "Traceback (most recent call last):"
#: What stands between two tracebacks of one record.
CHAIN = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


@dataclass(frozen=True, slots=True)
class GroupedLines:
    """One record's worth of lines.

    Attributes:
        level: The record's level.
        text: All of the lines.
        error_type: The exception's type; empty where the group is no exception.
        error_message: What it says.
        is_ignored: The program went on: it is never the reason why a run failed.
    """

    level: str
    text: str
    error_type: str = ""
    error_message: str = ""
    is_ignored: bool = False


class LineGroup(abc.ABC):
    """Lines that may belong together.

    Attributes:
        lines: The lines so far.
        kept: How many of them belong to the group for certain; the others are held back.
        is_done: Whether it takes no more.
        is_unfinished: Whether the line that names the exception is still to come.
        is_full: Whether a line was refused because the group has its full size.
    """

    def __init__(self, first: str) -> None:
        self.lines = [first]
        self.kept = 0
        self.is_done = False
        self.is_unfinished = False
        self.is_full = False
        self._bytes = len(first)

    def take(self, line: str) -> bool:
        """Take a line, perhaps only to hold it back. Return False where it does not belong."""
        self.is_full = self._bytes + len(line) > MAX_GROUP_BYTES
        if self.is_done or self.is_full or not self._takes(line):
            return False
        self.lines.append(line)
        self._bytes += len(line) + 1
        self._note(line)
        return True

    @abc.abstractmethod
    def _takes(self, line: str) -> bool:
        """Return whether the next line belongs to the group, or may."""

    @abc.abstractmethod
    def _note(self, line: str) -> None:
        """Look at a line that was taken: it is the last of `lines` now."""

    @abc.abstractmethod
    def build(self) -> GroupedLines:
        """Return the record of the lines that are kept."""

    def _keep(self) -> None:
        self.kept = len(self.lines)

    def _join_kept(self) -> str:
        return "\n".join(self.lines[: self.kept])


class MessageLines:
    """The further lines of an exception's message, up to a line that begins something else."""

    def __init__(self, first: str) -> None:
        self._lines = [first]
        self._bytes = 0

    def takes(self, line: str) -> bool:
        """Return whether a line may go on with the message."""
        has_room = len(self._lines) <= MAX_MESSAGE_LINES
        return has_room and self._bytes + len(line) <= MAX_MESSAGE_BYTES and not begins_record(line)

    def add(self, line: str) -> None:
        """Take a line."""
        self._lines.append(line)
        self._bytes += len(line) + 1

    def drop(self, count: int) -> None:
        """Forget the last lines, which turned out to be something else."""
        if count:
            del self._lines[-count:]

    @property
    def text(self) -> str:
        """The message, without empty lines at its end."""
        return "\n".join(self._lines).rstrip()
