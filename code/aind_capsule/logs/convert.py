"""Logs that other programs wrote, made into logs of this toolkit, which are then delivered.

Called by `capsule push`. What a file holds is read by `foreign_records`; here the records get the
fields of the log, a time where they have none, and a file. The result depends on the other
program's file and on what is given with it alone, not on the machine or the hour: converted again,
the log has the same name and the same bytes, and where it is there already it is found.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.own_files import OPEN_FLAGS
from aind_capsule.errors import LogFileError, UsageError
from aind_capsule.logs.converted_log import ConvertedLog
from aind_capsule.logs.foreign_file import ForeignFile, find_stem
from aind_capsule.logs.foreign_records import ForeignRecords
from aind_capsule.logs.reader import is_being_written, read_first_record, read_last_record
from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.encode import encode
from aind_capsule.records.foreign import ForeignRecord
from aind_capsule.records.foreign_times import ForeignTimes
from aind_capsule.records.merge import MACHINE_FIELDS, coerce, fits, rename_taken
from aind_capsule.records.naming import LOG_SUFFIX, is_run_id, make_file_stem
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.shrink import MAX_LINE_BYTES
from aind_capsule.records.simplify import simplify
from aind_capsule.records.timestamps import US_PER_S, format_second

#: Raised whenever the same file becomes another log, which then has another run id.
_RULES = 3
_PARTIAL_SUFFIX = ".partial"
_ABANDONED_AFTER_S = 3600
_OWN_NAME = re.compile(r"(?:^|-)\d{8}T\d{6}-[0-9a-f]{8}" + re.escape(LOG_SUFFIX) + "$")
#: What `--field` may say of an old run, though the wrapper alone says it of its own.
_GIVEN = frozenset({"hostname", "capsule_id", "computation_id", "pipeline_id"})


@dataclass(frozen=True, slots=True)
class Converted:
    """A log that was made of another program's.

    Attributes:
        path: The log.
        run_id: Its run id.
        records: Records in it.
        is_new: Whether it was written now; else it was there already.
    """

    path: str
    run_id: str
    records: int
    is_new: bool


def is_own_log(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a log of this toolkit, by its name or else by its first record.

    A file that cannot be read is none; `convert_log` says why.

    >>> is_own_log("qc-20260101T000000-0123abcd.log.jsonl"), is_own_log("there is no such file")
    (True, False)
    """
    if _OWN_NAME.search(os.path.basename(os.fspath(path))) is not None:
        return True
    if not os.path.isfile(path):
        return False  # a pipe would be waited for
    try:
        record = read_first_record(path) or {}
    except OSError:
        return False
    shipping, run_id = record.get("shipping"), record.get("run_id")
    if isinstance(shipping, Mapping) and "labels" in shipping:
        return True
    return isinstance(run_id, str) and is_run_id(run_id) and isinstance(record.get("seq"), int)


def convert_log(
    path: str | os.PathLike[str],
    base_folder: str | os.PathLike[str],
    fields: Mapping[str, Any],
    redactor: Redactor,
    *,
    usual: Mapping[str, Any] | None = None,
    timezone: str = "UTC",
) -> Converted:
    """Make a log of ours, `<base>/<run_id>/<process>-<run_id>.log.jsonl`, unless it is there.

    Args:
        path: A log of another program (see `foreign_file` and `foreign_records`).
        base_folder: Where the run's folder is made.
        fields: What every record bears (`process_name`, `pipeline_name`, …); what a record says of
            the same field stays under a name with a `_` behind it.
        redactor: Hides secrets before anything is written.
        usual: Fields of every record, but where the file's first record knows them itself.
        timezone: Of times that name none: a zone's name or an offset.

    Raises:
        UsageError: There is no such time zone, or the fields are too long.
        LogFileError: The file cannot be read or changed meanwhile, or the log cannot be written.
    """
    given = os.fspath(path)
    try:
        times = ForeignTimes(timezone)
    except ValueError as error:
        raise UsageError(
            f"The time zone cannot be used: {error}", hint="Name one such as US/Pacific or -08:00."
        ) from error
    file = ForeignFile(given)
    first, first_us, is_dated = _look(file, times, redactor)
    known = {} if first is None else first.fields
    told = {name: known[name] for name in usual or {} if _is_told(name, known.get(name))}
    constant = _clean({**(usual or {}), **told, **fields})
    run_id = _make_run_id(first_us, file.digest, constant, timezone)
    process = redactor.redact_text(str(constant.get("process_name", find_stem(given))))
    folder = os.path.join(os.fspath(base_folder), run_id)
    target = os.path.join(folder, make_file_stem(process, run_id, in_pipeline=False) + LOG_SUFFIX)
    records = _count_records(target)
    if records is not None:
        return Converted(target, run_id, records, is_new=False)
    again = ForeignFile(given, file.size_bytes)
    with _open_partial(target) as writer:
        log = ConvertedLog(writer, {"run_id": run_id, **constant}, redactor)
        log.last_us = None if is_dated else first_us - 1
        for record in ForeignRecords(again.read_chunks(), times, redactor, log.limit_bytes):
            log.take(record, first_us)
        log.finish(first_us)
        if again.digest != file.digest:
            raise LogFileError(
                f"The log {given} changed while it was read",
                hint="Convert it when its program has ended.",
            )
    return Converted(target, run_id, writer.next_seq, is_new=True)


