"""Tracebacks of IPython: of `ipython` itself, and of cells that nbconvert or papermill ran."""

from __future__ import annotations

import re

from aind_capsule.running.capture.groups.line_group import (
    CHAIN,
    HEADER,
    GroupedLines,
    LineGroup,
    MessageLines,
)

_HEADER = re.compile(
    r"(?:[\w.]{1,200}\.)?([^\W\d]\w{0,200})\s{1,80}Traceback \(most recent call last\)\s{0,8}$"
)
#: `Cell In[1], line 6`, `File /a.py:3, in f(x)`, `----> 6 f(3)`, `/a.py in f(x)`, source lines.
_FRAME = re.compile(
    r"$|\s|-{2,10}> ?\d|(?:File|Cell|Input) |<ipython-input|[/~<].{1,400} in |\(\.\.\.\)|\[\.\.\. "
)


def opens(line: str) -> bool:
    """Return whether a line begins a traceback: an exception's name, and then the title."""
    return "Traceback (most recent" in line and _HEADER.match(line) is not None


class IPythonTraceback(LineGroup):
    """A traceback as IPython shows it, with what it is chained to.

    Args:
        first: A line that `opens`.
    """

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._type = self._expected = self._read_name(first)
        self._message: MessageLines | None = None
        self._is_chained = False

    def _read_name(self, header: str) -> str:
        match = _HEADER.match(header)
        assert match is not None
        return match[1]

    def _read_message(self, line: str) -> str | None:
        """Return what an exception's own line says; None where it is another line."""
        name, _, message = line.partition(":")
        return message.strip() if name.rpartition(".")[2] == self._expected else None

    def _takes(self, line: str) -> bool:
        if self._is_chained:
            return not line or opens(line)
        if self._message is None:
            return _FRAME.match(line) is not None or self._read_message(line) is not None
        if line in CHAIN:
            return True
        if not self.lines[-1]:  # a message ends with its paragraph
            return False
        return not (opens(line) or HEADER in line) and self._message.takes(line)

    def _note(self, line: str) -> None:
        if self._is_chained:
            if line:
                self._expected, self._message, self._is_chained = self._read_name(line), None, False
        elif self._message is None:
            message = self._read_message(line)
            if message is not None:
                self._type, self._message = self._expected, MessageLines(message)
                self._keep()
        elif line in CHAIN:
            self._is_chained = True
        else:
            self._message.add(line)
            if line.strip():
                self._keep()

    def build(self) -> GroupedLines:
        """Return the record; the exception is that of the last part."""
        message = "" if self._message is None else self._message.text
        return GroupedLines("ERROR", self._join_kept(), self._type, message)
