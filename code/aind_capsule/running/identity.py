"""How a run's process is called.

A log is one stream a name, so a name must be the same in each run of a capsule and differ between
capsules. What changes from run to run (temporary folders, hashes, dates, numbers of processes) is
never part of a guess.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from aind_capsule.context.folders import is_code_folder
from aind_capsule.context.pipeline_task import PipelineTask, find_task_script
from aind_capsule.context.platform import read_platform_ids, read_variable
from aind_capsule.frozen import frozen
from aind_capsule.records.naming import GENERAL_NAMES, clean_process_name
from aind_capsule.running.preparing.command_line import Kind, Program, find_program
from aind_capsule.running.preparing.program_path import find_program_path, resolve_links
from aind_capsule.settings.model import Settings

#: Folders of code inside of a capsule's folder.
_CODE_FOLDERS = frozenset({"code", "scripts", "src"})
#: Names of repositories and of folders that say nothing of what is in them.
_GENERAL_REPOSITORIES = GENERAL_NAMES | _CODE_FOLDERS | {"capsule", "capsule-repo", "repo", "root"}
_GENERAL_FOLDERS = _GENERAL_REPOSITORIES | {
    "app", "bin", "data", "home", "local", "mnt", "opt", "results", "sbin", "scratch", "srv",
    "temp", "tmp", "usr", "var", "work", "workspace", "workspaces",
}  # fmt: skip
_SCRIPT_ENDINGS = (
    ".py", ".pyc", ".pyz", ".sh", ".bash", ".zsh", ".ksh", ".csh", ".fish", ".R", ".r", ".Rmd",
    ".rmd", ".qmd", ".jl", ".m", ".mlx", ".pl", ".rb", ".js", ".mjs", ".cjs", ".ts", ".ipynb",
    ".jar", ".exe", ".nf", ".sif",
)  # fmt: skip
#: What mktemp, Python and Nextflow make up, hashes, UUIDs and numbers. Patterns are compiled where
#: they are needed: the time before the processing's start is dear.
_PASSING = (
    r"tmp[a-z0-9_]{8}|tmp[.-].+|nxf[.-].+|\d+|(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{7,}(?:-[0-9a-fA-F]+)*"
)
#: Folders that are made for one run: with a job's number, a date, or a run's id.
_PASSING_FOLDER = (
    r"(?:job|pid|run|slurm|task)?[-_.]?\d[\d_.:T-]*"
    r"|.*(?:19|20)\d\d(?P<dash>-?)[01]\d(?P=dash)[0-3]\d(?!\d).*"
)
#: A commit's hash or a UUID behind a name: archives of repositories have one.
_HASH_BEHIND = (
    r"[-_.](?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64})$"
)
#: What mktemp and Python put behind a name.
_RANDOM_BEHIND = (
    r"[-_.][a-z0-9_]{8}$|(?=[a-z0-9_]{0,7}\d)[a-z0-9_]{8}$"
    r"|[-_.](?=[a-z]*[A-Z0-9])[A-Za-z0-9]{4,}$"
)
_TEMPORARY_FOLDERS = frozenset({"/tmp", "/var/tmp", "/dev/shm"})
_MAX_SCRIPT_BYTES = 1024 * 1024
_HINT = "Set process_name in code/capsule.toml to name it"


@frozen
class ProcessName:
    """The name of a run's process.

    Attributes:
        text: The name.
        is_guess: Whether a name that the processing states is to be preferred.
        hint: For people, how to give it a better one; None where it has a good one.
    """

    text: str
    is_guess: bool = True
    hint: str | None = None


def find_process_name(
    settings: Settings,
    command: Sequence[str],
    cwd: str,
    environ: Mapping[str, str],
    task: PipelineTask | None = None,
) -> ProcessName:
    """Return the name: as set, as the pipeline has it, the repository's, the platform's, a guess.

    Args:
        settings: A flag, a variable or `capsule.toml` may have set it.
        command: The processing's command line.
        cwd: The working directory.
        environ: The environment, for the platform's variables and PATH.
        task: The pipeline task that the run is, if any.

    >>> find_process_name(Settings(), ["bash", "-e", "/x/my-qc/code/run"], "/", {}).text
    'my-qc'
    """
    given = read_variable({"name": settings.process_name or ""}, "name")
    name = clean_process_name(given or "") or _read_name_of_task(task, command, cwd)
    if name:
        return ProcessName(name, is_guess=False)
    program = find_program(command)
    path = find_program_path(program, cwd, environ)
    name = _find_cloned_name(task, environ)
    name = name or _find_repository_name(program, path, cwd, task, environ)
    if name:
        return ProcessName(name)
    capsule_id = clean_process_name(read_platform_ids(environ).get("capsule_id", ""))
    if capsule_id:
        name = f"capsule-{capsule_id[:8]}"
        return ProcessName(name, hint=f"The process is named {name} after CO_CAPSULE_ID. {_HINT}")
    return ProcessName(_find_command_name(program, path, cwd, environ))


def _read_name_of_task(task: PipelineTask | None, command: Sequence[str], cwd: str) -> str:
    """Return the process of a pipeline task as the engine's script has it; empty where unknown."""
    script = None if task is None else task.engine_script
    around = find_task_script(command)  # the task's whole script may be what is wrapped
    if around is not None:
        script = os.path.join(cwd, os.path.dirname(around), ".command.run")
    if script is None:
        return ""
    from aind_capsule.context.task_name import read_task_name  # few runs are tasks

    return clean_process_name(read_task_name(script) or "")


