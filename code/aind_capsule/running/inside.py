"""`capsule_run`: what a Python processing says of its run, and that run where none is around it.

Under `capsule run` everything goes to that run; alone, `capsule_run` makes one; with neither, every
call works and does nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any

from aind_capsule.logs.configure import add_fields, find_stated_name, find_wrapper, write_record
from aind_capsule.logs.target import SerialTarget
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.simplify import simplify, str_safely
from aind_capsule.records.timestamps import format_timestamp, read_clock_us
from aind_capsule.running.additions import KIND
from aind_capsule.running.alone import LoneRun
from aind_capsule.running.outcome import Outcome
from aind_capsule.running.steps import end_step, start_step

#: One message is at most so long, as a record is.
_MAX_MESSAGE_BYTES = 1000 * 1024
_SHOWN_OF_STEPS = ("wall_s", "cpu_s", "cores_busy", "peak_rss_bytes", "error_type", "error_message")


class StopRequested(SystemExit):
    """A SIGTERM came: `finally` blocks run, and `except Exception` does not swallow it.

    Nobody has to catch it; the process then ends with 143.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Run:
    """What a processing can say of its run.

    Attributes:
        run_id: The run; None where there is none.
    """

    def __init__(
        self,
        run_id: str | None,
        add: Callable[[dict[str, Any]], None],
        log: Callable[[str, str, Mapping[str, Any]], None],
    ) -> None:
        self.run_id = run_id
        self._add = add
        self._log = log
        self._step: ContextVar[str] = ContextVar("step", default="")

    @property
    def stop_requested(self) -> bool:
        """Whether a SIGTERM came; for loops in threads, which are not interrupted by it."""
        return _stop.is_set()

    def log_metric(self, name: str, value: object) -> None:
        """A number (or another value) that the processing measured; the last of a name holds."""
        self._add({"metrics": {name: value}})

    def log_parameters(
        self, parameters: Mapping[str, object] | None = None, **more: object
    ) -> None:
        """Parameters that the processing works with, beside those of its command line."""
        self._add({"parameters": {**(parameters or {}), **more}})

    def log_artifact(self, path: str | os.PathLike[str], description: str | None = None) -> None:
        """A file that the processing has made, with its size as it is now."""
        entry: dict[str, Any] = {"path": os.path.abspath(os.fsdecode(path))}
        with contextlib.suppress(OSError):
            entry["size_bytes"] = os.stat(path).st_size
        if description:
            entry["description"] = description
        self._add({"artifacts": [entry]})

    def set(self, **fields: object) -> None:
        """Fields of the canonical record."""
        self._add({"fields": fields})

    def note(self, text: str) -> None:
        """A word for people: a record now, and a note of the run."""
        now = format_timestamp(read_clock_us())
        self._add({"notes": [{"timestamp": now, "text": text}]})
        self._log("INFO", text, {})

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A part of the processing: what it took is a record at its end, and a row in `run.json`.

        Steps may lie in one another; an exception goes through, and is told in the row.
        """
        outer = self._step.get()
        start = start_step(f"{outer}/{name}" if outer else name)
        token = self._step.set(start.path)
        error: BaseException | None = None
        try:
            yield
        except BaseException as caught:  # raised again
            error = caught
            raise
        finally:
            with contextlib.suppress(ValueError):  # a generator that is ended in another context
                self._step.reset(token)
            row = end_step(start, error)
            self._add({"steps": [row]})
            end = "done" if error is None else f"failed ({row['error_type']})"
            level = "INFO" if error is None else "WARNING"
            shown = {f"step_{name}": row[name] for name in _SHOWN_OF_STEPS if name in row}
            message = f"Step {start.path} {end} in {row['wall_s']:.3g} s"
            self._log(level, message, {"step": start.path, **shown})


class capsule_run:  # noqa: N801 (it reads as a function: `with capsule_run() as run`)
    """A run of this process.

    Under `capsule run` everything that is said goes to that run, which writes the one canonical
    record. Alone it makes a run: a log file, `run.json`, and a canonical record when the block is
    left, however it is left; they are copied into results. Inside another `capsule_run` it adds to
    that one. Logging is configured (`configure_logging`).

    While it lasts SIGTERM raises `StopRequested` in the main thread, where nobody else handles it.

    Args:
        process_name: Name of the process. Under `capsule run` it goes before a guess, and a name
            that was set for the run before it.
        **fields: Fields of every record, such as `subject_id="123456"`.

    Raises:
        ImportError: loguru is not installed.

    Example:
        >>> from aind_capsule import capsule_run         # doctest: +SKIP
        >>> with capsule_run("qc") as run:               # doctest: +SKIP
        ...     run.log_parameters(threshold=5)
        ...     with run.step("decode"):
        ...         run.log_metric("rmse", decode(5))
    """

    def __init__(self, process_name: str | None = None, **fields: object) -> None:
        self._process_name = process_name
        #: A name for a run alone that nobody names: it says too little to go before another guess.
        self.default_name: str | None = None
        self._fields = fields
        self._pid = 0
        self._lone: LoneRun | None = None
        self._is_nested = False
        self._restore_signal: Callable[[], None] = _do_nothing

    def __enter__(self) -> Run:
        self._pid = os.getpid()
        outer = _find_active()
        if outer is not None:
            self._is_nested = True
            if self._fields:
                outer.set(**self._fields)
            return outer
        _stop.clear()
        wrapper = find_wrapper()
        if wrapper is not None:
            add_fields(self._process_name, self._fields)  # by the same connection
            run = _build_run_of_wrapper(wrapper)
        else:
            lone = self._lone = LoneRun(
                self._process_name or find_stated_name() or self.default_name, self._fields
            )
            run = Run(
                lone.run_id,
                lambda message: _add_safely(message, lone.add, lone.target),
                lambda level, text, extra: write_record(lone.target, level, text, extra),
            )
        self._restore_signal = _take_sigterm()
        _active.append((self._pid, run))
        return run

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_nested or os.getpid() != self._pid:  # a forked child leaves the block as well
            return
        _active.clear()
        self._restore_signal()
        if self._lone is not None:
            is_failure = isinstance(error, Exception)
            self._lone.finish(_judge(error), error if is_failure else None)


def current_run() -> Run:
    """The run that this code is part of; where there is none, one that keeps nothing.

    For code that does not know who calls it: the run of `capsule_run`, else that of the
    `capsule run` around this process.
    """
    active = _find_active()
    if active is not None:
        return active
    wrapper = find_wrapper()
    return _no_run if wrapper is None else _build_run_of_wrapper(wrapper)


_stop = threading.Event()
_active: list[tuple[int, Run]] = []
_no_run = Run(None, lambda _message: None, lambda _level, _text, _extra: None)


def _find_active() -> Run | None:
    """The run of this process; a forked child of one that makes its run alone has none."""
    if not _active:
        return None
    pid, run = _active[-1]
    if pid != os.getpid():
        wrapper = find_wrapper()
        return None if wrapper is None else run
    return run


def _build_run_of_wrapper(wrapper: SerialTarget) -> Run:
    return Run(
        wrapper.target.fields.get("run_id"),
        lambda message: _add_safely(message, None, wrapper),
        lambda level, text, extra: write_record(wrapper, level, text, extra),
    )


def _add_safely(
    message: dict[str, Any],
    add: Callable[[Mapping[str, Any]], None] | None,
    target: SerialTarget,
) -> None:
    """Hand on what was said, as plain JSON; never an error, whatever the values are."""
    data = encode({"capsule": KIND, **simplify(message)})
    if len(data) > _MAX_MESSAGE_BYTES:
        kinds = ", ".join(message)
        text = f"What was said of the run ({kinds}) is too long ({len(data)} bytes) and left out"
        write_record(target, "ERROR", text, {})
    elif add is not None:
        plain = decode(data) or {}
        target.exclusively(lambda: add(plain))
    else:
        target.send(data)


def _judge(error: BaseException | None) -> Outcome:
    """How a run ended that its own process makes."""
    if isinstance(error, (KeyboardInterrupt, StopRequested)):
        number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
        code, name = 128 + number, number.name
        return Outcome(
            "stopped", "WARNING", code, code, name, "Signal", f"It was stopped by {name}"
        )
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        code &= 0xFF
        if code == 0:
            return Outcome("success", "INFO", 0, 0)
        said = error.code if isinstance(error.code, str) else f"It ended with exit status {code}"
        return Outcome("fail", "ERROR", code, code, None, "ExitStatus", said)
    if error is None or isinstance(error, GeneratorExit):
        return Outcome("success", "INFO", 0, 0)
    kind = type(error).__name__
    return Outcome("fail", "ERROR", 1, 1, None, kind, str_safely(error) or kind)


def _take_sigterm() -> Callable[[], None]:
    """Have SIGTERM raise `StopRequested` where it would end the process; returns what undoes it."""
    if threading.current_thread() is not threading.main_thread():
        return _do_nothing
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return _do_nothing

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not _stop.is_set():  # a second one may not interrupt the `finally` blocks
            _stop.set()
            raise StopRequested

    def undo() -> None:
        if signal.getsignal(signal.SIGTERM) is stop:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, stop)
    return undo


def _do_nothing() -> None:
    """Undo nothing."""
