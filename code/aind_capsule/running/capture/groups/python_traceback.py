"""Tracebacks of Python, in the forms of the interpreter, of rich, of loguru and of pools.

The forms are those of the standard library's `traceback`, `threading`, `asyncio`, `logging`,
`multiprocessing` and `concurrent.futures`, of rich's `Traceback` and of loguru's `format`.
"""

from __future__ import annotations

import re

from aind_capsule.records.levels import find_standard_level
from aind_capsule.running.capture.groups import ipython_traceback
from aind_capsule.running.capture.groups.line_group import (
    CHAIN,
    HEADER,
    GroupedLines,
    LineGroup,
    MessageLines,
)

_START = re.compile(
    r"(\s{0,80})(?:\+ )?(Exception Group )?Traceback \(most recent call last\):\s{0,8}$"
    r"|\s{0,80}╭─{1,400} Traceback \(most recent call last\) ─{1,400}╮\s{0,400}$"
)
#: Lines that stand before a traceback and belong to it.
_BEFORE = re.compile(
    r"(?:Exception in thread \S.{0,300}:|Process \S{1,200}:|Exception ignored .{0,1000}"
    r"|Task exception was never retrieved|Future exception was never retrieved"
    r"|Exception in callback .{0,1000}|Error in (?:sys\.excepthook|atexit\._run_exitfuncs):"
    r"|Error in atexit\._run_exitfuncs:|future: <.{0,1000}|handle: <.{0,1000}|--- Logging error ---"
    r"|[\w.]{0,200}RemoteTraceback:\s?|\"\"\"|'''|Original exception was:|)$"
)
_MAX_LINES_BEFORE = 4
#: `ERROR:root:failed: Traceback (…`, a progress bar that was not ended: a frame must follow.
_FIRST_FRAME = re.compile(r"  File \"|> File \"|  [|] ")
_IGNORED = "Exception ignored"
_LOGGING_ERROR = "--- Logging error ---"
#: A class of a function has `<locals>` in its name.
_ENDING = re.compile(
    r"[\s|]{0,80}(?:[\w<>$]{1,200}\.){0,20}([^\W\d]\w{0,200})(?:: (.*)|:)?$", re.DOTALL
)
_GROUP_ENDING = re.compile(r"\s{0,80}\| (?! )(.*)$", re.DOTALL)
_BARS = re.compile(r"\s{1,80}[|+]")
#: So many lines without bars may stand in a group before one with bars comes again.
_MAX_LINES_WITHOUT_BARS = 20
#: What ends a message that another program has put into a frame of its own.
_RULE = re.compile(r"\s{0,80}[-=]{20,}\s{0,8}$")
_QUOTES = ('"""', "'''")


def is_start(line: str) -> bool:
    """Return whether a line begins a traceback."""
    return _START.match(line) is not None


def opens(line: str) -> bool:
    """Return whether a line begins a traceback, or may stand before one."""
    return bool(line) and (
        is_start(line) or _BEFORE.match(line) is not None or ends_with_header(line)
    )


def ends_with_header(line: str) -> bool:
    """Return whether a traceback may begin at a line's end, behind text of the program's."""
    return line.rstrip().endswith(HEADER)


