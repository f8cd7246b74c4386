"""Is this run a task of a Nextflow pipeline? Known by its ancestors, its links, or its variables.

Source: the scripts that the platform generates and the engine's own task wrapper, versions 22.10
to 25.10.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from aind_capsule.context.procfs import find_ancestors, read_command_line

_SCRIPTS = (".command.sh", ".command.run")
_PLAIN_RESULTS = "/root/capsule/results"


@dataclass(frozen=True, slots=True)
class PipelineTask:
    """A task around us.

    Attributes:
        evidence: How it is known, for people.
        folder: The task's folder, where that is known.
        command_script: Its `.command.sh`, where that can be read from here.
    """

    evidence: str
    folder: str | None = None
    command_script: str | None = None


def find_pipeline_task(
    environ: Mapping[str, str], *, pid: int | None = None, proc: str = "/proc", fs_root: str = ""
) -> PipelineTask | None:
    """The task that this process belongs to, or None.

    Args:
        environ: The environment.
        pid: The process; this one by default.
        proc: Where /proc is.
        fs_root: What stands before absolute paths (for tests).
    """
    for ancestor in find_ancestors(os.getpid() if pid is None else pid, proc):
        script = find_task_script(read_command_line(ancestor, proc))
        if script is not None:
            folder = os.path.dirname(script)
            if not os.path.isabs(folder):
                try:
                    folder = os.path.join(os.readlink(f"{proc}/{ancestor}/cwd"), folder)
                except OSError:
                    folder = ""
            return _describe(f"process {ancestor} runs {script}", os.path.normpath(folder) or None)
    target = os.path.realpath(f"{fs_root}/results")
    is_task_link = os.path.islink(f"{fs_root}/results") and target.endswith("/capsule/results")
    if is_task_link and target != f"{fs_root}{_PLAIN_RESULTS}":
        return _describe(f"/results is a link to {target}", target[: -len("/capsule/results")])
    folder = environ.get("NXF_TASK_WORKDIR", "")
    if folder:
        return _describe(f"NXF_TASK_WORKDIR is {folder}", folder)
    pipeline_id = environ.get("CO_PIPELINE_ID", "").strip()
    if pipeline_id.lower() not in ("", "null", "none", "undefined"):
        return _describe(f"CO_PIPELINE_ID is {pipeline_id}", None)
    return None


def find_task_between(pid: int, ancestor: int, proc: str = "/proc") -> int | None:
    """The process of a pipeline task that lies between a process and one of its ancestors.

    Where the ancestor is none (another namespace), all that can be seen lies between.
    """
    for middle in find_ancestors(pid, proc):
        if middle == ancestor:
            return None
        if find_task_script(read_command_line(middle, proc)) is not None:
            return middle
    return None


def find_task_script(command_line: list[str]) -> str | None:
    """The task's script in a shell's command line; the word in another program's says nothing.

    >>> find_task_script(["/bin/bash", "-ue", "/w/ab/cd/.command.sh"])
    '/w/ab/cd/.command.sh'
    >>> find_task_script(["vim", ".command.sh"])
    """
    if not command_line or not os.path.basename(command_line[0]).lstrip("-").endswith("sh"):
        return None
    for word in command_line[1:]:
        for part in word.split():
            if os.path.basename(part.strip("'\"")) in _SCRIPTS:
                return part.strip("'\"")
    return None


def _describe(evidence: str, folder: str | None) -> PipelineTask:
    script = os.path.join(folder, ".command.sh") if folder else None
    return PipelineTask(evidence, folder, script if script and os.path.isfile(script) else None)
