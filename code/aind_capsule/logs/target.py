"""Where this process's records go, and the one way there: one at a time, and never an error.

Called by the hooks that `configure_logging` installs; knows nothing of loguru.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aind_capsule.logs.stderr import say
from aind_capsule.records.encode import encode
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.simplify import cut_text, str_safely
from aind_capsule.records.timestamps import format_timestamp, read_clock_us

#: A log call may come from a signal handler, a finalizer, or from the `repr` of a value that is
#: being logged; deeper than this it is a value that logs itself.
MAX_DEPTH = 20
_MAX_ERROR_CHARACTERS = 500


class Target(Protocol):
    """Takes encoded records, one at a time."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the target puts into every record."""

    @property
    def redactor(self) -> Redactor | None:
        """Hides secrets before they come here; None where that is done further on."""

    @property
    def is_echoed(self) -> bool:
        """Whether people see the records on stderr."""

    def send(self, record: bytes) -> None:
        """Take one record (a JSON object without a line end); never raises an error."""

    def forget(self) -> None:
        """Let go of what is the parent's, in a forked child; the next send opens its own."""

    def finish(self) -> None:
        """The process ends: say what was lost. Records may still come."""

    def close(self) -> None:
        """Let go of everything."""


class _ThreadState:
    """What a thread is in the middle of."""

    __slots__ = ("depth", "is_sending")

    def __init__(self) -> None:
        self.depth = 0
        self.is_sending = False


class _ThreadStates(threading.local):
    """Each thread's state."""

    def __init__(self) -> None:
        self.state = _ThreadState()


class SerialTarget:
    """Hands records to a target from threads, forked children and signal handlers.

    A signal handler that logs in the middle of a send must neither wait for it (it would wait for
    ever) nor go in between: its record is put aside, and the interrupted send lets it out.

    Attributes:
        target: Takes the records.
        failures: Records that could not be made, or not handed on.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.failures = 0
        self._told: set[str] = set()
        self._renew()
        _alive.add(self)

    @property
    def cut_redactor(self) -> Redactor | None:
        """Hides secrets in what must be cut on the way; also where others hide the rest."""
        return self.target.redactor or getattr(self.target, "cut_redactor", None)

    def take(self, build: Callable[..., bytes], *source: Any) -> bool:
        """Make a record and send it; False where that failed. Never raises an error."""
        state = self._local.state
        if state.depth >= MAX_DEPTH:
            self._note("a value that is being logged logs itself; those records are left out")
            return False
        state.depth += 1
        try:
            self.send(build(*source))
        except Exception as error:  # a fault of ours or of a value's own code
            self._take_failure(error)
            return False
        else:
            return True
        finally:
            state.depth -= 1

    def send(self, record: bytes) -> None:
        """Send one record; where this thread is in the middle of a send, when that is done."""
        if self._pid != os.getpid():  # forked past Python's own `os.fork`
            self.start_anew()
        state = self._local.state
        if state.is_sending:
            self._waiting.append(record)
            return
        state.is_sending = True
        try:
            with self._lock:
                self.target.send(record)
        finally:
            state.is_sending = False
        if self._waiting:
            self._send_waiting()

    def _send_waiting(self) -> None:
        """Send what signal handlers have put aside."""
        state = self._local.state
        while self._waiting:
            state.is_sending = True
            try:
                with self._lock, contextlib.suppress(IndexError):  # another thread took it along
                    self.target.send(self._waiting.popleft())
            finally:
                state.is_sending = False

    def start_anew(self) -> None:
        """In a forked child: locks that other threads of the parent held are never let go of."""
        self._renew()
        self.target.forget()

    def exclusively(self, action: Callable[[], None]) -> None:
        """Do something while no record is being sent; records of signal handlers come after it."""
        state = self._local.state
        was_sending, state.is_sending = state.is_sending, True
        try:
            if was_sending:
                action()
            else:
                with self._lock:
                    action()
        finally:
            state.is_sending = was_sending
        if not was_sending:
            self._send_waiting()

    def finish(self) -> None:
        """Say what was lost in this process; records may still come."""
        if self._pid != os.getpid():
            return
        self._send_waiting()
        if self.failures > 1:
            say(f"{self.failures} records could not be made")
        self.target.finish()

    def close(self) -> None:
        """Close the target."""
        with self._lock:
            self.target.close()

    def _take_failure(self, error: Exception) -> None:
        with contextlib.suppress(Exception):  # the interpreter is being taken down around us
            text = _describe(error, self.cut_redactor)
            self._note(f"a record could not be made ({text})")
            stand_in = _build_stand_in(text)
            redactor = self.target.redactor
            self.send(stand_in if redactor is None else redactor.redact_record(stand_in))

    def _note(self, message: str) -> None:
        self.failures += 1
        kind = message.partition(" (")[0]
        if kind not in self._told:
            self._told.add(kind)
            say(message)

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._local = _ThreadStates()
        self._waiting: deque[bytes] = deque()


_alive: weakref.WeakSet[SerialTarget] = weakref.WeakSet()


def _start_all_anew() -> None:
    for target in list(_alive):
        target.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_anew)


def _describe(error: BaseException, redactor: Redactor | None) -> str:
    """Return an error on one line, whatever its own code does."""
    text = f"{type(error).__name__}: {str_safely(error)}"
    if redactor is not None:
        text = redactor.redact_text(text)
    return cut_text(text, _MAX_ERROR_CHARACTERS)


def _build_stand_in(error: str) -> bytes:
    """What stands in the log for a record that could not be made."""
    return encode(
        {
            "timestamp": format_timestamp(read_clock_us()),
            "level": "ERROR",
            "message": f"A record could not be made: {error}",
            "process": str(os.getpid()),
            "logger": __name__,
        }
    )
