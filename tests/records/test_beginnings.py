"""What is known of a JSON object whose end was cut off."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.records.beginnings import decode_beginning

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(0, 10**6), st.text(max_size=8), st.just('\\"é😀')
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def is_beginning(part: Any, whole: Any) -> bool:
    """Whether one value is the other's, or what a cut has left of it."""
    if part == whole and type(part) is type(whole):
        return True
    if isinstance(part, str) and isinstance(whole, str):
        return part.endswith("…") and whole.startswith(part[:-1])
    if isinstance(part, list) and isinstance(whole, list):
        pairs = list(zip(part, whole, strict=False))
        return len(part) <= len(whole) and all(is_beginning(a, b) for a, b in pairs)
    if isinstance(part, dict) and isinstance(whole, dict):
        return list(part) == list(whole)[: len(part)] and all(
            is_beginning(part[name], whole[name]) for name in part
        )
    return False


@settings(max_examples=150, deadline=None)
@given(
    record=st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4),
    is_ascii=st.booleans(),
)
def test_every_beginning(record: dict[str, Any], is_ascii: bool) -> None:
    """Whatever is known of the beginning is in the whole, no number is torn, and little is lost."""
    data = json.dumps(record, ensure_ascii=is_ascii).encode()
    for end in range(len(data)):
        part = decode_beginning(data[:end])
        assert part is None or is_beginning(part, record), data[:end]
    assert decode_beginning(data) == record


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (b'{"a":1,"b":"te', {"a": 1, "b": "te…"}),
        (b'{"a":1,"b":12', {"a": 1}),
        (b'{"a":1,"ke', {"a": 1}),
        (b'{"a":1,"key":', {"a": 1}),
        (b'{"a":[1,{"b":"x', {"a": [1, {"b": "x…"}]}),
        (b'{"a":{"b":[1,2]},"c":t', {"a": {"b": [1, 2]}}),
        (b'{"a":"x\\', {"a": "x…"}),
        (b'{"a":"x\\u00', {"a": "x…"}),
        (b'{"a":"x\\ud83d', {"a": "x…"}),
        (b'{"a":"x\\ud83d\\ude0', {"a": "x…"}),
        (b'{"a":"x\\\\u00', {"a": "x\\u00…"}),
        (b'{"a":"x\xc3', {"a": "x…"}),
        (b'{"a":"q\\"r', {"a": 'q"r…'}),
        (b'{"a":' + b"[" * 200 + b'"x', None),
        (b"[1,2", None),
        (b"{", None),
        (b"text", None),
        (b"", None),
    ],
)
def test_a_beginning(data: bytes, known: dict[str, Any] | None) -> None:
    """A text gets a mark, what else may be torn is left out; what is no object is none."""
    assert decode_beginning(data) == known


@pytest.mark.slow
@pytest.mark.parametrize("token", [b"{", b"[", b'"', b"\\", b",", b'"a",', b'{"a":', b"\\u00e9"])
@pytest.mark.parametrize("start", [b'{"a":', b'{"a":"'])
def test_time_is_linear(start: bytes, token: bytes) -> None:
    """Sixteen times the text takes no more than some forty times the time."""

    def measure(size: int) -> float:
        data = start + token * (size // len(token))
        begin = time.perf_counter()
        decode_beginning(data)
        return time.perf_counter() - begin

    measure(1000)
    small = min(measure(60_000) for _ in range(3))
    assert min(measure(960_000) for _ in range(3)) < 40 * small + 0.005
