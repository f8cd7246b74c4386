"""Find what is left of a known secret where a text was cut before it could be hidden.

A value's `repr`, a traceback, or a record that must fit the socket is cut by a process that may not
know every secret. What stands at the cut is then the beginning of one, or behind the gap its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aind_capsule.records.redaction.known import MIN_CHARACTERS, spell_forms
from aind_capsule.records.redaction.rules import Span
from aind_capsule.records.simplify import CUT_MARK

_CUT = CUT_MARK.encode()
#: Stands before the rest of a text whose middle was left out.
GAP = f" {CUT_MARK}\n".encode()


class CutFinder:
    """Finds parts of secrets at cuts.

    Args:
        known: The known secret values.
    """

    def __init__(self, known: Iterable[str]) -> None:
        forms = spell_forms(known)
        self._longest = max(map(len, forms), default=0)
        self._beginnings = {
            form[:size] for form in forms for size in range(MIN_CHARACTERS, len(form))
        }
        self._ends = {form[-size:] for form in forms for size in range(MIN_CHARACTERS, len(form))}

    def find(self, text: bytes) -> Iterator[Span]:
        """Yield where such parts are."""
        place = text.find(_CUT)
        while place >= 0:
            before = text[max(0, place - self._longest) : place].lower()
            for start in range(len(before) - MIN_CHARACTERS + 1):
                if before[start:] in self._beginnings:
                    yield place - len(before) + start, place
                    break
            place = text.find(_CUT, place + len(_CUT))
        place = text.find(GAP)
        while place >= 0:
            begin = place + len(GAP)
            after = text[begin : begin + self._longest].lower()
            for size in range(len(after), MIN_CHARACTERS - 1, -1):
                if after[:size] in self._ends:
                    yield begin, begin + size
                    break
            place = text.find(GAP, begin)
