"""`configure_logging`: one call, and everything that a Python process says is in the log.

The one owner of loguru. Imported by users only; `capsule run` never does.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from aind_capsule.logs.client import WrapperConnection
from aind_capsule.logs.interception import Interception
from aind_capsule.logs.opening import connect, load_redactor, open_target
from aind_capsule.logs.own_log import OwnLog
from aind_capsule.logs.python.loguru_sinks import ConsoleSinks, RemovalNotice
from aind_capsule.logs.python.stdlib_bridge import is_passed_on
from aind_capsule.logs.run_log import RunLog
from aind_capsule.logs.sink import RecordBuilder, describe_origin
from aind_capsule.logs.target import SerialTarget
from aind_capsule.records.simplify import simplify
from aind_capsule.records.timestamps import format_timestamp, read_clock_us

if TYPE_CHECKING:
    from loguru import Logger, Record


@dataclass(slots=True)
class _Installed:
    """What `configure_logging` has put in place in this process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    target: SerialTarget | None = None
    interception: Interception | None = None
    handler_id: int | None = None
    removal: RemovalNotice | None = None
    console_sinks: ConsoleSinks = field(default_factory=ConsoleSinks)
    #: A way to the wrapper that was needed before logging was configured.
    wrapper: SerialTarget | None = None
    #: Lowest levels of loguru's and of the standard library's records; None takes none of those.
    levels: tuple[int, int | None] = (10, 20)
    fields: dict[str, Any] = field(default_factory=dict)
    #: What the process has stated as its name.
    process_name: str | None = None


_installed = _Installed()

#: Marks a loguru record that has been taken.
TAKEN = "aind_capsule"


def configure_logging(
    process_name: str | None = None,
    *,
    level: str | int = "DEBUG",
    library_level: str | int = "INFO",
    capture_stdlib: bool = True,
    **fields: object,
) -> None:
    """Send everything that this process logs to the AIND log.

    loguru, the standard library's `logging`, `warnings`, and uncaught exceptions (also of threads,
    of asyncio, and those that Python can only ignore) become records of one log. Under
    `capsule run` that is the run's log; otherwise a log file of this process's own, in a run folder
    in scratch, with readable lines on stderr. Handlers and loguru sinks of the program's that write
    elsewhere go on. Those that print on stdout or stderr are silent, for the record is shown there
    already; an INFO record names each, but for loguru's and the standard library's own defaults.

    It can be called again: fields are added to those of the calls before, or replace them; for all
    else the last call holds. Forked children need no call of their own.

    Args:
        process_name: Name of the process (capsule); by default the setting's (`PROCESS_NAME`), or
            the script's. Under `capsule run` this process's records bear it, and the run is called
            by it at its end, unless a flag, a variable, `capsule.toml` or the pipeline has named
            the run.
        level: Lowest level that is logged, by loguru's name or number.
        library_level: Lowest level that is taken from the standard library's `logging`, which is
            what libraries log with (many of them say a lot in DEBUG). A level that a logger has of
            its own goes before it, and so does one that the root logger is given afterwards.
        capture_stdlib: Whether the standard library's `logging` is taken in.
        **fields: Fields of every record, such as `subject_id="123456"`.

    Raises:
        ImportError: loguru is not installed.
        ValueError: There is no such level.

    Example:
        >>> from aind_capsule import configure_logging     # doctest: +SKIP
        >>> from loguru import logger                      # doctest: +SKIP
        >>> configure_logging("qc", subject_id="123456")   # doctest: +SKIP
        >>> logger.bind(trials=225).info("Session read")   # doctest: +SKIP
    """
    logger = _import_logger()
    number = logger.level(level).no if isinstance(level, str) else int(level)
    library = library_level
    library_number = logger.level(library).no if isinstance(library, str) else int(library)
    stdlib_level = max(number, library_number, 1) if capture_stdlib else None
    with _installed.lock:
        _installed.levels = (number, stdlib_level)
    add_fields(process_name, fields)


