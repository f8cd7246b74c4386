"""The standard library's logging on its way to our log, beside the handlers of others.

Records are taken where a logger hands them to its handlers. So `logging.basicConfig(force=True)` or
`dictConfig` of the program take nothing away from us, and we take nothing away from them: a handler
that writes elsewhere goes on, and one that prints on stdout or stderr is silent meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from aind_capsule.logs.python.console_handlers import find_console_handlers, prints_on_console
from aind_capsule.records.simplify import repr_safely

#: What each thread hands on to handlers and hooks of others: a record, or a warning's text.
_passed_on: dict[int, logging.LogRecord | str] = {}
#: Handlers that were named in the log.
_named: WeakSet[logging.Handler] = WeakSet()
#: Frames between a log call of loguru's and the handler of a logger that it ends in.
_MAX_FRAMES = 40
#: `callHandlers`, `handle`, and what a class of the user's or another library puts around these.
_CALLS_OF_HANDLING = 5
_WARNINGS_LOGGER = "py.warnings"


class StdlibBridge:
    """Takes the records of all loggers that the program would see.

    Those are the records that come to the root logger, and those that would be printed.

    Args:
        take: Takes a record.
        report: Takes a sentence for the log.
        level: Lowest level, for loggers that have none of their own.
    """

    def __init__(
        self,
        take: Callable[[logging.LogRecord], None],
        report: Callable[[str], None],
        level: int,
    ) -> None:
        self._take = take
        self._report = report
        self._level = level
        self._undo: list[Callable[[], None]] = []
        self._silencers: WeakSet[_Silencer] = WeakSet()
        self._call_handlers: Callable[[logging.Logger, logging.LogRecord], None]

    def install(self) -> None:
        """Take records from now on."""
        bridge, previous = self, logging.Logger.callHandlers
        self._call_handlers = previous

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            bridge.hand_on(logger, record)

        def undo() -> None:
            # What somebody has put around ours goes on to call it.
            vars(bridge)["hand_on"] = previous
            if logging.Logger.callHandlers is call_handlers:
                logging.Logger.callHandlers = previous  # type: ignore[method-assign]

        self._undo.append(undo)
        self._set_level()
        if logging.lastResort is not None:
            self._silence(logging.lastResort)
        logging.Logger.callHandlers = call_handlers  # type: ignore[assignment,method-assign]

    def restore(self) -> None:
        """Take nothing any more, and have all handlers print again."""
        while self._undo:
            self._undo.pop()()
        for silencer in list(self._silencers):
            silencer.remove()
        self._silencers.clear()

    def hand_on(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        """Take a record, and hand it on to the handlers that there are."""
        ours_from, others_from = _find_limits(logger)
        is_direct = record.levelno < max(ours_from, others_from) and not _is_from_log_call()
        is_wanted = record.levelno >= ours_from or is_direct
        try:
            is_for_us = self._is_for_us(logger, record)
        except Exception:  # a handler of the user's whose attributes cannot be read
            is_for_us = True
        if is_for_us and is_wanted and not _is_known(record):
            self._take(record)
        if record.levelno >= others_from or is_direct:
            with passing_on(record):
                self._call_handlers(logger, record)

    def _set_level(self) -> None:
        """Have the root logger let through what we want; others get what they would without us."""
        root = logging.getLogger()
        root.setLevel(_make_level(self._level, root.level))

        def undo() -> None:
            if isinstance(root.level, _Level):
                root.setLevel(root.level.others)

        self._undo.append(undo)

    def _is_for_us(self, logger: logging.Logger, record: logging.LogRecord) -> bool:
        """Return whether a record comes to the root logger, or would be printed."""
        is_printed, has_handlers = False, False
        current: logging.Logger | None = logger
        while current is not None:
            for handler in current.handlers:
                has_handlers = True
                printers = find_console_handlers(handler)
                for printer in printers:
                    self._silence(printer, current)
                is_printed |= bool(printers) and record.levelno >= handler.level
            if current is logging.root:
                return True
            current = current.parent if current.propagate else None
        last = logging.lastResort
        is_printed |= not has_handlers and last is not None and record.levelno >= last.level
        return is_printed

    def _silence(self, handler: logging.Handler, logger: logging.Logger | None = None) -> None:
        """Have a handler print nothing, and name it in the log, once."""
        if any(isinstance(one, _Silencer) for one in handler.filters):
            return
        silencer = _Silencer(handler)
        self._silencers.add(silencer)
        if logger is not None and handler not in _named and not _is_plain(handler):
            _named.add(handler)
            self._report(
                f"{repr_safely(handler)} of the logger {logger.name} prints nothing while its"
                " records come to this log"
            )


class _Level(int):
    """A level of the root logger that we have set.

    A level that the program sets is another object, and means all handlers, also where it is the
    same number. pytest's `caplog` puts back what it has found, perhaps that of an earlier set-up.

    Attributes:
        ours: The lowest level that we take.
        others: The lowest level that handlers of others get, as without us.
    """

    ours: int
    others: int

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int(self),)


def _make_level(ours: int, others: int) -> _Level:
    level = _Level(min(ours, others))
    level.ours, level.others = ours, others
    return level


class _Silencer(logging.Filter):
    """Lets no record through to a handler while that prints on the console."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self.is_on = True
        self._handler = handler
        handler.addFilter(self)

    def filter(self, _record: logging.LogRecord) -> bool:
        return not (self.is_on and prints_on_console(self._handler))

    def remove(self) -> None:
        """Let the handler print again."""
        self.is_on = False
        self._handler.removeFilter(self)


