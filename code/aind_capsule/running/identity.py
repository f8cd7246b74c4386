"""Who this run is: its name, and the fields that every one of its records bears."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from aind_capsule.records.merge import MACHINE_FIELDS, coerce, rename_taken
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


def build_run_fields(
    run_id: str, process_name: str, settings: Settings, environment: Mapping[str, str]
) -> dict[str, Any]:
    """The fields of every record of the run; what is not known is left out.

    Args:
        environment: What the surroundings say (host name, platform's ids, rig).
    """
    user_id = settings.user_id
    if user_id is None and len(settings.experimenters) == 1:
        user_id = settings.experimenters[0]
    known = {
        "run_id": run_id,
        **environment,
        "pipeline_name": settings.pipeline_name,
        "process_name": process_name,
        "experiment_id": settings.experiment_id,
        "user_id": user_id,
    }
    fields = {name: value for name, value in known.items() if coerce(name, value) is not None}
    taken = {**dict.fromkeys(MACHINE_FIELDS), "event_type": None, **fields}
    return {**fields, **rename_taken(settings.fields, taken)}
