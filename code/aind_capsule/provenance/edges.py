"""Which run's outputs are another run's inputs.

In this order, for each run: the runs that it says itself were among its inputs; the runs in whose
results folder an input's resolved path lies; for an input that was copied, the one run that had
ended by then and whose results hold an entry of that name.

Machines' clocks differ: what is not guessed is believed whatever they say, unless both runs were on
one machine, or the edges made a loop.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from aind_capsule.context.asset_names import parse_asset_name
from aind_capsule.provenance.graph import cut_loops
from aind_capsule.provenance.known_runs import KnownRun, find_placed_under, index_outputs
from aind_capsule.provenance.run_facts import read_list, read_table, read_text
from aind_capsule.records.naming import find_run_id

#: Of the results of more runs than this nobody can tell whose an entry is.
_MAX_ENTRIES = 100_000


def find_edges(runs: Mapping[str, KnownRun]) -> dict[str, set[str]]:
    """Run id → ids of the runs that its inputs are of: without loops, never its own."""
    by_folder = index_outputs(runs)
    by_name = _index_entries(by_folder)
    edges: dict[str, set[str]] = {}
    for run in runs.values():
        parents = {parent for parent in run.parents if parent in runs}
        for entry in run.inputs:
            parents |= _find_sources(run, entry, runs, by_folder, by_name)
        edges[run.run_id] = parents - {run.run_id}
    return cut_loops(edges, {key: (run.started_us, key) for key, run in runs.items()})[0]


def find_asset_edges(
    runs: Mapping[str, KnownRun], assets: Mapping[str, set[str]], names: Mapping[str, str]
) -> dict[str, set[str]]:
    """Run id → what made the data assets among its inputs.

    An input is an asset whose folder it is, or whose name it bears where that is of one asset only.

    Args:
        runs: The runs.
        assets: Real path of a folder with a `processing.json` → what made it.
        names: Real path of a folder → the name of its `data_description.json`.
    """
    results = index_outputs(runs)
    outside = {folder for folder in assets if not find_placed_under(folder, results)}
    by_name: dict[str, list[str]] = {}
    for folder in outside:
        for known_as in {os.path.basename(folder), names.get(folder, "")}:
            by_name.setdefault(known_as, []).append(folder)
    edges: dict[str, set[str]] = {}
    for run_id, run in runs.items():
        data = read_text(read_table(run.content, "folders"), "data")
        listed = read_list(run.content, "data_assets")
        entries = [*run.inputs, *(entry for entry in listed if isinstance(entry, Mapping))]
        paths = [path for entry in entries if (path := read_text(entry, "path"))]
        wanted = {name for entry in entries if (name := read_text(entry, "name"))}
        found = {os.path.realpath(path) for path in (*paths, *filter(None, [data]))} & outside
        wanted |= set(map(os.path.basename, paths))
        for name in wanted - {os.path.basename(folder) for folder in found}:
            parsed = parse_asset_name(name)
            if parsed is not None and parsed.is_complete and len(by_name.get(name, ())) == 1:
                found |= set(by_name[name])
        edges[run_id] = {key for folder in found for key in assets[folder]}
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
    if path is not None:
        placed = find_placed_under(path, by_folder)
        if len(placed) == 1:
            return {parent for parent in placed if not _is_surely_later(runs[parent], run)}
        if placed:
            return _find_latest(placed, run, runs)
    if path is not None and not run.is_copy(path):
        return set()
    candidates = _find_ended(by_name.get(name or "", ()), run, runs)
    candidates = _drop_earlier_executions(candidates, runs)
    return candidates if len(candidates) == 1 else set()


def _is_surely_later(run: KnownRun, other: KnownRun) -> bool:
    """Whether a run began after the end of another, by one and the same clock."""
    host = read_text(run.content, "hostname")
    is_same_clock = host is not None and host == read_text(other.content, "hostname")
    return is_same_clock and run.started_us > _find_end(other)


def _find_ended(candidates: Iterable[str], run: KnownRun, runs: Mapping[str, KnownRun]) -> set[str]:
    """Those that had ended when a run began."""
    return {
        candidate
        for candidate in candidates
        if candidate != run.run_id and _find_end(runs[candidate]) <= run.started_us
    }


def _drop_earlier_executions(candidates: Iterable[str], runs: Mapping[str, KnownRun]) -> set[str]:
    """Of runs that did the same, in several executions of a pipeline, keep the last only."""
    latest: dict[object, str] = {}
    for run_id in sorted(candidates, key=lambda run_id: (_find_end(runs[run_id]), run_id)):
        work = runs[run_id].work
        latest[run_id if work is None else work] = run_id
    return set(latest.values())


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
