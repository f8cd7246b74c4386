"""The table of fields, judged two ways: by our own rules and by the JSON Schema that is made of it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.records.schema import (
    BY_NAME,
    EVENT_TYPES_READ,
    FIELDS,
    REQUIRED,
    STATUSES,
    build_json_schema,
    find_faults,
)

GOOD = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO", "message": ""}
SCHEMA = jsonschema.Draft202012Validator(build_json_schema())
#: Rules of ours that a JSON Schema of types and forms does not have.
_MORE = {"acquisition_name", "placeholder", "subject", "acquisition"}

JSON_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x % 1),
    st.text(), st.sampled_from(["INFO", "stdout", "stage_error", "success", "2026-01-02T03:04:05.000006Z", "unknown"]),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(), st.integers(), max_size=2),
)  # fmt: skip
RECORDS = st.dictionaries(
    st.one_of(st.sampled_from(sorted(BY_NAME)), st.text(max_size=3)), JSON_VALUES, max_size=5
)


def _find_rules(record: dict[str, Any]) -> set[str]:
    return {fault.rule for fault in find_faults(record)}


def test_the_schema_is_one() -> None:
    """What is exported is a valid JSON Schema, and has a row for every field of the table."""
    schema = build_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"].keys() == {field.name for field in FIELDS}
    assert all(rule["description"] for rule in schema["properties"].values())
    assert tuple(schema["required"]) == REQUIRED == ("timestamp", "level", "message")
    assert len(BY_NAME) == len(FIELDS)


@settings(max_examples=500, deadline=None)
@given(record=RECORDS, is_whole=st.booleans())
def test_both_judges_agree(record: dict[str, Any], is_whole: bool) -> None:
    """Whatever the record: the schema refuses it exactly when we find a fault of type or form."""
    record = {**GOOD, **record} if is_whole else record
    ours = [
        fault
        for fault in find_faults(record)
        if fault.rule not in _MORE
        or BY_NAME.get(fault.field)
        and record.get(fault.field) is None
        and not fault.is_warning
    ]
    assert SCHEMA.is_valid(record) is (ours == [])


def test_a_good_record_has_no_fault() -> None:
    """A record with an acquisition's name and nothing wrong is judged good."""
    assert (
        list(find_faults({**GOOD, "acquisition_name": "1_2026-01-01_00-00-00", "own": [None]}))
        == []
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"level": "TRACE"}, "choice"),
        ({"timestamp": "2026-01-02T03:04:05"}, "format"),
        ({"started_at": "2026-02-30T03:04:05Z"}, "format"),
        ({"timestamp": "2026-01-02T03:04:05.000006Z\n"}, "format"),
        ({"lineno": "3"}, "type"),
        ({"lineno": True}, "type"),
        ({"process": 12}, "type"),
        ({"subject_id": None}, "placeholder"),
        ({"subject_id": " undefined "}, "placeholder"),
        ({"user_id": ""}, "placeholder"),
        ({"event_type": "lick"}, "choice"),
        ({"exception": "text"}, "type"),
        ({"status": "lost"}, "choice"),
    ],
)
def test_faults_are_found(change: dict[str, Any], rule: str) -> None:
    """Each way of departing from the standard is found under its rule, and named with its value."""
    faults = [fault for fault in find_faults({**GOOD, **change}) if not fault.is_warning]
    assert [(fault.rule, fault.field) for fault in faults] == [(rule, next(iter(change)))]
    assert faults[0].message


@pytest.mark.parametrize("name", REQUIRED)
def test_required_fields(name: str) -> None:
    """Without a required field the record is no record."""
    record = {key: value for key, value in GOOD.items() if key != name}
    assert "missing" in _find_rules(record)


def test_names_that_are_words_are_no_placeholders() -> None:
    """A function may be called `none`, a thread `unknown`, and a message may be empty or `null`."""
    record = {
        **GOOD,
        "message": "null",
        "function": "none",
        "threadName": "unknown",
        "logger": "n/a",
        "processName": "null",
    }
    assert _find_rules(record) == {"acquisition_name"}


def test_choices_of_the_run() -> None:
    """The life cycle's and the status's words are the standard's; `stage_error` is read, not written."""
    assert set(EVENT_TYPES_READ) == {
        "stage_start",
        "stage_complete",
        "stage_failure",
        "stage_error",
    }
    assert "stage_error" not in BY_NAME["event_type"].choices
    assert STATUSES == ("success", "fail", "stopped")
    assert all(
        _find_rules({**GOOD, "event_type": word}) == {"acquisition_name"}
        for word in EVENT_TYPES_READ
    )
