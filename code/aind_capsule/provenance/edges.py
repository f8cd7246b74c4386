"""Which run's outputs are another run's inputs.

In this order, for each run: the runs that it says itself were among its inputs; the runs in whose
results folder an input's resolved path lies; for an input that was copied, the one run that had
ended by then and whose results hold an entry of that name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from aind_capsule.provenance.known_runs import KnownRun, find_placed_under, index_outputs
from aind_capsule.provenance.run_facts import read_list, read_table, read_text, read_texts
from aind_capsule.records.naming import find_run_id

#: Of the results of more runs than this nobody can tell whose an entry is.
_MAX_ENTRIES = 100_000


def find_edges(runs: Mapping[str, KnownRun]) -> dict[str, set[str]]:
    """Run id → ids of the runs that its inputs are of; never its own.

    Machines' clocks differ: times count only where something is guessed.
    """
    by_folder = index_outputs(runs)
    by_name = _index_entries(by_folder)
    edges: dict[str, set[str]] = {}
    for run in runs.values():
        parents = {parent for parent in run.parents if parent in runs}
        for entry in read_list(run.content, "inputs"):
            if isinstance(entry, Mapping):
                parents |= _find_sources(run, entry, runs, by_folder, by_name)
        edges[run.run_id] = parents - {run.run_id}
    return edges


def _find_sources(
    run: KnownRun,
    entry: Mapping[str, Any],
    runs: Mapping[str, KnownRun],
    by_folder: Mapping[str, set[str]],
    by_name: Mapping[str, set[str]],
) -> set[str]:
    """The runs that one entry of the data folder is of."""
    path, name = read_text(entry, "path"), read_text(entry, "name")
    links = read_texts(entry, "links")
    if links:  # a folder that was made to hold inputs
        inner = [{"path": link, "name": os.path.basename(link)} for link in links]
        found = [_find_sources(run, link, runs, by_folder, by_name) for link in inner]
        return set().union(*found)
    if path is not None:
        placed = find_placed_under(path, by_folder)
        if placed:
            return placed if len(placed) == 1 else _find_latest(placed, run, runs)
    if path is not None and not _is_copy(path, run):
        return set()
    candidates = _find_ended(by_name.get(name or "", ()), run, runs)
    return candidates if len(candidates) == 1 else set()


def _is_copy(path: str, run: KnownRun) -> bool:
    """Whether an input lies in the run's own folders: it was copied, or a link that cannot tell."""
    data = read_text(read_table(run.content, "folders"), "data")
    task = read_text(read_table(run.content, "environment", "pipeline_task"), "folder")
    told = [folder for folder in (data, task) if folder]
    own = {*told, *map(os.path.realpath, told)}
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in own)


def _find_ended(candidates: Iterable[str], run: KnownRun, runs: Mapping[str, KnownRun]) -> set[str]:
    """Those that had ended when a run began."""
    return {
        candidate
        for candidate in candidates
        if candidate != run.run_id and _find_end(runs[candidate]) <= run.started_us
    }


def _find_latest(
    candidates: Iterable[str], run: KnownRun, runs: Mapping[str, KnownRun]
) -> set[str]:
    """Of several runs that wrote into one folder, one after the other, the last before a run."""
    ended = sorted(_find_ended(candidates, run, runs), key=lambda known: _find_end(runs[known]))
    return set(ended[-1:])


def _find_end(run: KnownRun) -> int:
    """When a run ended; where that is not known, when it started."""
    return run.started_us if run.ended_us is None else run.ended_us


def _index_entries(by_folder: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Name of an entry in a results folder → the one run that wrote there."""
    index: dict[str, set[str]] = {}
    for folder, runs in by_folder.items():
        if len(runs) > 1:
            continue
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names[:_MAX_ENTRIES]:
            if find_run_id(name.partition(".")[0]) is None:
                index.setdefault(name, set()).update(runs)
    return index
