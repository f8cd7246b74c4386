"""`capsule_run`: what a Python processing says of its run, and that run where none is around it.

Under `capsule run` everything goes to that run; alone, `capsule_run` makes one; with neither, every
call works and does nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any
from weakref import WeakValueDictionary

from aind_capsule.logs.configure import (
    add_fields,
    find_own_target,
    find_stated_name,
    find_wrapper,
    write_record,
)
from aind_capsule.logs.target import SerialTarget
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.shrink import MAX_SENT_BYTES, shrink
from aind_capsule.records.simplify import simplify, str_safely
from aind_capsule.records.timestamps import format_timestamp, read_clock_us
from aind_capsule.running.additions import KIND
from aind_capsule.running.alone import LoneRun
from aind_capsule.running.block import Block, find_place
from aind_capsule.running.blocks import Blocks
from aind_capsule.running.outcome import Outcome
from aind_capsule.running.step_nesting import (
    begin_step,
    find_open_steps,
    forget_open_steps,
    leave_step,
)
from aind_capsule.running.steps import OPEN, StepStart, end_step
from aind_capsule.running.stop_signal import StopSignal

_SHOWN_OF_STEPS = ("wall_s", "cpu_s", "cores_busy", "peak_rss_bytes", "error_type", "error_message")


class Run:
    """What a processing can say of its run: a handle, for any thread, task and process of it.

    A copy is the handle itself. One that is sent to a worker process (pickled) is that of the same
    run there. Under `capsule run` all processes reach the run. Alone, what a worker says of it is a
    WARNING in the worker's own log, as its other records are.

    Attributes:
        run_id: The run; None where there is none.
    """

    def __init__(
        self,
        run_id: str | None,
        add: Callable[[dict[str, Any]], None],
        log: Callable[[str, str, Mapping[str, Any]], None],
        *,
        process_name: str | None = None,
    ) -> None:
        self.run_id = run_id
        self._add = add
        self._log = log
        self._process_name = process_name
        self._pid = os.getpid()
        if run_id is not None:
            _runs[run_id] = self

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process has made it, and not the one that it was forked from."""
        return self._pid == os.getpid()

    def __copy__(self) -> Run:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Run:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return find_run, (self.run_id, self._process_name)

    @property
    def stop_requested(self) -> bool:
        """Whether a SIGTERM came; for loops in threads, which are not interrupted by it."""
        return _stop.requested.is_set()

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

        Steps of one thread or task lie in one another (`outer/inner`). A thread and a process begin
        in none, and while a generator waits at a `yield`, nothing lies in its steps. An exception
        goes through, and is told in the row. A name may hold any character, also a slash: `name`
        and `parents` of the row have each name whole.
        """
        step = begin_step(self, str_safely(name))
        error: BaseException | None = None
        try:
            yield
        except BaseException as caught:  # raised again
            error = caught
            raise
        finally:
            if leave_step(step):
                self._end_step(step.start, end_step(step.start, error))

    def end_open_steps(self) -> None:
        """End what is still open when the run ends, with what it has taken so far."""
        for step in find_open_steps():
            if step.run is self and leave_step(step):
                self._end_step(step.start, {**end_step(step.start, None), "status": OPEN})

    def _end_step(self, start: StepStart, row: Mapping[str, Any]) -> None:
        self._add({"steps": [row]})
        end = f"failed ({row.get('error_type')}) in"
        end = {"ok": "done in", OPEN: "was still open after"}.get(row["status"], end)
        level = "INFO" if row["status"] == "ok" else "WARNING"
        shown = {f"step_{name}": row[name] for name in _SHOWN_OF_STEPS if name in row}
        message = f"Step {start.path} {end} {row['wall_s']:.3g} s"
        self._log(level, message, {"step": start.path, **shown})


#: The handles of this process, by their runs.
_runs: WeakValueDictionary[str, Run] = WeakValueDictionary()


def find_run(run_id: str | None, process_name: str | None) -> Run:
    """Return the handle of a run that was pickled, in whichever process this is.

    Args:
        run_id: The run.
        process_name: Its name, for a log of this process's own.
    """
    if run_id is None:
        return _no_run
    known = _runs.get(run_id)
    if known is not None:
        return known
    wrapper = find_wrapper()
    if wrapper is not None and wrapper.target.fields.get("run_id") == run_id:
        return _build_run_of_wrapper(wrapper)

    def log(level: str, text: str, extra: Mapping[str, Any]) -> None:
        write_record(find_own_target(process_name), level, text, extra)

    return Run(
        run_id,
        lambda message: log("WARNING", _describe_unreached(message, run_id), {}),
        log,
        process_name=process_name,
    )


class capsule_run:  # noqa: N801 (it reads as a function: `with capsule_run() as run`)
    """A run of this process.

    Under `capsule run` everything that is said goes to that run, which writes the one canonical
    record. Alone it makes a run: a log file, `run.json`, and a canonical record when the block is
    left, however it is left; they are copied into results. Logging is configured
    (`configure_logging`).

    One process has one run. A block that is entered while another is open, in any thread or task,
    joins its run, which ends when the last block is left. The run has failed if one of them has. An
    exception that an outer block of the same task catches is no failure. When the program ends
    inside a block (of a generator or a daemon thread), the run ends with it. So it does where the
    last block was left because its generator was closed or its task cancelled.

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
        self._entered: list[Block] = []  # one object may serve several threads

    def __enter__(self) -> Run:
        def begin() -> _OpenRun:
            return _begin(self._process_name, self._fields, self.default_name)

        block = Block(_find_caller(), self.default_name)
        opened, has_joined = _blocks.enter(block, begin)
        self._entered.append(block)
        _stop.take(_blocks)
        if has_joined and self._fields:
            opened.run.set(**self._fields)
        return opened.run

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        place = _find_caller()
        block = next((one for one in reversed(self._entered) if one.frame is place), None)
        block = block or self._entered[-1]
        self._entered.remove(block)
        _blocks.leave(block, error)


