"""Which records a run's processing has written itself: they stand for the run.

A record is a run's own when a copy of it lies in that run's results and its times are within the
run's; what a capsule hands on from upstream had ended before. Times may be wrong (a clock, a zone
that is not told): where they fit no run, the one that says that it has withheld its own record for
this file is believed, unless that file was among its inputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from aind_capsule.provenance.known_runs import KnownRun, find_placed_under, index_outputs
from aind_capsule.provenance.run_facts import read_table, read_text
from aind_capsule.provenance.steps import Step
from aind_capsule.records.timestamps import US_PER_S

#: Records of others may know whole seconds only.
_TOLERANCE_US = US_PER_S


def find_own_records(runs: Mapping[str, KnownRun], steps: Iterable[Step]) -> dict[str, list[Step]]:
    """Run id → the steps that its processing has recorded itself."""
    by_folder = index_outputs(runs)
    own: dict[str, list[Step]] = {}
    for step in steps:
        paths = [os.path.realpath(source) for source in step.sources]
        placed = {path: find_placed_under(os.path.dirname(path), by_folder) for path in paths}
        run_id = _choose(placed, step, runs)
        if run_id is not None:
            own.setdefault(run_id, []).append(step)
    return own


def _choose(placed: Mapping[str, set[str]], step: Step, runs: Mapping[str, KnownRun]) -> str | None:
    """The run whose own a record is, of those in whose results its files lie."""
    found: set[str] = set()
    for path, run_ids in placed.items():
        running = {run_id for run_id in run_ids if _holds(runs[run_id], step)}
        if len(running) > 1:  # several wrote into one folder at that time
            running = {run_id for run_id in running if _names(runs[run_id], path)}
        found |= running if len(running) == 1 else set()
    if not found:
        found = {
            run_id
            for path, run_ids in placed.items()
            for run_id in run_ids
            if _names(runs[run_id], path) and not _was_given(runs[run_id], placed)
        }
    # Who hands it on at once may seem to hold it as well: the first has written it.
    return min(found, key=lambda run_id: (runs[run_id].started_us, run_id), default=None)


def _holds(run: KnownRun, step: Step) -> bool:
    """Whether a step's times are within a run's."""
    start_us, end_us = step.times_us
    run_end_us = end_us if run.ended_us is None else run.ended_us
    is_after = start_us >= run.started_us - _TOLERANCE_US
    return is_after and end_us <= run_end_us + _TOLERANCE_US


def _names(run: KnownRun, path: str) -> bool:
    """Whether a run says that it has withheld its record for this file."""
    name = read_text(read_table(run.content, "data_process"), "withheld_for")
    return name is not None and path.endswith(f"/{name}")


def _was_given(run: KnownRun, paths: Iterable[str]) -> bool:
    """Whether one of these files was among a run's inputs."""
    inputs = [read_text(entry, "path") for entry in run.inputs]
    return any(
        path == given or path.startswith(f"{given}/") for given in inputs if given for path in paths
    )
