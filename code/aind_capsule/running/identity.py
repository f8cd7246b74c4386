"""How a run's process is called where nobody says it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aind_capsule.running.parameters import INLINE_FLAGS, find_script_index
from aind_capsule.settings.model import Settings

#: Names of scripts that say nothing of what they do.
_GENERAL_NAMES = frozenset({"run", "main", "run_capsule", "__main__", "-c"})
_GENERAL_FOLDERS = frozenset({"", "capsule", "code", "root", "src"})


def find_process_name(settings: Settings, command: Sequence[str], cwd: str) -> str:
    """The process's name: as set, else the script's, else its capsule's folder's.

    >>> find_process_name(Settings(), ["bash", "/x/my-qc/code/run"], "/")
    'my-qc'
    """
    if settings.process_name:
        return settings.process_name
    if not command:
        return "capsule"
    index = find_script_index(command)
    if index and command[index - 1] in INLINE_FLAGS:  # code on the command line has no name
        return os.path.basename(command[0])
    folder, name = os.path.split(os.path.join(cwd, command[index]))
    stem = os.path.splitext(name)[0]
    if stem not in _GENERAL_NAMES:
        return stem or "capsule"
    folders = reversed(os.path.normpath(folder).split(os.sep))
    return next((name for name in folders if name not in _GENERAL_FOLDERS), "capsule")
