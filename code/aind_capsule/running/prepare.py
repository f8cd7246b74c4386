"""Everything that a run needs before its processing starts: settings, folders, log, names.

What is wrong and may not stop the run is collected as problems and goes into the log once it is
open; what must stop it is collected too, so that it has a canonical record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aind_capsule.context.cgroup import Cgroup, find_cgroup
from aind_capsule.context.folders import KINDS, Folder, find_folder, find_write_error
from aind_capsule.context.identity import build_environment_fields
from aind_capsule.context.machine import read_machine
from aind_capsule.context.pipeline_task import PipelineTask, find_pipeline_task
from aind_capsule.context.platform import (
    WORKSTATION,
    find_container,
    find_run_mode,
    read_platform_ids,
)
from aind_capsule.errors import SettingsError
from aind_capsule.frozen import frozen
from aind_capsule.logs.place import make_run_folder
from aind_capsule.records.line_levels.literals import LITERALS
from aind_capsule.records.naming import make_file_stem, make_run_id
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.run_fields import build_run_fields
from aind_capsule.records.timestamps import read_clock_us
from aind_capsule.running.identity import find_process_name
from aind_capsule.running.parameters import find_parameters
from aind_capsule.running.preparing.command_line import Kind, find_program
from aind_capsule.running.preparing.program_path import find_program_path, resolve_links
from aind_capsule.running.preparing.run_facts import RunFacts
from aind_capsule.running.run_folder import RunFolder
from aind_capsule.settings.load import LoadedSettings, Problem, find_code_folder, load_settings
from aind_capsule.settings.model import Settings
from aind_capsule.settings.values import RUN_FILE_KINDS


@frozen
class RunRequest:
    """What `capsule run` was asked to do.

    Attributes:
        command: The processing.
        flags: Settings given on the command line, by key.
        environ: Our environment, without what another run's wrapper exported.
        cwd: The working directory.
        keeps_terminal: `--tty`.
    """

    command: Sequence[str]
    flags: Mapping[str, Any]
    environ: Mapping[str, str]
    cwd: str
    keeps_terminal: bool = False


@frozen
class Prepared:
    """A run that is ready to start, or to be refused.

    Attributes:
        fields: What every record bears.
        run_files: Kinds of run files that go into results.
        why_not_published: Why the log does not, for people; None where it does.
        redactor: Hides what is secret.
        problems: What is wrong with the settings and folders.
        fatal: What ends the run before its start, or None.
        name_hint: How to give the process a better name, or None.
    """

    facts: RunFacts
    settings: Settings
    folders: Mapping[str, Folder]
    run_folder: RunFolder | None
    fields: Mapping[str, Any]
    run_files: frozenset[str]
    why_not_published: str | None
    redactor: Redactor
    cgroup: Cgroup
    task: PipelineTask | None
    problems: tuple[Problem, ...]
    fatal: SettingsError | None
    name_hint: str | None = None


def prepare(request: RunRequest) -> Prepared:
    """Look at everything; makes the run folder and nothing else."""
    environ, cwd = request.environ, request.cwd
    loaded, fatal = _load(request)
    settings, problems = loaded.settings, list(loaded.problems)
    for problem in problems:
        is_uploads = problem.is_error and (problem.key or "").startswith(("s3.", "upload."))
        is_fatal = problem.is_fatal or (is_uploads and settings.upload.url is not None)
        if is_fatal and fatal is None:
            fatal = SettingsError(problem.message, hint=problem.hint)
    folders = {
        kind: find_folder(kind, getattr(settings, kind), loaded.sources[kind], cwd=cwd)
        for kind in KINDS
    }
    for kind, folder in folders.items():
        fault = folder.find_fault(to_write=kind != "data")
        if fault is None:
            continue
        message = f"The {kind} folder {folder.path} ({folder.source}) cannot be used: {fault}"
        remedy = "Make it" if is_missing(folder.path) else "Correct that"
        hint = f"{remedy}, or name another by --{kind}."
        if folder.is_explicit:
            fatal = fatal or SettingsError(message, hint=hint)
        elif kind == "results" and (settings.upload.url or not is_missing(folder.path)):
            problems.append(Problem(message, hint, is_error=True))
    run_id = make_run_id()
    task = find_pipeline_task(environ)
    run_mode = find_run_mode(environ, is_pipeline_task=task is not None)
    if loaded.sources["pipeline_url"] == "PIPELINE_URL":
        settings, more = _drop_url_of_image(settings, environ, run_mode, task)
        problems += more
    redactor = Redactor.from_settings(settings, environ, LITERALS)
    name = find_process_name(settings, request.command, cwd, environ, task)
    process_name = redactor.redact_text(name.text)  # the run's files bear it
    stem = make_file_stem(process_name, run_id, in_pipeline=task is not None)
    place = make_run_folder(run_id, folders["scratch"].path, environ)
    if place is None:
        message = "There is no folder that the log could be written to; the run has no log"
        hint = "Name a folder that can be written by --scratch."
        problems.append(Problem(message, hint, is_error=True))
    elif place.why_not_scratch is not None:
        message = f"The run folder is {place.path}: {place.why_not_scratch}"
        problems.append(Problem(message, "Name another by --scratch.", is_error=False))
    cgroup = find_cgroup()
    run_files, why_not = choose_run_files(settings, task)
    facts = RunFacts(
        run_id=run_id,
        process_name=process_name,
        is_name_guess=name.is_guess,
        command=tuple(request.command),
        parameters=find_parameters(request.command) if request.command else {},
        started_us=read_clock_us(),
        settings=settings,
        run_mode=run_mode,
        platform_ids=read_platform_ids(environ),
        machine=read_machine(environ, cgroup).describe(),
        folders={kind: folder.path for kind, folder in folders.items()},
        container=find_container(environ),
        pipeline_task=None if task is None else {"evidence": task.evidence, "folder": task.folder},
    )
    fields = build_run_fields(run_id, process_name, settings, build_environment_fields(environ))
    return Prepared(
        facts=facts,
        settings=settings,
        folders=folders,
        run_folder=None if place is None else RunFolder(place.path, stem),
        fields=redactor.redact_fields(fields),
        run_files=run_files,
        why_not_published=why_not,
        redactor=redactor,
        cgroup=cgroup,
        task=task,
        problems=tuple(problems),
        fatal=fatal,
        name_hint=name.hint,
    )


def _drop_url_of_image(
    settings: Settings, environ: Mapping[str, str], run_mode: str, task: PipelineTask | None
) -> tuple[Settings, list[Problem]]:
    """Return the settings without a pipeline's url that only the image states, and that problem."""
    from aind_capsule.context import image_variables  # few runs have one

    if not image_variables.is_pipeline_url_of_image(environ, run_mode, task):
        return settings, []
    problem = Problem(
        image_variables.describe_pipeline_url_of_image(settings.pipeline_url),
        image_variables.PIPELINE_URL_HINT,
        is_error=False,
    )
    return replace(settings, pipeline_url=None), [problem]


