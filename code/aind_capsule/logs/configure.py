"""`configure_logging`: one call, and everything that a Python process says is in the log.

The one owner of loguru. Imported by users only; `capsule run` never does.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any

from aind_capsule.logs.interception import Interception
from aind_capsule.logs.sink import RecordBuilder
from aind_capsule.logs.target import SerialTarget, find_script_name, open_target
from aind_capsule.settings.load import find_code_folder, load_settings

if TYPE_CHECKING:
    from loguru import Message


class _Installed:
    """What `configure_logging` has put in place in this process."""

    target: SerialTarget | None = None
    interception: Interception | None = None
    handler_id: int | None = None


def configure_logging(
    process_name: str | None = None,
    *,
    level: str | int = "DEBUG",
    library_level: str | int = "INFO",
    **fields: Any,
) -> None:
    """Send everything that this process logs to the AIND log.

    loguru, the standard library's `logging`, `warnings`, and uncaught exceptions (also of threads,
    of asyncio, and those that Python can only ignore) become records of one log. Under
    `capsule run` that is the run's log; otherwise a log file of this process's own, in a run folder
    in scratch, with readable lines on stderr. Can be called again; the last call holds.

    Args:
        process_name: Name of the process (capsule). Under `capsule run` the run's name holds.
        level: Lowest level of loguru's records, by its name or number.
        library_level: Lowest level of the standard library's loggers that set none of their own:
            libraries say much at DEBUG that is for their authors.
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
    from loguru import logger

    number = logger.level(level).no if isinstance(level, str) else int(level)
    library = library_level
    library_number = logger.level(library).no if isinstance(library, str) else int(library)
    reset_logging()
    name = process_name or _find_process_name()
    target = SerialTarget(open_target(name, os.environ))
    builder = RecordBuilder(fields, target.target.fields)
    send = target.send

    def sink(message: Message) -> None:
        send(builder.build_from_loguru(message.record))

    # `catch`: a call from a signal handler in the middle of another is refused by loguru itself,
    # which may be printed and not be raised into the user's code.
    logger.remove()
    _Installed.handler_id = logger.add(
        sink, level=number, format=_format_nothing, backtrace=False, diagnose=False, catch=True
    )
    _Installed.interception = Interception(
        builder, send, is_echoed=target.target.is_echoed, level=library_number
    )
    _Installed.interception.install()
    _Installed.target = target


def reset_logging() -> None:
    """Take out what `configure_logging` put in place; loguru is left without a handler."""
    if _Installed.interception is not None:
        _Installed.interception.restore()
        _Installed.interception = None
    if _Installed.handler_id is not None:
        from loguru import logger

        try:
            logger.remove(_Installed.handler_id)
        except ValueError:  # the user has removed it
            pass
        _Installed.handler_id = None
    if _Installed.target is not None:
        _Installed.target.close()
        _Installed.target = None


def _format_nothing(_record: Any) -> str:
    """Format nothing: the sink makes its line from the record itself."""
    return ""


def _find_process_name() -> str:
    from pathlib import Path

    folder = find_code_folder(sys.argv[:1], Path.cwd())
    try:
        name = load_settings({}, os.environ, folder).settings.process_name
    except Exception:  # a broken capsule.toml is `capsule run`'s business, not a log call's
        name = None
    return name or find_script_name()


def _close_at_exit() -> None:
    if _Installed.target is not None:
        _Installed.target.close()


atexit.register(_close_at_exit)
