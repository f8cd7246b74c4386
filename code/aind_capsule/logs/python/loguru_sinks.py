"""loguru's sinks of others: those that print on stdout or stderr are set aside, and come back.

loguru can remove a sink, but not put the same one back. So they are moved in its table of handlers;
where a version of loguru has no such table, they are removed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aind_capsule.logs.python.console_handlers import find_console_handlers, is_console

if TYPE_CHECKING:
    from loguru import Logger

#: loguru's own sink on stderr, which it has from its import on.
_DEFAULT_ID = 0


class ConsoleSinks:
    """loguru's sinks that print where our records are shown."""

    def __init__(self) -> None:
        self._set_aside: dict[int, Any] = {}

    def set_aside(self, logger: Logger) -> list[str]:
        """Have sinks print nothing that are there by now.

        Returns:
            A description of each, but for loguru's own.
        """
        core: Any = getattr(logger, "_core", None)
        try:
            found = {
                sink_id: handler
                for sink_id, handler in core.handlers.items()
                if _prints_on_console(handler)
            }
            for handler in found.values():
                handler.complete_queue()  # what another thread of loguru's still has to print
            with core.lock:
                _set_handlers(core, {k: v for k, v in core.handlers.items() if k not in found})
        except (AttributeError, TypeError):  # another version of loguru
            with contextlib.suppress(ValueError):
                logger.remove(_DEFAULT_ID)
            return []
        self._set_aside |= found
        return [f"{handler!r}" for sink_id, handler in found.items() if sink_id != _DEFAULT_ID]

    def give_back(self, logger: Logger) -> None:
        """Have the sinks print again."""
        found, self._set_aside = self._set_aside, {}
        core: Any = getattr(logger, "_core", None)
        if found:
            with core.lock:
                _set_handlers(core, {**found, **core.handlers})

    def forget(self) -> None:
        """Leave the sinks out for good, because the program has removed all sinks."""
        self._set_aside = {}


class RemovalNotice:
    """The stream of our sink, which loguru calls when it removes that.

    Args:
        report: Called where somebody else removes it.
    """

    def __init__(self, report: Callable[[], None]) -> None:
        self.report: Callable[[], None] | None = report

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_silent_notice, ()

    def write(self, _message: str) -> None:
        """Take nothing: the filter of the sink has taken the record."""

    def stop(self) -> None:
        """Report the removal."""
        if self.report is not None:
            self.report()


def _make_silent_notice() -> RemovalNotice:
    notice = RemovalNotice(lambda: None)
    notice.report = None
    return notice


def _set_handlers(core: Any, handlers: dict[int, Any]) -> None:
    levels = (handler.levelno for handler in handlers.values())
    core.min_level = min(levels, default=float("inf"))
    core.handlers = handlers


def _prints_on_console(handler: Any) -> bool:
    """Return whether a sink of loguru's prints on stdout or stderr.

    A function of the user's may do so unseen.
    """
    sink = handler._sink  # noqa: SLF001 (loguru shows it nowhere else)
    for name in ("_stream", "_file"):
        stream = getattr(sink, name, None)
        if stream is not None and is_console(stream):
            return True
    function = getattr(sink, "_function", None)
    if function is print or is_console(getattr(function, "__self__", None)):
        return True
    standard = getattr(sink, "_handler", None)
    return isinstance(standard, logging.Handler) and bool(find_console_handlers(standard))