def add_fields(process_name: str | None, fields: Mapping[str, Any]) -> None:
    """As `configure_logging`, with levels as they are, and fields of any name.

    Raises:
        ImportError: loguru is not installed.
    """
    logger = _import_logger()
    with _installed.lock:
        merged = {**_installed.fields, **fields}
        target = _find_target(process_name)
        if process_name:
            _installed.process_name = process_name
            _state_name(target, process_name)
        previous = _install(logger, target, merged)
        if previous is not None and previous is not target:
            previous.finish()
            previous.close()


def install_target(target: SerialTarget) -> SerialTarget | None:
    """Have this process's records go to a target from now on, with what was configured before.

    Returns:
        The target until now, which is left open; None where nothing was configured.

    Raises:
        ImportError: loguru is not installed.
    """
    logger = _import_logger()
    with _installed.lock:
        return _install(logger, target, _installed.fields)


def _install(logger: Logger, target: SerialTarget, fields: dict[str, Any]) -> SerialTarget | None:
    """Put handler and hooks in place of those before; returns the target until now."""
    number, stdlib_level = _installed.levels
    builder = make_builder(fields, target)
    handler = LoguruHandler(fields, _get_name(target), target)
    handler_id, silenced = _add_handler(logger, handler, number)
    if _installed.interception is not None:
        _installed.interception.restore()
    interception = Interception(builder, target, level=stdlib_level)
    interception.install()
    previous = _installed.target
    _installed.fields, _installed.target = fields, target
    _installed.interception, _installed.handler_id = interception, handler_id
    for sink in silenced:
        interception.report(f"The loguru sink {sink} prints nothing while records come to this log")
    return previous


def find_stated_name() -> str | None:
    """Return the name that was given to `configure_logging` last, or None."""
    return _installed.process_name


def _state_name(target: SerialTarget, process_name: str) -> None:
    """State the process's name to the run, if there is one."""
    inner = target.target
    if isinstance(inner, (WrapperConnection, RunLog)):
        target.exclusively(lambda: inner.state_name(process_name))


def find_wrapper() -> SerialTarget | None:
    """The way to the wrapper around this process, whether logging is configured or not; or None."""
    path = os.environ.get("CAPSULE_SOCKET")
    with _installed.lock:
        for known in (_installed.target, _installed.wrapper):
            inner = None if known is None else known.target
            if isinstance(inner, WrapperConnection) and inner.is_usable and inner.path == path:
                return known
        if not path:
            return None
        target = connect(path, load_redactor())
        _installed.wrapper = None if target is None else SerialTarget(target)
        return _installed.wrapper


def get_installed_target() -> SerialTarget | None:
    """Return where `configure_logging` or `capsule_run` send this process's records, or None."""
    return _installed.target


def find_open_target() -> SerialTarget | None:
    """Return the log of the run around this process, or of the process; None where it has none."""
    return get_installed_target() or find_wrapper()


def find_own_target(process_name: str | None) -> SerialTarget:
    """Return where this process's records go; opened where logging was not configured.

    Args:
        process_name: The name of a log that has to be opened.
    """
    with _installed.lock:
        if _installed.target is None:
            _installed.target = _find_target(process_name)
        return _installed.target


def write_record(target: SerialTarget, level: str, message: str, extra: Mapping[str, Any]) -> None:
    """Write a record of the toolkit's own making; never raises an error."""

    def build() -> bytes:
        builder = make_builder({}, target)
        fields = {
            "timestamp": format_timestamp(read_clock_us()),
            "level": level,
            "message": message,
            **describe_origin(),
        }
        return builder.build_from_fields(fields, extra)

    target.take(build)


def reset_logging() -> None:
    """Take out what `configure_logging` put in place; loguru is left without our handler."""
    with _installed.lock:
        if _installed.interception is not None:
            _installed.interception.restore()
        if _installed.handler_id is not None:
            _expect_removal()
            with contextlib.suppress(ValueError):  # the user has removed it
                _import_logger().remove(_installed.handler_id)
            _installed.console_sinks.give_back(_import_logger())
        if _installed.target is not None:
            _installed.target.finish()
            _installed.target.close()
        _installed.interception = _installed.handler_id = _installed.target = None
        _installed.wrapper = None
        _installed.process_name = None
        _installed.fields = {}


def _import_logger() -> Logger:
    try:
        from loguru import logger
    except ImportError as error:
        message = "configure_logging needs loguru, which is not installed: pip install loguru"
        raise ImportError(message, name="loguru") from error
    return logger


