"""Which field wins, what is renamed, and how a record is cut to a size."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.records.encode import decode, encode
from aind_capsule.records.foreign import normalise
from aind_capsule.records.merge import MACHINE_FIELDS, RESERVED_FIELDS, coerce, rename_taken
from aind_capsule.records.schema import BY_NAME, find_faults
from aind_capsule.records.shrink import shrink
from tests.values import FIELDS, VALUES

NOW_US = 1_700_000_000_000_000


#: What these say is kept, also where it names no acquisition; `check-logs` finds fault with it.
_NAMES = ("acquisition_name", "specimen_id")


@settings(max_examples=300, deadline=None)
@given(fields=FIELDS, taken=st.frozensets(st.sampled_from(sorted(BY_NAME))))
def test_nothing_taken_is_given(fields: dict[str, Any], taken: frozenset[str]) -> None:
    """No name that is taken comes out, none comes out twice, and what comes out fits the standard."""
    kept = rename_taken(fields, taken)
    assert not taken & kept.keys()
    assert len(kept) <= len(fields)
    for name, value in (decode(encode(kept)) or {}).items():
        faults = [fault for fault in find_faults({name: value}) if fault.field == name]
        assert [
            fault
            for fault in faults
            if fault.rule not in ("missing", "acquisition_name") and fault.field not in _NAMES
        ] == []


def test_nothing_is_lost() -> None:
    """Every field that says something is kept, by its name or by one with a `_`."""
    fields = {
        "level": "high",
        "level_": "higher",
        "level__": 1,
        "n": None,
        "subject_id": "unknown",
        "lineno": "3",
    }
    assert rename_taken(fields, {"level": "INFO"}) == {
        "level_": "high", "level__": "higher", "level___": 1, "n": None, "subject_id_": "unknown", "lineno_": "3",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["", None, float("nan")])
def test_standard_fields_that_say_nothing_are_left_out(value: object) -> None:
    """An identifier that is empty or unknown is no field; a user's own may be null or empty."""
    assert rename_taken({"subject_id": value}, ()) == {}
    assert list(rename_taken({"own": value}, ())) == ["own"]


def test_equal_values_are_left_out() -> None:
    """What says the same as the field that is there adds nothing; arrays are no trouble."""
    numpy = pytest.importorskip("numpy")
    assert rename_taken({"subject_id": 7}, {"subject_id": "7"}) == {}
    assert list(rename_taken({"own": numpy.arange(3)}, {"own": numpy.arange(3)})) == ["own_"]


@settings(deadline=None)
@given(name=st.sampled_from(sorted(BY_NAME)), value=VALUES)
def test_text_fields_become_text(name: str, value: Any) -> None:
    """A standard field of text is text whatever it was given, or nothing."""
    if BY_NAME[name].type == "string":
        assert isinstance(coerce(name, value), (str, type(None)))


def test_machine_fields_are_not_the_users() -> None:
    """The fields that only the machinery writes are protected; identifiers are free."""
    assert {
        "timestamp",
        "seq",
        "run_id",
        "status",
        "exception",
        "logger",
        "hostname",
        "truncated",
        "parameters",
        "metrics",
    } <= MACHINE_FIELDS
    assert not {"subject_id", "process_name", "experiment_id", "event_type"} & MACHINE_FIELDS
    assert RESERVED_FIELDS < MACHINE_FIELDS


@settings(max_examples=200, deadline=None)
@given(FIELDS)
def test_foreign_records_become_records(foreign: dict[str, Any]) -> None:
    """Any object of another program's is a record of the standard, with all that it said."""
    record = decode(encode(normalise(decode(encode(foreign)) or {}, NOW_US))) or {}
    faults = [fault for fault in find_faults(record) if not fault.is_warning]
    assert [fault for fault in faults if fault.field not in _NAMES] == []


def test_foreign_names_are_understood() -> None:
    """Time, level and message go by several names; what cannot be read stays beside them."""
    record = normalise(
        {
            "ts": "2023-11-14T22:13:21Z",
            "severity": "warn",
            "msg": "hi",
            "lineno": "7",
            "process": 3,
        },
        NOW_US,
    )
    assert record == {
        "timestamp": "2023-11-14T22:13:21.000000Z", "level": "WARNING", "message": "hi", "lineno_": "7", "process": "3",
    }  # fmt: skip
    odd = normalise({"time": "noon", "level": "loud", "message": {"a": 1}}, NOW_US)
    assert (odd["timestamp"], odd["level"]) == ("2023-11-14T22:13:20.000000Z", "INFO")
    assert (odd["time"], odd["level_"]) == ("noon", "loud")
    assert "a" in odd["message"]


CANONICAL = {
    "timestamp": "2026-01-02T03:04:05.000006Z", "level": "ERROR", "message": "m", "status": "fail", "exit_code": 3,
    "event_type": "stage_failure", "run_id": "20260101T000000-0123abcd", "duration_s": 1.5,
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    fields=FIELDS,
    sizes=st.lists(st.integers(0, 60_000), max_size=8),
    count=st.integers(0, 5000),
    limit=st.sampled_from([8 * 1024, 32 * 1024, 100_000]),
)
def test_shrunk_records_fit(
    fields: dict[str, Any], sizes: list[int], count: int, limit: int
) -> None:
    """Whatever is in a record, it fits when it is cut, and still says how the run ended."""
    large = {
        name: "é\x00" * size
        for name, size in zip(
            ("message", "error_message", "input_assets", "own", "x", "y", "z", "hostname"),
            sizes,
            strict=False,
        )
    }
    many = {f"n{index}": index for index in range(count)}
    record = {**fields, **many, **CANONICAL, **large, "parameters": many}
    kept = shrink(record, limit)
    assert len(encode(kept)) <= limit
    for name in ("timestamp", "level", "status", "exit_code", "event_type", "duration_s"):
        assert kept[name] == CANONICAL[name]


def test_a_record_that_fits_is_left_alone() -> None:
    """Nothing is cut, and nothing said, where nothing has to be."""
    assert shrink(CANONICAL, 1000) == CANONICAL


def test_what_is_cut_first() -> None:
    """The user's fields go before the standard's, the largest first; short ones stay whole."""
    record = {**CANONICAL, "own": "x" * 9000, "small": "s", "error_message": "e" * 3000}
    kept = shrink(record, 5000)
    assert kept["truncated"] == ["own"]
    assert kept["error_message"] == record["error_message"]
    assert (kept["small"], kept["own"][:3], kept["own"][-1]) == ("s", "xxx", "…")


def test_lists_and_tables_keep_their_beginning() -> None:
    """Of a list and of a table as many whole entries stay as fit, of a long text its beginning."""
    record = {
        **CANONICAL,
        "input_assets": [f"asset-{n}" for n in range(5000)],
        "exception": {"type": "E", "traceback": "t" * 90_000},
    }
    kept = shrink(record, 32 * 1024)
    assert kept["input_assets"] == [f"asset-{n}" for n in range(len(kept["input_assets"]))]
    assert len(kept["input_assets"]) > 50
    assert kept["exception"]["type"] == "E"
    assert kept["exception"]["traceback"].startswith("tttt")
