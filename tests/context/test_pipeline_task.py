"""Is this run a task of a pipeline?"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.pipeline_task import (
    PipelineTask,
    find_pipeline_task,
    find_task_between,
    find_task_script,
)
from aind_capsule.context.procfs import find_children
from tests.conftest import build_environ, wait_until
from tests.context.trees import write_process, write_tree

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
Start = Callable[..., int]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task's folder whose script does as the platform's: into `capsule/code`, then the run."""
    script = "set -e\ncd capsule/code\n./run\n:\n"
    files = {".command.sh": script, "capsule/code/run": "#!/bin/sh\nsleep 1000\n:\n"}
    folder = write_tree(tmp_path / "work" / "ab" / "cd12", files)
    (folder / "capsule/code/run").chmod(0o755)
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command; the number of its first living descendant that runs `sleep`."""
    with contextlib.ExitStack() as stack:

        def run(*command: str, cwd: Path) -> int:
            process = stack.enter_context(
                subprocess.Popen(
                    command, cwd=cwd, env=build_environ(tmp_path), start_new_session=True
                )
            )
            stack.callback(os.killpg, process.pid, 9)
            return wait_until(lambda: _find_sleeper(process.pid))

        yield run


def _find_sleeper(pid: int) -> int | None:
    for child in find_children(pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text() == "sleep\n":
                return child
        found = _find_sleeper(child)
        if found:
            return found
    return None


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/bash", "-ue", "{}"],
        ["bash", "{}"],
        ["-bash", "-l", "{}"],
        ["/bin/bash", "-euo", "pipefail", "{}"],
        ["bash", "-C", "-e", "-u", "-o", "pipefail", "{}"],
        ["bash", "-O", "extglob", "+x", "{}"],
        ["bash", "--norc", "--rcfile", "/etc/rc", "{}"],
        ["bash", "-e", "--", "{}", "--flag"],
        ["/bin/sh", "-", "{}"],
        ["dash", "{}", "nxf_trace"],
        ["/usr/bin/zsh", "{}"],
        ["python3.11", "-u", "{}"],
        ["perl", "{}"],
    ],
)
@pytest.mark.parametrize("script", ["/w/ab/cd/.command.sh", ".command.run", "ab/.command.sh"])
def test_what_runs_a_tasks_script(command: list[str], script: str) -> None:
    """A shell or interpreter whose script it is, after options and their values."""
    assert find_task_script([word.format(script) for word in command]) == script


@pytest.mark.parametrize(
    "command",
    [
        [],
        [""],
        ["bash"],
        ["bash", "-s", "/w/.command.sh"],
        ["vim", ".command.sh"],
        ["grep", "set", "/w/.command.sh"],
        ["less", ".command.run"],
        ["ssh", "host", ".command.sh"],
        ["ssh", ".command.sh"],
        ["dash-viewer", ".command.sh"],
        ["bash", "view.sh", "/w/.command.sh"],
        ["bash", "-c", "vim /w/.command.sh"],
        ["bash", "-ec", "capsule run -- x", ".command.sh"],
        ["bash", "-o", "pipefail", "-c", "aws s3 cp s3://b/w/.command.run - | bash"],
        ["bash", "my.command.sh"],
        ["bash", "/w/.command.sh.bak"],
        ["bash", "/w/.command.sh/run"],
        ["bash", ".command.out"],
        ["python", "/usr/bin/ranger", ".command.sh"],
        ["/opt/bash.d/editor", ".command.sh"],
    ],
)
def test_what_only_speaks_of_a_tasks_script(command: list[str]) -> None:
    """Editors, pagers, remote shells, texts of `-c`, other names: nothing runs it."""
    assert find_task_script(command) is None


@given(command=st.lists(st.text(max_size=12), max_size=6))
def test_any_command_line_is_judged(command: list[str]) -> None:
    """No command line raises; what is found is a word of it."""
    script = find_task_script(command)
    assert script is None or script in command[1:]


def test_by_an_ancestor(tmp_path: Path) -> None:
    """The nearest ancestor that runs the script: its number, its folder, its script."""
    folder = write_tree(tmp_path / "task", {".command.sh": "", ".command.run": ""})
    proc = tmp_path / "proc"
    write_process(proc, 1, 0, command=["bash", str(folder / ".command.run"), "nxf_trace"])
    write_process(proc, 8, 1, command=["/bin/bash", "-ue", str(folder / ".command.sh")])
    write_process(proc, 9, 8, command=["/bin/bash", "./run"])
    found = find_pipeline_task({}, pid=9, proc_root=proc, fs_root=tmp_path)
    assert found == PipelineTask(
        evidence=f"process 8 runs {folder}/.command.sh",
        folder=str(folder),
        command_script=f"{folder}/.command.sh",
        engine_script=f"{folder}/.command.run",
    )


def test_scripts_and_results_apart(tmp_path: Path, task: Path) -> None:
    """Under `process.scratch` results lie in a temporary folder; each script is found where it is."""
    write_tree(tmp_path, {"nxf.1/capsule/results/": "", "engine/.command.run": ""})
    (tmp_path / "results").symlink_to(tmp_path / "nxf.1/capsule/results")
    environ = {"NXF_TASK_WORKDIR": str(tmp_path / "engine")}
    found = find_pipeline_task(environ, proc_root=tmp_path / "none", fs_root=tmp_path)
    assert found is not None
    assert (found.folder, found.command_script) == (str(tmp_path / "nxf.1"), None)
    assert found.engine_script == str(tmp_path / "engine/.command.run")


def test_a_task_is_not_its_own_ancestor(tmp_path: Path) -> None:
    """The process itself does not count, only what is above it."""
    proc = tmp_path / "proc"
    write_process(proc, 1, 0, command=["bash", ".command.sh"])
    assert find_pipeline_task({}, pid=1, proc_root=proc, fs_root=tmp_path) is None


def test_a_script_that_cannot_be_seen_from_here(tmp_path: Path) -> None:
    """A path of the host's: the folder is named, the script is not promised."""
    proc = tmp_path / "proc"
    write_process(proc, 1, 0, command=["bash", "/host/only/.command.run"])
    write_process(proc, 9, 1)
    found = find_pipeline_task({}, pid=9, proc_root=proc, fs_root=tmp_path)
    assert found is not None
    assert (found.folder, found.command_script) == ("/host/only", None)