def current_run() -> Run:
    """The run that this code is part of; where there is none, one that keeps nothing.

    For code that does not know who calls it: the run of `capsule_run`, else that of the
    `capsule run` around this process.
    """
    opened = _blocks.run
    if opened is not None:
        return opened.run
    wrapper = find_wrapper()
    return _no_run if wrapper is None else _build_run_of_wrapper(wrapper)


class _OpenRun:
    """The run that this process's blocks are in: its own, or the wrapper's."""

    def __init__(self, run: Run, lone: LoneRun | None) -> None:
        self.run = run
        self._lone = lone

    @property
    def is_own(self) -> bool:
        """Whether this process makes it."""
        return self._lone is not None

    def log_failure(self, error: BaseException) -> None:
        """Write the record of an exception that has left a block."""
        if self._lone is not None:
            self._lone.log_failure(error)

    def log_open_blocks(self, places: list[str]) -> None:
        """Write that the program has ended inside these blocks."""
        if self._lone is not None:
            text = f"The program ended while capsule_run was open in {', '.join(places)}"
            write_record(self._lone.target, "WARNING", text, {})

    def finish(self, outcome: Outcome) -> None:
        """End it."""
        _stop.give_back()
        self.run.end_open_steps()
        if self._lone is not None:
            self._lone.finish(outcome)


def _begin(
    process_name: str | None, fields: Mapping[str, Any], default_name: str | None
) -> _OpenRun:
    """Find the wrapper's run, or make one."""
    _stop.requested.clear()
    wrapper = find_wrapper()
    if wrapper is not None:
        add_fields(process_name, fields)  # by the same connection
        return _OpenRun(_build_run_of_wrapper(wrapper), None)
    _end_with_worker()
    lone = LoneRun(process_name or find_stated_name() or default_name, fields)
    run = Run(
        lone.run_id,
        lambda message: _add_safely(message, lone.add, lone.target, lone.run_id),
        lambda level, text, extra: write_record(lone.target, level, text, extra),
        process_name=lone.process_name,
    )
    return _OpenRun(run, lone)


_stop = StopSignal()
_blocks: Blocks[_OpenRun] = Blocks(_stop.requested.is_set)
_no_run = Run(None, lambda _message: None, lambda _level, _text, _extra: None)


@atexit.register
def _end_at_exit() -> None:
    """End what is open while the interpreter still works: afterwards it imports nothing."""
    _blocks.end_at_exit()
    for run in {step.run for step in find_open_steps()}:
        run.end_open_steps()


def _end_with_worker() -> None:
    """End what is open when a worker of multiprocessing ends, which calls nothing of `atexit`."""
    util: Any = sys.modules.get("multiprocessing.util")
    multiprocessing: Any = sys.modules.get("multiprocessing")
    if util is not None and multiprocessing.parent_process() is not None:
        util.Finalize(None, _end_at_exit, exitpriority=0)


def _find_caller() -> FrameType:
    """Return the function that enters or leaves a block."""
    return find_place(sys._getframe(2))  # noqa: SLF001 (documented)


def _start_anew() -> None:
    forget_open_steps()
    _blocks.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def _build_run_of_wrapper(wrapper: SerialTarget) -> Run:
    return Run(
        wrapper.target.fields.get("run_id"),
        lambda message: _add_safely(message, None, wrapper),
        lambda level, text, extra: write_record(wrapper, level, text, extra),
    )


def _redact(message: dict[str, Any], redactor: Redactor | None) -> dict[str, Any]:
    """Hide secrets in what will be cut: half a secret is not found any more."""
    return message if redactor is None else redactor.redact_values(message)


def _add_safely(
    message: dict[str, Any],
    add: Callable[[Mapping[str, Any]], bool] | None,
    target: SerialTarget,
    run_id: str | None = None,
) -> None:
    """Hand on what was said, as plain JSON; never an error, whatever the values are."""
    data = encode({"capsule": KIND, **simplify(message)})
    if len(data) > MAX_SENT_BYTES:
        kinds = ", ".join(message)
        text = f"What was said of the run ({kinds}) is too long ({len(data)} bytes) and was cut"
        write_record(target, "WARNING", text, {})
        data = encode(shrink(_redact(decode(data) or {}, target.cut_redactor), MAX_SENT_BYTES))
    if add is not None:
        plain = decode(data) or {}
        kept: list[bool] = []
        target.exclusively(lambda: kept.append(add(plain)))
        if kept == [False]:
            run = _runs.get(run_id or "")
            has_ended = run is None or run.is_of_this_process
            text = _describe_unreached(message, None if has_ended else run_id)
            write_record(target, "WARNING", text, {})
    else:
        target.send(data)


def _describe_unreached(message: Mapping[str, Any], run_id: str | None) -> str:
    """Return what was said of a run that has ended, or that is another process's."""
    where = "after its end" if run_id is None else f"{run_id} in another process"
    return f"Said of the run {where}: {encode(simplify(message)).decode()}"
