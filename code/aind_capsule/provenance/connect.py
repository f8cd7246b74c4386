"""The edges between the steps of a pipeline, and the loops in what records say of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from aind_capsule.context.asset_metadata import PROCESSING
from aind_capsule.provenance.edges import find_asset_edges, find_edges
from aind_capsule.provenance.gather import Source
from aind_capsule.provenance.graph import cut_loops, find_ends, invert
from aind_capsule.provenance.keys import make_run_key
from aind_capsule.provenance.known_runs import KnownRun
from aind_capsule.provenance.own_records import find_own_records
from aind_capsule.provenance.run_facts import read_table, read_text
from aind_capsule.provenance.steps import Step


def connect(
    steps: dict[str, Step],
    runs: Mapping[str, KnownRun],
    assets: Mapping[str, set[str]],
    names: Mapping[str, str],
) -> None:
    """Put in the edges of runs; where a run has records of its own they take its place.

    Args:
        steps: All steps by key.
        runs: The runs.
        assets: Folder of a data asset → keys of the last steps that made it.
        names: Folder of a data asset → its name, as its description says.
    """
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
    of_assets = find_asset_edges(runs, assets, names)
    for run_id, parents in edges.items():
        keys = {key for parent in parents for key in ends[parent]}
        keys |= of_assets.get(run_id, set()) - {member.key for member in own.get(run_id, ())}
        for step in begins[run_id]:
            step.parents |= keys - {step.key}
    for step in steps.values():
        for key in step.parents & replaced.keys():
            step.parents |= replaced[key] - {step.key}
        step.parents &= steps.keys() - {step.key}


def find_asset_steps(sources: Iterable[Source], steps: Iterable[Step]) -> dict[str, set[str]]:
    """Return the keys of the last steps of each folder that has a `processing.json` of its own."""
    folders = {
        source.path: source.folder
        for source in sources
        if os.path.basename(source.path) == PROCESSING
    }
    members: dict[str, dict[str, Step]] = {}
    for step in steps:
        for path in step.sources:
            if path in folders:
                members.setdefault(folders[path], {})[step.key] = step
    return {
        folder: find_ends({key: step.parents & inside.keys() for key, step in inside.items()})
        for folder, inside in members.items()
    }


def cut_step_loops(steps: Mapping[str, Step]) -> list[str]:
    """Cut the loops in what steps depend on: a step that began later is no cause.

    Returns:
        A sentence for each edge that was left out.
    """
    place = {key: (step.times_us[0], step.content["name"], key) for key, step in steps.items()}
    links = {key: step.parents & steps.keys() for key, step in steps.items()}
    kept, cut = cut_loops(links, place)
    for key, step in steps.items():
        step.parents -= links[key] - kept[key]
    return [
        f"{steps[key].sources[0]}: {steps[key].content['name']!r} and"
        f" {steps[parent].content['name']!r} depend on each other: that the former depends on the"
        " latter is left out, which began later"
        for key, parent in cut
    ]


def drop_invented_edges(joined: Iterable[Step]) -> list[str]:
    """Leave out edges of steps with an old form to such as began later: a list became a chain.

    Both starts are those that the file itself says which has the edge.

    Args:
        joined: Steps of version 2 that have an old form, of which the schema knew no edges.

    Returns:
        A sentence for each file that has some.
    """
    files: dict[str, list[Step]] = {}
    for step in joined:
        files.setdefault(step.sources[0], []).append(step)
    said = []
    for path, steps in sorted(files.items()):
        began = {step.key: step.times_us[0] for step in steps}
        count = 0
        for step in steps:
            later = {key for key in step.parents & began.keys() if began[key] > began[step.key]}
            step.parents -= later
            count += len(later)
        if count:
            said.append(
                f"{path}: {count} edge{'s'[: count != 1]} to steps that began later are left out:"
                " the older form of these steps has none"
            )
    return said


def describe_repeated_runs(runs: Mapping[str, KnownRun]) -> list[str]:
    """Return a sentence where tasks have succeeded several times with the same inputs.

    A folder may hold several executions of a pipeline. One alone repeats no task that succeeded.
    """
    done: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for run_id, run in runs.items():
        is_task = bool(read_table(run.content, "environment", "pipeline_task"))
        if is_task and run.work is not None and read_text(run.content, "status") == "success":
            done.setdefault(run.work, []).append(run_id)
    return sorted(
        f"The process {name!r} has succeeded {len(run_ids)} times with the same inputs"
        f" ({', '.join(sorted(run_ids))}): steps of several executions of the pipeline are together"
        " here; name the folders of one to have its steps alone"
        for (name, _, _), run_ids in done.items()
        if len(run_ids) > 1
    )
