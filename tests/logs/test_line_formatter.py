"""The quick way to a line for people: the same text as the plain way, for any record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aind_capsule.logs import line_formatter
from aind_capsule.logs.console import format_record
from aind_capsule.logs.line_formatter import LineFormatter
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.levels import LEVELS
from tests.values import TEXTS

TIME = "2026-01-02T23:04:05.678901Z"
PLACE = {"lineno": 7, "process": "1", "logger": "qc", "function": "main"}

_PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXTS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
#: Names that the quick way looks for, at any depth, and others.
_NAMES = st.sampled_from(["lineno", "logger", "exception", "level", "message", "n", "%b", "a b"])
_VALUES = st.one_of(_PLAIN, st.dictionaries(_NAMES, _PLAIN, max_size=2))
_MESSAGES = st.one_of(
    TEXTS,
    st.text('a %\\"\t\n\x7f\xa0é漢…', max_size=30),
    st.sampled_from(["read", '"level":"INFO"']),
)


def _encode(
    level: str,
    message: str,
    own: Mapping[str, Any],
    place: Mapping[str, Any],
    more: Mapping[str, Any],
) -> bytes:
    return encode({"timestamp": TIME, "level": level, "message": message, **own, **place, **more})


def _format_plainly(record: bytes, columns: int | None, offset_s: int, *, colours: bool) -> str:
    fields = decode(record)
    assert fields is not None
    return format_record(fields, colours=colours, utc_offset_s=offset_s, columns=columns) + "\n"


def _example(own: dict[str, Any], place: dict[str, Any], more: dict[str, Any]) -> Any:
    return example(
        level="INFO", message="m", own=own, place=place, more=more, columns=None, offset_s=0, colours=False
    )  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    level=st.sampled_from([*LEVELS, "NOTICE"]),
    message=_MESSAGES,
    own=st.dictionaries(st.one_of(_NAMES, TEXTS), _VALUES, max_size=2),
    place=st.sampled_from(
        [PLACE, {}, {"lineno": 7}, {"logger": "a%sb"}, {"lineno": 1, "logger": "é"}]
    ),
    more=st.dictionaries(_NAMES, _VALUES, max_size=2),
    columns=st.one_of(st.none(), st.integers(26, 70)),
    offset_s=st.sampled_from([0, 5400, -12600]),
    colours=st.booleans(),
)
@_example({"a": [{"b": 1, "lineno": 2}]}, {}, {})
@_example({"logger": "own"}, {"lineno": 7}, {"logger": "qc"})
@_example({}, PLACE, {"exception": {"traceback": "t"}})
@_example({"exception": {"traceback": "t"}}, PLACE, {})
def test_it_is_the_plain_text(
    level: str,
    message: str,
    own: dict[str, Any],
    place: dict[str, Any],
    more: dict[str, Any],
    columns: int | None,
    offset_s: int,
    *,
    colours: bool,
) -> None:
    """Whatever a record holds, it is shown as `format_record` does, the first time and later."""
    formatter = LineFormatter(colours=colours)
    formatter.set_view(columns=columns, utc_offset_s=offset_s)
    records = [
        _encode(level, message, own, place, more),
        _encode(level, "plain", {}, place, more),
        _encode("ERROR", "plain", own, place, more),
        _encode(level, message, own, place, more),
    ]
    for record in records:
        expected = _format_plainly(record, columns, offset_s, colours=colours)
        assert formatter.format_line(record).decode() == expected


@pytest.mark.parametrize("letter", ["x", "漢"])
@pytest.mark.parametrize("own", [{}, {"n": 1}])
def test_what_just_fits(letter: str, own: dict[str, Any]) -> None:
    """On a terminal a record is folded from the same character on as in the plain way."""
    formatter = LineFormatter(colours=False)
    formatter.set_view(columns=60, utc_offset_s=0)
    for length in range(1, 40):
        for message in (letter * length, f"a {letter * length} "):
            record = _encode("INFO", message, own, PLACE, {"rig": 5})
            expected = _format_plainly(record, 60, 0, colours=False)
            assert formatter.format_line(record).decode() == expected


def test_other_records_than_our_own() -> None:
    """Fields in another order, another form of time, and bytes that are no record are shown too."""
    formatter = LineFormatter(colours=False)
    others = [
        encode({"message": "m", "level": "INFO", "timestamp": TIME}),
        encode({"timestamp": TIME, "message": "m", "level": "INFO"}),
        encode({"timestamp": "2026-01-02T23:04:05Z", "level": "INFO", "message": "m"}),
        encode({"timestamp": TIME, "level": 3, "message": "m"}),
        encode({"timestamp": TIME, "level": "INFO", "message": 3}),
        encode({"timestamp": TIME, "level": "INFO", "n": 1, "message": "m"}),
    ]
    for record in others:
        expected = _format_plainly(record, None, 0, colours=False)
        assert formatter.format_line(record).decode() == expected
    broken = _encode("INFO", "m", {"a": 1}, {"lineno": 7}, {}).replace(b":1,", b":?,")
    for record in (b'{"timestamp":"x', broken):
        assert formatter.format_line(record).endswith(b" %b\n" % record)


def test_a_second_time_of_day_and_a_new_view() -> None:
    """The clock goes on, and follows a change of the zone and of the width."""
    formatter = LineFormatter(colours=False)
    record = _encode("INFO", "one two", {}, PLACE, {})
    later = record.replace(b"23:04:05", b"23:04:06")
    assert formatter.format_line(record).startswith(b"23:04:05.678 INFO")
    assert formatter.format_line(later).startswith(b"23:04:06.678 INFO")
    formatter.set_view(columns=80, utc_offset_s=3600)
    assert formatter.format_line(later) == b"00:04:06.678 INFO     qc:7 - one two\n"
    formatter.set_view(columns=30, utc_offset_s=3600)
    assert formatter.format_line(later).count(b"\n") == 2


@pytest.mark.parametrize("columns", [None, 80])
def test_ordinary_records_take_the_quick_way(
    monkeypatch: pytest.MonkeyPatch, columns: int | None
) -> None:
    """Of a record from a known place no more than its own fields is decoded."""
    sizes: list[int] = []

    def measure(data: bytes) -> dict[str, Any] | None:
        sizes.append(len(data))
        return decode(data)

    formatter = LineFormatter(colours=True)
    formatter.set_view(columns=columns, utc_offset_s=0)
    formatter.format_line(_encode("INFO", "first", {}, PLACE, {"rig": 5}))
    monkeypatch.delattr(line_formatter, "format_record")
    monkeypatch.setattr(line_formatter, "decode", measure)
    for n in range(3):
        for level in LEVELS:
            for own in ({}, {"trial": n}):
                record = _encode(level, f"message {n}", own, PLACE, {"rig": 5})
                assert f"message {n}".encode() in formatter.format_line(record)
    assert sizes == [len(b'{"trial":0}')] * 3 * len(LEVELS)


def test_what_is_remembered_is_bounded() -> None:
    """Records that have nothing in common cost no memory."""
    import tracemalloc

    formatter = LineFormatter(colours=False)
    records = [_encode("INFO", "m", {}, {"lineno": n}, {"text": "x" * 1000}) for n in range(3000)]
    records += [_encode("INFO", "m", {}, {"n": n}, {"text": "x" * 10_000}) for n in range(900)]
    tracemalloc.start()
    for record in records:
        formatter.format_line(record)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6
