"""Control groups of version 2, version 1 and both at once, inside a container and outside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.cgroup import (
    Cgroup,
    find_cgroup,
    is_counter_shared,
    read_cpu_limit,
    read_memory_limit_bytes,
    read_oom_kill_count,
)
from tests.context.trees import write_tree

MIB = 1 << 20
V1_NO_LIMIT = "9223372036854771712\n"
V1_PATHS = "4:memory:{0}\n3:cpuset:{0}\n2:cpu,cpuacct:{0}\n1:name=systemd:{0}\n0::/\n"


def _find(root: Path, paths: str, groups: dict[str, str]) -> Cgroup:
    write_tree(root / "proc", {"self/cgroup": paths})
    write_tree(root / "cgroup", groups)
    return find_cgroup(root / "proc", root / "cgroup")


def _read(cgroup: Cgroup) -> tuple[int | None, float | None, int | None]:
    return read_memory_limit_bytes(cgroup), read_cpu_limit(cgroup), read_oom_kill_count(cgroup)


def test_version_2_outside_of_a_container(tmp_path: Path) -> None:
    """The smallest limit on the way up counts; the kills are those of our own group."""
    groups = {
        "cgroup.controllers": "cpu memory",
        "user.slice/memory.max": f"{64 * MIB}\n",
        "user.slice/cpu.max": "150000 100000\n",
        "user.slice/memory.events": "oom_kill 9\n",
        "user.slice/job/memory.max": f"{512 * MIB}\n",
        "user.slice/job/cpu.max": "400000 100000\n",
        "user.slice/job/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
    }
    assert _read(_find(tmp_path, "0::/user.slice/job\n", groups)) == (64 * MIB, 1.5, 2)


@pytest.mark.parametrize("path", ["/", "/system.slice/docker-ab.scope", "/../other", "/gone (x)"])
def test_version_2_in_a_container(tmp_path: Path, path: str) -> None:
    """A namespace's root, a host's path, one outside of the namespace: the mount's root is ours."""
    groups = {
        "cgroup.controllers": "cpu memory",
        "memory.max": f"{32 * MIB}\n",
        "cpu.max": "50000 100000\n",
        "memory.events": "oom_kill 1\n",
        "other/memory.max": "4096\n",
    }
    assert _read(_find(tmp_path, f"0::{path}\n", groups)) == (32 * MIB, 0.5, 1)


def test_version_2_without_limits(tmp_path: Path) -> None:
    """`max` is no limit; the machine's root group has none of the files."""
    groups = {
        "cgroup.controllers": "cpu memory",
        "a/memory.max": "max\n",
        "a/cpu.max": "max 100000\n",
        "a/memory.events": "oom_kill 0\n",
    }
    assert _read(_find(tmp_path, "0::/a\n", groups)) == (None, None, 0)
    assert _read(find_cgroup(tmp_path / "none", tmp_path / "cgroup")) == (None, None, None)


def test_version_2_kills_of_the_nearest_group_with_memory(tmp_path: Path) -> None:
    """Where our own group does not control memory, we are part of the one above that does."""
    groups = {
        "cgroup.controllers": "cpu memory",
        "a/memory.events": "oom_kill 4\n",
        "a/b/cpu.max": "max 100000\n",
    }
    assert read_oom_kill_count(_find(tmp_path, "0::/a/b\n", groups)) == 4


def test_version_1_outside_of_a_container(tmp_path: Path) -> None:
    """Each controller has its tree; the smallest limit counts, the huge number is none."""
    groups = {
        "memory/memory.limit_in_bytes": V1_NO_LIMIT,
        "memory/a/memory.limit_in_bytes": f"{100 * MIB}\n",
        "memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
        "memory/a/b/memory.limit_in_bytes": V1_NO_LIMIT,
        "memory/a/b/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
        "cpu/a/b/cpu.cfs_quota_us": "-1\n",
        "cpu/a/b/cpu.cfs_period_us": "100000\n",
        "cpu/a/cpu.cfs_quota_us": "250000\n",
        "cpu/a/cpu.cfs_period_us": "100000\n",
    }
    assert _read(_find(tmp_path, V1_PATHS.format("/a/b"), groups)) == (100 * MIB, 2.5, 3)


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_version_1_in_a_container(tmp_path: Path, mount: str) -> None:
    """The host's path is not visible in the mount, whose root is then our group."""
    groups = {
        "memory/memory.limit_in_bytes": f"{8 * MIB}\n",
        "memory/memory.oom_control": "oom_kill 1\n",
        f"{mount}/cpu.cfs_quota_us": "100000\n",
        f"{mount}/cpu.cfs_period_us": "50000\n",
    }
    assert _read(_find(tmp_path, V1_PATHS.format("/docker/abc"), groups)) == (8 * MIB, 2.0, 1)


