"""Everything else in a Python process that has something to say, into the same log.

The standard library's logging, warnings, and the hooks of uncaught exceptions. `install` puts them
in place, `restore` takes them out again.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from aind_capsule.logs.python.stdlib_bridge import StdlibBridge, passing_on
from aind_capsule.logs.sink import RecordBuilder, describe_origin
from aind_capsule.logs.target import SerialTarget
from aind_capsule.records.simplify import cut_text, repr_safely, str_safely
from aind_capsule.records.timestamps import format_timestamp, read_clock_us

#: Their hooks print, as the interpreter's own do (loguru imports this one on Python 3.10).
_PRINTING_PACKAGES = frozenset({"exceptiongroup"})
_MAX_OBJECT_CHARACTERS = 200
#: The standard library's own way to show a warning.
_PRINT_WARNING: Any = getattr(warnings, "_showwarning_orig", warnings.showwarning)


class Interception:
    """The hooks of this process while they are ours.

    A hook that only prints is called too where nobody shows our record on stderr, and else not; a
    hook that somebody else has put in place is called in any case, for it may do more than print.

    Args:
        builder: Makes the records.
        target: Takes them.
        level: Lowest level that the standard library's loggers let through; None leaves the
            standard library's logging alone.
    """

    def __init__(self, builder: RecordBuilder, target: SerialTarget, *, level: int | None) -> None:
        self._builder = builder
        self._target = target
        self._level = level
        self._undo: list[Callable[[], None]] = []
        self._previous: dict[str, Callable[..., Any]] = {}

    def install(self) -> None:
        """Put the hooks in place."""
        if self._level is not None:
            bridge = StdlibBridge(self._take_record, self.report, self._level)
            bridge.install()
            self._undo.append(bridge.restore)
        self._take(warnings, "showwarning", self._show_warning)
        self._take(sys, "excepthook", self._take_exception)
        self._take(threading, "excepthook", self._take_thread_exception)
        self._take(sys, "unraisablehook", self._take_unraisable)

    def restore(self) -> None:
        """Put everything back as it was, but for what others have changed since."""
        while self._undo:
            self._undo.pop()()

    def report(self, message: str) -> None:
        """Write a sentence of ours into the log."""
        self._write("INFO", message, None)

    def _take_record(self, record: logging.LogRecord) -> None:
        self._target.take(self._builder.build_from_stdlib, record)

    def _take(self, module: Any, name: str, hook: Callable[..., None]) -> None:
        previous = getattr(module, name)

        def undo() -> None:
            if getattr(module, name) is hook:
                setattr(module, name, previous)

        setattr(module, name, hook)
        self._previous[f"{module.__name__}.{name}"] = previous
        self._undo.append(undo)

    def _write(self, level: str, message: str, lineno: int | None, **more: Any) -> bool:
        """Send a record of ours; False where that failed."""
        return self._target.take(self._build, level, message, lineno, more)

    def _build(self, level: str, message: str, lineno: int | None, more: dict[str, Any]) -> bytes:
        fields: dict[str, Any] = {
            "timestamp": format_timestamp(read_clock_us()),
            "level": level,
            "message": message,
            "lineno": lineno,
            **describe_origin(),
        }
        exception = more.pop("exception", None)
        if exception is not None:
            fields["exception"] = exception
        return self._builder.build_from_fields(fields, more)

    def _pass_on(self, name: str, default: Any, is_shown: bool, *args: Any) -> None:
        previous = self._previous[name]
        is_printer = previous is default or _get_package(previous) in _PRINTING_PACKAGES
        if not (is_printer and is_shown):
            previous(*args)

    def _show_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None:  # somebody wants it in a file of theirs
            with contextlib.suppress(OSError):  # as the standard library has it
                file.write(warnings.formatwarning(message, category, filename, lineno, line))
            return
        name = getattr(category, "__name__", str_safely(category))
        text = str_safely(message)
        self._write("WARNING", text, lineno, category=name, filename=filename)
        previous = self._previous["warnings.showwarning"]
        if previous is not _PRINT_WARNING or _is_recorded():
            with passing_on(text):  # it may log the same
                previous(message, category, filename, lineno, file, line)

    def _take_exception(
        self, kind: type[BaseException], value: BaseException, trace: TracebackType | None
    ) -> None:
        is_shown = False
        if not issubclass(kind, KeyboardInterrupt):
            described = self._builder.describe_exception(kind, value, trace)
            message = f"{described['type']}: {described['message']}"
            is_written = self._write("CRITICAL", message, _find_line(trace), exception=described)
            is_shown = is_written and self._target.target.is_echoed
        self._pass_on("sys.excepthook", sys.__excepthook__, is_shown, kind, value, trace)

    def _take_thread_exception(self, given: threading.ExceptHookArgs) -> None:
        if given.exc_type is SystemExit:  # a thread's way of ending
            return
        name = given.thread.name if given.thread is not None else "unknown"
        described = self._builder.describe_exception(
            given.exc_type, given.exc_value, given.exc_traceback
        )
        message = f"Thread {name} ended by {described['type']}: {described['message']}"
        line = _find_line(given.exc_traceback)
        is_written = self._write("ERROR", message, line, exception=described)
        is_shown = is_written and self._target.target.is_echoed
        self._pass_on("threading.excepthook", threading.__excepthook__, is_shown, given)

    def _take_unraisable(self, given: Any) -> None:
        described = self._builder.describe_exception(
            given.exc_type, given.exc_value, given.exc_traceback
        )
        what = given.err_msg or "Exception ignored in"
        where = cut_text(repr_safely(given.object), _MAX_OBJECT_CHARACTERS)
        message = f"{what} {where}: {described['type']}: {described['message']}"
        line = _find_line(given.exc_traceback)
        # Python goes on: it is no failure, nor ever the reason of one.
        is_written = self._write("WARNING", message, line, exception=described)
        is_shown = is_written and self._target.target.is_echoed
        self._pass_on("sys.unraisablehook", sys.__unraisablehook__, is_shown, given)


def _is_recorded() -> bool:
    """Return whether `warnings.catch_warnings(record=True)` keeps warnings, as pytest does."""
    show: Any = getattr(warnings, "_showwarnmsg_impl", None)
    return getattr(show, "__name__", "") == "append"


def _get_package(hook: object) -> str:
    return str(getattr(hook, "__module__", "")).partition(".")[0]


def _find_line(trace: TracebackType | None) -> int | None:
    """The line where the exception was raised."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_lineno if trace is not None else None
