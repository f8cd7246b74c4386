"""Which runs a folder's files are of: by the `run.json` in it, and by what runs here remember.

While a run goes on its results folder has nothing of ours. Its run folder names the results folder,
and its log is locked.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.files import UnusableFileError, read_bytes
from aind_capsule.history.owed import MAX_RUN_JSON_BYTES
from aind_capsule.history.runs import read_run as read_log
from aind_capsule.logs.place import find_bases
from aind_capsule.logs.reader import is_being_written
from aind_capsule.records.encode import decode
from aind_capsule.records.naming import LOG_SUFFIX, RUN_FILE_SUFFIXES, is_run_id
from aind_capsule.settings.secret import MASK
from aind_capsule.upload.naming import find_input_names

_RUN_SUFFIX = RUN_FILE_SUFFIXES["run"]
#: Of runs that ended so many are looked at, the newest first.
_MAX_ENDED = 200
_RUNNING = "running"


@dataclass(frozen=True, slots=True)
class SourceRun:
    """A run that has made files of a folder, or makes them now.

    Attributes:
        run_id: Its id.
        status: `running`, `success`, `fail`, `stopped` or `lost`.
        process_name: What it does.
        error_message: Why it failed.
        inputs: Names that its input assets go by.
        is_in_folder: Whether its `run.json` is in the folder.
    """

    run_id: str
    status: str
    process_name: str = ""
    error_message: str = ""
    inputs: frozenset[str] = frozenset()
    is_in_folder: bool = False

    @property
    def is_live(self) -> bool:
        """Return whether it goes on."""
        return self.status == _RUNNING


def find_source_runs(
    folder: str, scratch: str | None, environ: Mapping[str, str]
) -> list[SourceRun]:
    """Find the runs that a folder's files are of.

    Args:
        folder: It.
        scratch: Where run folders may be.
        environ: The environment, which names other places of run folders.

    Returns:
        Those whose `run.json` is in it, the newest that ended here, and all that go on.
    """
    found = {run.run_id: run for run in find_runs_in(folder)}
    wanted = os.path.realpath(folder)
    count = 0
    has_ended = False
    for run_folder in _find_run_folders(scratch, environ):
        run_id = os.path.basename(run_folder)
        log = _find_file(run_folder, LOG_SUFFIX)
        is_live = log is not None and is_being_written(log)
        if not is_live and (has_ended or count >= _MAX_ENDED):
            continue
        count += not is_live
        content = _read_run_json(_find_file(run_folder, _RUN_SUFFIX))
        folders = content.get("folders")
        results = folders.get("results") if isinstance(folders, dict) else None
        if content.get("run_id") != run_id or not isinstance(results, str):
            continue
        results = os.path.realpath(results)
        if is_live:
            if _overlap(results, wanted):
                found[run_id] = _describe(content, _RUNNING)
        elif _is_told(results, wanted):
            has_ended = True
            found.setdefault(run_id, _describe(content, _find_end(content, log, run_id)))
    return sorted(found.values(), key=lambda run: run.run_id)


def find_runs_in(folder: str) -> Iterator[SourceRun]:
    """Yield the runs whose `run.json` is at the top of a folder; none of them goes on."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(folder) if name.endswith(_RUN_SUFFIX))
    for name in names:
        content = _read_run_json(os.path.join(folder, name))
        if is_run_id(str(content.get("run_id"))):
            status = str(content.get("status"))
            yield _describe(content, "lost" if status == _RUNNING else status, is_in_folder=True)


def find_status(runs: Iterable[SourceRun]) -> str | None:
    """Return how runs ended: the first that did not succeed counts; None where there is none."""
    statuses = [run.status for run in runs]
    failed = [status for status in statuses if status != "success"]
    return next(iter(failed or statuses), None)


def _find_end(content: Mapping[str, Any], log: str | None, run_id: str) -> str:
    """Return how a run ended that does not go on; its log knows where it was killed at the end."""
    status = str(content.get("status"))
    if status != _RUNNING:
        return status
    summary = None if log is None else read_log(log, run_id)
    return "lost" if summary is None or summary.status == _RUNNING else summary.status


def _find_run_folders(scratch: str | None, environ: Mapping[str, str]) -> list[str]:
    """Return the folders of runs, the newest first."""
    folders: dict[str, str] = {}
    for base in find_bases(scratch, environ):
        with contextlib.suppress(OSError):
            for name in os.listdir(base):
                if is_run_id(name):
                    folders.setdefault(os.path.join(base, name), name)
    return sorted(folders, key=lambda path: folders[path], reverse=True)


def _find_file(folder: str, suffix: str) -> str | None:
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.endswith(suffix):
                return os.path.join(folder, name)
    return None


def _read_run_json(path: str | None) -> dict[str, Any]:
    if path is not None:
        with contextlib.suppress(OSError, UnusableFileError):
            return decode(read_bytes(path, MAX_RUN_JSON_BYTES)) or {}
    return {}


def _is_told(told: str, folder: str) -> bool:
    """Return whether a path of `run.json`, where secrets are hidden, may be a folder's."""
    pattern = ".+".join(map(re.escape, told.split(MASK)))
    return re.fullmatch(pattern, folder, re.DOTALL) is not None


def _overlap(told: str, folder: str) -> bool:
    """Return whether one of two folders is in the other; see `_is_told`."""
    above = any(_is_told(told, path) for path in _find_parents(folder))
    return above or any(_is_told(path, folder) for path in _find_parents(told))


def _find_parents(path: str) -> Iterator[str]:
    """Yield a path and the folders above."""
    while True:
        yield path
        parent = os.path.dirname(path)
        if parent == path:
            return
        path = parent


def _describe(content: Mapping[str, Any], status: str, *, is_in_folder: bool = False) -> SourceRun:
    return SourceRun(
        str(content.get("run_id")),
        status,
        str(content.get("process_name") or ""),
        str(content.get("error_message") or ""),
        find_input_names(content),
        is_in_folder,
    )
