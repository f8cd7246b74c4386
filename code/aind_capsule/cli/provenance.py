"""`capsule provenance collect DIR…`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from typing import Any

import click

from aind_capsule.cli.help import CapsuleCommand, SuggestingGroup
from aind_capsule.context.asset_metadata import DESCRIPTION, PROCESSING
from aind_capsule.context.files import UnusableFileError, read_json_object, write_file
from aind_capsule.context.folders import Folder, find_folder, get_cwd
from aind_capsule.context.image_variables import (
    PIPELINE_URL,
    PIPELINE_URL_HINT,
    describe_pipeline_url_of_image,
    is_pipeline_url_of_image,
    is_variable_of_process_1,
)
from aind_capsule.context.pipeline_task import find_pipeline_task
from aind_capsule.context.platform import find_run_mode
from aind_capsule.errors import CapsuleError, UsageError
from aind_capsule.provenance.collect import MARK, Collected, collect
from aind_capsule.provenance.derived_description import NoSourceError, derive
from aind_capsule.provenance.gather import Gathered, gather
from aind_capsule.provenance.pipelines import Pipeline
from aind_capsule.provenance.schema import InvalidRecordError
from aind_capsule.settings.load import LoadedSettings, find_code_folder, load_settings
from aind_capsule.settings.model import Settings

_LABEL = re.compile(r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*")
_MAX_BYTES = 256 * 1024 * 1024
_NOTHING = (
    "A pipeline's work folder holds the runs; where that is out of reach put"
    ' env.CAPSULE_RUN_FILES = "run,provenance" into the pipeline\'s nextflow.config: then results'
    " hold them."
)


@click.group("provenance", cls=SuggestingGroup)
def command() -> None:
    """AIND metadata of pipelines."""


@command.command(
    "collect",
    cls=CapsuleCommand,
    short_help="Write the metadata of a pipeline from what its runs left.",
    statuses={
        "0": "the files were written",
        "1": "there is nothing to collect, or a file cannot be written",
        "2": "a folder cannot be used",
    },
)
@click.option("--output", metavar="DIR", help="Folder to write to. Default: the results folder.")
@click.option(
    "--label",
    default="processed",
    show_default=True,
    help="Word between input and time in the derived asset's name.",
)
@click.option("--source", metavar="NAME", help="Input data asset to name the derived one after.")
@click.option("--overwrite", is_flag=True, help="Replace files that this command did not write.")
@click.argument("folders", nargs=-1, required=True, metavar="DIR…")
def collect_command(
    folders: tuple[str, ...],
    *,
    output: str | None,
    label: str,
    source: str | None,
    overwrite: bool,
) -> int:
    """Write processing.json and data_description.json of a pipeline.

    Their steps come from the run.json files, logs, *data_process*.json, processing.json and records
    of aind-code-ocean-pipeline-utils below each DIR. Files that cannot be used are named on stderr,
    with the reason.
    """
    if not _LABEL.fullmatch(label):
        raise UsageError(
            f"capsule provenance collect: --label {label!r} cannot be part of an asset's name",
            hint="Use letters, digits, - and _, such as sorted-ks4.",
        )
    for folder in folders:
        fault = Folder(os.path.abspath(folder), "DIR").find_fault(to_write=False)
        if fault is not None:
            raise UsageError(
                f"capsule provenance collect: {folder} cannot be used: {fault}",
                hint="Name folders that exist, such as a pipeline's work folder.",
            )
    cwd = get_cwd()
    loaded = load_settings({}, os.environ, find_code_folder((), cwd))
    target = _find_output(output, loaded.settings, loaded.sources["results"], cwd)
    processing_path = os.path.join(target, PROCESSING)
    description_path = os.path.join(target, DESCRIPTION)
    is_ours = _is_ours(processing_path)
    if not (is_ours or overwrite):
        raise UsageError(
            f"{processing_path} is there, and was not made by this command",
            hint="Give --overwrite (its folder as a DIR keeps its steps), or another --output.",
        )
    found = gather(folders)
    if is_ours:
        found.processings = _leave_out(found.processings, processing_path)
    found.descriptions = _leave_out(found.descriptions, description_path)
    if found.is_empty:
        _say(found.rejected)
        raise CapsuleError(
            f"Nothing below {', '.join(folders)} tells of any processing", hint=_NOTHING
        )
    pipeline = _find_pipeline(loaded)
    collected = collect(found, pipeline)
    _write(processing_path, collected.processing)
    _say(collected.rejected)
    for warning in collected.warnings:
        _warn(warning)
    count = len(collected.processing["data_processes"])
    click.echo(f"{processing_path}: {count} step{'s'[: count != 1]}")
    if os.path.exists(description_path) and not overwrite:
        _warn(f"{description_path} is there and was left as it is; --overwrite replaces it")
    else:
        _write_description(description_path, found, collected, label, source)
    return 0


def _find_pipeline(loaded: LoadedSettings) -> Pipeline:
    """Return what the one who collects says of the pipeline, without what only the image says."""
    settings, url = loaded.settings, loaded.settings.pipeline_url
    task = find_pipeline_task(os.environ)
    mode = find_run_mode(os.environ, is_pipeline_task=task is not None)
    # What a script sets before the command is somebody's statement: process 1 was started with it.
    if (
        loaded.sources["pipeline_url"] == PIPELINE_URL
        and is_pipeline_url_of_image(os.environ, mode, task)
        and is_variable_of_process_1(PIPELINE_URL, os.environ)
    ):
        _warn(f"{describe_pipeline_url_of_image(url)}. {PIPELINE_URL_HINT}")
        url = None
    return Pipeline(settings.pipeline_name, settings.pipeline_version, url)


def _find_output(output: str | None, settings: Settings, source: str, cwd: str) -> str:
    folder = (
        Folder(os.path.abspath(output), "--output")
        if output
        else find_folder("results", settings.results, source, cwd=cwd)
    )
    fault = folder.find_fault(to_write=True)
    if fault is not None:
        raise UsageError(
            f"capsule provenance collect: cannot write to {folder.path} ({folder.source}): {fault}",
            hint="Say where to write: --output DIR",
        )
    return folder.path


def _is_ours(path: str) -> bool:
    """Whether a `processing.json` may be replaced: there is none, or it says that it is ours."""
    try:
        return str(read_json_object(path, _MAX_BYTES).get("notes")).startswith(MARK)
    except FileNotFoundError:
        return True
    except (OSError, UnusableFileError):
        return False


def _leave_out(sources: Iterable[Any], path: str) -> list[Any]:
    real = os.path.realpath(path)
    return [source for source in sources if os.path.realpath(source.path) != real]


def _write_description(
    path: str, found: Gathered, collected: Collected, label: str, source: str | None
) -> None:
    try:
        derived = derive(found.descriptions, collected.runs.values(), label, source)
    except (NoSourceError, InvalidRecordError) as error:
        _warn(f"No {DESCRIPTION} was written: {error.message}. {error.hint}".rstrip())
        return
    _write(path, derived.content)
    for gap in derived.gaps:
        _warn(f"{path}: of {gap}")
    click.echo(f"{path}: {derived.content['name']}")


def _write(path: str, content: Any) -> None:
    """Write a file whole: under a temporary name, then renamed."""
    try:
        write_file(path, (json.dumps(content, indent=3, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise CapsuleError(
            f"{path} cannot be written: {error.strerror}", hint="Say where to write: --output DIR"
        ) from error


def _say(rejected: Iterable[tuple[str, str]]) -> None:
    for path, reason in rejected:
        _warn(f"{path} was not taken: {reason}")


def _warn(message: str) -> None:
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
    click.echo(f"capsule provenance collect: {shown}", err=True)
