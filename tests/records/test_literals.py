"""Many literals in one pass: the compiled automaton and its fallback."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records.levels import SEVERITY_LITERALS
from aind_capsule.records.literals import LiteralFinder

FINDER = LiteralFinder(SEVERITY_LITERALS)
CHUNKS = st.lists(
    st.one_of(
        st.sampled_from([word.encode() for word in SEVERITY_LITERALS]),
        st.sampled_from([b"WARN", b"Err", b"or ", b"\n", b"e"]),
        st.binary(max_size=4),
    ),
    max_size=12,
).map(b"".join)


@given(CHUNKS)
def test_the_same_lines_are_found(chunk: bytes) -> None:
    """The compiled automaton and a regular expression find the same places, in order."""
    expression = re.compile("|".join(SEVERITY_LITERALS).encode(), re.IGNORECASE)
    expected = [match.start() for match in expression.finditer(chunk.lower())]
    assert FINDER.find_starts(chunk) == expected


@given(CHUNKS)
def test_no_line_is_missed(chunk: bytes) -> None:
    """Each line that holds a literal has a place that was found in it."""
    starts = FINDER.find_starts(chunk)
    position = 0
    for line in chunk.split(b"\n"):
        has_literal = any(literal.encode() in line.lower() for literal in SEVERITY_LITERALS)
        assert has_literal is any(position <= start < position + len(line) + 1 for start in starts)
        position += len(line) + 1


@pytest.mark.parametrize(
    ("literals", "chunk", "starts"),
    [(["a.b"], b"axb A.B", [4]), (["err"], b"", []), (["x"], b"xxX", [0, 1, 2])],
)
def test_literals_are_literal(literals: list[str], chunk: bytes, starts: list[int]) -> None:
    """What means something in a regular expression means itself here; case does not count."""
    assert LiteralFinder(literals).find_starts(chunk) == starts
