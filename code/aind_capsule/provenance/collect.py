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
from aind_capsule.provenance.graph import find_ends, invert
from aind_capsule.provenance.keys import join_numbered, make_run_key
from aind_capsule.provenance.known_runs import KnownRun, find_known_runs
from aind_capsule.provenance.model.processing_file import find_notes
from aind_capsule.provenance.own_records import find_own_records
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
    warnings = _drop_invented_edges(joined, others)
    tellings += others
    known = {step.key for step in tellings}
    for run_id, run in runs.items():
        if make_run_key(run_id) not in known:  # no record of another kind tells of it either
            tellings.append(make_step_of_run(run, types))
    steps, differences = _merge(tellings)
    _name_pipeline(steps, runs, pipeline)
    _connect(steps, runs)
    told = find_pipelines(found, runs.values(), pipeline)
    count = len(steps)
    notes = f"{MARK} {__version__}: {count} step{'s'[: count != 1]}"
    if rejected:
        notes += f"; {len(rejected)} file{'s'[: len(rejected) != 1]} could not be taken"
    own_notes = (text for source in found.processings for text in find_notes(source.content))
    notes = "\n".join([notes, *_merge_notes(own_notes)])
    processing = assemble(steps.values(), told.named, notes)
    warnings += [*differences, *_describe_faults(steps.values())]
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


def _drop_invented_edges(joined: Iterable[Step], steps: Iterable[Step]) -> list[str]:
    """Leave out edges of steps with an old form to such as began later: a list became a chain.

    Args:
        joined: Steps of version 2 that have an old form, of which the schema knew no edges.
        steps: All of them.

    Returns:
        A sentence for each file that has some.
    """
    began = {step.key: step.times_us[0] for step in steps}
    with_old_form = {step.key for step in joined}
    counts: dict[str, int] = {}
    for step in joined:
        later = {
            parent for parent in step.parents & with_old_form if began[parent] > began[step.key]
        }
        step.parents -= later
        if later:
            counts[step.sources[0]] = counts.get(step.sources[0], 0) + len(later)
    return [
        f"{path}: {count} edges to steps that began later were left out: its older form has none"
        for path, count in sorted(counts.items())
    ]


def _settle_keys(steps: Iterable[Step]) -> None:
    """Have every step known by one key, whatever whoever tells of it knew it by."""
    told = list(steps)
    known = {alias: step.key for step in told for alias in step.aliases - {step.key}}
    for step in told:
        step.key = known.get(step.key, step.key)
        step.parents = {known.get(parent, parent) for parent in step.parents} - {step.key}


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
        links = {member.key: member.parents & inner for member in members}
        first, ends[run_id] = find_ends(invert(links)), find_ends(links)
        begins[run_id] = [member for member in members if member.key in first]
        for member in members:
            member.take_pipeline(steps[key])
        if not members or read_text(run.content, "status") != "success":
            begins[run_id].append(steps[key])  # a run that failed is told of, whatever it wrote
            ends[run_id].add(key)
        else:
            replaced[key] = ends[run_id]
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
