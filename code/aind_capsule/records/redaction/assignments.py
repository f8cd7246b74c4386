r"""Secrets that stand behind their names in text: `password=…`, `"token": "…"`, `--api-key …`.

What is taken for the value: a quoted text to its closing quote; in a URL's query the parameter;
else everything up to the next white space (a password may hold any character), and behind a header
such as `Authorization:` or before a bracket the rest of the line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from aind_capsule.records.redaction.names import SecretNames, squeeze
from aind_capsule.records.redaction.rules import Span, compile_once

_WORD = r"[\w.\-]{0,64}"
_MAX_NAME_BYTES = 64
_WORD_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")

_ASSIGNED = r"""(?:\\*["'])?\]?\s{0,8}(?:=>|:=|[:=])\s{0,8}"""
#: `--password x`, `"--password", "x"`
_OPTION = r"""(?:\\*["']\s{0,8},\s{0,8}|=|\s{1,8})(?!-)"""
_ELEMENT = r">"

_DOUBLE = r'[bBrRuUfF]{0,2}"((?:[^"\\]|\\.)*)'
_SINGLE = r"[bBrRuUfF]{0,2}'((?:[^'\\]|\\.)*)"
_ESCAPED_QUOTE = r"""(\\{1,8}["'])(.*?)(?=\1|\Z)"""
_PARAMETER = r"""([^&\s"'<>#]+)"""
_LINE = r"([^\r\n]+)"
_TEXT = r"([^\s]+)"
_BEFORE_TAG = r"([^<]*)"
_HEADERS = ("authorization", "cookie", "cookies")
_NO_SECRET = r"(?i:none|null|true|false|undefined|\*+)?[,;)\]}]*"


class Assignments:
    """Finds the values that stand behind the names of secrets.

    Args:
        names: Which names are secrets'.
    """

    def __init__(self, names: SecretNames) -> None:
        self._names = names

    @functools.cached_property
    def _stems(self) -> re.Pattern[bytes]:
        words = sorted({literal.strip('"') for literal in self._names.literals}, key=len)
        return re.compile("|".join(map(re.escape, reversed(words))).encode(), re.IGNORECASE)

    def find(self, text: bytes) -> Iterator[Span]:
        """Where values of secrets are in a text; the work is in proportion to its length."""
        closed = covered = 0  # ends of values: with quotes or to the line's end, and of any
        for stem in self._stems.finditer(text):
            if stem.start() < closed:
                continue
            found = self._find_separator(text, stem)
            if found is None:
                continue
            name, start, end = found
            form, group = _choose_form(text, start, end, name)
            if form == _TEXT and end < covered:  # `token: token: x` goes on behind, this does not
                continue
            match = compile_once(form).match(text, end)
            if match is None or _is_no_secret(match[group]):
                continue
            covered = max(covered, match.end(group))
            if form not in (_TEXT, _PARAMETER):
                closed = match.end(group)
            yield match.span(group)

    def _find_separator(self, text: bytes, stem: re.Match[bytes]) -> tuple[str, int, int] | None:
        """The whole name around a stem, where it begins, and where its value does."""
        start = stem.start()
        first = max(0, start - _MAX_NAME_BYTES)
        while start > first and text[start - 1] in _WORD_BYTES:
            start -= 1
        word = compile_once(_WORD).match(text, stem.end())
        end = word.end() if word is not None else stem.end()
        name = text[start:end].decode("ascii", "replace").rstrip(".-")
        end = start + len(name)
        if name.lstrip("-.") not in self._names:
            return None
        separator = compile_once(_ASSIGNED).match(text, end)
        if separator is None and name.startswith("-"):
            separator = compile_once(_OPTION).match(text, end)
        if separator is None and text[start - 1 : start] == b"<":
            separator = compile_once(_ELEMENT).match(text, end)
        return None if separator is None else (name, start, separator.end())


def _choose_form(text: bytes, name_start: int, start: int, name: str) -> tuple[str, int]:
    """The expression of a value that begins at a place, and its group."""
    for quoted in (_DOUBLE, _SINGLE, _ESCAPED_QUOTE):
        if compile_once(quoted).match(text, start, start + 8) is not None:
            return quoted, 2 if quoted == _ESCAPED_QUOTE else 1
    before = text[name_start - 1 : name_start]
    if before == b"<":
        return _BEFORE_TAG, 1
    if before in (b"?", b"&"):
        return _PARAMETER, 1
    is_header = squeeze(name).endswith(_HEADERS)
    is_open = text[start : start + 1] in (b"{", b"[", b"(")
    return (_LINE, 1) if is_header or is_open else (_TEXT, 1)


def _is_no_secret(value: bytes) -> bool:
    return value.startswith(b"[redacted]") or bool(compile_once(_NO_SECRET).fullmatch(value))
