"""The platform: in which mode a run is, and the ids that the platform gave it.

Called by `running`, `identity` and `pipeline_task`. It never asks the platform's servers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aind_capsule.context.cgroup import CONTAINER_GROUPS

if TYPE_CHECKING:
    from pathlib import Path

#: Run modes, from the most to the least special.
PIPELINE_TASK = "pipeline_task"
CODE_OCEAN = "code_ocean_capsule"
CONTAINER = "container"
WORKSTATION = "workstation"

_IDS = {
    "capsule_id": "CO_CAPSULE_ID",
    "computation_id": "CO_COMPUTATION_ID",
    "pipeline_id": "CO_PIPELINE_ID",
    "batch_job_id": "AWS_BATCH_JOB_ID",
    "batch_attempt": "AWS_BATCH_JOB_ATTEMPT",
    "source_capsule_id": "CO_SOURCE_CAPSULE_ID",
    "source_computation_id": "CO_SOURCE_COMPUTATION_ID",
}
_MISSING = frozenset({"", "null", "none", "undefined"})
#: What only a plain run on the platform has, all of it: a folder alone can be somebody's checkout.
_PLATFORM_FOLDERS = ("code", "root/capsule/code", "root/capsule/results")
_CONTAINER_FILES = (".dockerenv", "run/.containerenv")
#: Apptainer sets both: the first one that is set names what runs the container.
_IMAGE_VARIABLES = {"APPTAINER_CONTAINER": "Apptainer", "SINGULARITY_CONTAINER": "Singularity"}
_CONTAINER_VARIABLES = (*_IMAGE_VARIABLES, "container")


def read_variable(environ: Mapping[str, str], name: str) -> str | None:
    """A variable of the platform's; None where it is empty or a word for nothing.

    >>> read_variable({"CO_PIPELINE_ID": " undefined "}, "CO_PIPELINE_ID")
    """
    value = environ.get(name, "").strip()
    return None if value.lower() in _MISSING else value


def read_platform_ids(environ: Mapping[str, str]) -> dict[str, str]:
    """The platform's ids, as far as they are set.

    >>> read_platform_ids({"CO_CAPSULE_ID": "c1", "CO_PIPELINE_ID": "null"})
    {'capsule_id': 'c1'}
    """
    given = {name: read_variable(environ, variable) for name, variable in _IDS.items()}
    return {name: value for name, value in given.items() if value is not None}


def find_container(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return what runs our container and the image; None where the container does not tell.

    >>> find_container({"SINGULARITY_CONTAINER": "/images/x.sif"})
    {'type': 'Singularity', 'image': '/images/x.sif'}
    """
    for variable, kind in _IMAGE_VARIABLES.items():
        image = read_variable(environ, variable)
        if image is not None:
            return {"type": kind, "image": image}
    return None


def find_run_mode(
    environ: Mapping[str, str],
    *,
    is_pipeline_task: bool,
    proc_root: Path | str = "/proc",
    fs_root: Path | str = "/",
) -> str:
    """One of the run modes.

    Args:
        environ: The environment.
        is_pipeline_task: Whether a pipeline task was found around us.
        proc_root: Where /proc is.
        fs_root: The root of the file system.
    """
    if is_pipeline_task:
        return PIPELINE_TASK
    ids = read_platform_ids(environ)
    if "capsule_id" in ids or "computation_id" in ids:
        return CODE_OCEAN
    if all(os.path.isdir(os.path.join(fs_root, folder)) for folder in _PLATFORM_FOLDERS):
        return CODE_OCEAN
    if any(os.path.exists(os.path.join(fs_root, file)) for file in _CONTAINER_FILES):
        return CONTAINER
    if any(read_variable(environ, name) for name in _CONTAINER_VARIABLES):
        return CONTAINER
    try:
        with open(f"{proc_root}/1/cgroup", encoding="utf-8", errors="replace") as file:
            groups = file.read()
    except OSError:
        groups = ""
    return CONTAINER if any(word in groups for word in CONTAINER_GROUPS) else WORKSTATION
