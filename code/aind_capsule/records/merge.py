"""Which field wins where two sources give one: nothing overwrites a standard field in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import simplify_text

#: Fields that only the toolkit's own machinery writes; a user's field of that name is renamed.
MACHINE_FIELDS = frozenset(
    field.name for field in BY_NAME.values() if field.group in ("toolkit", "canonical")
) - {"experiment_id", "parameters", "metrics"} | {
    "timestamp", "level", "message", "lineno", "process", "processName", "thread", "threadName",
    "hostname",
}  # fmt: skip


def rename_taken(
    fields: Mapping[str, Any], taken: Mapping[str, Any] | Collection[str]
) -> dict[str, Any]:
    """A user's fields beside those that are taken: equal ones are left out, others get a `_`.

    Args:
        fields: What the user gave.
        taken: The fields that are there already; with values, equal ones are recognised.

    >>> rename_taken({"level": "high", "subject_id": 7, "n": 1}, {"level": "INFO"})
    {'level_': 'high', 'subject_id': '7', 'n': 1}
    """
    kept: dict[str, Any] = {}
    for given, value in fields.items():
        name = given if isinstance(given, str) else str(given)
        known = coerce(name, value)
        if known is None:
            continue
        if name in taken:
            if isinstance(taken, Mapping) and taken[name] == known:
                continue
            known = value
        while name in taken or name in kept:
            name += "_"
        kept[name] = known
    return kept


def coerce(name: str, value: Any) -> Any:
    """A value in the type that the standard wants of its field; None where it says nothing.

    >>> coerce("subject_id", 123456), coerce("subject_id", ""), coerce("n", "")
    ('123456', None, '')
    """
    field = BY_NAME.get(name)
    if field is None or field.group == "canonical":
        return value
    if value is None or value == "":
        return None
    if field.type == "string" and not isinstance(value, str):
        return simplify_text(str(value))
    return value
