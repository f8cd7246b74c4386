"""Many literals in one pass: the compiled automaton and its fallback."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records import literals as module
from aind_capsule.records.line_levels.literals import LITERALS as WORDS
from aind_capsule.records.literals import LiteralFinder

LITERALS = [word.encode() for word in WORDS] + [b"tra", b"race", b"error"]
CHUNKS = st.lists(
    st.one_of(
        st.sampled_from(LITERALS),
        st.sampled_from([b"WARN", b"Err", b"or ", b"\n", b"e"]),
        st.binary(max_size=4),
    ),
    max_size=12,
).map(b"".join)


@given(CHUNKS)
def test_every_place_is_found(chunk: bytes) -> None:
    """Each place of each literal is found, whatever its case and what it overlaps with."""
    expected = [
        (index, match.start(), match.start() + len(literal))
        for index, literal in enumerate(LITERALS)
        for match in re.finditer(b"(?=%b)" % re.escape(literal), chunk.lower())
    ]
    assert sorted(LiteralFinder(LITERALS).find(chunk)) == expected


@given(CHUNKS)
def test_the_fallback_finds_the_same(chunk: bytes) -> None:
    """Without the compiled automaton the same places are found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BytesAhoCorasick", None)
        plain = LiteralFinder(LITERALS)
    assert sorted(plain.find(chunk)) == sorted(LiteralFinder(LITERALS).find(chunk))


@pytest.mark.parametrize(
    ("literals", "chunk", "starts"),
    [([b"a.b"], b"axb A.B", [4]), ([b"err"], b"", []), ([b"x"], b"xxX", [0, 1, 2]), ([], b"x", [])],
)
def test_literals_are_literal(literals: list[bytes], chunk: bytes, starts: list[int]) -> None:
    """What means something in a regular expression means itself here; case does not count."""
    assert [start for _, start, _ in LiteralFinder(literals).find(chunk)] == starts
