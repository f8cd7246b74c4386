"""Put a mark in the place of every secret: in text, in fields, and in encoded records.

One pass of a literal finder over the lower-cased bytes says whether there may be anything at all;
expressions run only where it hits. Spans are found first and replaced together, so that secrets
that overlap leave nothing behind.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aind_capsule.records.colours import strip_colours
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.literals import Hit, LiteralFinder
from aind_capsule.records.merge import fits
from aind_capsule.records.redaction.assignments import Assignments
from aind_capsule.records.redaction.blocks import find_block_spans
from aind_capsule.records.redaction.continued import CONTINUED, find_in_continued
from aind_capsule.records.redaction.cuts import CutFinder
from aind_capsule.records.redaction.known import find_known_values, is_worth_finding, spell_forms
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.rules import RULES, Rule, Span
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import CUT_MARK, simplify_text
from aind_capsule.settings.model import Settings, find_secret_values

Finder = Assignments | Rule
MARK = "[redacted]"
KNOWN_RULE = "known value"
_MARK_BYTES = MARK.encode()
#: What of a text has not been looked at in this CPU time is withheld.
TIME_LIMIT_S = 1.0
_MANY_HITS = 500
_CUT_BYTES = CUT_MARK.encode()
#: How a record has the beginning of a colour's code, which may stand within a secret.
_ESCAPED_COLOUR = b"\\u001b"
#: Made by the machinery, or of a form that the standard fixes: nothing of a user's is in them.
_UNTOUCHED = frozenset(
    name
    for name, field in BY_NAME.items()
    if field.pattern or field.choices or field.type in ("integer", "number", "boolean")
) | {"run_id", "shipping"}


class Redactor:
    """Knows what is secret, and hides it.

    Args:
        names: Which names are secrets'.
        patterns: Further expressions of the user's; what is replaced is their group `secret` where
            they have one, else all that they match.
        known: Known secret values.
        words: Lower-case literals that the caller of `find` looks for in the same pass.

    Attributes:
        known: The known secret values.
    """

    def __init__(
        self,
        names: SecretNames,
        patterns: Sequence[re.Pattern[str]] = (),
        known: Iterable[str] = (),
        words: Sequence[str] = (),
    ) -> None:
        self._names = names
        self._assignments = Assignments(names)
        self._patterns = tuple(patterns)
        self.known = frozenset(known)
        self._words = tuple(word.encode() for word in words)
        self._build()

    @classmethod
    def from_settings(
        cls, settings: Settings, environ: Mapping[str, str], words: Sequence[str] = ()
    ) -> Redactor:
        """The redactor that the settings and the environment ask for; it knows their secrets."""
        names = SecretNames(settings.redact.fields, settings.redact.names_off)
        known = find_known_values(environ, names, settings.redact.values_from_env)
        known += filter(is_worth_finding, find_secret_values(settings))
        return cls(names, settings.redact.patterns, known, words)

    def learn(self, values: Iterable[str]) -> None:
        """Know more secret values from now on."""
        more = self.known.union(values)
        if more != self.known:
            self.known = more
            self._build()

    def _build(self) -> None:
        finders: dict[bytes, list[Finder | None]] = {}
        for form in spell_forms(self.known):
            finders.setdefault(form, []).append(None)
        for literal in self._names.literals:
            finders.setdefault(literal.encode(), []).append(self._assignments)
        for rule in RULES:
            for literal in rule.literals:
                finders.setdefault(literal.encode(), []).append(rule)
        self._finders = tuple(map(tuple, finders.values()))
        self._literals = LiteralFinder((*finders, *self._words))
        self._cuts: CutFinder | None = None

    def find(self, text: bytes) -> tuple[list[Hit], list[int]]:
        """Where literals of secrets stand in a text, and where the caller's words begin."""
        found = self._literals.find(text)
        count = len(self._finders)
        hits = [hit for hit in found if hit[0] < count]
        return hits, [hit[1] for hit in found if hit[0] >= count] if len(hits) < len(found) else []

    def may_be_in(self, text: bytes) -> bool:
        """Whether a text needs a closer look."""
        # To ask whether a text is ASCII costs a tenth of a search.
        if self._patterns or (self.known and not text.isascii() and _CUT_BYTES in text):
            return True
        if _ESCAPED_COLOUR in text:
            return True
        found = self._literals.find(text)
        return bool(found) and min(found)[0] < len(self._finders)

    @property
    def looks_at_all(self) -> bool:
        """Whether text without a literal may hold a secret too: a user's expressions know none."""
        return bool(self._patterns)

    def find_spans(self, text: bytes, hits: Sequence[Hit] | None = None) -> list[Span]:
        """Return where secrets are in a text, in order and apart from one another.

        Args:
            text: The text.
            hits: Where literals stand in it, if that is known.
        """
        return _join([span for span, _ in self._find_each(text, hits)])

    def find_named_spans(self, text: bytes) -> list[tuple[Span, str]]:
        """Return where secrets are in a text, and by which rule each was found, in order."""
        return sorted(self._find_each(text))

    def _find_each(
        self, text: bytes, hits: Sequence[Hit] | None = None
    ) -> Iterator[tuple[Span, str]]:
        done: dict[Finder, int] = {}  # how far each has looked
        found = sorted(self.find(text)[0] if hits is None else hits, key=_get_start)
        # The clock is asked only where there is very much to look at.
        is_timed = len(found) > _MANY_HITS
        end_s = time.thread_time() + TIME_LIMIT_S if is_timed else 0.0
        for number, (index, start, end) in enumerate(found):
            if is_timed and number % _MANY_HITS == 0 and time.thread_time() > end_s:
                yield (start, len(text)), "the rest, for it takes too long to look at"
                break
            for finder in self._finders[index]:
                if finder is None:
                    yield (start, end), KNOWN_RULE
                elif start >= done.get(finder, 0):
                    spans, done[finder] = finder.find_at(text, start)
                    for span in spans:
                        yield span, finder.name
        if self._patterns:
            for span in _find_patterns(self._patterns, text):
                yield span, "redact.patterns"

    def redact_bytes(self, text: bytes, hits: Sequence[Hit] | None = None) -> bytes:
        """A text with a mark in the place of each secret."""
        return replace_spans(text, self.find_spans(text, hits))

    def redact_text(self, text: str) -> str:
        """A text with a mark in the place of each secret."""
        data = simplify_text(text).encode()
        if b"\x1b" in data:  # a colour's code may stand within a secret
            plain = strip_colours(data)
            data = plain if self.find_spans(plain) else data
        spans = self.find_spans(data)
        if b"\n" in data:
            spans = _join([*spans, *self._find_over_lines(data)])
        if _CUT_BYTES in data and self.known:
            self._cuts = self._cuts or CutFinder(self.known)
            spans = _join([*spans, *self._cuts.find(data)])
        return replace_spans(data, spans).decode("utf-8", "replace") if spans else text

    def _find_over_lines(self, data: bytes) -> Iterator[Span]:
        """Yield the secrets that are seen in the lines before them."""
        yield from find_block_spans(data)
        if any(end in data for end in CONTINUED):
            yield from find_in_continued(data, self.find_spans)

    def redact_record(self, data: bytes) -> bytes:
        """An encoded record (a whole JSON object, without needless escapes) without its secrets."""
        if not self.may_be_in(data):
            return data
        record = decode(data)
        return self.redact_bytes(data) if record is None else encode(self.redact_fields(record))

    def redact_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A record's fields without secrets; plain JSON values (as `decode` gives them).

        What the machinery itself makes (times, level, counts) stays as it is.
        """
        return self._redact_table(fields, _UNTOUCHED)

    def redact_values(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Any table without secrets, whatever its fields are."""
        return self._redact_table(decode(encode(tree)) or {})

    def _redact_table(
        self, table: Mapping[str, Any], untouched: Collection[str] = ()
    ) -> dict[str, Any]:
        redacted: dict[str, Any] = {}
        for given, value in table.items():
            if given in untouched and fits(given, value):
                redacted[given] = value
                continue
            name = self.redact_text(given)
            while name in redacted or (name != given and name in table):
                name += "_"
            is_secret = given in self._names
            redacted[name] = self._hide(given, value) if is_secret else self._redact_value(value)
        return redacted

    def _redact_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redact_text(value)
        if isinstance(value, Mapping):
            return self._redact_table(value)
        if isinstance(value, list):
            return self._redact_list(value)
        if value is None or isinstance(value, bool):
            return value
        return MARK if self._has_known(str(value).encode()) else value

    def _hide(self, name: str, value: Any) -> Any:
        """Return what stands for a secret under a name.

        A value that says that there is none stays, and a number under a name that no user gave.
        """
        is_kept = value is None or isinstance(value, bool) or value in ("", [], {})
        is_number = isinstance(value, (int, float)) and not self._names.has_users(name)
        return value if is_kept or is_number else MARK

    def _redact_list(self, values: list[Any]) -> list[Any]:
        """A list; what follows an option that bears a secret's name is one (`--password`, `x`)."""
        redacted: list[Any] = []
        name = ""
        for value in values:
            is_option = isinstance(value, str) and value.startswith("-")
            is_secret = name in self._names and not is_option
            redacted.append(self._hide(name, value) if is_secret else self._redact_value(value))
            name = value.lstrip("-") if is_option else ""
        return redacted

    def _has_known(self, text: bytes) -> bool:
        return any(None in self._finders[index] for index, _, _ in self.find(text)[0])


def _get_start(hit: Hit) -> int:
    return hit[1]


def _find_patterns(patterns: Iterable[re.Pattern[str]], data: bytes) -> Iterator[Span]:
    text = data.decode("utf-8", "surrogateescape")
    for pattern in patterns:
        group = "secret" if "secret" in pattern.groupindex else 0
        for match in pattern.finditer(text):
            start, end = match.span(group)
            if end > start:
                first = len(text[:start].encode("utf-8", "surrogateescape"))
                yield first, first + len(text[start:end].encode("utf-8", "surrogateescape"))


def _join(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif end > start:
            joined.append((start, end))
    return joined


def replace_spans(text: bytes, spans: Iterable[Span]) -> bytes:
    """A text with a mark in the place of each span; the spans are in order and apart.

    >>> replace_spans(b"a secret b", [(2, 8)])
    b'a [redacted] b'
    """
    parts, end = [], 0
    for start, stop in spans:
        parts += [text[end:start], _MARK_BYTES]
        end = stop
    return b"".join([*parts, text[end:]])