def _load(request: RunRequest) -> tuple[LoadedSettings, SettingsError | None]:
    """The settings; without the capsule's file where that cannot be read."""
    code_folder = _find_code_folder(request)
    try:
        return load_settings(request.flags, request.environ, code_folder), None
    except SettingsError as error:
        return load_settings(request.flags, request.environ, None), error


def _find_code_folder(request: RunRequest) -> str | None:
    """Return the folder of the capsule that the command belongs to, or None."""
    program = find_program(request.command)
    path = find_program_path(program, request.cwd, request.environ)
    return find_code_folder(() if path is None else (path, resolve_links(path)), request.cwd)


def choose_run_files(
    settings: Settings, task: PipelineTask | None
) -> tuple[frozenset[str], str | None]:
    """Kinds of run files that go into results, and why the log is not one of them, if so."""
    if settings.results_are_jobs:
        return frozenset(), "capsule.toml says that the results are a list of jobs"
    if settings.run_files is not None:
        why = None if "log" in settings.run_files else "run_files leaves it out"
        return settings.run_files, why
    if task is not None:
        return frozenset(), (
            "inside a pipeline every file in results starts a job or is taken for data"
            ' (env.CAPSULE_RUN_FILES = "all" switches run files on)'
        )
    return frozenset(RUN_FILE_KINDS), None


def find_code(request: RunRequest, prepared: Prepared) -> dict[str, Any] | None:
    """The version of the code that runs; may take 2 s, for it asks git."""
    from aind_capsule.context.code_version import find_code_version  # not before the start

    task = prepared.task
    folder = _find_code_folder(request) or _find_folder_of_program(request)
    script = None if task is None else task.command_script
    folders = prepared.facts.folders.values()
    found = find_code_version(
        folder,
        request.environ,
        script,
        ignored=folders,
        task_folder=None if task is None else task.folder,
        is_container=prepared.facts.run_mode != WORKSTATION,
    )
    return None if found is None else found.describe()


def _find_folder_of_program(request: RunRequest) -> str:
    """Return the folder of the file that runs, where it is no part of what is around us.

    What is looked for in PATH or built in says nothing, and the working directory counts then.
    """
    from aind_capsule.context.git_files import find_git_checkout

    program = find_program(request.command)
    path = find_program_path(program, request.cwd, request.environ)
    if path is None or (program.kind is Kind.COMMAND and os.sep not in program.word):
        return request.cwd
    folder = os.path.dirname(resolve_links(path))
    around, own = find_git_checkout(request.cwd), find_git_checkout(folder)
    is_inside = os.path.join(folder, "").startswith(os.path.join(resolve_links(request.cwd), ""))
    is_same = (own and own.folder) == (around and around.folder)
    return request.cwd if is_inside and is_same else folder


def is_missing(path: str) -> bool:
    """Return whether nothing is at a path, not even a link that leads nowhere."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def is_writable_folder(path: str) -> bool:
    """Whether files can be made in a folder."""
    return os.path.isdir(path) and find_write_error(path) is None