def test_version_1_below_a_containers_root(tmp_path: Path) -> None:
    """A group that the container made: the mount shows only the path's end."""
    groups = {
        "memory/memory.limit_in_bytes": f"{80 * MIB}\n",
        "memory/own/memory.limit_in_bytes": f"{90 * MIB}\n",
        "memory/own/memory.oom_control": "oom_kill 5\n",
    }
    assert _read(_find(tmp_path, V1_PATHS.format("/docker/abc/own"), groups)) == (80 * MIB, None, 5)


def test_both_versions_with_memory_in_version_1(tmp_path: Path) -> None:
    """The unified tree beside controls nothing: version 1 tells."""
    groups = {
        "unified/cgroup.controllers": "\n",
        "memory/job/memory.limit_in_bytes": f"{16 * MIB}\n",
        "memory/job/memory.oom_control": "oom_kill 2\n",
        "cpu/cpu.cfs_quota_us": "-1\n",
        "cpu/cpu.cfs_period_us": "100000\n",
    }
    paths = "4:memory:/job\n3:cpuset:/\n1:cpu:/\n0::/\n"
    assert _read(_find(tmp_path, paths, groups)) == (16 * MIB, None, 2)


def test_both_versions_with_memory_in_version_2(tmp_path: Path) -> None:
    """What version 1 does not have is read from the unified tree beside."""
    groups = {
        "unified/cgroup.controllers": "memory\n",
        "unified/job/memory.max": f"{24 * MIB}\n",
        "unified/job/memory.events": "oom_kill 6\n",
        "cpu/cpu.cfs_quota_us": "300000\n",
        "cpu/cpu.cfs_period_us": "100000\n",
    }
    paths = "1:cpu:/\n0::/job\n"
    assert _read(_find(tmp_path, paths, groups)) == (24 * MIB, 3.0, 6)


V2 = "cgroup.controllers"
KILLS_2, KILLS_1 = "memory.events", "memory.oom_control"


