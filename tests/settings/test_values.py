"""What the values of settings look like, as text and as TOML."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.settings import durations, values
from aind_capsule.settings.model import ROWS

GOOD: list[tuple[str, Any, Any]] = [
    ("text", " a  b\n", "a b"), ("text", 7, "7"), ("text", 1.5, "1.5"),
    ("folder", "/x y", "/x y"), ("folder", "relative", "relative"),
    ("names", "Ada, Grace,", ("Ada", "Grace")), ("names", ["Ada "], ("Ada",)), ("names", "", ()),
    ("boolean", True, True), ("boolean", " YES ", True), ("boolean", "off", False), ("boolean", 1, True), ("boolean", 0, False),
    ("level", "warning", "WARNING"),
    ("console_mode", "JSON", "json"), ("console_mode", False, "off"),
    ("duration", 30, 30.0), ("duration", "90m", 5400.0), ("duration", "2 h", 7200.0), ("duration", "1.5d", 129600.0), ("duration", "10sec", 10.0),
    ("grace", 0, 0.0), ("grace", "10s", 10.0), ("grace", "0", 0.0), ("grace", ".5", 0.5), ("grace", "5.", 5.0), ("grace", 1e-05, 1e-05), ("grace", "1E3", 1000.0),
    ("grace", "1h30m", 5400.0), ("grace", "1d12h", 129600.0), ("grace", "1h 30m 15s", 5415.0), ("grace", " 2 h ", 7200.0), ("grace", "90 min", 5400.0),
    ("grace", "2D", 172800.0), ("grace", "1 day 2 hours 3 minutes 4 seconds", 93784.0), ("grace", "2hrs1secs", 7201.0), ("grace", "1e9", 1e9), ("grace", "1e2m", 6000.0),
    ("grace", "9" * 400, durations.LONGEST_S), ("grace", "1e400", durations.LONGEST_S), ("grace", 1e22, durations.LONGEST_S), ("grace", "1e400d", durations.LONGEST_S),
    ("time_limit", "30d", 2592000.0), ("time_limit", 0, None), ("time_limit", "0s", None), ("time_limit", ".0", None), ("time_limit", " None", None),
    ("time_limit", float("inf"), None), ("time_limit", "inf", None), ("time_limit", "OFF", None), ("time_limit", "0h30m", 1800.0),
    ("interval", "0", None), ("interval", 0.1, 0.1), ("interval", "1d", 86400.0),
    ("days", "0", 0.0), ("days", 2.5, 2.5),
    ("size", 262144, 262144), ("size", "500 MB", 500_000_000), ("size", "1gib", 2**30), ("size", "300k", 300_000), ("size", "1.5 MiB", 1_572_864),
    ("run_files", "all", frozenset(values.RUN_FILE_KINDS)), ("run_files", "none", frozenset()), ("run_files", "log, run", frozenset({"log", "run"})),
    ("run_files", ["session"], frozenset({"session"})),
    ("fields", {"a": 1}, {"a": 1}), ("fields", "a=1, b = x=y", {"a": "1", "b": "x=y"}), ("fields", ["a=,"], {"a": ","}), ("fields", [], {}),
]  # fmt: skip
BAD: list[tuple[str, Any]] = [
    ("text", ""), ("text", "  "), ("text", True), ("text", ["a"]), ("text", None),
    ("folder", ""), ("folder", "a\0b"), ("folder", 3), ("names", 3), ("names", [1]), ("names", None),
    ("boolean", "maybe"), ("boolean", 2), ("boolean", ""), ("boolean", None), ("level", "LOUD"), ("level", 10), ("level", None),
    ("console_mode", "loud"), ("console_mode", True), ("console_mode", ""),
    ("duration", 0), ("duration", "0s"), ("duration", "-3"), ("duration", "3 weeks"), ("duration", True), ("duration", "nan"), ("duration", "inf"),
    ("duration", ""), ("duration", None), ("grace", "-1"), ("grace", [1]), ("grace", "none"), ("grace", "1h30"), ("grace", "5m2h"), ("grace", "1h1h"), ("grace", "h"),
    ("grace", "1hm"), ("grace", "1 2h"), ("grace", "1hello"), ("grace", "1h,30m"), ("grace", "."), ("grace", "e5"), ("grace", "1_000"), ("grace", "\u0663"),
    ("time_limit", -1), ("time_limit", "soon"), ("time_limit", False), ("time_limit", None), ("time_limit", float("nan")), ("time_limit", "-inf"), ("time_limit", ["none"]),
    ("interval", "0.05"), ("interval", "1d1s"), ("interval", True),
    ("days", -1), ("days", "nan"), ("days", "inf"), ("days", True), ("days", None), ("days", "soon"), ("days", []),
    ("size", "1 kB"), ("size", "large"), ("size", -1), ("size", True), ("size", "1 XB"), ("size", "9" * 400),
    ("run_files", ""), ("run_files", "logs"), ("run_files", "all, log"), ("run_files", 3), ("run_files", []),
    ("fields", "a"), ("fields", "=1"), ("fields", 3), ("fields", ["a"]), ("fields", None),
]  # fmt: skip


def find_reader(kind: str):
    """The function that reads values of a kind."""
    name = f"parse_{kind}"
    return getattr(values, name, None) or getattr(durations, name)


@pytest.mark.parametrize(("kind", "given_value", "expected"), GOOD)
def test_values_that_are_read(kind: str, given_value: Any, expected: Any) -> None:
    """Each form that the documentation names is read, in the type that the setting has."""
    read = find_reader(kind)(given_value)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(("kind", "given_value"), BAD, ids=repr)
def test_values_that_are_refused(kind: str, given_value: Any) -> None:
    """Anything else is an error that says what was expected (as the caller's sentence goes on)."""
    with pytest.raises((ValueError, TypeError, OverflowError)) as raised:
        find_reader(kind)(given_value)
    assert str(raised.value)


def test_a_time_that_cannot_be_read_says_what_can() -> None:
    """The error of each kind of time names forms that are read, and 0 where that means none."""
    for kind in ("grace", "duration", "time_limit", "interval"):
        with pytest.raises(ValueError, match="such as|90m") as raised:
            find_reader(kind)("-3")
        assert ("0 for none" in str(raised.value)) == (kind in ("time_limit", "interval"))


ANY = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.lists(st.text() | st.integers()),
    st.dictionaries(st.text(), st.integers()), st.from_regex(r"\A[0-9.]{1,8} ?[a-zA-Z]{0,3}\Z"),
)  # fmt: skip


@given(row=st.sampled_from(ROWS), value=ANY)
def test_no_value_breaks_the_reader(row: Any, value: Any) -> None:
    """Whatever stands in a file: it is read, or refused by an error that the reader knows."""
    try:
        row.parse(value)
    except (ValueError, TypeError, OverflowError) as error:
        assert str(error)
