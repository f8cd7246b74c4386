"""What a step is known by, the same wherever and in whatever form it is told of.

Collectors validate, upgrade and enrich what they take: the key is of the *valid* record, without
what they put in themselves. Steps that one file tells apart by their names stay apart.
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
_ADDED = re.compile(r"(?:@[0-9a-f]{6,64})?(?:_\d+)?")


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
    told |= {"name": cut_name(name), "notes": notes}
    if "start_date_time:" in faults:  # it is a guess of whoever salvaged the record
        del told["start_date_time"]
    text = json.dumps(_drop_none(told), sort_keys=True, default=str)
    return f"process:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def cut_name(name: str) -> str:
    """A name without what collectors put behind it.

    >>> cut_name("sort_12"), cut_name("sort@0123abcdef_2"), cut_name("_2")
    ('sort', 'sort', '_2')
    """
    for place in range(1, len(name)):
        if _ADDED.fullmatch(name, place):
            return name[:place]
    return name


def tell_apart(steps: Iterable[tuple[str, Step]]) -> None:
    """Give steps that are told apart by their names, and by nothing else, keys of their own.

    Args:
        steps: All that one file tells of, or all files of a kind, each with the name by which that
            knows it. The same name twice is the same step.
    """
    names: dict[str, dict[str, int]] = {}
    for name, step in sorted(steps, key=lambda told: (len(told[0]), told[0])):
        if step.key.startswith("process:"):
            known = names.setdefault(step.key, {})
            number = known.setdefault(name, len(known))
            step.key += f"#{number}" if number else ""


def _drop_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _drop_none(inner) for name, inner in value.items() if inner is not None}
    return [_drop_none(inner) for inner in value] if isinstance(value, list) else value
