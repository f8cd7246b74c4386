"""Whether the folder of an upload that goes on is still the one that it was begun with.

A run's results are what the run has left: nothing may change, come or go until they are uploaded.
Any other folder may be edited, but it may not have become the results of another run.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aind_capsule.storage.errors import StorageError
from aind_capsule.upload.database import Database
from aind_capsule.upload.source_runs import SourceRun
from aind_capsule.upload.tree import FoundFile, walk

TABLES = """
CREATE TABLE IF NOT EXISTS begun_file (
    name BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER
) WITHOUT ROWID;
"""
_AT_ONCE = 1000
_MAX_SHOWN = 3


class SourceError(StorageError):
    """The folder of an upload is not the one that it was begun with."""


class LiveRunError(StorageError):
    """A run that goes on has not finished these files."""


class BegunSource:
    """What a journal remembers of the folder as it was when the upload began.

    Args:
        database: The journal's.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def remember(self, folder: str, run_id: str) -> None:
        """Remember all files of a run's results.

        Args:
            folder: The results.
            run_id: The run, whose own files may still come.

        Raises:
            OSError: The folder cannot be read.
        """
        self._db.do("DELETE FROM begun_file")
        for block in _read_blocks(folder, run_id):
            self._db.write("INSERT OR REPLACE INTO begun_file VALUES (?, ?, ?)", block)
        self._db.commit()

    def find_changes(self, folder: str, run_id: str) -> list[str]:
        """Return for people some of what is not as it was.

        Raises:
            OSError: The folder cannot be read.
        """
        self._db.do("CREATE TEMP TABLE IF NOT EXISTS now_file AS SELECT * FROM begun_file WHERE 0")
        self._db.do("DELETE FROM now_file")
        for block in _read_blocks(folder, run_id):
            self._db.write("INSERT INTO now_file VALUES (?, ?, ?)", block)
        changes = self._db.do(
            "SELECT name, 'is gone' FROM begun_file WHERE name NOT IN (SELECT name FROM now_file)"
            " UNION ALL SELECT name, 'has changed' FROM begun_file JOIN now_file USING (name)"
            " WHERE begun_file.size != now_file.size OR begun_file.mtime_ns != now_file.mtime_ns"
            " UNION ALL SELECT name, 'is new' FROM now_file"
            " WHERE name NOT IN (SELECT name FROM begun_file) LIMIT 10"
        )
        return [f"{os.fsdecode(name)!r} {what}" for name, what in changes]


def check_source(
    source: str, run_id: str | None, begun: BegunSource | None, runs: Iterable[SourceRun]
) -> None:
    """Check that a folder can be uploaded, and is the one that an upload was begun with.

    Args:
        source: The folder.
        run_id: The run whose results it holds, where the upload is a run's own.
        begun: What is remembered of it; None where nothing is.
        runs: Those that have made its files.

    Raises:
        LiveRunError: A run has not finished it.
        SourceError: It is gone, or another one.
    """
    if not os.path.isdir(source):
        raise SourceError(f"{source} is not there any more", hint=_say_drop(source))
    for run in runs:
        if run.is_live and run.run_id != run_id:
            raise LiveRunError(
                f"The run {describe_run(run)} goes on and has not finished {source}",
                hint="Wait for its end. `capsule run --upload` uploads results by itself.",
            )
    if run_id is None or begun is None:
        return
    try:
        changes = begun.find_changes(source, run_id)
    except OSError as error:
        raise SourceError(
            f"{source} cannot be read: {error.strerror}", hint=_say_drop(source)
        ) from error
    if changes:
        more = ", …" if len(changes) > _MAX_SHOWN else ""
        others = [run.run_id for run in runs if run.run_id > run_id]
        since = f". The run {max(others)} has used it since" if others else ""
        raise SourceError(
            f"{source} is not as the run {run_id} has left it:"
            f" {', '.join(changes[:_MAX_SHOWN])}{more}{since}",
            hint=_say_drop(source),
        )


def check_runs(source: str, before: Mapping[str, Any], runs: Iterable[SourceRun]) -> None:
    """Check that a folder has not become the results of another run.

    Args:
        source: The folder.
        before: The runs of its files when the upload began, as `name_runs` returned them.
        runs: Those of its files now.

    Raises:
        SourceError: It has.
    """
    now = name_runs(runs)
    has_others = now["inside"] != before["inside"]
    # Where no run.json is in the folder the history tells it, which forgets runs.
    is_later = not now["inside"] and now["last"] not in (None, before["last"])
    if not has_others and not is_later:
        return
    ids, ids_before = (told["inside"] or [told["last"]] for told in (now, before))
    is_of = f"is of the run {', '.join(ids)}" if ids[0] else "has no run's results any more"
    was_of = f"of {', '.join(ids_before)}" if ids_before[0] else "of no run"
    raise SourceError(
        f"{source} {is_of}, and the upload that ended early is {was_of}", hint=_say_drop(source)
    )


def name_runs(runs: Iterable[SourceRun]) -> dict[str, Any]:
    """Return the ids of the runs of a folder's files, as a journal remembers them."""
    runs = list(runs)
    inside = sorted(run.run_id for run in runs if run.is_in_folder)
    return {"inside": inside, "last": max((run.run_id for run in runs), default=None)}


def describe_run(run: SourceRun) -> str:
    """Return a run's id and what it does, for people."""
    return f"{run.run_id} ({run.process_name})" if run.process_name else run.run_id


def _say_drop(source: str) -> str:
    return (
        f"`capsule upload --drop {source}` forgets this upload;"
        f" `capsule upload {source} URL` then uploads what is there, as a new one."
    )


def _read_blocks(folder: str, run_id: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the files of a run's results without the run's own: name, size, time."""
    own = run_id.encode()
    rows = (
        (entry.name, entry.identity.size, entry.identity.mtime_ns)
        for entry in walk(os.fsencode(folder))
        if isinstance(entry, FoundFile) and not (b"/" not in entry.name and own in entry.name)
    )
    while block := list(itertools.islice(rows, _AT_ONCE)):
        yield block
