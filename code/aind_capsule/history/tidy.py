"""Remove run folders that are old: scratch is not an archive."""

from __future__ import annotations

import contextlib
import os
import time

from aind_capsule.context.files import UnusableFileError, read_bytes
from aind_capsule.history.owed import MAX_RUN_JSON_BYTES, UPLOAD_JOURNAL
from aind_capsule.records.encode import decode
from aind_capsule.records.naming import LOG_SUFFIX, is_run_id

_S_PER_DAY = 86400
RUN_SUFFIX = ".run.json"


def remove_old_runs(base: str, keep_days: float, now_s: float | None = None) -> list[str]:
    """Remove the run folders below a base that are older; returns those that were removed.

    A folder whose log is being written, or still owed to a server, stays, whatever its age. 0 days
    keeps all.
    """
    if keep_days <= 0:
        return []
    oldest_s = (time.time() if now_s is None else now_s) - keep_days * _S_PER_DAY
    removed = []
    try:
        entries = list(os.scandir(base))
    except OSError:
        return []
    for entry in entries:
        with contextlib.suppress(OSError):  # one that cannot be read stays
            is_old = is_run_id(entry.name) and entry.stat().st_mtime < oldest_s
            if is_old and entry.is_dir(follow_symlinks=False) and not _is_in_use(entry.path):
                import shutil

                shutil.rmtree(entry.path, ignore_errors=True)
                removed.append(entry.path)
    return removed


def _is_in_use(folder: str) -> bool:
    # Every run looks for old folders at its end, and few find one.
    from aind_capsule.logs.positions import POSITION_SUFFIX, is_owed
    from aind_capsule.logs.reader import is_being_written

    paths = [os.path.join(folder, name) for name in os.listdir(folder)]
    if any(os.path.basename(path) == UPLOAD_JOURNAL for path in paths):
        return True
    logs = [path for path in paths if path.endswith(LOG_SUFFIX)]
    positions = [path for path in paths if path.endswith(POSITION_SUFFIX)]
    if any(map(is_being_written, logs)) or any(map(is_owed, positions)):
        return True
    # Where delivery did not so much as begin there is no position: then the run's report tells.
    return not positions and any(map(_is_reported_as_owed, paths))


def _is_reported_as_owed(path: str) -> bool:
    """Whether a `run.json` says that records have not reached a server, or not that they have."""
    if not path.endswith(RUN_SUFFIX):
        return False
    try:
        report = (decode(read_bytes(path, MAX_RUN_JSON_BYTES)) or {}).get("delivery")
    except UnusableFileError:  # such as a pipe, which would be waited for
        return True
    rows = report.values() if isinstance(report, dict) else ()
    return any(not isinstance(row, dict) or row.get("owed", 1) != 0 for row in rows)
