"""Every step that is told of, as one valid `DataProcess` with the steps that it depends on.

A step has a key that is the same wherever it is told of; see `keys`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.provenance.data_process import OTHER, STAGES, draft_data_process
from aind_capsule.provenance.gather import Source
from aind_capsule.provenance.keys import make_key, make_node_key, make_run_key
from aind_capsule.provenance.known_runs import KnownRun, find_time_of
from aind_capsule.provenance.model.processing_file import FoundProcess, find_processes
from aind_capsule.provenance.model.step_times import add_zones
from aind_capsule.provenance.run_facts import UNKNOWN, read_table, read_text, read_texts
from aind_capsule.provenance.salvage import StartGuess, salvage
from aind_capsule.provenance.upgrade import is_old_process, upgrade_data_process
from aind_capsule.records.naming import find_run_id
from aind_capsule.records.timestamps import format_timestamp, parse_timestamp

#: How the notes of a step begin of which nothing but its place was known: ours, and those of
#: aind-code-ocean-pipeline-utils.
NO_RECORD = "There is no record of this step"
NO_PROCESS = "The record of this step tells no more than its place in the pipeline"
PLACEHOLDERS = (NO_RECORD, NO_PROCESS, "Placeholder: ")
#: How the notes of a step go on whose name was there twice: its own, as JSON.
_OWN_NAME = "Its own name is "
#: What the notes of a step say whose record was of version 0 or 1.
FROM_OLD_FORM = "Brought from an older form of the schema"


@dataclass(slots=True, eq=False)
class Step:
    """One step of processing.

    Attributes:
        key: What it is known by.
        content: Its valid `DataProcess`; the name may be another's as well.
        sources: The files that tell of it.
        parents: Keys of the steps that it depends on.
        aliases: Keys that others who tell of it may find for it.
        faults: What of its record could not be taken, each with field and value.
        pipeline: What its file says of the pipeline that it is of.
        is_old: Whether it was read in the form of version 0 or 1.
        is_of_run_file: Whether it was made of a run's own `run.json`.
    """

    key: str
    content: dict[str, Any]
    sources: list[str]
    parents: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    pipeline: Mapping[str, Any] = field(default_factory=dict)
    is_old: bool = False
    is_of_run_file: bool = False

    @property
    def was_old(self) -> bool:
        """Whether its record was of version 0 or 1 once: here, or before it was brought over."""
        return self.is_old or FROM_OLD_FORM in (read_text(self.content, "notes") or "").split("\n")

    def take(self, other: Step) -> None:
        """Add where another telling of the same step is, and what it depends on."""
        self.sources += [path for path in other.sources if path not in self.sources]
        self.parents |= other.parents
        self.faults += [fault for fault in other.faults if fault not in self.faults]

    def take_pipeline(self, other: Step) -> None:
        """Take from another step of the same run what is not known here: people and pipeline."""
        for name in ("experimenters", "pipeline_name"):
            if other.content.get(name) and not self.content.get(name):
                self.content[name] = other.content[name]

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
    salvaged = salvage(draft, run.run_id, StartGuess(run.started_us, "the time of its id"))
    faults = list(salvaged.faults)
    return Step(key, salvaged.content, [run.source], faults=faults, is_of_run_file=True)


def make_steps_of_records(sources: Iterable[Source], types: Collection[str]) -> list[Step]:
    """The steps of all bare `DataProcess` files; of a run of ours its key is the run's."""
    return [_make_step_of_record(source, types) for source in sources]


def _make_step_of_record(source: Source, types: Collection[str]) -> Step:
    stem = os.path.basename(source.path).removesuffix(".json")
    run_id = find_run_id(stem.removesuffix("_data_process"))
    step = make_step(source.content, source.path, types, default_name=stem)
    if run_id is not None:
        step.aliases.add(step.key)  # the form of version 1 has no place for the id
        step.key = make_run_key(run_id)
    return step


