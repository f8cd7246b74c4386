"""A whole pipeline as AIND metadata: `processing.json` of everything that is found of its steps.

The data goes one way: `gather` reads files, `known_runs`, `steps` and `envelopes` make steps of
them, `own_records` says which of them are the same, `edges` what depends on what, and `assemble`
makes the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.provenance.assemble import assemble
from aind_capsule.provenance.edges import find_edges
from aind_capsule.provenance.envelopes import make_steps_of_envelopes
from aind_capsule.provenance.gather import Gathered
from aind_capsule.provenance.known_runs import KnownRun, find_known_runs
from aind_capsule.provenance.own_records import find_own_records
from aind_capsule.provenance.run_facts import UNKNOWN, read_list, read_table, read_text
from aind_capsule.provenance.schema import find_process_types
from aind_capsule.provenance.steps import (
    Step,
    make_run_key,
    make_step_of_record,
    make_step_of_run,
    make_steps_of_processing,
    merge_renamed,
)
from aind_capsule.version import __version__

#: How the notes of a `processing.json` of ours begin.
MARK = "Collected by aind-capsule"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the environment of the one who collects says of the pipeline (`PIPELINE_NAME`, …)."""

    name: str | None = None
    version: str | None = None
    url: str | None = None


@dataclass(slots=True)
class Collected:
    """What came of it.

    Attributes:
        processing: The valid `Processing`.
        runs: The runs that are in it.
        warnings: What people should know.
        rejected: Path and reason of each file that could not be taken.
    """

    processing: dict[str, Any]
    runs: dict[str, KnownRun]
    warnings: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)


def collect(found: Gathered, pipeline: Pipeline) -> Collected:
    """The `processing.json` of all that was gathered.

    Raises:
        SchemaMissingError: There is no aind-data-schema of version 2.
        InvalidRecordError: The schema refuses the result.
    """
    types = find_process_types()
    rejected = list(found.rejected)
    runs = find_known_runs(found)
    steps: dict[str, Step] = {}
    for run in runs.values():
        _add(steps, make_step_of_run(run, types))
    others = [make_step_of_record(source, types) for source in found.records]
    for source in found.processings:
        others += make_steps_of_processing(source, types)
    others += make_steps_of_envelopes(found.envelopes, types, rejected)
    for step in others:
        _add(steps, step)
    merge_renamed(steps)
    _name_pipeline(steps, runs, pipeline)
    _connect(steps, runs)
    pipelines = _find_pipelines(found, runs, pipeline)
    count = len(steps)
    notes = f"{MARK} {__version__}: {count} step{'s'[: count != 1]}"
    if rejected:
        notes += f"; {len(rejected)} file{'s'[: len(rejected) != 1]} could not be taken"
    processing = assemble(steps.values(), pipelines, notes)
    warnings = _find_missing(processing, pipelines)
    return Collected(processing, runs, warnings, rejected)


def _add(steps: dict[str, Step], step: Step) -> None:
    known = steps.setdefault(step.key, step)
    known.parents |= step.parents
    known.sources |= step.sources


def _connect(steps: dict[str, Step], runs: Mapping[str, KnownRun]) -> None:
    """Put in the edges between runs; where a run has records of its own they take its place."""
    run_keys = {make_run_key(run_id) for run_id in runs}
    others = [step for key, step in steps.items() if key not in run_keys]
    edges = find_edges(runs)
    begins: dict[str, list[Step]] = {}
    ends: dict[str, set[str]] = {}
    replaced: dict[str, set[str]] = {}
    own = find_own_records(runs, others)
    for run_id, run in runs.items():
        key = make_run_key(run_id)
        members = own.get(run_id, [])
        inner = {member.key for member in members}
        begins[run_id] = [member for member in members if not member.parents & inner]
        ends[run_id] = inner - {key for member in members for key in member.parents}
        if members and not (begins[run_id] and ends[run_id]):  # they say that they go round
            begins[run_id], ends[run_id] = list(members), inner
        if not members or read_text(run.content, "status") != "success":
            begins[run_id].append(steps[key])  # a run that failed is told of, whatever it wrote
            ends[run_id].add(key)
        else:
            replaced[key] = ends[run_id]
            name = read_text(steps[key].content, "pipeline_name")
            for member in members if name is not None else ():
                member.content.setdefault("pipeline_name", name)
            for member in begins[run_id]:
                member.parents |= steps[key].parents - inner
            del steps[key]
    for run_id, parents in edges.items():
        keys = {key for parent in parents for key in ends[parent]}
        for step in begins[run_id]:
            step.parents |= keys - {step.key}
    for step in steps.values():
        for key in step.parents & replaced.keys():
            step.parents |= replaced[key] - {step.key}
        step.parents &= steps.keys() - {step.key}


def _name_pipeline(
    steps: Mapping[str, Step], runs: Mapping[str, KnownRun], pipeline: Pipeline
) -> None:
    """A task of the pipeline that is collected, and that did not know its name, gets it."""
    for run_id, run in runs.items():
        step = steps.get(make_run_key(run_id))
        is_task = bool(read_table(run.content, "environment", "pipeline_task"))
        if step is not None and is_task and pipeline.name:
            step.content.setdefault("pipeline_name", pipeline.name)


def _find_pipelines(
    found: Gathered, runs: Mapping[str, KnownRun], pipeline: Pipeline
) -> list[dict[str, Any]]:
    """All that is said of pipelines anywhere, the environment's word first."""
    told: list[dict[str, Any]] = []
    if pipeline.name:
        told.append({"name": pipeline.name, "version": pipeline.version, "url": pipeline.url})
    else:
        told.append({"version": pipeline.version, "url": pipeline.url})
    told += [dict(read_table(run.content, "pipeline")) for run in runs.values()]
    for source in found.processings:
        listed = read_list(source.content, "pipelines")
        told += [dict(entry) for entry in listed if isinstance(entry, Mapping)]
    for source in found.envelopes:
        entry = read_table(source.content, "pipeline")
        told.append({**read_table(entry, "code"), "name": read_text(entry, "name")})
    # Where one name is known, what is said without a name is said of that.
    names = {name: None for entry in told if (name := read_text(entry, "name"))}
    usual = {"name": next(iter(names))} if len(names) == 1 else {}
    kept = [{name: value for name, value in entry.items() if value is not None} for entry in told]
    return [{**usual, **entry} for entry in kept if entry]


def _find_missing(
    processing: Mapping[str, Any], pipelines: Iterable[Mapping[str, Any]]
) -> list[str]:
    """What nobody has said of the pipeline, with the variables that would say it."""
    told = read_list(processing, "pipelines") or list(pipelines)
    known = {
        "PIPELINE_NAME": any(read_text(entry, "name") for entry in told),
        "PIPELINE_VERSION": any(
            read_text(entry, "version") or read_text(entry, "commit_hash") for entry in told
        ),
        "PIPELINE_URL": any(read_text(entry, "url") not in (None, UNKNOWN) for entry in told),
    }
    missing = [name for name, is_known in known.items() if not is_known]
    if not missing or not processing.get("data_processes"):
        return []
    words = _list_words(missing)
    names = ", ".join(missing)
    return [f"processing.json does not say the pipeline's {words}: set {names} where it runs"]


def _list_words(variables: Iterable[str]) -> str:
    words = [name.removeprefix("PIPELINE_").lower() for name in variables]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
