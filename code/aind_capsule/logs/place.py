"""Where run folders are made: below scratch, else in the user's state folder, else a temporary one.

Used by the wrapper and by `configure_logging` without one. A missing scratch folder is never made:
it would be one more thing in a stranger's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

#: Folder of the run folders inside scratch; its dot keeps it out of globs and of pipelines.
HIDDEN_NAME = ".capsule"
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


@dataclass(frozen=True, slots=True)
class Place:
    """A run folder that was made, and why it is not below scratch, if it is not."""

    path: str
    why_not_scratch: str | None = None


def find_bases(scratch: str | None, environ: Mapping[str, str]) -> Iterator[str]:
    """The folders that may hold run folders, best first; scratch only where it exists."""
    if scratch is not None and os.path.isdir(scratch):
        yield os.path.join(scratch, HIDDEN_NAME)
    state = environ.get("XDG_STATE_HOME")
    home = environ.get("HOME")
    if state or home:
        yield os.path.join(state or os.path.join(str(home), ".local", "state"), "aind-capsule")
    uid = os.getuid() if hasattr(os, "getuid") else 0
    for folder in (environ.get("TMPDIR"), environ.get("TEMP"), *_TEMPORARY):
        if folder:
            yield os.path.join(folder, f"aind-capsule-{uid}")


def make_run_folder(run_id: str, scratch: str | None, environ: Mapping[str, str]) -> Place | None:
    """Make the folder of a run in the best place that can be written; None where there is none."""
    trouble = None
    if scratch is not None and not os.path.isdir(scratch):
        trouble = f"there is no scratch folder {scratch}"
    for base in find_bases(scratch, environ):
        path = os.path.join(base, run_id)
        try:
            os.makedirs(path)
        except OSError as error:
            trouble = trouble or f"{base} cannot be written: {error.strerror}"
            continue
        return Place(path, trouble)
    return None