@pytest.mark.parametrize("cwd", ["", "capsule/code", "capsule/results/deep"])
def test_a_relative_script_after_the_script_moved(tmp_path: Path, task: Path, cwd: str) -> None:
    """`bash -ue .command.sh` goes into `capsule/code`; the task's folder is found upwards."""
    (task / cwd).mkdir(parents=True, exist_ok=True)
    proc = tmp_path / "proc"
    write_process(proc, 1, 0, command=["bash", "-ue", ".command.sh"], cwd=task / cwd)
    write_process(proc, 9, 1)
    found = find_pipeline_task({}, pid=9, proc_root=proc, fs_root=tmp_path)
    assert found is not None
    assert (found.folder, found.command_script) == (str(task), str(task / ".command.sh"))


def test_a_relative_script_that_is_nowhere(tmp_path: Path) -> None:
    """The folder is then what another sign names, else unknown; it stays a task."""
    proc = tmp_path / "proc"
    write_process(proc, 1, 0, command=["bash", ".command.run"], cwd=tmp_path / "gone")
    write_process(proc, 9, 1)
    found = find_pipeline_task({}, pid=9, proc_root=proc, fs_root=tmp_path)
    assert found == PipelineTask("process 1 runs .command.run")
    environ = {"NXF_TASK_WORKDIR": "/w/ab/cd"}
    found = find_pipeline_task(environ, pid=9, proc_root=proc, fs_root=tmp_path)
    assert found == PipelineTask("process 1 runs .command.run", "/w/ab/cd")


def test_by_the_link_of_results(tmp_path: Path, task: Path) -> None:
    """`/results` leads to a task's results."""
    (task / "capsule/results").mkdir()
    (tmp_path / "results").symlink_to(task / "capsule/results")
    found = find_pipeline_task({}, proc_root=tmp_path / "none", fs_root=tmp_path)
    assert found == PipelineTask(
        evidence=f"/results is a link to {task}/capsule/results",
        folder=str(task),
        command_script=str(task / ".command.sh"),
    )


@pytest.mark.parametrize("is_moved", [False, True])
def test_the_link_of_a_plain_run_is_no_task(tmp_path: Path, is_moved: bool) -> None:
    """A plain run's `/results` may lead to /root/capsule/results, wherever that really is."""
    if is_moved:
        write_tree(tmp_path, {"disk/capsule/results/": "", "root/": ""})
        (tmp_path / "root/capsule").symlink_to(tmp_path / "disk/capsule")
    else:
        write_tree(tmp_path, {"root/capsule/results/": ""})
    (tmp_path / "results").symlink_to(tmp_path / "root/capsule/results")
    assert find_pipeline_task({}, proc_root=tmp_path / "none", fs_root=tmp_path) is None


