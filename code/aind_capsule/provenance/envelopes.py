"""Records of aind-code-ocean-pipeline-utils (`provenance/<node>.json`) as steps.

Its envelope of version 1: `{v, node, parents: [node], data_process?, data_process_schema_version?,
experimenters?, pipeline? {name, code?}, label?}`. Each capsule forwards copies of all upstream
records, so the same one is found many times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from aind_capsule.provenance.gather import Source
from aind_capsule.provenance.keys import make_node_key
from aind_capsule.provenance.run_facts import read_table, read_text, read_texts
from aind_capsule.provenance.steps import NO_PROCESS, NO_RECORD, Step, make_step
from aind_capsule.records.simplify import simplify_text


def make_steps_of_envelopes(
    sources: Iterable[Source], types: Collection[str], rejected: list[tuple[str, str]]
) -> list[Step]:
    """The steps of all records, those that are only named as an input included.

    Args:
        sources: The records.
        types: The process types of version 2.
        rejected: Gets path and reason of each that disagrees with another of the same node.
    """
    chosen: dict[str, Source] = {}
    paths: dict[str, list[str]] = {}
    for source in sources:
        node = str(source.content["node"])
        known = chosen.get(node)
        chosen[node] = source if known is None else _reconcile(known, source, rejected)
        paths.setdefault(node, []).append(source.path)
    people = {
        person: None
        for source in chosen.values()
        for person in read_texts(source.content, "experimenters")
    }
    steps = {node: _make_step(source, types, list(people)) for node, source in chosen.items()}
    for node, source in chosen.items():
        parents = read_texts(source.content, "parents")
        for parent in parents:
            if parent not in steps:
                steps[parent] = _make_missing_step(parent, steps[node], types)
        steps[node].parents = {steps[parent].key for parent in parents} - {steps[node].key}
        steps[node].aliases.add(make_node_key(node))
        steps[node].sources = paths[node]
    return list(steps.values())


def _reconcile(known: Source, other: Source, rejected: list[tuple[str, str]]) -> Source:
    """Of two records of one node both together; where they disagree the one with a process."""
    ours, theirs = known.content, other.content
    if all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys()):
        return Source(known.path, {**ours, **theirs})
    is_better = "data_process" in theirs and "data_process" not in ours
    best, rest = (other, known) if is_better else (known, other)
    reason = f"it says something else of the step {ours['node']} than {best.path}"
    rejected.append((rest.path, reason))
    return best


def _make_step(source: Source, types: Collection[str], people: list[str]) -> Step:
    record, node = source.content, str(source.content["node"])
    original = read_table(record, "data_process")
    label = read_text(record, "label")
    if not original:
        return _make_bare_step(label or node, node, NO_PROCESS, source.path, types)
    process = dict(original)
    if people and not process.get("experimenters"):
        process["experimenters"] = people
    pipeline = read_text(read_table(record, "pipeline"), "name")
    if pipeline and not process.get("pipeline_name"):
        process["pipeline_name"] = pipeline
    return make_step(process, source.path, types, name=label or node)  # as that library names it


def _make_missing_step(node: str, child: Step, types: Collection[str]) -> Step:
    path = simplify_text(child.sources[0])
    notes = f"{NO_RECORD}: {path} names it as an input"
    start = {"start_date_time": child.content["start_date_time"]}
    return _make_bare_step(node, node, notes, child.sources[0], types, start)


def _make_bare_step(
    name: str,
    node: str,
    notes: str,
    path: str,
    types: Collection[str],
    more: Mapping[str, str] | None = None,
) -> Step:
    step = make_step({"notes": notes, **(more or {})}, path, types, default_name=name)
    step.key = make_node_key(node)
    return step
