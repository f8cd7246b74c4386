"""Remove run folders that are old: scratch is not an archive."""

from __future__ import annotations

import contextlib
import os
import time

from aind_capsule.logs.positions import POSITION_SUFFIX, is_owed
from aind_capsule.logs.reader import is_being_written
from aind_capsule.records.naming import LOG_SUFFIX, is_run_id

_S_PER_DAY = 86400


def remove_old_runs(base: str, keep_days: float, now_s: float | None = None) -> list[str]:
    """Remove the run folders below a base that are older; returns those that were removed.

    A folder whose log is being written, or still owed to a server, stays, whatever its age. 0 days
    keeps all.
    """
    if keep_days <= 0:
        return []
    oldest_s = (time.time() if now_s is None else now_s) - keep_days * _S_PER_DAY
    removed = []
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(base)):
            is_old = is_run_id(entry.name) and entry.stat().st_mtime < oldest_s
            if is_old and entry.is_dir(follow_symlinks=False) and not _is_in_use(entry.path):
                import shutil

                shutil.rmtree(entry.path, ignore_errors=True)
                removed.append(entry.path)
    return removed


def _is_in_use(folder: str) -> bool:
    paths = [os.path.join(folder, name) for name in os.listdir(folder)]
    return any(
        is_being_written(path) if path.endswith(LOG_SUFFIX) else is_owed(path)
        for path in paths
        if path.endswith((LOG_SUFFIX, POSITION_SUFFIX))
    )