class passing_on:  # noqa: N801 (it reads as a function: `with passing_on(record)`)
    """Know what this thread hands on to others, who may send the same to us by another way."""

    __slots__ = ("_before", "_source")

    def __init__(self, source: logging.LogRecord | str) -> None:
        self._source = source

    def __enter__(self) -> None:
        thread = threading.get_ident()
        self._before = _passed_on.get(thread)
        _passed_on[thread] = self._source

    def __exit__(self, *_error: object) -> None:
        if self._before is None:
            _passed_on.pop(threading.get_ident(), None)
        else:
            _passed_on[threading.get_ident()] = self._before


def is_passed_on(message: str) -> bool:
    """Return whether a handler of another library says again what this thread hands on to it."""
    source = _passed_on.get(threading.get_ident()) if _passed_on else None
    if isinstance(source, logging.LogRecord):
        with contextlib.suppress(Exception):  # a message that cannot be made
            return source.getMessage() == message
    return source is not None and source == message


def _find_limits(logger: logging.Logger) -> tuple[int, int]:
    """Return the lowest levels for us and for others, as far as the root logger decides."""
    current: logging.Logger | None = logger
    while current is not None:
        level = current.level
        if isinstance(level, _Level):
            return level.ours, level.others
        current = None if level else current.parent
    return 0, 0


def _is_known(record: logging.LogRecord) -> bool:
    """Return whether a record comes to us by another way as well."""
    source = _passed_on.get(threading.get_ident())
    if record is source or (isinstance(source, str) and record.name == _WARNINGS_LOGGER):
        return True
    return "extra" in record.__dict__ and _is_from_loguru()


def _is_from_log_call() -> bool:
    """Return whether a logger was called; else somebody has handed it a record."""
    log = logging.Logger._log.__code__  # noqa: SLF001
    frame: Any = sys._getframe(2)  # noqa: SLF001 (documented)
    for _ in range(_CALLS_OF_HANDLING):
        if frame is None or frame.f_code is log:
            break
        frame = frame.f_back
    return frame is not None and frame.f_code is log


def _is_from_loguru() -> bool:
    """Return whether a sink of loguru's hands this record on, which our own sink has as well."""
    frame: Any = sys._getframe(1)  # noqa: SLF001 (documented)
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return False
        if frame.f_globals.get("__name__") == "loguru._simple_sinks":
            return True
        frame = frame.f_back
    return False


def _is_plain(handler: logging.Handler) -> bool:
    """Return whether a handler is one that `logging.info` puts in place by itself."""
    formatter = handler.formatter
    return type(handler) is logging.StreamHandler and (
        formatter is None or formatter._fmt == logging.BASIC_FORMAT  # noqa: SLF001
    )
