"""Which records a run's processing has written itself: they stand for the run.

A record is a run's own when it lies in that run's results and its times are within the run's, or
where no times fit, when the run says that it has withheld its own record for this one. Of several
it is the first: the others hand it on.
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
        placed = {
            run_id
            for path in step.sources
            for run_id in find_placed_under(os.path.dirname(os.path.realpath(path)), by_folder)
        }
        running = {run_id for run_id in placed if _holds(runs[run_id], step)}
        # Times may be of another clock, or of no zone.
        told = {run_id for run_id in running or placed if _names(runs[run_id], step)}
        if candidates := told or running:  # those that hand it on began later
            first = min(candidates, key=lambda run_id: runs[run_id].started_us)
            own.setdefault(first, []).append(step)
    return own


def _holds(run: KnownRun, step: Step) -> bool:
    """Whether a step's times are within a run's."""
    start_us, end_us = step.times_us
    run_end_us = end_us if run.ended_us is None else run.ended_us
    is_after = start_us >= run.started_us - _TOLERANCE_US
    return is_after and end_us <= run_end_us + _TOLERANCE_US


def _names(run: KnownRun, step: Step) -> bool:
    """Whether a run says that it has withheld its record for this file."""
    name = read_text(read_table(run.content, "data_process"), "withheld_for")
    return name is not None and any(
        os.path.realpath(path).endswith(f"/{name}") for path in step.sources
    )
