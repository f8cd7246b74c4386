"""Which field wins where two sources give one: nothing overwrites a standard field in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aind_capsule.records.schema import BY_NAME, find_value_faults
from aind_capsule.records.simplify import simplify, str_safely

#: Fields that only the writer of a log has: those of the canonical record, and those that tell
#: where a record stands and how it came there. Nobody else's record may have one.
RESERVED_FIELDS = frozenset(
    field.name for field in BY_NAME.values() if field.group == "canonical"
) | {
    "seq", "run_id", "shipping", "stream", "split_part", "split_last", "truncated",
}  # fmt: skip
#: Fields that only the toolkit's own machinery writes: what a user gives under such a name is
#: renamed where the record is made.
MACHINE_FIELDS = RESERVED_FIELDS | frozenset(
    field.name for field in BY_NAME.values() if field.group == "toolkit"
) - {"experiment_id"} | {
    "timestamp", "level", "message", "lineno", "process", "processName", "thread", "threadName",
    "hostname",
}  # fmt: skip


def rename_taken(
    fields: Mapping[str, Any], taken: Mapping[str, Any] | Collection[str]
) -> dict[str, Any]:
    """A user's fields beside those that are taken: equal ones are left out, others get a `_`.

    So do values that the standard does not have for a field: a record stays a record of it.

    Args:
        fields: What the user gave.
        taken: The fields that are there already; with values, equal ones are recognised.

    >>> rename_taken({"level": "high", "subject_id": 7, "n": 1}, {"level": "INFO"})
    {'level_': 'high', 'subject_id': '7', 'n': 1}
    >>> rename_taken({"subject_id": "unknown", "metrics": 0.5}, ())
    {'subject_id_': 'unknown', 'metrics_': 0.5}
    """
    kept: dict[str, Any] = {}
    for given, value in fields.items():
        name = given if isinstance(given, str) else str_safely(given)
        known = coerce(name, value)
        if known is None and name in BY_NAME:
            continue
        if name in taken:
            if isinstance(taken, Mapping) and _is_equal(taken[name], known):
                continue
            name, known = f"{name}_", value
        elif not fits(name, known):
            name, known = f"{name}_", value
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
    if field is None:
        return value
    plain = simplify(value)
    if plain is None or (plain == "" and not field.required):
        return None
    return str_safely(plain) if field.type == "string" and not isinstance(plain, str) else plain


def fits(name: str, value: Any) -> bool:
    """Whether a coerced value is one that the standard has for its field; others take any.

    >>> fits("event_type", "stage_start"), fits("event_type", "lick"), fits("n", None)
    (True, False, True)
    """
    field = BY_NAME.get(name)
    return field is None or next(find_value_faults(field, value), None) is None


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays and hostile objects do not compare to one truth
        return False
