"""The five levels, and what other scales mean by theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records.levels import (
    LEVEL_NUMBERS,
    LEVELS,
    find_standard_level,
    get_standard_level,
)


@given(st.integers(), st.integers())
def test_numbers_map_in_order(one: int, other: int) -> None:
    """Any number has a standard level, and a larger number never a lower one."""
    low, high = sorted((one, other))
    assert LEVELS.index(get_standard_level(low)) <= LEVELS.index(get_standard_level(high))


def test_the_five_are_themselves() -> None:
    """The standard's own numbers and names mean themselves."""
    for name in LEVELS:
        assert (
            get_standard_level(LEVEL_NUMBERS[name])
            == find_standard_level(name)
            == find_standard_level(name.lower())
            == name
        )


@pytest.mark.parametrize(
    ("given", "expected"),
    [("warn", "WARNING"), ("Fatal", "CRITICAL"), ("notice", "INFO"), (" ERR ", "ERROR"), (30, "WARNING"), (45.5, "ERROR"),
     (True, None), (None, None), ("loud", None), (float("nan"), None), (float("inf"), None), ([], None), ("", None)],
)  # fmt: skip
def test_names_of_other_programs(given: object, expected: str | None) -> None:
    """Other programs' names and numbers are understood; what is no level is none."""
    assert find_standard_level(given) == expected
