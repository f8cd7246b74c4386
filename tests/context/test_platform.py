"""Run mode and the platform's ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from aind_capsule.context.platform import (
    CODE_OCEAN,
    CONTAINER,
    PIPELINE_TASK,
    WORKSTATION,
    find_container,
    find_run_mode,
    read_platform_ids,
    read_variable,
)
from tests.context.trees import write_tree

PLAIN_RUN = {"code/": "", "root/capsule/code/": "", "root/capsule/results/": ""}
HOST_GROUPS = "1:name=systemd:/init.scope\n0::/init.scope\n"


def _find(root: Path, environ: dict[str, str], *, groups: str = HOST_GROUPS) -> str:
    proc = write_tree(root / "proc", {"1/cgroup": groups})
    return find_run_mode(environ, is_pipeline_task=False, proc_root=proc, fs_root=root)


def test_all_ids() -> None:
    """Each id has its variable."""
    environ = {
        "CO_CAPSULE_ID": "c",
        "CO_COMPUTATION_ID": "r",
        "CO_PIPELINE_ID": "p",
        "AWS_BATCH_JOB_ID": "j",
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "CO_SOURCE_CAPSULE_ID": "sc",
        "CO_SOURCE_COMPUTATION_ID": "sr",
        "CO_CPUS": "4",
    }
    assert read_platform_ids(environ) == {
        "capsule_id": "c",
        "computation_id": "r",
        "pipeline_id": "p",
        "batch_job_id": "j",
        "batch_attempt": "2",
        "source_capsule_id": "sc",
        "source_computation_id": "sr",
    }


@pytest.mark.parametrize("value", ["", " ", "null", "NULL", "undefined", "None", " undefined\n"])
def test_words_for_nothing_are_missing(value: str) -> None:
    """Empty values and words for nothing are as if not set."""
    assert read_variable({"CO_CAPSULE_ID": value}, "CO_CAPSULE_ID") is None
    assert read_platform_ids({"CO_CAPSULE_ID": value, "CO_COMPUTATION_ID": " r1 "}) == {
        "computation_id": "r1"
    }


def test_a_pipeline_task_is_one_whatever_else(tmp_path: Path) -> None:
    """A task has the platform's ids and runs in a container too."""
    mode = find_run_mode({"CO_CAPSULE_ID": "c"}, is_pipeline_task=True, fs_root=tmp_path)
    assert mode == PIPELINE_TASK


@pytest.mark.parametrize("name", ["CO_CAPSULE_ID", "CO_COMPUTATION_ID"])
def test_the_platforms_ids_tell(tmp_path: Path, name: str) -> None:
    """An id of the platform's: a capsule on the platform, though it is a container too."""
    write_tree(tmp_path, {".dockerenv": ""})
    assert _find(tmp_path, {name: "c1"}) == CODE_OCEAN


def test_the_platforms_folders_tell(tmp_path: Path) -> None:
    """A plain run without any variable has the platform's folders."""
    assert _find(write_tree(tmp_path, PLAIN_RUN), {"CO_CAPSULE_ID": ""}) == CODE_OCEAN


@pytest.mark.parametrize("missing", PLAIN_RUN)
def test_some_of_the_platforms_folders_tell_nothing(tmp_path: Path, missing: str) -> None:
    """A checkout of somebody's under /root is no platform."""
    write_tree(tmp_path, {name: "" for name in PLAIN_RUN if name != missing})
    assert _find(tmp_path, {}) == WORKSTATION


@pytest.mark.parametrize("file", [".dockerenv", "run/.containerenv"])
def test_a_containers_files_tell(tmp_path: Path, file: str) -> None:
    """Docker and podman leave a file."""
    assert _find(write_tree(tmp_path, {file: ""}), {}) == CONTAINER


@pytest.mark.parametrize("name", ["APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "container"])
def test_a_containers_variables_tell(tmp_path: Path, name: str) -> None:
    """apptainer, singularity, podman and systemd's containers set a variable."""
    assert _find(tmp_path, {name: "image.sif"}) == CONTAINER
    assert _find(tmp_path, {name: ""}) == WORKSTATION


@pytest.mark.parametrize(
    ("environ", "kind", "image"),
    [
        (
            {"APPTAINER_CONTAINER": "/a.sif", "SINGULARITY_CONTAINER": "/s.sif"},
            "Apptainer",
            "/a.sif",
        ),
        ({"APPTAINER_CONTAINER": " ", "SINGULARITY_CONTAINER": "/s.sif"}, "Singularity", "/s.sif"),
        ({"container": "podman", "APPTAINER_NAME": "a.sif"}, None, None),
    ],
)
def test_the_container_that_tells_its_image(
    environ: dict[str, str], kind: str | None, image: str | None
) -> None:
    """Apptainer sets Singularity's variable too, and goes first."""
    assert find_container(environ) == (None if kind is None else {"type": kind, "image": image})


@pytest.mark.parametrize(
    "path",
    ["/docker/abc", "/kubepods/besteffort/pod1/c", "/system.slice/containerd.service", "/ecs/t/c"],
)
def test_the_groups_of_process_1_tell(tmp_path: Path, path: str) -> None:
    """Process 1 in an engine's group: a container."""
    assert _find(tmp_path, {}, groups=f"4:memory:{path}\n0::/\n") == CONTAINER


def test_nothing_found_is_a_workstation(tmp_path: Path) -> None:
    """No sign of anything, also where /proc is missing."""
    assert _find(tmp_path, {}) == WORKSTATION
    empty = tmp_path / "empty"
    mode = find_run_mode({}, is_pipeline_task=False, proc_root=empty, fs_root=empty)
    assert mode == WORKSTATION


def test_the_real_machine() -> None:
    """Here the answer is one of the four."""
    modes = {CODE_OCEAN, PIPELINE_TASK, CONTAINER, WORKSTATION}
    assert find_run_mode({}, is_pipeline_task=False) in modes
