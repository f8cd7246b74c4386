"""How this Python program ends, as far as it can be known before it is over.

A `with` block is always left before its function is. A block inside a generator, a task or a daemon
thread may be open when the main program has ended; nobody hands its exit status to the callbacks of
`atexit`, but it leaves traces.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

_RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST"})
#: Tools of `sys.monitoring` that Python has given no purpose.
_FREE_TOOLS = (4, 3)


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """How the main program has ended.

    Attributes:
        error: What ended it; None where it came to its last line.
        is_known: False where it was a SystemExit that nobody has seen.
    """

    error: BaseException | None
    is_known: bool = True


class ProgramWatch:
    """Watches how the main program ends.

    It costs nothing until `begin`, and then a little for each function that an exception leaves.
    """

    def __init__(self) -> None:
        # Whoever imports this is part of the program; a thread may come when that is over already.
        self._main_frame = find_main_frame()
        self._exit: SystemExit | None = None
        self._stop: Callable[[], None] | None = None

    def begin(self) -> None:
        """Watch for a SystemExit of the main program, which only a hook sees."""
        if self._stop is None:
            self._stop = _watch_unwinding(self._see) or _watch_exit_calls(self._note)

    def end(self) -> None:
        """Watch no more."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._exit = None

    def let_go(self) -> None:
        """Let go of the main program, which else would keep its variables beyond its end."""
        self.end()
        self._main_frame = None

    def find_end(self) -> ProgramEnd | None:
        """Return how the main program has ended, or None while it goes on."""
        if not is_program_over():
            return None
        if self._exit is not None:
            return ProgramEnd(self._exit)
        main, trace = self._main_frame, getattr(sys, "last_traceback", None)
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        # Debuggers and notebooks set these as well, but not with the main program's frame.
        if error is not None and trace is not None and trace.tb_frame is main:
            return ProgramEnd(error)
        is_interactive = hasattr(sys, "ps1")  # each statement is a program of its own
        return ProgramEnd(None, is_known=is_interactive or main is None or has_returned(main))

    def _see(self, _code: CodeType, _offset: int, error: BaseException) -> None:
        """Take note of an exception that leaves a function."""
        if isinstance(error, SystemExit) and _count_callers() == 1:
            self._note(error)

    def _note(self, error: SystemExit) -> None:
        if threading.current_thread() is threading.main_thread() and not is_program_over():
            # A copy: the exception itself holds the variables of all functions that it has left.
            self._exit = SystemExit(error.code)
            vars(self._exit).update(vars(error))


def is_program_over() -> bool:
    """Return whether the main program has ended, and Python waits for threads or for `atexit`."""
    return not threading.main_thread().is_alive()


def find_main_frame() -> FrameType | None:
    """Return the outermost frame of the main thread."""
    frames = sys._current_frames()  # noqa: SLF001 (documented)
    frame = frames.get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def has_returned(frame: FrameType) -> bool:
    """Return whether a frame that is not running any more came to a `return`."""
    return find_operation(frame) in _RETURNS


def find_operation(frame: FrameType) -> str:
    """Return the name of the instruction at which a frame is, or was when it ended."""
    if frame.f_lasti < 0:
        return ""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]]


def _watch_unwinding(
    see: Callable[[CodeType, int, BaseException], None],
) -> Callable[[], None] | None:
    """Call back for each function that an exception leaves (Python 3.12 and later)."""
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is None:
        return None
    for tool in _FREE_TOOLS:
        if monitoring.get_tool(tool) is not None:
            continue
        event = monitoring.events.PY_UNWIND
        monitoring.use_tool_id(tool, "aind-capsule")
        monitoring.register_callback(tool, event, see)
        monitoring.set_events(tool, event)

        return functools.partial(_stop_watching, monitoring, tool)
    return None


def _stop_watching(monitoring: Any, tool: int) -> None:
    monitoring.set_events(tool, 0)
    monitoring.register_callback(tool, monitoring.events.PY_UNWIND, None)
    monitoring.free_tool_id(tool)


def _count_callers() -> int:
    """Return how many functions are running below the caller."""
    frame, count = inspect.currentframe(), -2
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def _watch_exit_calls(note: Callable[[SystemExit], None]) -> Callable[[], None]:
    """Call back when the interpreter asks an exception of `sys.exit` for its exit status."""
    previous = sys.exit

    class WatchedExit(SystemExit):
        """As `SystemExit`; only the interpreter asks for `code` where no function is running."""

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name == "code" and _count_callers() == 0:
                seen = SystemExit(value)
                vars(seen).update(vars(self))
                note(seen)
            return value

    WatchedExit.__name__ = WatchedExit.__qualname__ = "SystemExit"

    def exit_watched(status: Any = None, /) -> Any:
        raise WatchedExit(status) if status is not None else WatchedExit

    def stop() -> None:
        if sys.exit is exit_watched:
            sys.exit = previous

    sys.exit = exit_watched
    return stop
