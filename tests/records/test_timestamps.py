"""Times of records, written, read and kept in order."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records.timestamps import (
    RecordClock,
    format_timestamp,
    parse_timestamp,
    read_clock_us,
)

UTC = datetime.timezone.utc
MICROSECONDS = st.integers(0, 4_102_444_800_000_000)


@given(MICROSECONDS)
def test_a_time_comes_back(time_us: int) -> None:
    """What is written is ISO 8601 in UTC with six digits and `Z`, and is read as the same time."""
    text = format_timestamp(time_us)
    expected = datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=time_us)
    assert text == expected.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert parse_timestamp(text) == time_us


@given(
    st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2100, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_offsets_are_understood(naive: datetime.datetime, minutes: int) -> None:
    """A time with an offset is the time that it means."""
    moment = naive.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=minutes)))
    expected = (moment - datetime.datetime(1970, 1, 1, tzinfo=UTC)) // datetime.timedelta(
        microseconds=1
    )
    assert parse_timestamp(moment.isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-14T22:13:20Z", 1700000000_000000),
        ("2023-11-14 22:13:20,5", 1700000000_500000),
        ("2023-11-14T22:13:20.123456789Z", 1700000000_123456),
        ("2023-11-14T23:13:20+0100", 1700000000_000000),
        (" 2023-11-14T22:13:20z ", 1700000000_000000),
        ("yesterday", None),
        ("", None),
        ("2023-13-14T22:13:20Z", None),
        ("2023-11-14T25:13:20Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("2023-11-14", None),
        ("2023-11-14T22:13:20Z and more", None),
    ],
)
def test_forms_that_are_read(text: str, expected: int | None) -> None:
    """The usual forms are read, without an offset as UTC; anything else is no time."""
    assert parse_timestamp(text) == expected


class FakeClock:
    """Gives the times that it was given."""

    def __init__(self, *times_us: int) -> None:
        self._times = iter(times_us)

    def __call__(self) -> int:
        return next(self._times)


def test_the_clock_rises() -> None:
    """A clock that stands still or goes back a little gives rising times all the same."""
    clock = RecordClock(FakeClock(5_000_000, 5_000_000, 4_500_000, 6_000_000))
    assert [clock.take() for _ in range(4)] == [5_000_000, 5_000_001, 5_000_002, 6_000_000]
    assert clock.steps_back == 0


def test_the_clock_follows_a_large_step_back() -> None:
    """More than a second back is believed, and counted."""
    clock = RecordClock(FakeClock(9_000_000, 7_999_999, 8_000_000))
    assert [clock.take(), clock.take(), clock.take()] == [9_000_000, 7_999_999, 8_000_000]
    assert clock.steps_back == 1


@given(
    st.lists(st.tuples(st.integers(0, 10_000_000), st.integers(1, 1000)), min_size=1, max_size=20)
)
def test_times_of_a_block_are_its_own(takes: list[tuple[int, int]]) -> None:
    """Times that one call reserved are given to no other, but where the clock stepped back."""
    clock = RecordClock(FakeClock(*(time_us for time_us, _ in takes)))
    end = -1
    steps = 0
    for _, count in takes:
        first = clock.take(count)
        assert first >= end or clock.steps_back > steps
        end, steps = first + count, clock.steps_back


def test_the_wall_clock_is_read() -> None:
    """The clock is the system's, in microseconds since 1970."""
    before = datetime.datetime.now(UTC).timestamp()
    assert before - 1 <= read_clock_us() / 1e6 <= datetime.datetime.now(UTC).timestamp() + 1
