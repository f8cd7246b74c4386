"""Any record of a processing step as one valid `DataProcess`: what the schema refuses is left out.

The step stays, and its notes say what was left out and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.provenance.data_process import OTHER, STAGES, drop_unknown
from aind_capsule.provenance.process_types import read_process_type
from aind_capsule.provenance.run_facts import UNKNOWN, read_table, read_text
from aind_capsule.provenance.schema import (
    InvalidRecordError,
    find_process_types,
    validate_data_process,
)
from aind_capsule.records.timestamps import format_timestamp, parse_timestamp

#: How the notes begin that tell of what was left out.
_FAULTS = "Not everything that is known of this step could be taken: "
_MAX_ROUNDS = 20
_MAX_FAULT_CHARACTERS = 200


def salvage(content: Mapping[str, Any], name: str, time_us: int) -> dict[str, Any]:
    """A valid `DataProcess` with all that can be taken of a record.

    Args:
        content: What is known of the step, in the form of version 2.
        name: The step's name, where the record has none.
        time_us: When it started, in microseconds since 1970, where the record does not say it.

    Raises:
        SchemaMissingError: There is no aind-data-schema of version 2.
    """
    taken = {**content, "name": read_text(content, "name") or name}
    faults: list[str] = []
    for _ in range(_MAX_ROUNDS):
        try:
            return validate_data_process(_add_notes(taken, faults))
        except InvalidRecordError as error:
            for place, why in error.faults:
                where = ".".join(place)
                faults.append(f"{where}: {why}"[:_MAX_FAULT_CHARACTERS])
                _repair(taken, place, time_us)
    bare = {"name": taken["name"], "notes": read_text(content, "notes")}
    for field in _REQUIRED:
        _repair(bare, (field,), time_us)
    return validate_data_process(_add_notes(drop_unknown(bare), faults))


_REQUIRED = ("process_type", "stage", "code", "experimenters", "start_date_time")


def _repair(taken: dict[str, Any], place: tuple[str, ...], time_us: int) -> None:
    """Put what is surely valid where something was refused, or nothing."""
    field = place[0] if place else "notes"
    value = taken.pop(field, None)
    if field == "process_type":
        found = read_process_type(value, find_process_types()) if isinstance(value, str) else None
        taken[field] = found if found not in (None, value) else OTHER
    elif field == "stage":
        taken[field] = STAGES[0]
    elif field == "experimenters":
        people = value if isinstance(value, list) else [value]
        taken[field] = [text for text in map(_name_person, people) if text]
    elif field == "start_date_time":
        end_us = parse_timestamp(str(taken.get("end_date_time")))
        taken[field] = format_timestamp(time_us if end_us is None else min(time_us, end_us))
    elif field == "code":
        code = dict(value) if isinstance(value, Mapping) and len(place) > 1 else {}
        code.pop(place[1] if len(place) > 1 else "", None)
        taken[field] = {**code, "url": read_text(code, "url") or UNKNOWN}


def _name_person(person: Any) -> str | None:
    return person if isinstance(person, str) else read_text(read_table({"p": person}, "p"), "name")


def _add_notes(taken: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    if not faults:
        return dict(taken)
    said = _FAULTS + "; ".join(faults)
    notes = read_text(taken, "notes")
    return {**taken, "notes": said if notes is None else f"{notes}\n{said}"}


def split_faults(notes: str) -> tuple[str, str]:
    """The notes that a record had before it was salvaged, and what was said then."""
    own, _, faults = notes.partition(_FAULTS)
    return own.strip(), faults
