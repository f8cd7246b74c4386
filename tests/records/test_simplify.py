"""Any value as plain JSON values, by both encoders."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.records.encode import (
    decode,
    encode,
    encode_members,
    encode_open,
    encode_quickly,
    encode_text,
)
from aind_capsule.records.simplify import (
    MAX_ARRAY_ITEMS,
    MAX_DEPTH,
    decode_bytes,
    repr_safely,
    simplify,
    str_safely,
)
from tests.logs.record_server import parse_json
from tests.values import VALUES, Broken, Exits


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(name) is str and _is_plain(item) for name, item in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is str:
        return value.encode() is not None
    if type(value) is int:
        return -(2**63) <= value < 2**64
    return value is None or type(value) is bool or (type(value) is float and math.isfinite(value))


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_simplify_gives_plain_values(value: Any) -> None:
    """Whatever comes in, a tree of exact plain types comes out, and it stays as it is."""
    plain = simplify(value)
    assert _is_plain(plain)
    assert simplify(plain) == plain


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_encode_gives_valid_json(value: Any) -> None:
    """`encode` never raises, and a strict parser takes what it gives, on one line."""
    data = encode({"value": value})
    assert b"\n" not in data
    parse_json(data)


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_both_encoders_agree(value: Any) -> None:
    """The compiled encoder's fast path says what the plain one says."""
    quick = encode_quickly(value)
    plain = json.dumps(simplify(value), allow_nan=False)
    assert quick is None or json.loads(quick) == json.loads(plain)


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.text() | st.integers(-(2**63), 2**64 - 1),
            st.lists,
            max_leaves=10,
        ),
    )
)
def test_decode_undoes_encode(record: dict[str, Any]) -> None:
    """What JSON can hold comes back as it was."""
    assert decode(encode(record)) == record
    assert decode(encode_open(record) + b"}") == record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[1]",
        b'"x"',
        b"3",
        b"NaN",
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b"{}x",
    ],
)
def test_decode_refuses_what_is_no_record(line: bytes) -> None:
    """A line that is torn, no object, no JSON or no UTF-8 is no record, and no error."""
    assert decode(line) is None


def test_members_are_put_into_a_record() -> None:
    """Fields become what stands between an open record and its end; none are nothing."""
    assert encode_members({}) == ""
    members = encode_members({"a": "é\n", "b": [1]})
    assert json.loads('{"x":0' + members + "}") == {"x": 0, "a": "é\n", "b": [1]}
    assert json.loads(encode_text('é"')) == 'é"'


def test_loops_end() -> None:
    """What contains itself, by whatever way and however often, is cut where it begins again."""
    table: dict[str, Any] = {"n": 1}
    table["items"] = [table, table, {"inner": table}]
    text = "<dict that contains itself>"
    assert simplify(table) == {"n": 1, "items": [text, text, {"inner": text}]}
    bush: list[Any] = []
    bush += [bush, bush, bush]
    assert len(encode(bush)) < 1000


def test_the_same_value_twice_is_no_loop() -> None:
    """A value that stands in two places is written in both."""
    shared = {"x": [2**70]}
    assert simplify([shared, shared]) == [{"x": [str(2**70)]}] * 2


def test_small_values_that_are_endless() -> None:
    """Forty lists that hold one another twice are 2**40 values; they are cut, not written."""
    value: Any = {1: 2**70}
    for _ in range(40):
        value = {1: value, 2: value}
    text = repr(simplify(value))
    assert "<dict>" in text


def test_depth_is_limited() -> None:
    """Nesting beyond the limit becomes text, in lists, tables and keys alike."""
    for wrap in (lambda value: [value], lambda value: {"k": value}, lambda value: (value,)):
        value: Any = "bottom"
        for _ in range(MAX_DEPTH * 50):
            value = wrap(value)
        depth = 0
        plain = simplify(value)
        while isinstance(plain, (list, dict)):
            plain = plain[0] if isinstance(plain, list) else plain["k"]
            depth += 1
        assert depth == MAX_DEPTH
        assert plain == f"<{type(value).__name__}>"


def test_objects_that_fail() -> None:
    """An object whose every method raises is named by its type."""

    class Hostile(Broken):
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    class BadMapping(dict):
        def items(self) -> Any:
            raise RuntimeError("no")

    assert simplify(Hostile()) == "<Hostile whose repr() fails>"
    assert (str_safely(Broken()), repr_safely(Exits())) == (
        "<Broken whose str() fails>",
        "<Exits whose repr() fails>",
    )
    assert simplify(BadMapping(a=1)) == "{'a': 1}"
    assert simplify([Broken(), 1]) == ["<Broken whose repr() fails>", 1]


def test_numpy_values() -> None:
    """Scalars and small arrays are written out, large arrays described, and NaN is null."""
    numpy = pytest.importorskip("numpy")
    assert simplify(numpy.float32(0.5)) == 0.5
    assert simplify(numpy.array([1.0, numpy.nan])) == [1.0, None]
    assert simplify(numpy.zeros(MAX_ARRAY_ITEMS)) == [0.0] * MAX_ARRAY_ITEMS
    assert (
        simplify(numpy.zeros(MAX_ARRAY_ITEMS + 1, dtype="int8"))
        == "array(shape=(1001,), dtype=int8)"
    )


def test_bytes_are_shown() -> None:
    """Bytes become text; what is not UTF-8 is shown by its code."""
    assert decode_bytes(b"ok \xff") == "ok \\xff"
    assert simplify({b"k": memoryview(b"v")}) == {"k": "v"}
