"""Stack traces of the JVM, Node, .NET, Ruby and PHP: an exception, then where it came from."""

from __future__ import annotations

import re

from aind_capsule.records.line_levels.forms import EXCEPTION
from aind_capsule.running.capture.groups.line_group import GroupedLines, LineGroup, MessageLines

_IN_THREAD = (
    r'Exception in thread "[^"]{0,200}" (?:[\w$]{1,200}\.){0,20}'
    r"(?P<name>[\w$]{1,200})(?:: (?P<rest>.*))?$"
)
_PLAIN_ERROR = r"(?:Uncaught )?(?P<name>Error)(?: \[\w{1,80}\])?(?:: (?P<rest>.*))?$"
#: `java.lang.NullPointerException` alone, without a message.
_BARE = r"(?:[\w$]{1,80}\.){1,20}(?P<name>[A-Z][\w$]{0,200}(?:Error|Exception))(?P<rest>)$"
_DOTNET = r"Unhandled exception\. (?:[\w.]{1,200}\.)?(?P<name>\w{1,200}): (?P<rest>.*)$"
_HEADS = tuple(
    re.compile(head, re.DOTALL) for head in (_IN_THREAD, EXCEPTION, _PLAIN_ERROR, _BARE, _DOTNET)
)
_FRAME = re.compile(
    r"\s{1,80}(?:at |\.\.\. |Suppressed: |Caused by: |\[cause\]|\[)|Caused by: |\}$"
)
#: Node shows an error's own fields in braces.
_FIELD = re.compile(r"\s{2,80}[\w'\[\]$]{1,80}:? ")


def opens(line: str) -> bool:
    """Return whether a line may stand before a stack trace."""
    return _read_head(line) is not None


#: One of these stands in each.
_WORDS = (
    "Error",
    "Exception",
    "Unhandled exception",
    "Exit: ",
    "Interrupt: ",
    "Warning: ",
    "ExceptionGroup",
)


def _read_head(line: str) -> re.Match[str] | None:
    if not any(word in line for word in _WORDS):
        return None
    return next((match for head in _HEADS if (match := head.match(line))), None)


class StackTrace(LineGroup):
    """An exception of the JVM, of Node or of .NET, with its causes.

    Args:
        first: A line that `opens`.
    """

    def __init__(self, first: str) -> None:
        super().__init__(first)
        match = _read_head(first)
        assert match is not None
        self._type = match["name"]
        self._message = MessageLines(match["rest"] or "")
        self._has_fields = False
        self._cause: MessageLines | None = None

    def _takes(self, line: str) -> bool:
        if _FRAME.match(line):
            return True
        if self._has_fields and _FIELD.match(line):
            return True
        if not self.kept:
            # Another head: else each of many would hold back all that follow it.
            return self._message.takes(line) and not opens(line)
        return self._cause is not None and self._cause.takes(line)

    def _note(self, line: str) -> None:
        if _FRAME.match(line) or self._has_fields:
            self._keep()
            self._has_fields = line.endswith(" {") or (self._has_fields and line != "}")
            # What a cause says may have several lines, too.
            self._cause = MessageLines(line) if "Caused by: " in line else None
        elif not self.kept:
            self._message.add(line)
        elif self._cause is not None:
            self._cause.add(line)

    def build(self) -> GroupedLines:
        """Return the record; the exception is the one that was thrown last."""
        return GroupedLines("ERROR", self._join_kept(), self._type, self._message.text)


_RUBY = re.compile(
    r"[^\s:]{1,400}:\d{1,9}:in [`'].{1,200}': "
    r"(?P<rest>.*) \((?P<name>\w{1,200}(?:::\w{1,200}){0,10})\)$"
)
_RUBY_FRAME = re.compile(r"\s{1,20}(?:from |\d{1,9}: from )|\s{1,20}\d{1,9}: ")


class RubyError(LineGroup):
    """An exception of Ruby that ended it."""

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._keep()

    @classmethod
    def opens(cls, line: str) -> bool:
        """Return whether a line begins it."""
        return line.endswith(")") and _RUBY.match(line) is not None

    def _takes(self, line: str) -> bool:
        return _RUBY_FRAME.match(line) is not None

    def _note(self, line: str) -> None:
        if line:
            self._keep()

    def build(self) -> GroupedLines:
        """Return the record."""
        match = _RUBY.match(self.lines[0])
        name, message = ("", "") if match is None else (match["name"], match["rest"])
        return GroupedLines("ERROR", self._join_kept(), name, message)


_PHP = re.compile(
    r"(?:PHP )?Fatal error:  Uncaught (?P<name>[\w\\]{1,400})"
    r"(?:: (?P<rest>.*))? in .{1,400}:\d{1,9}$"
)


class PhpError(LineGroup):
    """An exception of PHP that nobody caught."""

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._keep()

    @classmethod
    def opens(cls, line: str) -> bool:
        """Return whether a line begins it."""
        return _PHP.match(line) is not None

    def _takes(self, line: str) -> bool:
        return line.startswith(("Stack trace:", "#", "  thrown in "))

    def _note(self, line: str) -> None:
        self._keep()
        self.is_done = line.startswith("  thrown in ")

    def build(self) -> GroupedLines:
        """Return the record."""
        match = _PHP.match(self.lines[0])
        name, message = ("", "") if match is None else (match["name"], match["rest"] or "")
        return GroupedLines("ERROR", self._join_kept(), name, message)
