"""What runtimes print of their own end: Python's faulthandler, Go, Rust, C++."""

from __future__ import annotations

import re

from aind_capsule.running.capture.groups import ipython_traceback, python_traceback
from aind_capsule.running.capture.groups.line_group import GroupedLines, LineGroup, MessageLines

_FAULT_LINE = re.compile(
    r"$|Current thread|Thread 0x|  |Extension modules|Python runtime|Current thread's C stack|<"
)
_DUMP = re.compile(r"Timeout \(\d{1,9}:\d\d:\d\d(?:\.\d{1,9})?\)!$")
_GO_LINE = re.compile(
    r"$|\s|goroutine |created by |\[signal |exit status \d"
    r"|[\w./*$\[\]{}()-]{1,400}\(.{0,400}\)$|r\w\w? "
)
_RUST = re.compile(r"thread '.{0,200}' (?:\(\d{1,9}\) )?panicked at ")
_WHAT = "  what():"
_THROWN = re.compile(r"terminate called after throwing an instance of '(.{1,400})'$")


def _goes_on(message: MessageLines, line: str) -> bool:
    begins_other = python_traceback.opens(line) or ipython_traceback.opens(line)
    return message.takes(line) and not begins_other


class FatalPythonError(LineGroup):
    """Python's faulthandler: the interpreter was ended by a signal, or found itself broken."""

    PREFIX = "Fatal Python error: "

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._is_fatal = first.startswith(self.PREFIX)
        if self._is_fatal:
            self._keep()

    @classmethod
    def opens(cls, line: str) -> bool:
        """Return whether a line begins it; `faulthandler.dump_traceback_later` has no prefix."""
        return line.startswith(cls.PREFIX) or _DUMP.match(line) is not None

    def _takes(self, line: str) -> bool:
        if len(self.lines) == 1 and not self._is_fatal:
            return line.startswith(("Thread 0x", "Current thread"))
        return _FAULT_LINE.match(line) is not None

    def _note(self, line: str) -> None:
        if line.strip():
            self._keep()

    def build(self) -> GroupedLines:
        """Return the record."""
        if not self._is_fatal:
            return GroupedLines("ERROR", self._join_kept(), "Timeout", self.lines[0])
        message = self.lines[0].removeprefix(self.PREFIX)
        return GroupedLines("CRITICAL", self._join_kept(), "Fatal Python error", message)


class GoPanic(LineGroup):
    """A panic or fatal error of Go, with its goroutines."""

    _MAX_LINES_BEFORE_STACK = 40

    @classmethod
    def opens(cls, line: str) -> bool:
        """Return whether a line begins it."""
        return line.startswith(("panic: ", "fatal error: "))

    def _takes(self, line: str) -> bool:
        if self.kept:
            return _GO_LINE.match(line) is not None
        return len(self.lines) < self._MAX_LINES_BEFORE_STACK and not self.opens(line)

    def _note(self, line: str) -> None:
        if line.startswith("goroutine ") or (self.kept and line.strip()):
            self._keep()

    def build(self) -> GroupedLines:
        """Return the record."""
        message = self.lines[0].split(": ", 1)[1]
        return GroupedLines("ERROR", self._join_kept(), "panic", message)


class RustPanic(LineGroup):
    """A panic of Rust: its place, its message, perhaps a backtrace, a note."""

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._message: MessageLines | None = None
        old_form = re.search(r"panicked at '(.{0,2000})', ", first)
        if old_form is not None:  # before Rust 1.73
            self._message = MessageLines(old_form[1])
        self._is_backtrace = False
        self._keep()

    @classmethod
    def opens(cls, line: str) -> bool:
        """Return whether a line begins it."""
        return _RUST.match(line) is not None

    def _takes(self, line: str) -> bool:
        if line.startswith(("note: ", "stack backtrace:")) or self._message is None:
            return True
        if self._is_backtrace:
            return line.startswith("  ")
        return _goes_on(self._message, line)

    def _note(self, line: str) -> None:
        self._keep()
        if line == "stack backtrace:":
            self._is_backtrace = True
        elif line.startswith("note: "):
            self.is_done = True
        elif self._message is None:
            self._message = MessageLines(line)
        elif not self._is_backtrace:
            self._message.add(line)

    def build(self) -> GroupedLines:
        """Return the record."""
        message = self.lines[0] if self._message is None else self._message.text
        return GroupedLines("ERROR", self._join_kept(), "panic", message)


class CppException(LineGroup):
    """An exception of C++ that nobody caught; what it says may have several lines."""

    def __init__(self, first: str) -> None:
        super().__init__(first)
        match = _THROWN.match(first)
        self._name = match[1] if match is not None else "exception"
        self._message: MessageLines | None = None

    @classmethod
    def opens(cls, line: str) -> bool:
        """Return whether a line begins it."""
        return _THROWN.match(line) is not None

    def _takes(self, line: str) -> bool:
        if self._message is None:
            return line.startswith(_WHAT)
        return _goes_on(self._message, line)

    def _note(self, line: str) -> None:
        if self._message is None:
            self._message = MessageLines(line.removeprefix(_WHAT).strip())
            self._keep()
            return
        self._message.add(line)
        if line.strip():
            self._keep()

    def build(self) -> GroupedLines:
        """Return the record."""
        message = "" if self._message is None else self._message.text
        return GroupedLines("ERROR", self._join_kept(), self._name, message)
