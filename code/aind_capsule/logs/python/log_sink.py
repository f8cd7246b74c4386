"""`LogSink`: records of the standard from a `logger.add(…)` of the user's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aind_capsule.logs import configure
from aind_capsule.logs.opening import open_output, open_target
from aind_capsule.logs.python.output import FileOutput, Output, StreamOutput
from aind_capsule.logs.python.output_target import OutputTarget
from aind_capsule.logs.target import SerialTarget
from aind_capsule.records.simplify import simplify

if TYPE_CHECKING:
    from typing import SupportsIndex

    from loguru import Message


class LogSink:
    """A sink for loguru's `logger.add`: writes each record as a line of AIND-standard JSON.

    For programs that set up loguru themselves. `configure_logging` needs no sink. Level, filter,
    `enqueue` and `catch` are those of `logger.add`, its `format` and `serialize` change nothing.
    Secrets are hidden as everywhere.

    Without a destination records go where `configure_logging` would send them: to the run's log
    under `capsule run` and inside `capsule_run`, else to a log file of this process's own. Where
    `configure_logging` has taken a record, it is not written twice.

    A file is appended to. Threads, forked children and other processes may write to it at the same
    time. A record that cannot be written is counted, said once on stderr, and its error goes to
    loguru, which raises it with `catch=False`.

    Args:
        destination: Path of a file, or an open stream, text or binary. By default the run's log.
        process_name: Name of the process (capsule), for a file, a stream, and a log of its own; by
            default the run's, the setting's (`PROCESS_NAME`), or the script's.
        **fields: Fields of every record, such as `subject_id="123456"`.

    Raises:
        OSError: The file cannot be opened.
        TypeError: The destination is neither a path nor a stream.

    Example:
        >>> from aind_capsule import LogSink                                   # doctest: +SKIP
        >>> from loguru import logger                                          # doctest: +SKIP
        >>> logger.add(LogSink("qc.jsonl", subject_id="123456"), level="INFO")  # doctest: +SKIP
    """

    def __init__(
        self, destination: Any = None, /, *, process_name: str | None = None, **fields: object
    ) -> None:
        self._destination = destination
        self._process_name = process_name
        self._fields = fields
        self._output_target: OutputTarget | None = None
        #: The target that records go to, and the log of the process by which it was found.
        self._target: SerialTarget | None = None
        self._found_by: SerialTarget | None = None
        self._own: SerialTarget | None = None
        if destination is not None:
            run = configure.find_open_target()
            run_fields = {} if run is None else run.target.fields
            output = _open(destination)
            if isinstance(output, FileOutput):  # a process that is started anew may lie elsewhere
                self._destination = output.name
            self._output_target = open_output(output, process_name, run_fields)
            self._connect(SerialTarget(self._output_target))

    def write(self, message: Message) -> None:
        """Write one of loguru's messages.

        Raises:
            Exception: It cannot be written to the file or stream; loguru's `catch` holds for it.
        """
        record: Any = getattr(message, "record", None)
        if record is None:
            raise TypeError("LogSink writes loguru's records: give it to logger.add")
        if self._output_target is not None:
            self._take(message)
            self._output_target.raise_last_error()
            return
        if configure.TAKEN in record:
            return
        record[configure.TAKEN] = True
        installed = configure.get_installed_target()
        if self._target is None or installed is not self._found_by:
            self._connect(installed or configure.find_wrapper() or self._open_own())
            self._found_by = installed
        self._take(message)

    def stop(self) -> None:
        """Close the file, and say what is not in it; loguru calls it when the sink is removed."""
        mine = self._own if self._output_target is None else self._target
        if mine is not None:
            mine.finish()
            mine.close()
        if self._output_target is None:
            self._target = self._own = None

    def __repr__(self) -> str:
        return f"LogSink({'' if self._destination is None else repr(self._destination)})"

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        """Open the same file in a process that is started anew."""
        return _rebuild, (self._destination, self._process_name, simplify(self._fields))

    def _take(self, message: Message) -> None:
        if self._target is not None:
            self._target.take(self._build, message.record, str(message))

    def _connect(self, target: SerialTarget) -> None:
        self._build = configure.make_builder(self._fields, target).build_from_loguru
        self._target = target

    def _open_own(self) -> SerialTarget:
        if self._own is None:
            self._own = SerialTarget(open_target(self._process_name, None, has_console=False))
        return self._own


def _open(destination: Any) -> Output:
    if isinstance(destination, (str, os.PathLike)):
        return FileOutput(destination)
    if callable(getattr(destination, "write", None)):
        return StreamOutput(destination)
    kind = type(destination).__name__
    raise TypeError(f"LogSink cannot write to a {kind}. Give a path or an open stream.")


def _rebuild(destination: Any, process_name: str | None, fields: dict[str, Any]) -> LogSink:
    return LogSink(destination, process_name=process_name, **fields)
