"""Where data, results and scratch are. Called by `running`, `logs` and `cli`; makes no folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aind_capsule.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

#: What file systems and kernels say that know no `O_TMPFILE`.
_NO_NAMELESS_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)
KINDS = ("data", "results", "scratch")


@frozen
class Folder:
    """One of the three folders.

    Attributes:
        path: Absolute.
        source: Why it is this one, for people.
        is_explicit: Whether a flag, a variable or a file named it.
    """

    path: str
    source: str
    is_explicit: bool = False

    def find_fault(self, *, to_write: bool) -> str | None:
        """Why it cannot be used, or None."""
        try:
            mode = os.stat(self.path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(self.path):
                return f"it is a link to {os.readlink(self.path)}, where nothing is"
            return "there is no such folder"
        except OSError as error:
            return f"it cannot be reached ({error.strerror})"
        except ValueError:  # a NUL, or what cannot be encoded
            return "that is no path"
        if not stat.S_ISDIR(mode):
            return "it is not a folder"
        failure = find_write_error(self.path) if to_write else _find_entry_error(self.path)
        if failure is None:
            return None
        verb = "written" if to_write else "entered"
        return f"it cannot be {verb} ({failure.strerror})"


def find_folder(
    kind: str, given: str | None, source: str, *, cwd: str, fs_root: Path | str = "/"
) -> Folder:
    """Find one folder: as given, else the platform's, else beside the code folder, else here.

    Args:
        kind: `data`, `results` or `scratch`.
        given: What a flag, a variable or a file says; empty is nothing.
        source: Which of these said it.
        cwd: The working directory.
        fs_root: The root of the file system.
    """
    if given:
        return Folder(os.path.join(cwd, given), source, is_explicit=True)
    platform = os.path.join(fs_root, kind)
    if os.path.isdir(platform):
        return Folder(platform, f"/{kind} exists")
    if is_code_folder(cwd):
        beside = os.path.dirname(os.path.normpath(cwd))
        return Folder(os.path.join(beside, kind), "beside the code folder")
    return Folder(os.path.join(cwd, kind), "working directory")


def get_cwd() -> str:
    """Return the working directory, or the root where it has been removed."""
    try:
        return os.getcwd()
    except OSError:
        return os.sep


def find_write_error(folder: str) -> OSError | None:
    """Try to make a file in a folder. Return why that fails, or None.

    The file has no name and is gone at once. Where the file system cannot make such files, the
    permissions of this process are asked for: a file with a name would be seen by others.
    """
    nameless = getattr(os, "O_TMPFILE", 0)
    if nameless:
        try:
            os.close(os.open(folder, nameless | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            if error.errno not in _NO_NAMELESS_FILES:
                return error
        else:
            return None
    is_allowed = os.access(
        folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    )
    return None if is_allowed else PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _find_entry_error(folder: str) -> OSError | None:
    try:
        os.stat(os.path.join(folder, "."))
    except OSError as error:
        return error
    return None


def is_code_folder(folder: str) -> bool:
    """Whether a folder is a capsule's: named `code`, with a `run` or one of the folders beside it.

    On SLURM and in checkouts nothing else tells; a `code` folder of another kind has neither.
    """
    beside, name = os.path.split(os.path.normpath(folder))
    if name != "code":
        return False
    has_folder = any(os.path.isdir(os.path.join(beside, kind)) for kind in KINDS)
    return has_folder or os.path.isfile(os.path.join(folder, "run"))


def build_variables(folders: Mapping[str, Folder]) -> dict[str, str]:
    """The folders as the environment of the processing names them."""
    return {f"CAPSULE_{kind.upper()}": folder.path for kind, folder in folders.items()}
