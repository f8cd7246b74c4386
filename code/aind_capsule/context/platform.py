"""The platform: in which mode a run is, and the ids that the platform gave it."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Run modes, from the most to the least special.
CODE_OCEAN = "code_ocean_capsule"
PIPELINE_TASK = "pipeline_task"
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
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_VARIABLES = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "container")
_CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "libpod", "/ecs/")


def read_platform_ids(environ: Mapping[str, str]) -> dict[str, str]:
    """The platform's ids, as far as they are set.

    >>> read_platform_ids({"CO_CAPSULE_ID": "c1", "CO_PIPELINE_ID": "null"})
    {'capsule_id': 'c1'}
    """
    given = {name: environ.get(variable, "").strip() for name, variable in _IDS.items()}
    return {name: value for name, value in given.items() if value.lower() not in _MISSING}


def find_run_mode(environ: Mapping[str, str], *, is_pipeline_task: bool, fs_root: str = "") -> str:
    """One of the run modes.

    Args:
        environ: The environment.
        is_pipeline_task: Whether a pipeline task was found around us.
        fs_root: What stands before absolute paths (for tests).
    """
    if is_pipeline_task:
        return PIPELINE_TASK
    ids = read_platform_ids(environ)
    if "capsule_id" in ids or "computation_id" in ids:
        return CODE_OCEAN
    if os.path.isdir(f"{fs_root}/root/capsule/code"):
        return CODE_OCEAN
    if any(os.path.exists(fs_root + file) for file in _CONTAINER_FILES):
        return CONTAINER
    if any(environ.get(name) for name in _CONTAINER_VARIABLES):
        return CONTAINER
    try:
        with open(f"{fs_root}/proc/1/cgroup", encoding="utf-8", errors="replace") as file:
            groups = file.read()
    except OSError:
        groups = ""
    return CONTAINER if any(word in groups for word in _CONTAINER_GROUPS) else WORKSTATION