def make_steps_of_processing(source: Source, types: Collection[str]) -> list[Step]:
    """The steps of a `processing.json` of any version, with its own dependency graph.

    Without a graph nothing is said of dependencies: the order of a list is none.
    """
    steps = []
    for found in find_processes(source.content):
        content = found.content
        own_name = (
            read_text(content, "name") or read_text(content, "process_type")
            if isinstance(content, Mapping)
            else None
        )
        step = make_step(content, source.path, types, found=found)
        steps.append((own_name or step.content["name"], step))
    keys = {name: step.key for name, step in steps}
    graph = read_table(source.content, "dependency_graph")
    for name, step in steps:  # of several steps of one name none depends on "itself"
        told = read_texts(graph, name)
        step.parents = {keys[parent] for parent in told if parent in keys} - {step.key, keys[name]}
    return [step for _, step in steps]


def make_step(
    content: Any,
    path: str,
    types: Collection[str],
    *,
    name: str | None = None,
    default_name: str = UNKNOWN,
    found: FoundProcess | None = None,
) -> Step:
    """A record of any form as a step.

    Args:
        content: The record; of a damaged file it may be no object.
        path: The file that it is in.
        types: The process types of version 2.
        name: Its name, whatever it says itself.
        default_name: Its name, where it has none.
        found: What its file says of it besides.
    """
    found = found or FoundProcess(content)
    process: dict[str, Any] = dict(content) if isinstance(content, Mapping) else {}
    refused: dict[str, Any] = {}
    is_old = False
    if not isinstance(content, Mapping):
        process = {
            "process_type": OTHER,
            "stage": STAGES[0],
            "code": {"url": UNKNOWN},
            "experimenters": [],
        }
        refused = {"the process": content}
    elif is_old := is_old_process(content, is_file_old=found.is_old):
        process, refused = upgrade_data_process(
            content, types, found.person, is_analysis=found.is_analysis
        )
    if found.pipeline and not process.get("pipeline_name"):
        process["pipeline_name"] = found.pipeline["name"]
    process = restore_name(add_zones(process))
    if is_old:
        process["notes"] = "\n".join(filter(None, [read_text(process, "notes"), FROM_OLD_FORM]))
    if name is not None:
        process["name"] = name
    name = read_text(process, "process_type") or default_name
    salvaged = salvage(process, name, _guess_start(process, path), refused)
    valid = salvaged.content
    is_placeholder = (read_text(valid, "notes") or "").startswith(PLACEHOLDERS)
    key = make_node_key(valid["name"]) if is_placeholder else make_key(valid)
    faults = list(salvaged.faults)
    return Step(key, valid, [path], faults=faults, pipeline=found.pipeline, is_old=is_old)


def rename(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A record under another name; its notes say its own, by which it is known again."""
    if name == content["name"]:
        return dict(content)
    note = f"{_OWN_NAME}{json.dumps(content['name'], ensure_ascii=False)}"
    notes = "\n".join(filter(None, [read_text(content, "notes"), note]))
    return {**content, "name": name, "notes": notes}


def restore_name(content: Mapping[str, Any]) -> dict[str, Any]:
    """A record under its own name, where its notes say that it was renamed here.

    >>> restore_name(rename({"name": "sort"}, "sort_2"))
    {'name': 'sort'}
    """
    lines = (read_text(content, "notes") or "").split("\n")
    said = [line for line in lines if line.startswith(_OWN_NAME)]
    if not said:
        return dict(content)
    restored = {name: value for name, value in content.items() if name != "notes"}
    with contextlib.suppress(ValueError):
        own = json.loads(said[-1].removeprefix(_OWN_NAME))
        if isinstance(own, str) and own:
            restored["name"] = own
    notes = "\n".join(line for line in lines if line not in said)
    return {**restored, **({"notes": notes} if notes else {})}


def _guess_start(content: Mapping[str, Any], path: str) -> StartGuess:
    """Some time for a record that does not say its start: of its name, its end, or its file."""
    run_id = find_run_id(read_text(content, "name") or "")
    end_us = parse_timestamp(str(content.get("end_date_time")))
    if run_id is not None:
        return StartGuess(find_time_of(run_id), "the time of its id")
    if end_us is not None:
        return StartGuess(end_us, "the end")
    try:
        return StartGuess(os.stat(path).st_mtime_ns // 1000, "the time of the file")
    except OSError:
        return StartGuess(0, "1970")
