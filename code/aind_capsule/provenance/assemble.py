"""One valid `Processing` of many steps: unique names, a dependency graph, the pipelines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aind_capsule.provenance.run_facts import UNKNOWN, read_text
from aind_capsule.provenance.schema import InvalidRecordError, validate_code, validate_processing
from aind_capsule.provenance.steps import Step, rename

_NUMBER = re.compile(r"_\d+$")
_SCHEMA_FIELDS = ("version", "commit_hash")


def assemble(
    steps: Iterable[Step], pipelines: Iterable[Mapping[str, Any]], notes: str
) -> dict[str, Any]:
    """The `Processing`.

    Args:
        steps: The steps; names may be there twice.
        pipelines: What is known of pipelines, each with `name`; one may be told of several times.
        notes: The record's notes.

    Raises:
        InvalidRecordError: The schema refuses the result.
    """
    ordered = sorted(steps, key=_rank)
    names = _name_uniquely(ordered)
    processes = [rename(step.content, names[step.key]) for step in ordered]
    graph = {
        names[step.key]: sorted(names[parent] for parent in step.parents - {step.key})
        for step in ordered
    }
    codes = [_take_code(entry, name) for entry in pipelines if (name := read_text(entry, "name"))]
    own_names = _find_own_names(codes)
    told = _merge_pipelines({**code, "name": own_names[code["name"]]} for code in codes)
    renamed = _name_pipelines_apart(told)
    known = {pipeline["name"] for pipeline in told}
    for step, process in zip(ordered, processes, strict=True):
        name = own_names.get(process.get("pipeline_name", ""))
        if name in renamed and step.pipeline:
            own = _take_code(step.pipeline, name)
            process["pipeline_name"] = next(
                (entry["name"] for entry in renamed[name] if _agree(entry, own)), name
            )
        elif name is not None:
            process["pipeline_name"] = name
    for process in processes:
        name = process.get("pipeline_name")
        if name and name not in known:
            known.add(name)
            told.append({"object_type": "Code", "name": name, "url": UNKNOWN})
    content = {
        "object_type": "Processing",
        "data_processes": processes,
        "dependency_graph": graph,
        "notes": notes,
    }
    return validate_processing({**content, "pipelines": told} if told else content)


def _rank(step: Step) -> tuple[Any, ...]:
    """Return a step's place: by its times, its name and all else that it says."""
    text = json.dumps(step.content, sort_keys=True, default=str)
    return step.times_us, step.content["name"], text, step.key


def _name_uniquely(steps: Iterable[Step]) -> dict[str, str]:
    """Key → a name that no other step has: the first keeps its own, the others get a number."""
    names: dict[str, str] = {}
    wanted = [(step.key, str(step.content["name"])) for step in steps]
    taken = {name for _, name in wanted}
    used: set[str] = set()
    numbers: dict[str, int] = {}
    for key, name in wanted:
        unique = name
        while unique in used or (unique != name and unique in taken):
            numbers[name] = numbers.get(name, 1) + 1
            unique = f"{name}_{numbers[name]}"
        used.add(unique)
        names[key] = unique
    return names


def _find_own_names(codes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the own name of each pipeline, of those too that were renamed here before."""
    versions = {code["name"]: read_text(code, "version") for code in codes}
    own_names = {}
    for name, version in versions.items():
        base = name.removesuffix(f" {version}") if version else _NUMBER.sub("", name)
        own_names[name] = base if base in versions else name
    return own_names


def _merge_pipelines(pipelines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each pipeline once, with all that is known of it; two versions of one are two.

    Their order, and which is merged with which, hangs on what is said, and not on who says it.
    """
    codes = list(pipelines)
    codes.sort(key=lambda code: (code["name"], -len(code), code["url"] == UNKNOWN, str(code)))
    merged: list[dict[str, Any]] = []
    for code in codes:
        for known in merged:
            if known["name"] == code["name"] and _agree(known, code):
                url = known["url"] if known["url"] != UNKNOWN else code["url"]
                known.update({**code, **known, "url": url})
                break
        else:
            merged.append(code)
    return merged


def _name_pipelines_apart(merged: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Give pipelines of one name that disagree names of their own: with the version, or a number.

    Returns:
        The name that they had → those of them.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for code in merged:
        groups.setdefault(code["name"], []).append(code)
    taken = set(groups)
    for name, group in groups.items():
        for number, code in enumerate(group[1:], 2):
            version = read_text(code, "version")
            wanted = f"{name} {version}" if version else f"{name}_{number}"
            while wanted in taken:
                wanted += "_2"
            taken.add(wanted)
            code["name"] = wanted
    return {name: group for name, group in groups.items() if len(group) > 1}


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    urls = {one["url"], other["url"]} - {UNKNOWN}
    told = [{one.get(name), other.get(name)} - {None} for name in _SCHEMA_FIELDS]
    return len(urls) < 2 and all(len(values) < 2 for values in told)


def _take_code(pipeline: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A pipeline as the schema's `Code`; where that cannot be, what surely can."""
    url = read_text(pipeline, "url") or UNKNOWN
    try:
        return validate_code({**pipeline, "name": name, "url": url})
    except InvalidRecordError:
        version = read_text(pipeline, "version")
        code = {"name": name, "url": url, **({"version": version} if version else {})}
        return validate_code(code)
