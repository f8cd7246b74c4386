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
from aind_capsule.provenance.connect import (
    connect,
    cut_step_loops,
    describe_repeated_runs,
    drop_invented_edges,
    find_asset_steps,
)
from aind_capsule.provenance.envelopes import make_steps_of_envelopes
from aind_capsule.provenance.gather import Gathered
from aind_capsule.provenance.keys import join_numbered, make_run_key
from aind_capsule.provenance.known_runs import KnownRun, find_known_runs
from aind_capsule.provenance.model.file_faults import find_file_faults
from aind_capsule.provenance.model.processing_file import find_notes
from aind_capsule.provenance.pipelines import Pipeline, describe_missing, find_pipelines
from aind_capsule.provenance.run_facts import read_table, read_text
from aind_capsule.provenance.schema import find_process_types
from aind_capsule.provenance.steps import (
    Step,
    make_step_of_run,
    make_steps_of_processing,
    make_steps_of_records,
)
from aind_capsule.provenance.tellings import merge_tellings
from aind_capsule.provenance.two_forms import join_forms
from aind_capsule.version import __version__

#: How the notes of a `processing.json` of ours begin.
MARK = "Collected by aind-capsule"
#: How a line of them begins that says what of such a file could not be taken.
_NOT_TAKEN = "Not taken of a processing.json: "


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
    tellings = [make_step_of_run(run, types) for run in runs.values() if not run.is_named_only]
    others = make_steps_of_records(found.records, types)
    others += make_steps_of_envelopes(found.envelopes, types, rejected)
    for source in found.processings:
        others += make_steps_of_processing(source, types)
    join_numbered(others)
    joined = join_forms(others)
    _settle_keys(others)
    warnings = drop_invented_edges(joined)
    tellings += others
    known = {step.key for step in tellings}
    for run_id, run in runs.items():
        if make_run_key(run_id) not in known:  # no record of another kind tells of it either
            tellings.append(make_step_of_run(run, types))
    steps, differences = _merge(tellings)
    warnings += cut_step_loops(steps)
    told = find_pipelines(found, runs.values(), pipeline)
    _name_pipeline(steps, runs, found, told.name)
    names = {
        source.folder: name
        for source in found.descriptions
        if (name := read_text(source.content, "name"))
    }
    connect(steps, runs, find_asset_steps(found.processings, steps.values()), names)
    warnings += cut_step_loops(steps)
    warnings += describe_repeated_runs(runs)
    count = len(steps)
    notes = f"{MARK} {__version__}: {count} step{'s'[: count != 1]}"
    if rejected:
        notes += f"; {len(rejected)} file{'s'[: len(rejected) != 1]} could not be taken"
    file_faults = {source.path: find_file_faults(source.content) for source in found.processings}
    own_notes = [text for source in found.processings for text in find_notes(source.content)]
    own_notes += [f"{_NOT_TAKEN}{fault}" for faults in file_faults.values() for fault in faults]
    notes = "\n".join([notes, *_merge_notes(own_notes)])
    processing = assemble(steps.values(), told.named, notes)
    warnings += [*differences, *_describe_faults(steps.values())]
    warnings += [
        f"{path}: this could not be taken, and is in the notes: {fault}"
        for path, faults in sorted(file_faults.items())
        for fault in faults
    ]
    warnings += describe_missing(processing, told)
    return Collected(processing, runs, warnings, rejected)


def _merge_notes(notes: Iterable[str]) -> list[str]:
    """Return the lines of some notes, each once and in no order of files, without our own line."""
    lines: dict[str, None] = {}
    for text in sorted(notes):
        told = text.splitlines()
        lines |= dict.fromkeys(told[1:] if text.startswith(MARK) else told)
    return [line for line in lines if line.strip()]


def _describe_faults(steps: Iterable[Step]) -> list[str]:
    """Return a sentence for each value that a record has and the schema refuses."""
    return sorted(
        {
            f"{step.sources[0]}: of the step {step.content['name']!r} this could not be taken,"
            f" and is in its notes: {fault}"
            for step in steps
            for fault in step.faults
        }
    )


def _merge(tellings: Iterable[Step]) -> tuple[dict[str, Step], list[str]]:
    """Return each step by its key, and what two tellings of one say differently."""
    groups: dict[str, list[Step]] = {}
    for step in tellings:
        groups.setdefault(step.key, []).append(step)
    steps: dict[str, Step] = {}
    differences: list[str] = []
    for key, group in groups.items():
        steps[key], told = merge_tellings(group)
        differences += told
    return steps, sorted(differences)


def _settle_keys(steps: Iterable[Step]) -> None:
    """Have every step known by one key, whatever whoever tells of it knew it by."""
    told = list(steps)
    known = {alias: step.key for step in told for alias in step.aliases - {step.key}}
    for step in told:
        step.key = known.get(step.key, step.key)
        step.parents = {known.get(parent, parent) for parent in step.parents} - {step.key}


def _name_pipeline(
    steps: Mapping[str, Step], runs: Mapping[str, KnownRun], found: Gathered, name: str | None
) -> None:
    """Have the steps of the pipeline that is collected, and that do not know its name, get it.

    Those are its tasks, and the records of capsules of others; what came with an input asset is of
    another pipeline.
    """
    if name is None:
        return
    tasks = {
        make_run_key(run_id)
        for run_id, run in runs.items()
        if read_table(run.content, "environment", "pipeline_task")
    }
    assets = {source.folder for source in (*found.descriptions, *found.processings)}
    peers = {source.path for source in found.envelopes}
    peers |= {source.path for source in found.records if source.folder not in assets}
    for key, step in steps.items():
        if key in tasks or not peers.isdisjoint(step.sources):
            step.content.setdefault("pipeline_name", name)
