"""Every step that is told of, as one valid `DataProcess` with the steps that it depends on.

A step has a key that is the same wherever it is told of: a run's id, the node of a record of
aind-code-ocean-pipeline-utils, or a digest of the record itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.provenance.data_process import draft_data_process
from aind_capsule.provenance.gather import Source
from aind_capsule.provenance.known_runs import KnownRun, find_time_of
from aind_capsule.provenance.run_facts import UNKNOWN, read_list, read_table, read_text, read_texts
from aind_capsule.provenance.salvage import salvage
from aind_capsule.provenance.upgrade import is_version_1, upgrade_data_process
from aind_capsule.records.naming import find_run_id
from aind_capsule.records.timestamps import format_timestamp, parse_timestamp

_OF_COLLECTORS = ("object_type", "name", "experimenters", "pipeline_name")
_NUMBER = re.compile(r"_\d+$")


@dataclass(slots=True)
class Step:
    """One step of processing.

    Attributes:
        key: What it is known by.
        content: Its valid `DataProcess`; the name may be another's as well.
        sources: The files that tell of it.
        parents: Keys of the steps that it depends on.
    """

    key: str
    content: dict[str, Any]
    sources: set[str]
    parents: set[str] = field(default_factory=set)

    @property
    def times_us(self) -> tuple[int, int]:
        """Start and end, in microseconds since 1970; an end that is not known is the start."""
        start_us = parse_timestamp(str(self.content.get("start_date_time"))) or 0
        end_us = parse_timestamp(str(self.content.get("end_date_time")))
        return start_us, start_us if end_us is None else end_us


def make_step_of_run(run: KnownRun, types: Collection[str]) -> Step:
    """The step that a run is; what is missing is said in its notes."""
    content, notes = run.content, list(run.notes)
    if parse_timestamp(str(content.get("started_at"))) is None:
        content = {**content, "started_at": format_timestamp(run.started_us)}
        notes.append("When it started is not known but by its id")
    draft = draft_data_process(content, types).content
    if notes:
        draft["notes"] = "\n".join([*notes, *filter(None, [draft.get("notes")])])
    key = make_run_key(run.run_id)
    return Step(key, salvage(draft, run.run_id, run.started_us), {run.source})


def make_run_key(run_id: str) -> str:
    """The key of the step that a run is."""
    return f"run:{run_id}"


def make_step_of_record(source: Source, types: Collection[str]) -> Step:
    """The step of a bare `DataProcess`."""
    stem = os.path.basename(source.path).removesuffix(".json")
    run_id = find_run_id(stem.removesuffix("_data_process"))
    step = make_step(source.content, source.path, types, default_name=stem)
    if run_id is not None:
        step.key = make_run_key(run_id)
    return step


def make_steps_of_processing(source: Source, types: Collection[str]) -> list[Step]:
    """The steps of a `processing.json` of any version, with its own dependency graph.

    Without a graph nothing is said of dependencies: the order of a list is none.
    """
    pipeline = read_table(source.content, "processing_pipeline")
    person = read_text(pipeline, "processor_full_name")
    analyses = [table for table in read_list(source.content, "analyses") if _is_table(table)]
    processes = [
        process
        for table in (source.content, pipeline, *analyses)
        for process in read_list(table, "data_processes")
    ]
    steps, keys = [], {}
    for process in processes:
        content = process if isinstance(process, Mapping) else {"notes": repr(process)[:200]}
        step = make_step(content, source.path, types, person=person)
        steps.append(step)
        keys[read_text(content, "name") or read_text(content, "process_type")] = step.key
    graph = read_table(source.content, "dependency_graph")
    for step, process in zip(steps, processes, strict=True):
        name = read_text(read_table({"process": process}, "process"), "name")
        name = name or read_text(step.content, "name") or ""
        parents = [parent for parent in read_texts(graph, name) if parent != name]
        step.parents = {keys[parent] for parent in parents if parent in keys} - {step.key}
    return steps


def make_step(
    content: Mapping[str, Any],
    path: str,
    types: Collection[str],
    *,
    default_name: str = UNKNOWN,
    person: str | None = None,
) -> Step:
    """A record of any form as a step.

    Args:
        content: The record.
        path: The file that it is in.
        types: The process types of version 2.
        default_name: Its name, where it has none.
        person: Who is responsible, where a record of version 1 has no place for that.
    """
    process = upgrade_data_process(content, types, person) if is_version_1(content) else content
    name = read_text(process, "process_type") or default_name
    valid = salvage(process, name, _find_time(process, path))
    return Step(make_key(valid), valid, {path})


def make_key(valid: Mapping[str, Any]) -> str:
    """The key of a valid record: of a run of ours its id, which its name ends with; else a digest.

    What those change who collect records (whose they are, of which pipeline) is not part of it.
    """
    run_id = find_run_id(read_text(valid, "name") or "")
    if run_id is not None:
        return make_run_key(run_id)
    told = {name: value for name, value in valid.items() if name not in _OF_COLLECTORS}
    text = json.dumps(told, sort_keys=True, default=str)
    return f"process:{hashlib.sha256(text.encode()).hexdigest()}:{valid['name']}"


def merge_renamed(steps: dict[str, Step]) -> None:
    """Make one of two steps that differ in a number behind the name, such as collectors put there.

    Only where they are told of by different files: one file does not tell of one step twice.
    """
    renamed: dict[str, str] = {}
    for key, step in steps.items():
        number = _NUMBER.search(key)
        kept = key[: number.start()] if number is not None and ":" in key else key
        if kept != key and kept in steps and not steps[kept].sources & step.sources:
            renamed[key] = kept
    for key, kept in renamed.items():
        step = steps.pop(key)
        steps[kept].parents |= step.parents
        steps[kept].sources |= step.sources
    for step in steps.values():
        step.parents = {renamed.get(parent, parent) for parent in step.parents} - {step.key}


def _find_time(content: Mapping[str, Any], path: str) -> int:
    """Some time for a record that does not say its start: of its name, its end, or its file."""
    run_id = find_run_id(read_text(content, "name") or "")
    end_us = parse_timestamp(str(content.get("end_date_time")))
    if run_id is not None:
        return find_time_of(run_id)
    if end_us is not None:
        return end_us
    try:
        return int(os.stat(path).st_mtime_ns // 1000)
    except OSError:
        return 0


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)
