"""Find many literals in a chunk of bytes in one pass (Aho-Corasick).

The one owner of ahocorasick_rs; where it is not installed a regular expression serves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

try:
    from ahocorasick_rs import BytesAhoCorasick
except ImportError:
    BytesAhoCorasick = None  # type: ignore[assignment,misc]


class LiteralFinder:
    """Finds where any of some lower-case literals stands, whatever its case in the text."""

    def __init__(self, literals: Sequence[str]) -> None:
        patterns = [literal.encode() for literal in literals]
        self._automaton = BytesAhoCorasick(patterns) if BytesAhoCorasick is not None else None
        self._expression = re.compile(b"|".join(re.escape(pattern) for pattern in patterns))

    def find_starts(self, chunk: bytes) -> list[int]:
        """The positions, rising, at which a literal begins; of overlapping ones the first.

        >>> LiteralFinder(["warn", "err"]).find_starts(b"a WARNING, an Error")
        [2, 14]
        """
        lowered = chunk.lower()
        if self._automaton is None:
            return [match.start() for match in self._expression.finditer(lowered)]
        return [start for _, start, _ in self._automaton.find_matches_as_indexes(lowered)]
