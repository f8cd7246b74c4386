"""Several tellings of one step become one, the same in whatever order they were found.

A run's own file counts most, then the old form of a record, then what was made of it. Values of a
later one fill what is missing; that two of them differ is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from aind_capsule.provenance.run_facts import UNKNOWN, read_table, read_text
from aind_capsule.provenance.steps import Step

_FILLED = ("experimenters", "pipeline_name")
_FILLED_CODE = ("url", "version", "commit_hash")
_COMPARED = ("process_type", "stage", *_FILLED)
_COMPARED_CODE = (*_FILLED_CODE, "language", "language_version")


def merge_tellings(tellings: Iterable[Step]) -> tuple[Step, list[str]]:
    """Return one step of all that is told of it, and what two of them say differently.

    Args:
        tellings: Steps of one key.
    """
    first, *others = sorted(tellings, key=_rank)
    differences: dict[str, None] = {}
    for other in others:
        differences |= dict.fromkeys(_find_differences(first, other))
        first.take(other)
    for other in others:
        _fill(first, other)
    return first, list(differences)


def _rank(step: Step) -> tuple[Any, ...]:
    content = step.content
    is_told = bool(read_table(content, "code")) and read_text(content, "end_date_time") is not None
    age = 0 if step.is_of_run_file else 1 if step.is_old else 2 if step.was_old else 3
    size = sum(value not in (None, "", [], {}) for value in content.values())
    return age, not is_told, -size, json.dumps(content, sort_keys=True, default=str)


def _fill(step: Step, other: Step) -> None:
    """Take what is not known of a step from another telling of it."""
    for name in _FILLED:
        value = other.content.get(name)
        if not _is_nothing(value) and _is_nothing(step.content.get(name)):
            step.content[name] = value
            if name == "pipeline_name":
                step.pipeline = other.pipeline
    code, theirs = step.content.get("code"), read_table(other.content, "code")
    if isinstance(code, dict):
        for name in _FILLED_CODE:
            if not _is_nothing(theirs.get(name)) and _is_nothing(code.get(name)):
                code[name] = theirs[name]


def _find_differences(step: Step, other: Step) -> list[str]:
    values = [(name, step.content.get(name), other.content.get(name)) for name in _COMPARED]
    code, theirs = (read_table(each.content, "code") for each in (step, other))
    values += [(f"code.{name}", code.get(name), theirs.get(name)) for name in _COMPARED_CODE]
    return [
        f"of the step {step.content['name']!r} {step.sources[0]} says {name} {ours!r} and"
        f" {other.sources[0]} {theirs!r}: the former was taken"
        for name, ours, theirs in values
        if not (_is_nothing(ours) or _is_nothing(theirs) or ours == theirs)
    ]


def _is_nothing(value: Any) -> bool:
    """Return whether a value says nothing; the official upgrader writes "unknown" and "".

    >>> _is_nothing(["unknown"]), _is_nothing("1.2")
    (True, False)
    """
    if isinstance(value, list):
        return all(map(_is_nothing, value))
    return value is None or (isinstance(value, str) and value.strip().lower() in ("", UNKNOWN))
