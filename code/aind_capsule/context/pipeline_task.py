"""Is this run a task of a Nextflow pipeline? Known by its ancestors, its links, or its variables.

Called by `running`: for what a task's run may leave in its results, and for whether a task lies
between a run and the wrapper around it. It never reads what a task's script says. Source: the
scripts that the platform generates and the engine's own task wrapper, versions 22.10 to 25.10.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aind_capsule.context.platform import read_variable
from aind_capsule.context.procfs import PROC, find_ancestors, read_command_line
from aind_capsule.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPTS = (".command.sh", ".command.run")
_SHELL = re.compile(r"-?(?:ba|da|z|k|mk|a|fi|c|tc)?sh")
#: A script with another first line than a shell's is run by that.
_INTERPRETER = re.compile(r"python[\d.]*|perl|ruby|julia")
_TASK_RESULTS = "/capsule/results"


@frozen
class PipelineTask:
    """A task around us.

    Attributes:
        evidence: How it is known, for people.
        folder: The task's folder, where that is known.
        command_script: Its `.command.sh`, where that can be read from here.
        engine_script: Its `.command.run`, where that can be read from here.
    """

    evidence: str
    folder: str | None = None
    command_script: str | None = None
    engine_script: str | None = None


def find_pipeline_task(
    environ: Mapping[str, str],
    *,
    pid: int | None = None,
    proc_root: Path | str = PROC,
    fs_root: Path | str = "/",
) -> PipelineTask | None:
    """The task that this process belongs to, or None.

    The first of these that holds is the evidence: an ancestor runs `.command.sh` or `.command.run`
    (`find_task_script` says when); `/results` is a link to a `capsule/results` folder other than
    that of a plain run; `NXF_TASK_WORKDIR`; `CO_PIPELINE_ID`. The folder is the first that any of
    them names. Under `process.scratch` results and scripts lie apart, so each script is looked for
    in all of these folders.

    Args:
        environ: The environment.
        pid: The process; this one by default.
        proc_root: Where /proc is.
        fs_root: The root of the file system.
    """
    evidence: list[str] = []
    folders: list[str | None] = []
    process = _find_task_process(os.getpid() if pid is None else pid, proc_root)
    if process is not None:
        ancestor, script = process
        evidence.append(f"process {ancestor} runs {script}")
        folders.append(_find_folder_of(script, f"{proc_root}/{ancestor}/cwd"))
    results = _find_linked_results(fs_root)
    if results is not None:
        evidence.append(f"/results is a link to {results}")
        folders.append(results.removesuffix(_TASK_RESULTS))
    folder = read_variable(environ, "NXF_TASK_WORKDIR")
    if folder is not None:
        evidence.append(f"NXF_TASK_WORKDIR is {folder}")
        folders.append(folder)
    pipeline_id = read_variable(environ, "CO_PIPELINE_ID")
    if pipeline_id is not None:
        evidence.append(f"CO_PIPELINE_ID is {pipeline_id}")
    if not evidence:
        return None
    known = [folder for folder in folders if folder]
    scripts = (_find_file(name, known) for name in _SCRIPTS)
    return PipelineTask(evidence[0], next(iter(known), None), *scripts)


def _find_file(name: str, folders: Sequence[str]) -> str | None:
    paths = (os.path.join(folder, name) for folder in folders)
    return next((path for path in paths if os.path.isfile(path)), None)


def find_task_between(pid: int, ancestor: int, proc_root: Path | str = PROC) -> int | None:
    """The process of a pipeline task that lies between a process and one of its ancestors.

    Neither of the two counts. Where the ancestor is none of them (another namespace), all that can
    be seen lies between.
    """
    for middle in find_ancestors(pid, proc_root):
        if middle == ancestor:
            return None
        if find_task_script(read_command_line(middle, proc_root)) is not None:
            return middle
    return None


def find_task_script(command_line: Sequence[str]) -> str | None:
    """The task's script, where a command line runs one.

    The rule: a shell (or python, perl, ruby, julia) whose script, its first argument that is
    neither an option nor an option's value, has exactly the base name `.command.sh` or
    `.command.run`. An editor or `grep` that was given the file runs nothing, nor does a shell whose
    `-c` text speaks of it: where such a text does run it, the shell that it starts is an ancestor
    too.

    >>> find_task_script(["/bin/bash", "-euo", "pipefail", "/w/ab/cd/.command.sh"])
    '/w/ab/cd/.command.sh'
    >>> find_task_script(["vim", ".command.sh"])
    >>> find_task_script(["bash", "-c", "grep set .command.sh"])
    """
    if not command_line:
        return None
    program = os.path.basename(command_line[0])
    is_shell = _SHELL.fullmatch(program) is not None
    if not is_shell and _INTERPRETER.fullmatch(program) is None:
        return None
    words = iter(command_line[1:])
    for word in words:
        if word[:1] not in ("-", "+"):
            return word if os.path.basename(word) in _SCRIPTS else None
        if not is_shell or word.startswith("--"):
            if word in ("--rcfile", "--init-file"):
                next(words, None)
        elif "c" in word or "s" in word:  # commands from the text that follows, or from stdin
            return None
        elif "o" in word or "O" in word:  # `-euo pipefail`
            next(words, None)
    return None


def _find_task_process(pid: int, proc_root: Path | str) -> tuple[int, str] | None:
    """The nearest ancestor that runs a task's script, and the script."""
    for ancestor in find_ancestors(pid, proc_root):
        script = find_task_script(read_command_line(ancestor, proc_root))
        if script is not None:
            return ancestor, script
    return None


def _find_folder_of(script: str, cwd_link: str) -> str | None:
    """The folder of a process's script.

    A relative one is looked for from the process's working directory upwards: the platform's
    script goes from the task's folder into `capsule/code`.
    """
    if os.path.isabs(script):
        return os.path.dirname(os.path.normpath(script))
    try:
        cwd = os.readlink(cwd_link)
    except OSError:
        return None
    while True:
        path = os.path.join(cwd, script)
        if os.path.isfile(path):
            return os.path.dirname(os.path.normpath(path))
        if cwd == os.path.dirname(cwd):
            return None
        cwd = os.path.dirname(cwd)


def _find_linked_results(fs_root: Path | str) -> str | None:
    """Where `/results` leads, when it is a link to a task's results."""
    results = os.path.join(fs_root, "results")
    if not os.path.islink(results):
        return None
    target = os.path.realpath(results)
    is_plain = target == os.path.realpath(os.path.join(fs_root, "root/capsule/results"))
    return target if target.endswith(_TASK_RESULTS) and not is_plain else None