@pytest.mark.parametrize("target", ["disk/results", "disk/mycapsule/results", "disk/gone"])
def test_other_results_are_no_task(tmp_path: Path, target: str) -> None:
    """A link elsewhere says nothing."""
    write_tree(tmp_path, {"disk/results/": "", "disk/mycapsule/results/": ""})
    (tmp_path / "results").symlink_to(tmp_path / target)
    assert find_pipeline_task({}, proc_root=tmp_path / "none", fs_root=tmp_path) is None


def test_real_results_are_no_task(tmp_path: Path) -> None:
    """A folder that is no link says nothing, whatever its name."""
    root = write_tree(tmp_path / "capsule", {"results/": ""})
    assert find_pipeline_task({}, proc_root=tmp_path / "none", fs_root=root) is None


def test_by_the_engines_variable(tmp_path: Path, task: Path) -> None:
    """NXF_TASK_WORKDIR names the folder."""
    environ = {"NXF_TASK_WORKDIR": str(task), "CO_PIPELINE_ID": "p1"}
    found = find_pipeline_task(environ, proc_root=tmp_path / "none", fs_root=tmp_path)
    assert found is not None
    assert found.evidence == f"NXF_TASK_WORKDIR is {task}"
    assert (found.folder, found.command_script) == (str(task), str(task / ".command.sh"))


def test_by_the_platforms_variable(tmp_path: Path) -> None:
    """CO_PIPELINE_ID alone: a task whose folder is unknown."""
    environ = {"CO_PIPELINE_ID": "p1"}
    found = find_pipeline_task(environ, proc_root=tmp_path / "none", fs_root=tmp_path)
    assert found == PipelineTask("CO_PIPELINE_ID is p1")


@pytest.mark.parametrize("value", ["", " ", "null", "undefined"])
def test_empty_variables_are_no_task(tmp_path: Path, value: str) -> None:
    """Variables that are empty or a word for nothing say nothing."""
    environ = {"NXF_TASK_WORKDIR": value, "CO_PIPELINE_ID": value}
    assert find_pipeline_task(environ, proc_root=tmp_path / "none", fs_root=tmp_path) is None


def test_a_task_between(tmp_path: Path) -> None:
    """Strictly between the two; where the second is no ancestor, all that is above counts."""
    proc = tmp_path / "proc"
    task_line = ["bash", "-ue", "/w/.command.sh"]
    for pid, parent, command in (
        (1, 0, ["init"]),
        (3, 1, task_line),
        (4, 3, ["capsule"]),
        (5, 4, task_line),
        (6, 5, ["capsule"]),
        (7, 6, ["bash", "./run"]),
    ):
        write_process(proc, pid, parent, command=command)
    assert find_task_between(6, 4, proc) == 5
    assert find_task_between(7, 4, proc) == 5
    assert find_task_between(7, 5, proc) is None
    assert find_task_between(7, 6, proc) is None
    assert find_task_between(4, 1, proc) == 3
    assert find_task_between(4, 77, proc) == 3
    assert find_task_between(3, 77, proc) is None


@needs_linux
@pytest.mark.parametrize(
    "command",
    [
        ["bash", "-ue", ".command.sh"],
        ["bash", "-euo", "pipefail", "{task}/.command.sh"],
        ["sh", "-c", "eval ':'; /bin/bash -ue {task}/.command.sh; :"],
        ["sh", "-c", "exec bash {task}/.command.sh"],
    ],
)
def test_a_real_task(tmp_path: Path, task: Path, start: Start, command: list[str]) -> None:
    """A real shell that runs the script and has moved on: the run below it is a task's."""
    sleeper = start(*(word.format(task=task) for word in command), cwd=task)
    found = find_pipeline_task({}, pid=sleeper, fs_root=tmp_path)
    assert found is not None
    assert (found.folder, found.command_script) == (str(task), str(task / ".command.sh"))
    task_pid = find_task_between(sleeper, os.getpid())
    assert task_pid is not None
    assert find_task_between(sleeper, task_pid) is None
    assert find_task_between(task_pid, os.getpid()) is None


@needs_linux
def test_a_real_shell_that_only_speaks_of_it(task: Path, start: Start) -> None:
    """A shell whose text mentions the script without running it is no task."""
    sleeper = start("bash", "-c", "ls .command.sh; sleep 1000; :", cwd=task)
    assert find_task_between(sleeper, os.getpid()) is None