class LoguruHandler:
    """loguru's way to us: the filter of a handler, which does all the work and lets nothing pass.

    loguru calls a filter before it formats, and before it takes a lock: under that lock a log call
    from a signal handler or a finalizer in the middle of another is refused. And it is faster.

    A logger that is a global of a script is pickled with the functions that use it (joblib does
    that); in the process where it is unpickled its records find their way as from any other.

    Args:
        fields: The user's fields of every record.
        process_name: The process's name, for a log of its own.
        target: Takes the records; by default this process's, from the first record on.
    """

    def __init__(
        self, fields: dict[str, Any], process_name: str | None, target: SerialTarget | None = None
    ) -> None:
        self._fields = fields
        self._process_name = process_name
        self._target: SerialTarget | None = None
        if target is not None:
            self._connect(target)

    def __call__(self, record: Record) -> bool:
        """Take a record, unless another handler of ours has it.

        While one handler takes the place of another, a record of another thread may meet both.
        """
        marked = cast("dict[str, Any]", record)
        if TAKEN in marked or is_passed_on(record["message"]):
            return False
        marked[TAKEN] = True
        target = self._target or self._find_target()
        target.take(self._build, record)
        return False

    def __reduce__(self) -> tuple[Any, ...]:
        return LoguruHandler, (simplify(self._fields), self._process_name)

    def _find_target(self) -> SerialTarget:
        with _installed.lock:
            target = _installed.target = _find_target(self._process_name)
            return self._connect(target)

    def _connect(self, target: SerialTarget) -> SerialTarget:
        self._build = make_builder(self._fields, target).build_from_loguru
        self._target = target
        return target


def make_builder(fields: Mapping[str, Any], target: SerialTarget) -> RecordBuilder:
    """Make the builder of records for a target.

    Args:
        fields: The user's fields of every record.
        target: Takes the records.
    """
    inner = target.target
    return RecordBuilder(fields, inner.fields, inner.redactor, target.cut_redactor)


def _add_handler(logger: Logger, handler: LoguruHandler, number: int) -> tuple[int, list[str]]:
    """Put our handler into loguru, in place of those that print; returns what these were."""
    notice = RemovalNotice(_report_removal)
    handler_id = logger.add(
        notice,
        level=number,
        filter=handler,
        format=_format_nothing,
        colorize=False,
        backtrace=False,
        diagnose=False,
        catch=False,
    )
    # Ours first, then the others out: no record of another thread falls in between.
    _expect_removal()
    if _installed.handler_id is not None:
        with contextlib.suppress(ValueError):  # it was removed long ago
            logger.remove(_installed.handler_id)
    _installed.removal = notice
    return handler_id, _installed.console_sinks.set_aside(logger)


def _expect_removal() -> None:
    """Say nothing when loguru removes our handler: we do it ourselves."""
    if _installed.removal is not None:
        _installed.removal.report = None


def _report_removal() -> None:
    """Say that the program has removed our handler, unless the program is over."""
    _installed.console_sinks.forget()
    target = _installed.target
    if target is not None and threading.main_thread().is_alive():
        text = (
            "logger.remove() has removed the AIND log's sink too: records of loguru do not come to"
            " this log any more. Call configure_logging() after it, or remove sinks by their number"
        )
        write_record(target, "WARNING", text, {})


def _format_nothing(_record: Any) -> str:
    return ""


def _find_target(process_name: str | None) -> SerialTarget:
    """The target that is there already where it still serves, else a new one."""
    path = os.environ.get("CAPSULE_SOCKET")
    for known in (_installed.target, _installed.wrapper):
        if known is None:
            continue
        inner = known.target
        if isinstance(inner, WrapperConnection) and inner.is_usable and inner.path == path:
            return known
        if isinstance(inner, OwnLog) and process_name in (None, inner.process_name):
            return known
        if isinstance(inner, RunLog) and inner.is_open:
            return known
    return SerialTarget(open_target(process_name, path))


def _get_name(target: SerialTarget) -> str | None:
    return target.target.process_name if isinstance(target.target, OwnLog) else None


@atexit.register
def _finish() -> None:
    if _installed.target is not None:
        _installed.target.finish()


def _renew_lock() -> None:
    _installed.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
