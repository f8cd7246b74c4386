"""Where run folders are made: below scratch, else in the user's state folder, else a temporary one.

Used by the wrapper and by `configure_logging` without one. A missing scratch folder is never made:
it would be one more thing in a stranger's folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from aind_capsule.context.own_files import OpenFolder, make_own_folder
from aind_capsule.frozen import frozen
from aind_capsule.logs.allocation import AllocationUnsupportedError, allocate

#: Folder of the run folders inside scratch; its dot keeps it out of globs and of pipelines.
HIDDEN_NAME = ".capsule"
#: The user's own; it may be a link to a larger disk.
_STATE_NAME = "aind-capsule"
#: A log begins with less nowhere: its last record alone has half of it.
_LEAST_ROOM_BYTES = 128 * 1024
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


@frozen
class Place:
    """A run folder that was made, and why it is not below scratch, if it is not."""

    path: str
    why_not_scratch: str | None = None


def find_bases(scratch: str | None, environ: Mapping[str, str]) -> Iterator[str]:
    """Find the folders that may hold run folders, best first.

    Scratch, home and temporary folders count where they exist. Relative paths in the environment
    mean another folder in each working directory, and count nowhere.
    """
    has_scratch = scratch is not None and os.path.isdir(scratch)
    if scratch is not None and has_scratch:
        yield os.path.join(scratch, HIDDEN_NAME)
    state = _find_state_home(environ)
    if state is not None and (has_scratch or not _is_within(state, scratch)):
        yield os.path.join(state, _STATE_NAME)
    uid = os.getuid() if hasattr(os, "getuid") else 0
    for folder in (environ.get("TMPDIR"), environ.get("TEMP"), *_TEMPORARY):
        if folder and os.path.isabs(folder) and os.path.isdir(folder):
            yield os.path.join(folder, f"aind-capsule-{uid}")


def make_run_folder(run_id: str, scratch: str | None, environ: Mapping[str, str]) -> Place | None:
    """Make the folder of a run in the best place that can be written; None where there is none.

    A place that is full is taken only where all others are, too.
    """
    trouble, full = None, None
    if scratch is not None and not os.path.isdir(scratch):
        trouble = f"there is no scratch folder {scratch}"
    for base in find_bases(scratch, environ):
        try:
            folder = _make_below(base, run_id)
        except OSError as error:
            trouble = trouble or f"{base} cannot be written: {error.strerror}"
            continue
        with contextlib.closing(folder):
            shortage = _find_room_error(folder)
        if shortage is None:
            if full is not None:
                _remove_empty(full.path)
            return Place(folder.path, trouble)
        if full is None:
            full = Place(folder.path, trouble)
            trouble = trouble or f"{base} cannot be written: {shortage.strerror}"
        else:
            _remove_empty(folder.path)
    return full


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

    def is_last(base: str) -> bool:  # what was emptied may be emptied again
        return base == lost_base or _is_within(base, scratch)

    for base in sorted(find_bases(scratch, environ), key=is_last):
        with contextlib.suppress(OSError):
            # The delivery may have had its own need for this folder first.
            yield _make_below(base, run_id, may_exist=os.path.basename(base) == _STATE_NAME)


def open_base(base: str) -> OpenFolder:
    """Open one of the folders that hold run folders; it is made where it is missing.

    Raises:
        OSError: It can be neither made nor opened, or a link stands where others may plant one.
    """
    # In scratch and in a temporary folder others may have planted a link.
    return make_own_folder(base, follows_link=os.path.basename(base) == _STATE_NAME)


def _make_below(base: str, run_id: str, *, may_exist: bool = False) -> OpenFolder:
    """Make the folder of one run; unless it may exist, nobody else has made it."""
    with contextlib.closing(open_base(base)) as parent:
        try:
            parent.make_folder(run_id)
        except FileExistsError:
            if not may_exist:
                raise
        return parent.open_folder(run_id)


def _find_room_error(folder: OpenFolder) -> OSError | None:
    """Try to make a file and have room for it. Return why that fails, or None."""
    name = f".{os.urandom(6).hex()}.part"
    try:
        fd = folder.create_file(name)
    except OSError as error:
        return error
    try:
        allocate(fd, 0, _LEAST_ROOM_BYTES)
    except AllocationUnsupportedError:
        return None
    except OSError as error:
        return error
    finally:
        os.close(fd)
        folder.remove_file(name)
    return None


def _remove_empty(folder: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _find_state_home(environ: Mapping[str, str]) -> str | None:
    """Return the folder of what programs keep for the user; None where the user has none."""
    state, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if os.path.isabs(state):
        return state
    has_home = os.path.isabs(home) and os.path.isdir(home)
    return os.path.join(home, ".local", "state") if has_home else None


def _is_within(path: str, folder: str | None) -> bool:
    """Return whether a path is a folder's, or leads below it; either may be missing."""
    if folder is None:
        return False
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return os.path.join(path, "").startswith(os.path.join(folder, ""))
