"""Where a log's positions and set-aside lines are kept: never beside a copy in results.

A log is known by its run's id. Its own run folder keeps them; for a copy, or a log from another
machine, the run's folder here where there is one, else one in the user's state folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Mapping

from aind_capsule.context.folders import find_write_error
from aind_capsule.logs.place import find_bases, open_base
from aind_capsule.logs.positions import POSITION_SUFFIX
from aind_capsule.logs.reader import read_first_record
from aind_capsule.records.naming import LOG_SUFFIX, is_run_id
from aind_capsule.shipping.delivery import Place
from aind_capsule.shipping.set_aside import SET_ASIDE_SUFFIX

_RUN_ID = re.compile(r"(?:^|-)(\d{8}T\d{6}-[0-9a-f]{8})$")


def find_run_id(log: str) -> str | None:
    """The run of a log: by its name, else by its first record."""
    name = os.path.basename(log)
    match = _RUN_ID.search(name.removesuffix(LOG_SUFFIX)) if name.endswith(LOG_SUFFIX) else None
    if match is not None:
        return match.group(1)
    try:
        run_id = (read_first_record(log) or {}).get("run_id")
    except OSError:
        return None
    return run_id if isinstance(run_id, str) and is_run_id(run_id) else None


def find_original(log: str, scratch: str | None, environ: Mapping[str, str]) -> str:
    """Return the log itself, where a copy of it is named and its run folder is on this machine."""
    log, run_id = os.path.abspath(log), find_run_id(log)
    if (
        os.path.basename(os.path.dirname(log)) == run_id
    ):  # another run folder may hold an older copy
        return log
    for base in find_bases(scratch, environ) if run_id is not None else ():
        original = os.path.join(base, str(run_id), os.path.basename(log))
        if os.path.isfile(original):
            return original
    return log


def find_state_folder(log: str, environ: Mapping[str, str]) -> str:
    """The folder for what is remembered of a log's delivery; made where it is missing."""
    own = os.path.dirname(os.path.abspath(log))
    if os.path.basename(own) == find_run_id(log) and find_write_error(own) is None:
        return own
    return make_spare_folder(log, environ)


def make_spare_folder(log: str, environ: Mapping[str, str]) -> str:
    """Return a folder for it away from the log: the user's state folder, else a temporary one."""
    name = find_run_id(log) or "unknown"
    for base in find_bases(None, environ):
        with contextlib.suppress(OSError), contextlib.closing(open_base(base)) as parent:
            with contextlib.suppress(FileExistsError):
                parent.make_folder(name)
            parent.open_folder(name).close()  # refuses a link
            if find_write_error(parent.get_path(name)) is None:
                return parent.get_path(name)
    return tempfile.mkdtemp(prefix="aind-capsule-")


def find_place(log: str, folder: str, key: str) -> Place:
    """The files of a log's way to the destination with a key."""
    stem = os.path.join(folder, f"{os.path.basename(log)}.{key}")
    return Place(log, stem + POSITION_SUFFIX, stem + SET_ASIDE_SUFFIX)
