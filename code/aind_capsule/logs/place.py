"""Where run folders are made: below scratch, else in the user's state folder, else a temporary one.

Used by the wrapper and by `configure_logging` without one. A missing scratch folder is never made:
it would be one more thing in a stranger's folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aind_capsule.context.own_files import OpenFolder, make_own_folder

#: Folder of the run folders inside scratch; its dot keeps it out of globs and of pipelines.
HIDDEN_NAME = ".capsule"
#: The user's own; it may be a link to a larger disk.
_STATE_NAME = "aind-capsule"
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
        yield os.path.join(state or os.path.join(str(home), ".local", "state"), _STATE_NAME)
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
        try:
            folder = _make_below(base, run_id)
        except OSError as error:
            trouble = trouble or f"{base} cannot be written: {error.strerror}"
            continue
        folder.close()
        return Place(folder.path, trouble)
    return None


def make_other_run_folders(
    lost: str, scratch: str | None, environ: Mapping[str, str]
) -> Iterator[OpenFolder]:
    """Make the folder of a run anew, in one place after the other, until the caller has enough.

    Args:
        lost: The folder that is gone, or was replaced.
        scratch: The scratch folder.
        environ: The environment.

    Yields:
        Each folder that could be made. What is left of a place that the caller does not use is
        the caller's to remove.
    """
    lost_base, run_id = os.path.split(lost)
    bases = list(find_bases(scratch, environ))
    # The place that was emptied comes last: it may be emptied again.
    for base in (*(base for base in bases if base != lost_base), lost_base):
        if base in bases:
            with contextlib.suppress(OSError):
                yield _make_below(base, run_id)


def _make_below(base: str, run_id: str) -> OpenFolder:
    """Make the folder of one run, which nobody else has made."""
    # In scratch and in a temporary folder others may have planted a link.
    follows_link = os.path.basename(base) == _STATE_NAME
    with contextlib.closing(make_own_folder(base, follows_link=follows_link)) as parent:
        parent.make_folder(run_id)
        return parent.open_folder(run_id)
