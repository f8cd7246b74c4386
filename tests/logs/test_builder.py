"""Records of any call with any values: each is one line of valid JSON, and a record of the standard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from aind_capsule.logs.sink import RecordBuilder
from aind_capsule.records.levels import LEVELS
from aind_capsule.records.schema import find_faults
from aind_capsule.records.shrink import MAX_SENT_BYTES
from tests.logs.record_server import FIELDS as WRAPPERS
from tests.logs.record_server import parse_json
from tests.values import FIELDS, HASHABLES, TEXTS, VALUES


@pytest.fixture(scope="module")
def loguru_records() -> Iterator[list[Any]]:
    """loguru's records as a handler gets them."""
    records: list[Any] = []
    logger.remove()

    def take(record: Any) -> bool:
        records.append(record)
        return False

    number = logger.add(lambda _message: None, level=0, filter=take)
    yield records
    logger.remove(number)


def _check(line: bytes) -> dict[str, Any]:
    assert b"\n" not in line
    record = parse_json(line)
    faults = [fault for fault in find_faults(record) if not fault.is_warning]
    # What a user says of acquisition and specimen stays, also where it is no such name.
    assert [fault for fault in faults if fault.rule not in ("acquisition", "subject")] == []
    assert not WRAPPERS.keys() & record.keys()
    assert not {"seq", "stream", "shipping"} & record.keys()
    return record


@settings(max_examples=300, deadline=None)
@given(
    message=TEXTS,
    fields=FIELDS,
    extra=st.one_of(VALUES, st.dictionaries(HASHABLES, VALUES, max_size=4)),
    constant=FIELDS,
)
def test_any_loguru_call(
    loguru_records: list[Any],
    message: str,
    fields: dict[str, Any],
    extra: Any,
    constant: dict[str, Any],
) -> None:
    """bind, extra and constant fields of any name and value: a valid record with the call's own words."""
    loguru_records.clear()
    logger.bind(**fields).bind(extra=extra).log(37, message)
    (given_record,) = loguru_records
    record = _check(RecordBuilder(constant, WRAPPERS).build_from_loguru(given_record))
    assert (record["level"], record["function"]) == ("WARNING", "test_any_loguru_call")
    assert record["message"] == message.encode("utf-8", "backslashreplace").decode()


@settings(max_examples=200, deadline=None)
@given(
    message=VALUES,
    arguments=st.one_of(st.just(()), st.tuples(VALUES)),
    fields=FIELDS,
    level=st.integers(0, 100),
)
def test_any_standard_record(
    message: Any, arguments: tuple[Any, ...], fields: dict[str, Any], level: int
) -> None:
    """The same for the standard library's records, whose messages may be anything as well."""
    own = logging.LogRecord("lib", level, "x.py", 3, message, arguments, None, "work")
    for name, value in fields.items():
        if name not in own.__dict__ and name != "message":
            own.__dict__[name] = value
    record = _check(RecordBuilder({}, WRAPPERS).build_from_stdlib(own))
    assert record["level"] in LEVELS
    assert (record["logger"], record["lineno"], record["function"]) == ("lib", 3, "work")
    assert isinstance(record["message"], str)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 600_000), min_size=1, max_size=5),
    count=st.integers(0, 3000),
    name_size=st.integers(1, 500),
)
def test_any_size(sizes: list[int], count: int, name_size: int) -> None:
    """No record is longer than the socket takes, and what is cut is said."""
    fields = {
        "timestamp": "2026-01-02T03:04:05.000006Z",
        "level": "INFO",
        "message": "é" * sizes[0],
    }
    extra = {f"f{index}": "\x00" * size for index, size in enumerate(sizes[1:])}
    extra |= {f"{index:05d}" + "n" * name_size: index for index in range(count)}
    line = RecordBuilder({}, WRAPPERS).build_from_fields(fields, extra)
    assert len(line) <= MAX_SENT_BYTES
    record = parse_json(line)
    assert (record["timestamp"], record["level"]) == (fields["timestamp"], "INFO")
    is_whole = record["message"] == fields["message"] and all(
        record.get(name) == value for name, value in extra.items()
    )
    assert is_whole is ("truncated" not in record)


def test_a_record_is_not_changed() -> None:
    """Other handlers of the user's see loguru's record and the caller's values as they were."""
    records: list[Any] = []
    given_extra = {"level": "high", "nested": {1: 2}}
    number = logger.add(
        lambda _message: None, level=0, filter=lambda record: bool(records.append(record))
    )
    try:
        logger.bind(trials=3).info("x", extra=given_extra)
    finally:
        logger.remove(number)
    before = {**records[0], "extra": {**records[0]["extra"]}}
    RecordBuilder({"batch": 1}, WRAPPERS).build_from_loguru(records[0])
    assert records[0] == before
    assert given_extra == {"level": "high", "nested": {1: 2}}


_FALL = datetime(2026, 10, 25, 2, 30, 5, 7, ZoneInfo("Europe/Berlin"))
_NOON = datetime(2026, 1, 31, 12, 30, 5, 999_999, timezone.utc)
_TIMES = [
    _FALL,
    _FALL.replace(fold=1),
    _NOON,
    _NOON.replace(microsecond=0),
    _NOON.replace(second=6),
    _NOON.replace(minute=31),
    _NOON.replace(hour=13),
    _NOON.replace(day=30),
    _NOON.replace(month=3),
    _NOON.replace(year=2025),
    _NOON.replace(tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    datetime(1969, 12, 31, 23, 59, 59, 1, timezone.utc),
]


@settings(deadline=None)
@given(times=st.permutations(_TIMES))
def test_times_of_any_zone_in_any_order(loguru_records: list[Any], times: list[datetime]) -> None:
    """A timestamp is the record's own time in UTC, whatever time the record before it had."""
    loguru_records.clear()
    logger.info("x")
    record = loguru_records[-1]
    builder = RecordBuilder({}, {})
    for time in times:
        expected = time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for _ in range(2):
            built = parse_json(builder.build_from_loguru({**record, "time": time}))
            assert built["timestamp"] == expected
