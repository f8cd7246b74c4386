"""The five levels, and what other scales and plain lines mean by theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records.levels import (
    LEVEL_NUMBERS,
    LEVELS,
    SEVERITY_LITERALS,
    find_standard_level,
    get_standard_level,
    infer_level,
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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[WARNING] 3 labels missing", "WARNING"),
        ("ERROR: no such file", "ERROR"),
        ("warning: unused", "WARNING"),
        ("2026-01-01 10:00:00,123 ERROR x", "ERROR"),
        ("2026-01-01 10:00:00.123 | WARNING  | mod:f:3 - x", "WARNING"),
        ("2026-01-01 10:00:00,123 - name - CRITICAL - x", "CRITICAL"),
        ("time=1 level=debug msg=x", "DEBUG"),
        ('{"level": "error", "msg": "x"}', "ERROR"),
        ("/x.py:3: UserWarning: careful", "WARNING"),
        ("file.c:3:1: error: expected ;", "ERROR"),
        ("\x1b[31mERROR\x1b[0m: red", "ERROR"),
        ("03:04:05.678 ERROR    qc:7 - our own lines", "ERROR"),
        ("the error was small", "INFO"),
        ("no warnings", "INFO"),
        ("Error rate: 3 %", "INFO"),
        ("[INFO] retry after ERROR: x", "INFO"),
        ("", "INFO"),
        ("INFORMATION about errors", "INFO"),
    ],
)
def test_lines_say_their_level(line: str, expected: str) -> None:
    """A level is read where the line itself states it, by one of the usual forms, and else INFO."""
    assert infer_level(line) == expected


@given(st.text())
def test_a_line_without_the_literals_is_info(line: str) -> None:
    """The literals that the capture looks for first miss no line that has a level of its own."""
    if infer_level(line) != "INFO":
        assert any(literal in line.lower() for literal in SEVERITY_LITERALS)
