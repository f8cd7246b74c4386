"""Any record of a processing step as one valid `DataProcess`: what the schema refuses is left out.

The step stays, and its notes say what was left out: the field, its value, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.provenance.data_process import OTHER, STAGES, drop_unknown
from aind_capsule.provenance.process_types import read_process_type
from aind_capsule.provenance.run_facts import UNKNOWN, read_table, read_text
from aind_capsule.provenance.schema import (
    InvalidRecordError,
    find_process_types,
    validate_data_process,
)
from aind_capsule.records.encode import encode
from aind_capsule.records.timestamps import format_timestamp, parse_timestamp

#: How the notes begin that tell of what was left out.
_FAULTS = "Not everything that is known of this step could be taken: "
_MAX_ROUNDS = 20
_MAX_VALUE_CHARACTERS = 200
_MAX_FAULT_CHARACTERS = 400
_REQUIRED = ("process_type", "stage", "code", "experimenters", "start_date_time")
_SURELY_VALID: Mapping[str, Any] = {
    "process_type": OTHER, "name": UNKNOWN, "stage": STAGES[0], "code": {"url": UNKNOWN},
    "experimenters": [], "start_date_time": "1970-01-01T00:00:00Z",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StartGuess:
    """What stands for a start that a record does not say.

    Attributes:
        time_us: The time, in microseconds since 1970.
        source: What it is the time of.
    """

    time_us: int
    source: str


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came of a record.

    Attributes:
        content: The valid `DataProcess`.
        faults: What could not be taken, each with field, value and reason.
    """

    content: dict[str, Any]
    faults: tuple[str, ...] = ()


def salvage(
    content: Mapping[str, Any],
    name: str,
    start: StartGuess,
    refused: Mapping[str, Any] | None = None,
) -> Salvaged:
    """A valid `DataProcess` with all that can be taken of a record.

    Args:
        content: What is known of the step, in the form of version 2.
        name: The step's name, where the record has none.
        start: When it started, where the record does not say it.
        refused: Fields that could not be brought over from an older form, with their values.

    Raises:
        SchemaMissingError: There is no aind-data-schema of version 2.
    """
    taken = {**content, "name": read_text(content, "name") or name}
    faults = [_describe(field, value, "") for field, value in (refused or {}).items()]
    if content.get("name") not in (None, "", taken["name"]) and not isinstance(
        content["name"], str
    ):
        faults.append(_describe("name", content["name"], "it is no text"))
    for _ in range(_MAX_ROUNDS):
        try:
            return Salvaged(validate_data_process(_add_notes(taken, faults)), tuple(faults))
        except InvalidRecordError as error:
            for place, why in _locate(error, taken, faults):
                _repair(taken, place, why, start, faults)
    bare = {"name": taken["name"], "notes": read_text(content, "notes")}
    for field in _REQUIRED:
        _repair(bare, (field,), "it was left out with the rest", start, faults)
    return Salvaged(validate_data_process(_add_notes(drop_unknown(bare), faults)), tuple(faults))


def _locate(
    error: InvalidRecordError, taken: Mapping[str, Any], faults: list[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield place and reason of each fault; where the schema names no place, that of the culprit.

    Its own rules may stumble over values of a wrong type, and then say nothing of where.
    """
    named = [(place, why) for place, why in error.faults if place]
    if named:
        yield from named
        return
    why = error.faults[0][1] if error.faults else error.message
    alone = [place for place in _list_places(taken) if _is_refused_alone(taken, place)]
    if alone:
        yield from ((place, why) for place in alone)
        return
    for place in _list_places(taken):
        try:
            validate_data_process(_add_notes(_drop(taken, place), faults))
        except InvalidRecordError as other:
            if other.message == error.message:
                continue
        yield place, why
        return
    for field in taken.keys() - {"name", *_REQUIRED}:
        yield (field,), why


def _is_refused_alone(taken: Mapping[str, Any], place: tuple[str, ...]) -> bool:
    """Return whether the schema refuses one value in a record that is valid without it."""
    value = (
        taken[place[0]] if len(place) == 1 else {"url": UNKNOWN, place[1]: taken["code"][place[1]]}
    )
    if place == ("code",) and isinstance(value, Mapping):
        return False  # each of its fields is a place of its own
    try:
        validate_data_process({**_SURELY_VALID, place[0]: value})
    except InvalidRecordError:
        return True
    return False


def _list_places(taken: Mapping[str, Any]) -> list[tuple[str, ...]]:
    places = [(field,) for field in taken if field != "name"]
    return [*((("code", field)) for field in read_table(taken, "code")), *places]


def _drop(taken: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    field, *inner = place
    if not inner:
        return {name: value for name, value in taken.items() if name != field}
    table = {name: value for name, value in taken[field].items() if name != inner[0]}
    return {**taken, field: table}


def _repair(
    taken: dict[str, Any], place: tuple[str, ...], why: str, start: StartGuess, faults: list[str]
) -> None:
    """Put what is surely valid where something was refused, or nothing, and say what it was."""
    field = place[0]
    if field not in taken and field not in _REQUIRED:
        return  # another fault of the same field has removed it
    value = taken.pop(field, None)
    shown = value
    if field == "process_type":
        found = read_process_type(value, find_process_types()) if isinstance(value, str) else None
        taken[field] = found if found not in (None, value) else OTHER
        why = why if value is None else "no process type of the schema"
    elif field == "stage":
        taken[field] = STAGES[0]
    elif field == "experimenters":
        people = value if isinstance(value, list) else [value]
        taken[field] = [text for text in map(_name_person, people) if text]
    elif field == "start_date_time":
        end_us = parse_timestamp(str(taken.get("end_date_time")))
        is_end = end_us is not None and end_us < start.time_us
        taken[field] = format_timestamp(end_us if end_us is not None and is_end else start.time_us)
        why += f"; {'the end' if is_end else start.source} stands for it"
    elif field == "code":
        code = dict(value) if isinstance(value, Mapping) and len(place) > 1 else {}
        if code:
            shown, place = code.pop(place[1], None), place[:2]
        taken[field] = {**code, "url": read_text(code, "url") or UNKNOWN}
    faults.append(_describe(".".join(place if place[0] == "code" else place[:1]), shown, why))


def _describe(field: str, value: Any, why: str) -> str:
    """Say that a value could not be taken.

    >>> _describe("code_url", ["u"], ""), _describe("stage", None, "Field required")
    ('code_url: ["u"]', 'stage: Field required')
    """
    shown = "" if value is None else encode({"": value}).decode()[4:-1]
    if len(shown) > _MAX_VALUE_CHARACTERS:
        shown = f"{shown[:_MAX_VALUE_CHARACTERS]}…"
    reason = f" ({why})" if shown and why else why
    return f"{field}: {shown}{reason}"[:_MAX_FAULT_CHARACTERS]


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
