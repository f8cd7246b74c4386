"""The runs that are known: from `run.json`, from that of a later run, or from the log alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.history.runs import read_run
from aind_capsule.logs.place import HIDDEN_NAME
from aind_capsule.logs.reader import read_first_record, read_last_record
from aind_capsule.provenance.gather import Gathered, Source
from aind_capsule.provenance.run_facts import (
    UNKNOWN,
    read_list,
    read_table,
    read_text,
    read_texts,
)
from aind_capsule.records.canonical import holds_canonical, read_canonical
from aind_capsule.records.naming import is_run_id
from aind_capsule.records.schema import BY_NAME, STATUSES
from aind_capsule.records.simplify import simplify_text
from aind_capsule.records.timestamps import parse_timestamp

#: The platform's names for every run's results: they say nothing about whose they are.
_EVERYBODYS = frozenset({"/results", "/root/capsule/results"})
#: Inputs are staged here, `run.json` files among them: they tell nothing of what lies beside them.
_DATA = "data"


@dataclass(slots=True)
class KnownRun:
    """One run.

    Attributes:
        content: What its `run.json` says.
        source: The file that says it.
        outputs: Folders that its results were in, by every name under which that may be told.
        parents: Ids of the runs that its inputs are of, where it says that.
        notes: What is wrong with what is known.
        is_named_only: Whether nothing is known of it but that it was.
    """

    run_id: str
    content: dict[str, Any]
    source: str
    outputs: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    is_named_only: bool = False

    @property
    def started_us(self) -> int:
        """When it started, in microseconds since 1970; by its id where it does not say it."""
        started_us = parse_timestamp(str(self.content.get("started_at")))
        return find_time_of(self.run_id) if started_us is None else started_us

    @property
    def ended_us(self) -> int | None:
        """When it ended; None where that is not known."""
        return parse_timestamp(str(self.content.get("ended_at")))

    @property
    def inputs(self) -> list[Mapping[str, Any]]:
        """Entries of its data folder, and of folders that hold inputs: `name`, resolved `path`."""
        listed = read_list(self.content, "inputs")
        entries: list[Mapping[str, Any]] = [entry for entry in listed if isinstance(entry, Mapping)]
        linked = [path for entry in entries for path in read_texts(entry, "links")]
        return entries + [{"name": os.path.basename(path), "path": path} for path in linked]

    @property
    def work(self) -> tuple[str, str, tuple[str, ...]] | None:
        """What it did: process, command and inputs; None where its inputs do not tell.

        Two runs of one pipeline that did the same are of two executions, or one is a retry.
        """
        paths = [read_text(entry, "path") for entry in self.inputs]
        if not paths or any(path is None or self.is_copy(path) for path in paths):
            return None
        command = " ".join(map(str, read_list(self.content, "command")))
        return str(self.content.get("process_name")), command, tuple(sorted(map(str, paths)))

    def is_copy(self, path: str) -> bool:
        """Whether an input lies in its own folders: it was copied, or a link that cannot tell."""
        data = read_text(read_table(self.content, "folders"), "data")
        task = read_text(read_table(self.content, "environment", "pipeline_task"), "folder")
        own = [
            name for folder in (data, task) if folder for name in (folder, os.path.realpath(folder))
        ]
        return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in own)


def find_time_of(run_id: str) -> int:
    """Microseconds since 1970 that a run's id tells, to the second; 0 where it tells none.

    >>> find_time_of("20231114T221320-0123abcd")
    1700000000000000
    """
    day, _, time_of_day = run_id[:15].partition("T")
    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    clock = f"{time_of_day[:2]}:{time_of_day[2:4]}:{time_of_day[4:]}"
    return parse_timestamp(f"{date}T{clock}Z") or 0


def find_known_runs(found: Gathered) -> dict[str, KnownRun]:
    """Every run that is told of, by its id, each once; those that are only named as well."""
    runs: dict[str, KnownRun] = {}
    data = {folder for source in found.runs for folder in _find_data(source.content)}
    for source in found.runs:
        outputs = _find_outputs(source, data)
        _add(runs, source.content, source.path).outputs.update(outputs)
    for source in found.runs:
        for upstream in read_list(source.content, "upstream"):
            if isinstance(upstream, Mapping) and is_run_id(read_text(upstream, "run_id") or ""):
                _add(runs, upstream, source.path)
    for run_id, log in found.logs.items():
        _complete_from_log(runs, run_id, log)
    for run in runs.values():
        if run.content.get("status") in STATUSES and not holds_canonical(run.content):
            # Only the wrapper's last version knows how the run ended.
            run.content = {**run.content, "status": UNKNOWN}
    for torn in found.torn:
        _add_named(runs, torn.run_id, torn.path, f"{torn.path} tells of this run, but {torn.why}")
    for run in list(runs.values()):
        run.parents = set(filter(is_run_id, read_texts(run.content, "parents")))
        for parent in run.parents:
            why = f"There is no record of this run: {run.source} names it as an input"
            _add_named(runs, parent, run.source, why)
    return runs


def _add_named(runs: dict[str, KnownRun], run_id: str, source: str, why: str) -> None:
    """A run of which nothing is known, unless something is."""
    if run_id not in runs:
        name = os.path.basename(source).partition(f"-{run_id}")
        content = {"run_id": run_id, **({"process_name": name[0]} if name[1] else {})}
        notes = [simplify_text(why)]
        runs[run_id] = KnownRun(run_id, content, source, notes=notes, is_named_only=True)


def _add(runs: dict[str, KnownRun], content: Mapping[str, Any], source: str) -> KnownRun:
    """The run of a `run.json`; of several versions the one that knows the end, then the first."""
    run_id = str(content["run_id"])
    run = runs.get(run_id)
    if run is None:
        run = runs[run_id] = KnownRun(run_id, dict(content), source)
    elif not holds_canonical(run.content) and holds_canonical(content):
        run.content, run.source = dict(content), source
    return run


def _find_data(run: Mapping[str, Any]) -> set[str]:
    """The data folder of a run, by every name under which a file in it may be found."""
    told = read_text(read_table(run, "folders"), "data")
    task = read_text(read_table(run, "environment", "pipeline_task"), "folder")
    folders = [told, os.path.join(task, "capsule", "data") if task else None]
    return {name for folder in folders if folder for name in (folder, os.path.realpath(folder))}


def _find_outputs(source: Source, data: set[str]) -> set[str]:
    """Where the results of a run were: by where its `run.json` lies, and by what it says."""
    told = read_text(read_table(source.content, "folders"), "results")
    task = read_text(read_table(source.content, "environment", "pipeline_task"), "folder")
    outputs = {os.path.join(task, "capsule", "results")} if task else set()
    folder = source.folder
    base, name = os.path.split(folder)
    if os.path.basename(base) == HIDDEN_NAME:  # <scratch>/.capsule/<run_id>
        results = os.path.join(os.path.dirname(os.path.dirname(base)), "results")
        outputs |= {results} if os.path.isdir(results) else set()
    elif name not in (_DATA, read_text(source.content, "run_id")) and folder not in data:
        outputs.add(folder)
    if told:  # also where it is no more: what was made of it may name it still
        outputs |= {told, os.path.realpath(told)} - _EVERYBODYS
    return outputs


def _complete_from_log(runs: dict[str, KnownRun], run_id: str, log: str) -> None:
    """Take what the log says of a run: how it ended, and all where `run.json` is missing.

    A log that ends with its canonical record is believed before any `run.json`.
    """
    known = runs.get(run_id)
    told = read_canonical(_read_last_record(log))
    if known is not None and holds_canonical(known.content):
        if not told or told["status"] == known.content["status"]:
            return
        known.notes.append(f"{known.source} says {known.content['status']}, and {log} another end")
    summary = read_run(log, run_id)
    if summary is None:
        return
    first = read_first_record(log) or {}
    if known is None:
        pipeline = read_text(first, "pipeline_name")
        content = {name: first[name] for name in first if name in BY_NAME or name == "command"}
        content |= {"run_id": run_id, "started_at": summary.started_at}
        content |= {"pipeline": {"name": pipeline}}
        known = runs[run_id] = KnownRun(run_id, content, log)
        known.notes.append("Only the log of this run could be read, not its run.json")
    known.content |= {**told, "status": summary.status}


def _read_last_record(log: str) -> dict[str, Any]:
    with contextlib.suppress(OSError):
        return read_last_record(log) or {}
    return {}


def find_placed_under(path: str, outputs: Mapping[str, set[str]]) -> set[str]:
    """The runs whose results a path is in: those of the deepest such folder."""
    folder = path
    while True:
        if folder in outputs:
            return outputs[folder]
        above = os.path.dirname(folder)
        if above == folder:
            return set()
        folder = above


def index_outputs(runs: Mapping[str, KnownRun]) -> dict[str, set[str]]:
    """Results folder → the runs that wrote there."""
    index: dict[str, set[str]] = {}
    for run in runs.values():
        for folder in run.outputs:
            index.setdefault(folder, set()).add(run.run_id)
    return index
