"""Everything else in a Python process that has something to say, into the same log.

The standard library's logging, warnings, and the hooks of uncaught exceptions. `install` puts them
in place, `restore` takes them out again.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from aind_capsule.logs.sink import RecordBuilder, describe_exception, describe_origin
from aind_capsule.records.timestamps import format_timestamp, read_clock_us


class StdlibHandler(logging.Handler):
    """The root logger's handler: its records become ours, with their own place and time."""

    def __init__(self, builder: RecordBuilder, send: Callable[[bytes], None]) -> None:
        super().__init__(logging.NOTSET)
        self._builder = builder
        self._send = send

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record without the handler's lock: sends are serialized behind us."""
        is_wanted = bool(self.filter(record))
        if is_wanted:
            self.emit(record)
        return is_wanted

    def emit(self, record: logging.LogRecord) -> None:
        """Build the record and send it."""
        self._send(self._builder.build_from_stdlib(record))


class Interception:
    """The hooks of this process while they are ours.

    Args:
        builder: Makes the records.
        send: Takes them.
        is_echoed: Whether whoever takes them prints them on stderr: then a traceback is not
            printed a second time.
        level: Lowest level that the standard library's loggers let through.
    """

    def __init__(
        self,
        builder: RecordBuilder,
        send: Callable[[bytes], None],
        *,
        is_echoed: bool,
        level: int,
    ) -> None:
        self._builder = builder
        self._send = send
        self._is_echoed = is_echoed
        self._level = level
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Put the hooks in place."""
        self._take_logging()
        self._take(warnings, "showwarning", self._show_warning)
        self._take(sys, "excepthook", self._take_exception)
        self._take(threading, "excepthook", self._take_thread_exception)
        self._take(sys, "unraisablehook", self._take_unraisable)

    def restore(self) -> None:
        """Put everything back as it was."""
        while self._undo:
            self._undo.pop()()

    def _take(self, module: Any, name: str, hook: Callable[..., None]) -> None:
        previous = getattr(module, name)
        setattr(module, name, hook)
        self._undo.append(lambda: setattr(module, name, previous))
        if name == "excepthook" and module is sys:
            self._previous_excepthook = previous

    def _take_logging(self) -> None:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level

        def undo() -> None:
            root.handlers[:] = handlers
            root.setLevel(level)

        root.handlers[:] = [StdlibHandler(self._builder, self._send)]
        root.setLevel(self._level)
        self._undo.append(undo)

    def _write(self, level: str, message: str, lineno: int | None, **extra: Any) -> None:
        fields: dict[str, Any] = {
            "timestamp": format_timestamp(read_clock_us()),
            "level": level,
            "message": message,
        }
        if lineno is not None:
            fields["lineno"] = lineno
        fields.update(describe_origin())
        exception = extra.pop("exception", None)
        if exception is not None:
            fields["exception"] = exception
        self._send(self._builder.build_from_fields(fields, extra))

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
            file.write(warnings.formatwarning(message, category, filename, lineno, line))
            return
        self._write("WARNING", str(message), lineno, category=category.__name__, filename=filename)

    def _take_exception(
        self, kind: type[BaseException], value: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            described = describe_exception(kind, value, trace)
            message = f"{described['type']}: {described['message']}"
            self._write("CRITICAL", message, _find_line(trace), exception=described)
            if self._is_echoed:
                return
        self._previous_excepthook(kind, value, trace)

    def _take_thread_exception(self, given: threading.ExceptHookArgs) -> None:
        if given.exc_type is SystemExit:
            return
        name = given.thread.name if given.thread is not None else "unknown"
        described = describe_exception(given.exc_type, given.exc_value, given.exc_traceback)
        message = f"Thread {name} ended by {described['type']}: {described['message']}"
        self._write("ERROR", message, _find_line(given.exc_traceback), exception=described)

    def _take_unraisable(self, given: Any) -> None:
        described = describe_exception(given.exc_type, given.exc_value, given.exc_traceback)
        what = given.err_msg or "Exception ignored in"
        message = f"{what} {given.object!r:.200}: {described['type']}: {described['message']}"
        self._write("ERROR", message, _find_line(given.exc_traceback), exception=described)


def _find_line(trace: TracebackType | None) -> int | None:
    """The line where the exception was raised."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_lineno if trace is not None else None