def _find_cloned_name(task: PipelineTask | None, environ: Mapping[str, str]) -> str:
    """Return the repository that a task's script clones; empty where it clones none."""
    if task is None or task.command_script is None:
        return ""
    from aind_capsule.context.files import read_head
    from aind_capsule.context.task_script import find_cloned_code

    cloned = find_cloned_code(read_head(task.command_script, _MAX_SCRIPT_BYTES), environ)
    if cloned is None or "$" in cloned.repository:  # a variable that is not set
        return ""
    return _keep_repository(cloned.repository)


def _find_repository_name(
    program: Program,
    path: str | None,
    cwd: str,
    task: PipelineTask | None,
    environ: Mapping[str, str],
) -> str:
    """Return the name of the git repository that the program lies in; empty where there is none.

    Its remote's name is preferred: it is the same on every machine, whatever the clone is called.
    """
    if path is None and program.kind is not Kind.CODE:
        return ""
    folder = resolve_links(cwd) if path is None else os.path.dirname(resolve_links(path))
    if not _is_below_git(folder):
        return ""
    from aind_capsule.context.code_addresses import strip_credentials  # few runs are in a checkout
    from aind_capsule.context.git_files import find_git_checkout

    checkout = find_git_checkout(folder)
    if checkout is None or checkout.folder == resolve_links(environ.get("HOME") or os.sep):
        return ""
    below = os.path.relpath(folder, checkout.folder).split(os.sep)
    if any(len(name) > 1 and name.startswith(".") for name in below):  # .venv, .tox, .pixi
        return ""
    # The folder that a pipeline was started in may be a checkout: that is not the capsule's.
    if task is not None and not _is_inside(checkout.folder, task.folder):
        return ""
    url = strip_credentials(checkout.url) or ""
    remote = re.split(r"[/\\:]", re.sub(r"[/\\]+(?:\.git)?$", "", url))[-1]
    name = _keep_repository(remote.removesuffix(".git"))
    return name or _keep_folder(checkout.folder, environ)


def _find_command_name(
    program: Program, path: str | None, cwd: str, environ: Mapping[str, str]
) -> str:
    """Return what the command line is called by, where nothing else names the process."""
    name = _find_stem(program)
    if name not in GENERAL_NAMES and not _is_passing(name):
        return clean_process_name(name) or "capsule"
    folder = os.path.dirname(path) if path is not None else cwd if is_code_folder(cwd) else ""
    while os.path.basename(folder) in _CODE_FOLDERS:
        folder = os.path.dirname(folder)
    runner = os.path.basename(program.interpreter)
    own = name if name not in ("", "-c", "__main__") and not _is_passing(name) else runner
    if folder == environ.get("HOME"):  # the user is no capsule
        folder = ""
    return _keep_folder(folder, environ) or clean_process_name(own) or "capsule"


def _find_stem(program: Program) -> str:
    """Return a program's name without its folder and ending; of a module the part that tells most.

    >>> _find_stem(Program(Kind.MODULE, "qc.main")), _find_stem(Program(Kind.SCRIPT, "a/v.2.sh"))
    ('qc', 'v.2')
    """
    if program.kind is Kind.MODULE and "/" not in program.word:
        parts = program.word.split(".")
        while len(parts) > 1 and parts[-1] in GENERAL_NAMES:
            parts.pop()
        return ".".join(parts)
    stem, ending = os.path.splitext(os.path.basename(os.path.normpath(program.word)))
    return (stem if ending in _SCRIPT_ENDINGS else stem + ending).strip(".") if program.word else ""


def _keep_repository(name: str) -> str:
    """Return a repository's name, cleaned; empty where it says nothing."""
    cleaned = clean_process_name(name).strip(".")
    return "" if _is_passing(cleaned) or cleaned in _GENERAL_REPOSITORIES else cleaned


def _keep_folder(folder: str, environ: Mapping[str, str]) -> str:
    """Return a folder's name, cleaned; empty where it says nothing, or changes from run to run."""
    above, name = os.path.split(folder)
    if any(map(str.isdigit, name)):
        name = re.sub(_HASH_BEHIND, "", name)
    if above in _TEMPORARY_FOLDERS or above == environ.get("TMPDIR", "").rstrip("/"):
        name = re.sub(_RANDOM_BEHIND, "", name).rstrip("-_.")
    cleaned = _keep_repository(name)
    is_passing = _is_passing(cleaned, f"{_PASSING}|{_PASSING_FOLDER}")
    return "" if is_passing or cleaned in _GENERAL_FOLDERS else cleaned


def _is_passing(name: str, pattern: str = _PASSING) -> bool:
    """Return whether a name is made up for one run."""
    if not name.startswith(("tmp", "nxf")) and not any(map(str.isdigit, name)):
        return False
    return re.fullmatch(pattern, name) is not None


def _is_below_git(folder: str) -> bool:
    """Return whether a folder, or one above it, has a `.git`."""
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above
    return True


def _is_inside(path: str, folder: str | None) -> bool:
    return folder is not None and path.startswith(os.path.join(resolve_links(folder), ""))
