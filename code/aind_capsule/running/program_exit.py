"""How the main program of this process has ended, as far as its own callbacks can see that."""

from __future__ import annotations

import dis
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

_RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST"})
#: The function that runs a worker of multiprocessing, and that catches what the worker raises.
_WORKER = ("multiprocessing.process", "_bootstrap")
#: Tools of `sys.monitoring` that Python has given no purpose.
_FREE_TOOLS = (4, 3)


class UnseenExit(SystemExit):
    """A SystemExit that has ended the program, and whose exit status was not seen."""


class ProgramWatch:
    """Watches how the main program ends, from now on.

    Nobody hands the exit status to callbacks of `atexit`. Since Python 3.12 an exception is seen
    when it leaves the main program, which costs about 0.1 µs for each function that any exception
    leaves. Before, there is only the last instruction of the main program to look at.
    """

    def __init__(self) -> None:
        self._main_frame = None if is_program_over() else _find_main_frame()
        self._error: BaseException | None = None
        self._tool: int | None = None
        if self._main_frame is not None:
            self._tool = _watch_unwinding(self._see)

    def end(self) -> None:
        """Watch no more, and let go of the main program's variables."""
        if self._tool is not None:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
            monitoring.set_events(self._tool, 0)
            monitoring.register_callback(self._tool, monitoring.events.PY_UNWIND, None)
            monitoring.free_tool_id(self._tool)
        self._main_frame = self._error = self._tool = None

    def find_error(self) -> BaseException | None:
        """Return what ended the main program; None where it goes on or came to its last line."""
        main = self._main_frame
        if self._error is not None or main is None or not is_program_over():
            return self._error
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        trace = getattr(sys, "last_traceback", None)
        # Debuggers and notebooks set these as well, but not with the main program's frame.
        if isinstance(error, BaseException) and trace is not None and trace.tb_frame is main:
            return error
        is_interactive = hasattr(sys, "ps1")  # each statement is a program of its own
        return None if is_interactive or _has_returned(main) else UnseenExit()

    def _see(self, code: CodeType, _offset: int, error: BaseException) -> None:
        """Take note of an exception that leaves the main program."""
        if self._main_frame is None or code is not self._main_frame.f_code:
            return
        self._error = error
        if isinstance(error, SystemExit):
            # A copy: the exception itself holds the variables of all functions that it has left.
            self._error = SystemExit(error.code)
            vars(self._error).update(vars(error))


def is_program_over() -> bool:
    """Return whether the main program has ended, and Python waits for threads or for `atexit`."""
    return not threading.main_thread().is_alive()


def _find_main_frame() -> FrameType | None:
    """Return the outermost frame of the main thread, or of a worker of multiprocessing."""
    frames = sys._current_frames()  # noqa: SLF001 (documented)
    frame = frames.get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        caller = frame.f_back
        if (caller.f_globals.get("__name__"), caller.f_code.co_name) == _WORKER:
            break
        frame = caller
    return frame


def _has_returned(frame: FrameType) -> bool:
    """Return whether a frame that is not running any more came to a `return`."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] in _RETURNS


def _watch_unwinding(see: Callable[[CodeType, int, BaseException], None]) -> int | None:
    """Call back for each function that an exception leaves, and return the tool that does it."""
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is None:  # before Python 3.12
        return None
    for tool in _FREE_TOOLS:
        if monitoring.get_tool(tool) is None:
            monitoring.use_tool_id(tool, "aind-capsule")
            monitoring.register_callback(tool, monitoring.events.PY_UNWIND, see)
            monitoring.set_events(tool, monitoring.events.PY_UNWIND)
            return tool
    return None
