"""What a step is known by, the same wherever and in whatever form it is told of.

Collectors validate, upgrade and enrich what they take: the key is of the *valid* record, without
what they put in themselves.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aind_capsule.provenance.run_facts import read_text
from aind_capsule.provenance.salvage import split_faults
from aind_capsule.records.naming import find_run_id
from aind_capsule.records.timestamps import parse_timestamp

if TYPE_CHECKING:
    from aind_capsule.provenance.steps import Step

#: People and pipeline are filled in from what is known of the whole pipeline.
_OF_COLLECTORS = frozenset({"object_type", "describedBy", "schema_version", "experimenters",
                            "pipeline_name", "name", "notes"})  # fmt: skip
_TIMES = ("start_date_time", "end_date_time")
#: What collectors put behind a name that is there twice: a number, a digest.
_ADDED = re.compile(r"(?:@[0-9a-f]{6,64})?(?:_(?P<number>\d{1,6}))?$")


def make_run_key(run_id: str) -> str:
    """The key of the step that a run is."""
    return f"run:{run_id}"


def make_node_key(node: str) -> str:
    """The key of a step of which no more than its place in the pipeline is known."""
    return f"node:{node}"


def make_key(content: Mapping[str, Any], name: str | None = None) -> str:
    """The key of a valid record: of a run of ours its id, which its name ends with; else a digest.

    Args:
        content: The record.
        name: By what the pipeline knows it, where that is another name than the record's.
    """
    name = name or read_text(content, "name") or ""
    run_id = find_run_id(name)
    if run_id is not None:
        return make_run_key(run_id)
    told = {key: value for key, value in content.items() if key not in _OF_COLLECTORS}
    told |= {key: parse_timestamp(str(told[key])) or told[key] for key in _TIMES if key in told}
    notes, faults = split_faults(read_text(content, "notes") or "")
    told |= {"name": name, "notes": notes}
    if "start_date_time:" in faults:  # it is a guess of whoever salvaged the record
        del told["start_date_time"]
    text = json.dumps(_drop_none(told), sort_keys=True, default=str)
    return f"process:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def is_of_content(key: str) -> bool:
    """Return whether a key is the digest of a record, of which nothing else is known."""
    return key.startswith("process:")


def split_number(name: str) -> tuple[str, int]:
    """Return a name without what collectors put behind one that is there twice, and its number.

    Whether somebody has put it there, or it is the step's own, the name does not tell.

    >>> split_number("sort_12"), split_number("sort@0123abcdef_2"), split_number("_2")
    (('sort', 12), ('sort', 2), ('_2', 0))
    """
    match = _ADDED.search(name, 1)
    if match is None or not match.group():
        return name, 0
    return name[: match.start()], int(match["number"] or 0)


def join_numbered(steps: Iterable[Step]) -> None:
    """Have steps to whose names a number was added known by the key of that without it.

    A number was added where the same step is told of without one, by another file than its own.
    """
    told = [step for step in steps if is_of_content(step.key)]
    files: dict[str, set[str]] = {}
    for step in told:
        for source in step.sources:
            files.setdefault(source, set()).add(step.key)
    known = {step.key for step in told}
    for step in told:
        base, _ = split_number(step.content["name"])
        if base == step.content["name"]:
            continue
        key = make_key(step.content, base)
        if key in known and not any(key in files[source] for source in step.sources):
            step.aliases.add(step.key)
            step.key = key


def _drop_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _drop_none(inner) for name, inner in value.items() if inner is not None}
    return [_drop_none(inner) for inner in value] if isinstance(value, list) else value