def _look(
    file: ForeignFile, times: ForeignTimes, redactor: Redactor
) -> tuple[ForeignRecord | None, int, bool]:
    """The first record, the first time, and whether it stands in the file; reads all of it."""
    chunks = file.read_chunks()
    records = iter(ForeignRecords(chunks, times, redactor, MAX_LINE_BYTES))
    first = record = next(records, None)
    while record is not None and record.time_us is None:
        record = next(records, None)
    for _ in chunks:  # the digest is of the whole file
        pass
    if record is not None and record.time_us is not None:
        return first, record.time_us, True
    # Copies and archives keep whole seconds of a file's time.
    return first, max(1, int(os.stat(file.path).st_mtime)) * US_PER_S, False


def _is_told(name: str, value: Any) -> bool:
    known = coerce(name, value)
    return known is not None and fits(name, known)


def _clean(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of all records, without names that mean something else in a log."""
    taken = dict.fromkeys(MACHINE_FIELDS - _GIVEN | {"event_type"})
    return rename_taken(simplify(dict(fields)), taken)


def _make_run_id(first_us: int, digest: str, fields: Mapping[str, Any], timezone: str) -> str:
    """The run id that the same file with the same fields always has."""
    start = re.sub(r"[-:.]", "", format_second(first_us // US_PER_S))
    told = encode([_RULES, digest, timezone, sorted(fields.items())])
    return f"{start}-{hashlib.sha256(told).hexdigest()[:8]}"


def _count_records(path: str) -> int | None:
    """The records of a log that is there, whole; else None."""
    try:
        seq = (read_last_record(path) or {}).get("seq")
    except OSError:
        return None
    return seq + 1 if isinstance(seq, int) else None


@contextlib.contextmanager
def _open_partial(target: str) -> Iterator[LogWriter]:
    """A log under another name, which gets its own when it is whole; else nothing is left."""
    folder, partial = os.path.dirname(target), f"{target}.{os.urandom(4).hex()}{_PARTIAL_SUFFIX}"
    try:
        os.makedirs(folder, exist_ok=True)
        _remove_abandoned(folder)
        writer = LogWriter(partial, reserves=False)
        try:
            yield writer
            writer.close()
            _sync(partial)
            os.replace(partial, target)
        except BaseException:  # Ctrl-C too: nothing half-made stays
            writer.close()
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise
    except OSError as error:
        raise LogFileError(
            f"The converted log {target} cannot be written: {error.strerror}",
            hint="Look whether its folder can be written.",
        ) from error


def _remove_abandoned(folder: str) -> None:
    """Remove what a conversion that was killed has left, but not what another one writes."""
    oldest_s = time.time() - _ABANDONED_AFTER_S
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            is_old = entry.name.endswith(_PARTIAL_SUFFIX) and entry.stat().st_mtime < oldest_s
            if is_old and not is_being_written(entry.path):
                os.unlink(entry.path)


def _sync(path: str) -> None:
    """Have a file survive a power failure before its name says that it is whole."""
    fd = os.open(path, os.O_RDWR | OPEN_FLAGS)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
