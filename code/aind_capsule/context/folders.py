"""Where data, results and scratch are. Nothing is ever made here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("data", "results", "scratch")


@dataclass(frozen=True, slots=True)
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
        if not os.path.exists(self.path):
            return "there is no such folder"
        if not os.path.isdir(self.path):
            return "it is not a folder"
        if to_write and not os.access(self.path, os.W_OK | os.X_OK):
            return "it cannot be written"
        return None


def find_folder(
    kind: str, given: str | None, source: str, *, cwd: str, fs_root: str = ""
) -> Folder:
    """Find one folder: as given, else the platform's, else beside the code folder, else here.

    Args:
        kind: `data`, `results` or `scratch`.
        given: What a flag, a variable or a file says.
        source: Which of these said it.
        cwd: The working directory.
        fs_root: What stands before absolute paths (for tests).
    """
    if given is not None:
        return Folder(os.path.join(cwd, given), source, is_explicit=True)
    platform = f"{fs_root}/{kind}"
    if os.path.isdir(platform):
        return Folder(platform, f"/{kind} exists")
    if is_code_folder(cwd):
        return Folder(os.path.join(os.path.dirname(cwd), kind), "beside the code folder")
    return Folder(os.path.join(cwd, kind), "working directory")


def is_code_folder(folder: str) -> bool:
    """Whether a folder is a capsule's: named `code`, with a `run` or one of the folders beside it.

    On SLURM and in checkouts nothing else tells; a `code` folder of another kind has neither.
    """
    if os.path.basename(folder) != "code":
        return False
    beside = os.path.dirname(folder)
    has_folder = any(os.path.isdir(os.path.join(beside, kind)) for kind in KINDS)
    return has_folder or os.path.isfile(os.path.join(folder, "run"))


def build_variables(folders: Mapping[str, Folder]) -> dict[str, str]:
    """The folders as the environment of the processing names them."""
    return {f"CAPSULE_{kind.upper()}": folder.path for kind, folder in folders.items()}