class PythonTraceback(LineGroup):
    """One traceback with what it is chained to.

    Args:
        first: A line that `opens`.
    """

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._type: str | None = None
        self._message: MessageLines | None = None
        self._indent = ""
        self._is_group = self._is_box = False
        self._state = "before"
        self._is_logging_error = first == _LOGGING_ERROR
        if is_start(first):
            self._begin_frames(first)
        elif ends_with_header(first):
            self._state = "header"

    @classmethod
    def from_ending(cls, line: str) -> PythonTraceback | None:
        """Return a traceback that has nothing but its last line, where this is one."""
        match = _ENDING.match(line)
        if match is None:
            return None
        group = cls(line)
        group._end(match[1], match[2] or "")
        group._keep()
        return group

    def _begin_frames(self, line: str) -> None:
        match = _START.match(line)
        assert match is not None
        self._indent, self._is_group = match[1] or "", bool(match[2])
        self._is_box = line.lstrip().startswith("╭")
        self._type, self._message, self._state = None, None, "frames"
        self.is_unfinished = True
        self._keep()

    def _end(self, name: str, message: str) -> None:
        self._type, self._message, self._state = name, MessageLines(message), "message"
        self.is_unfinished = False

    def _takes(self, line: str) -> bool:
        if self._state == "before":
            return is_start(line) or (
                len(self.lines) < _MAX_LINES_BEFORE and _BEFORE.match(line) is not None
            )
        if self._state == "header":
            return _FIRST_FRAME.match(line) is not None
        if self._state == "stack":
            return True
        if self._state == "chain":
            return not line or line in CHAIN or line in _QUOTES or is_start(line)
        if self._is_group:
            return self._takes_in_group(line)
        if self._state == "frames":
            return self._is_frame(line) or self._find_ending(line) is not None
        return self._takes_behind(line)

    def _takes_in_group(self, line: str) -> bool:
        if _BARS.match(line) or self._begins_chain(line):
            return True
        is_full = len(self.lines) - self.kept >= _MAX_LINES_WITHOUT_BARS
        return not is_full and not is_start(line)

    def _takes_behind(self, line: str) -> bool:
        if self._begins_chain(line) or (self._is_logging_error and line == "Call stack:"):
            return True
        assert self._message is not None
        is_outside = bool(line.strip()) and not line.startswith(self._indent)
        begins_other = opens(line) or ipython_traceback.opens(line) or _RULE.match(line)
        return not (is_outside or begins_other) and self._message.takes(line)

    def _begins_chain(self, line: str) -> bool:
        return line in CHAIN or line in _QUOTES

    def _is_frame(self, line: str) -> bool:
        if self._is_box:
            return line.lstrip()[:1] in ("│", "╰")
        # loguru marks the frame that caught it, and has empty lines between frames.
        return line.startswith((f"{self._indent}  ", f"{self._indent}\t", "> ")) or not line.strip()

    def _find_ending(self, line: str) -> re.Match[str] | None:
        match = _ENDING.match(line) if line.startswith(self._indent) else None
        # `INFO: x` and `failed: Traceback …` look like an exception's line: the next record's.
        is_level = match is not None and match[1].isupper() and find_standard_level(match[1])
        return None if is_level or ends_with_header(line) else match

    def _note(self, line: str) -> None:
        if self._state in ("before", "chain"):
            if is_start(line):
                self._begin_frames(line)
        elif self._state == "header":
            self._state, self._is_group = "frames", line.startswith("  |")
            self.is_unfinished = True
            self._keep()
        elif self._state == "stack":
            self._keep()
            self.is_done = line.startswith("Arguments:")
        elif self._begins_chain(line):
            self._state = "chain"
        elif self._is_group:
            self._note_in_group(line)
        elif self._state == "frames":
            if not self._is_frame(line):
                match = self._find_ending(line)
                if match is not None:
                    self._end(match[1], match[2] or "")
            if line.strip():
                self._keep()
        elif self._is_logging_error and line == "Call stack:":
            self._state = "stack"
            self._keep()
        elif self._message is not None:
            self._message.add(line)
            if line.strip():
                self._keep()

    def _note_in_group(self, line: str) -> None:
        if not _BARS.match(line):
            return
        self._keep()  # and the lines without bars before it
        match = _GROUP_ENDING.match(line)
        if self._type is None and match is not None and not match[1].startswith("Traceback"):
            ending = _ENDING.match(match[1])
            self._type = ending[1] if ending is not None else "ExceptionGroup"
            self._message = MessageLines((ending[2] or "") if ending is not None else match[1])
            self.is_unfinished = False

    def build(self) -> GroupedLines:
        """Return the record; the exception is that of the last part."""
        is_ignored = self.lines[0].startswith(_IGNORED)
        level = "WARNING" if is_ignored else "ERROR"
        is_ignored = is_ignored or self._is_logging_error
        message = "" if self._message is None else self._message.text
        if self._type is None:
            last = self.lines[self.kept - 1].strip(" |+-")
            message = last if self.kept > 1 else "traceback without its end"
        return GroupedLines(
            level, self._join_kept(), self._type or "Exception", message, is_ignored
        )


class SyntaxErrorLines(LineGroup):
    """A SyntaxError of a file that Python was to run: it has frames but no header.

    Args:
        first: A line that `opens_syntax_error`.
    """

    _ENDINGS = re.compile(r"(?:Sorry: )?(SyntaxError|IndentationError|TabError): (.*)$", re.DOTALL)

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._ending: re.Match[str] | None = None

    def _takes(self, line: str) -> bool:
        return line.startswith(("    ", "\t")) or self._ENDINGS.match(line) is not None

    def _note(self, line: str) -> None:
        self._ending = self._ENDINGS.match(line)
        if self._ending is not None:
            self._keep()
            self.is_done = True

    def build(self) -> GroupedLines:
        """Return the record."""
        assert self._ending is not None
        return GroupedLines("ERROR", self._join_kept(), self._ending[1], self._ending[2])


_SOURCE_LINE = re.compile(r'  File "[^"]{1,4096}", line \d{1,9}$')


def opens_syntax_error(line: str) -> bool:
    """Return whether a line may begin a SyntaxError without a header."""
    return _SOURCE_LINE.match(line) is not None
