"""Find runs under folders and tell their status from what is in the files.

A run's status is the log's last record first, `run.json` second; a log without a canonical record
that nobody writes any more belongs to a run that was lost.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aind_capsule.context.files import UnusableFileError, read_bytes
from aind_capsule.history.owed import MAX_RUN_JSON_BYTES
from aind_capsule.logs.place import HIDDEN_NAME, find_bases
from aind_capsule.logs.reader import is_being_written, read_first_record, read_last_record
from aind_capsule.records.canonical import holds_canonical, is_canonical, read_canonical
from aind_capsule.records.encode import decode
from aind_capsule.records.naming import LOG_SUFFIX

_RUN_ID = re.compile(r"(\d{8}T\d{6}-[0-9a-f]{8})" + re.escape(LOG_SUFFIX) + "$")
_MAX_DEPTH = 10


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run.

    Attributes:
        status: `running`, `success`, `fail`, `stopped` or `lost`.
        started_at: When it started, as the log says it.
        ended_at: When it ended; None while it runs, and for a lost run.
        log: Path of its log.
    """

    run_id: str
    process_name: str | None
    status: str
    started_at: str | None
    ended_at: str | None
    duration_s: float | None
    exit_code: int | None
    error_type: str | None
    error_message: str | None
    log: str

    def describe(self) -> dict[str, Any]:
        """The summary as a mapping."""
        return asdict(self)


def find_default_folders(scratch: str, results: str, environ: Mapping[str, str]) -> list[str]:
    """Where runs of this machine leave their folders: the local history, and results."""
    return [*find_bases(scratch, environ), results]


def find_runs(folders: Iterable[str]) -> list[RunSummary]:
    """All runs below some folders, newest first; a run found twice is listed once."""
    found: dict[str, RunSummary] = {}
    for log in find_logs(folders):
        match = _RUN_ID.search(log)
        run_id = match.group(1) if match else ""
        known = found.get(run_id)
        if known is not None and _is_enough(known, log):
            continue
        summary = read_run(log, run_id)
        if summary is not None and (known is None or _is_better(summary, known)):
            found[run_id] = summary
    return sorted(found.values(), key=lambda run: run.run_id, reverse=True)


def read_run(log: str, run_id: str) -> RunSummary | None:
    """One run from its log, or None for a log that is no run's (`configure_logging` alone)."""
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        first = read_first_record(log) or {}
        last = read_last_record(log) or {}
    if first and first.get("event_type") != "stage_start" and not is_canonical(last):
        return None
    told = read_canonical(last) or _read_run_json(log, first.get("run_id", run_id))
    status = told.get("status")
    if not told:
        status = "running" if is_being_written(log) else "lost"
    return RunSummary(
        run_id=run_id,
        process_name=told.get("process_name") or first.get("process_name"),
        status=str(status),
        started_at=told.get("started_at") or first.get("timestamp"),
        ended_at=told.get("ended_at"),
        duration_s=told.get("duration_s"),
        exit_code=told.get("exit_code"),
        error_type=told.get("error_type"),
        error_message=told.get("error_message"),
        log=log,
    )


def _is_enough(known: RunSummary, log: str) -> bool:
    """Return whether another log of a run need not be read."""
    if _is_original(known.log, known.run_id) and not _is_original(log, known.run_id):
        return True
    return known.status != "lost" and _is_original(known.log, known.run_id) == _is_original(
        log, known.run_id
    )


def _is_better(run: RunSummary, known: RunSummary) -> bool:
    """Return whether one log of a run says more than another.

    A log in a run folder counts before its copies, which others can write. Of two run folders the
    one with an end counts: the run may have gone on there.
    """
    is_original = _is_original(run.log, run.run_id)
    if is_original != _is_original(known.log, known.run_id):
        return is_original
    return known.status == "lost" and run.status != "lost"


def _is_original(log: str, run_id: str) -> bool:
    return os.path.basename(os.path.dirname(log)) == run_id


def _read_run_json(log: str, run_id: object) -> dict[str, Any]:
    """Return the `run.json` beside a log; empty where it is another run's, or knows no end."""
    content: dict[str, Any] = {}
    with contextlib.suppress(OSError, UnusableFileError):
        path = log[: -len(LOG_SUFFIX)] + ".run.json"
        content = decode(read_bytes(path, MAX_RUN_JSON_BYTES)) or {}
    return content if holds_canonical(content) and content.get("run_id") == run_id else {}


def find_logs(folders: Iterable[str]) -> Iterator[str]:
    """All logs of this toolkit below some folders, or named themselves; links are followed."""
    waiting = [(os.path.abspath(folder), 0) for folder in folders]
    seen: set[str] = set()
    while waiting:
        folder, depth = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen or depth > _MAX_DEPTH:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            if folder.endswith(LOG_SUFFIX) and os.path.isfile(folder):
                yield folder
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith(LOG_SUFFIX) and entry.is_file():
                    yield entry.path
                elif entry.is_dir() and (entry.name == HIDDEN_NAME or entry.name[0] != "."):
                    waiting.append((entry.path, depth + 1))