@pytest.mark.parametrize(
    ("paths", "files", "is_shared"),
    [
        # A container of version 2 sees its own group as the root; the machine's root counts nothing.
        ("0::/", [KILLS_2], False),
        ("0::/../other", [KILLS_2], False),
        ("0::/system.slice/docker-ab.scope", [f"system.slice/docker-ab.scope/{KILLS_2}"], False),
        ("0::/kubepods.slice/pod1/c", [f"kubepods.slice/{KILLS_2}", "kubepods.slice/pod1/c/cpu.max"], False),
        ("0::/user.slice/user-7.slice/user@7.service/user.slice/libpod-ab.scope/container",
         [f"user.slice/user-7.slice/user@7.service/user.slice/libpod-ab.scope/container/{KILLS_2}"], False),
        ("0::/user.slice/user-7.slice/session-2.scope", [f"user.slice/user-7.slice/session-2.scope/{KILLS_2}"], True),
        ("0::/system.slice/slurmstepd.scope/job_5/step_batch/user/task_0",
         [f"system.slice/slurmstepd.scope/job_5/step_batch/user/task_0/{KILLS_2}"], True),
        ("0::/a/b", [f"a/{KILLS_2}", "a/b/cpu.max"], True),
        # Version 1: a container's mount shows only its own group, by a path of the host's.
        ("4:memory:/docker/ab", [f"memory/{KILLS_1}"], False),
        ("4:memory:/ecs/task/ab", [f"memory/{KILLS_1}"], False),
        ("4:memory:/somebody/ab", [f"memory/{KILLS_1}"], False),
        ("4:memory:/docker/ab", [f"memory/docker/ab/{KILLS_1}"], False),
        ("4:memory:/", [f"memory/{KILLS_1}"], True),
        ("4:memory:/slurm/uid_7/job_5/step_0", [f"memory/slurm/uid_7/job_5/step_0/{KILLS_1}"], True),
        ("4:memory:/user.slice/user-7.slice", [f"memory/user.slice/user-7.slice/{KILLS_1}"], True),
        # Both versions at once.
        ("4:memory:/job\n0::/docker/ab", [f"memory/job/{KILLS_1}", "unified/cgroup.controllers"], True),
        ("1:cpu:/\n0::/docker/ab", [f"unified/docker/ab/{KILLS_2}", "unified/cgroup.controllers"], False),
        ("1:cpu:/\n0::/job", [f"unified/job/{KILLS_2}", "unified/cgroup.controllers"], True),
        ("", [], True),
    ],
)  # fmt: skip
def test_whose_kills_are_counted(
    tmp_path: Path, paths: str, files: list[str], is_shared: bool
) -> None:
    """A container engine's group counts for this container alone; a user's, a job's and the machine's do not."""
    groups = dict.fromkeys(files, "oom_kill 1\n")
    if not any("unified" in file or "memory/" in file for file in files):
        groups["cgroup.controllers"] = "memory\n"
    cgroup = _find(tmp_path, f"{paths}\n", groups)
    assert read_oom_kill_count(cgroup) == (1 if files else None)
    assert is_counter_shared(cgroup) == is_shared


def test_without_groups_all_is_unknown(tmp_path: Path) -> None:
    """On a system without control groups nothing is known."""
    cgroup = find_cgroup(tmp_path / "proc", tmp_path / "cgroup")
    assert cgroup == Cgroup()
    assert _read(cgroup) == (None, None, None)


@given(
    text=st.one_of(
        st.text(max_size=40),
        st.sampled_from(["9" * 5000, "1 0", "-1", "0", "0 0", "1e9", "²", "oom_kill", "٣"]),
    )
)
def test_garbage_is_unknown(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the files hold, in any place, nothing raises and no answer is absurd."""
    names = ("memory.max", "cpu.max", "memory.events", "memory.limit_in_bytes")
    names += ("memory.oom_control", "cpu.cfs_quota_us", "cpu.cfs_period_us")
    root = tmp_path_factory.mktemp("groups")
    for name in names:
        (root / name).write_text(f"oom_kill {text}" if "oom" in name else text, encoding="utf-8")
    (root / "self").mkdir()
    (root / "self" / "cgroup").write_text(f"0::{text}\n4:memory:{text}\n{text}", encoding="utf-8")
    folders = (str(root),)
    for cgroup in (
        find_cgroup(root, root),
        Cgroup(unified=folders),
        Cgroup(memory=folders, cpu=folders),
    ):
        memory, cpu, kills = _read(cgroup)
        assert memory is None or 0 < memory < 1 << 60
        assert cpu is None or cpu > 0
        assert kills is None or kills >= 0


@pytest.mark.parametrize("digits", [19, 20, 21, 400, 5000])
def test_numbers_beyond_the_kernels_are_no_limits(tmp_path: Path, digits: int) -> None:
    """A number too large to be converted or divided is no limit, and no exception."""
    huge = "9" * digits
    write_tree(tmp_path, {"memory.max": huge, "cpu.max": f"{huge} x", "memory.events": "oom_kill"})
    assert _read(Cgroup(unified=(str(tmp_path),))) == (None, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux")
def test_the_real_machine() -> None:
    """The folders that are found exist, our own group's first, the mount's root last."""
    cgroup = find_cgroup()
    for folders in (cgroup.unified, cgroup.memory, cgroup.cpu):
        assert all(Path(folder).is_dir() for folder in folders)
        assert list(folders) == sorted(folders, key=len, reverse=True)
    memory, cpu, kills = _read(cgroup)
    assert memory is None or memory > MIB
    assert cpu is None or cpu > 0
    if cgroup.memory:
        assert kills is not None
