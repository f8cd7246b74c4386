"""A run as one `DataProcess` of aind-data-schema 2 (written for 2.9), made from its `run.json`.

Right by construction: what is required is always there, and what is not known is said in the gaps
and left out. `schema` validates the result all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.platform import CODE_OCEAN, CONTAINER, PIPELINE_TASK
from aind_capsule.provenance.model.code_notes import is_changed, mark_changed
from aind_capsule.provenance.model.containers import build_container
from aind_capsule.provenance.model.input_data import list_input_data
from aind_capsule.provenance.process_types import find_process_type, read_process_type
from aind_capsule.provenance.run_facts import (
    UNKNOWN,
    Gap,
    build_notes,
    clean_keys,
    describe_resources,
    find_language,
    find_script,
    read_commit,
    read_table,
    read_text,
    read_texts,
    read_times,
)

STAGES = ("Processing", "Analysis")
OTHER = "Other"
_CONTAINERS = (PIPELINE_TASK, CODE_OCEAN, CONTAINER)


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before its validation.

    Attributes:
        content: The record.
        gaps: What is not known.
    """

    content: dict[str, Any]
    gaps: tuple[Gap, ...]


def draft_data_process(run: Mapping[str, Any], types: Collection[str]) -> Draft:
    """The record of a run.

    Args:
        run: What its `run.json` says.
        types: The schema's process types.

    Raises:
        ValueError: It is not known when the run started, without which there is no record.
    """
    gaps: list[Gap] = []
    given = read_table(run, "provenance")
    process_name = read_text(run, "process_name") or UNKNOWN
    start, end = read_times(run)
    kind, kind_notes = choose_process_type(run, types, gaps)
    stage = read_text(given, "stage")
    content: dict[str, Any] = {
        "object_type": "Data process",
        "process_type": kind,
        "name": f"{process_name}_{run_id}"
        if (run_id := read_text(run, "run_id"))
        else process_name,
        "stage": stage if stage in STAGES else STAGES[kind == "Analysis"],
        "code": _build_code(run, gaps),
        "experimenters": find_experimenters(run, gaps),
        "pipeline_name": find_pipeline_name(run, gaps),
        "start_date_time": start,
        "end_date_time": end,
        "output_path": ".",
        "output_parameters": clean_keys(read_table(run, "metrics")) or None,
        "notes": build_notes(run, *kind_notes),
        "resources": describe_resources(run),
    }
    if content["resources"] is not None:
        content["resources"]["object_type"] = "Resource usage"
        for name in ("cpu_usage", "ram_usage"):
            for sample in content["resources"].get(name, ()):
                sample["object_type"] = "Resource timestamped"
    return Draft(drop_unknown(content), tuple(gaps))


def choose_process_type(
    run: Mapping[str, Any], types: Collection[str], gaps: list[Gap]
) -> tuple[str, list[str]]:
    """Return the process type and what the notes say of it.

    It is the setting's, else the one that the process is named for, else `Other`.
    """
    given = read_text(read_table(run, "provenance"), "process_type")
    name = read_text(run, "process_name") or ""
    stated = read_process_type(name if given is None else given, types)
    if stated is not None:
        return stated, []
    guess = None if given is not None else find_process_type(name, types)
    if guess is not None:
        what = f"the process type, for which {guess!r} is a guess by the name"
        gaps.append(Gap(what, "provenance.process_type"))
        return guess, [f"The process type is a guess by the name of the process, {name!r}"]
    what = "the process type" if given is None else f"{given!r} is no process type"
    gaps.append(Gap(what, "provenance.process_type"))
    return OTHER, []


def find_experimenters(run: Mapping[str, Any], gaps: list[Gap]) -> list[str]:
    """The people responsible for the processing."""
    experimenters = read_texts(read_table(run, "provenance"), "experimenters")
    if not experimenters:
        gaps.append(Gap("experimenters", "experimenters"))
    return experimenters


def find_pipeline_name(run: Mapping[str, Any], gaps: list[Gap]) -> str | None:
    """The pipeline's name; only a task of a pipeline has one that could be missing."""
    name = read_text(read_table(run, "pipeline"), "name")
    if name is None and read_text(read_table(run, "environment"), "run_mode") == PIPELINE_TASK:
        gaps.append(Gap("the pipeline's name", "PIPELINE_NAME"))
    return name


def _find_container(run: Mapping[str, Any], gaps: list[Gap]) -> dict[str, str] | None:
    environment = read_table(run, "environment")
    known = read_table(environment, "container")
    image = read_text(read_table(run, "provenance"), "container") or read_text(known, "image")
    # Nothing inside of a container of Docker tells the image's name. On a workstation there is none
    # to be missing, and to ask for it after every run would be noise.
    if image is None and read_text(environment, "run_mode") in _CONTAINERS:
        gaps.append(Gap("the container's image", "provenance.container"))
    return build_container(image, read_text(known, "type"))


def find_code_url(run: Mapping[str, Any], gaps: list[Gap]) -> str:
    """Where the code is."""
    url = read_text(read_table(run, "provenance"), "code_url")
    url = url or read_text(read_table(run, "code"), "url")
    if url is None:
        gaps.append(Gap("the code's address", "provenance.code_url"))
    return url or UNKNOWN


def find_code_version(run: Mapping[str, Any], gaps: list[Gap]) -> tuple[str | None, str | None]:
    """The code's version and its commit, as far as they are known."""
    code = read_table(run, "code")
    version = read_text(read_table(run, "provenance"), "code_version") or read_text(code, "version")
    commit = read_commit(code)
    if version is None and commit is None:
        gaps.append(Gap("the code's version", "provenance.code_version"))
    return (mark_changed(version, commit) if is_changed(code) else version), commit


def _build_code(run: Mapping[str, Any], gaps: list[Gap]) -> dict[str, Any]:
    url = find_code_url(run, gaps)
    version, commit = find_code_version(run, gaps)
    language, language_version = find_language(run)
    assets = list_input_data(run)
    return drop_unknown(
        {
            "object_type": "Code",
            "url": url,
            "name": read_text(run, "process_name"),
            "version": version,
            "commit_hash": commit,
            "container": _find_container(run, gaps),
            "run_script": find_script(read_texts(run, "command")),
            "language": language,
            "language_version": language_version,
            "input_data": assets or None,
            "parameters": clean_keys(read_table(run, "parameters")) or None,
        }
    )


def drop_unknown(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table without what is not known."""
    return {name: value for name, value in table.items() if value is not None}
