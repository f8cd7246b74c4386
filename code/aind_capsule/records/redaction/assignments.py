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
_ESCAPED_QUOTE = r"""(\\+["'])(.*?)(?=\1|\Z)"""
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
        """Where values of secrets are in a text."""
        end = 0
        for match in self._stems.finditer(text):
            if match.start() < end:
                continue
            span = self._look(text, match)
            if span is not None:
                yield span
                # In a value without quotes the next name may stand: `token: token: x`.
                end = span[1] if text[span[0] - 1] in b"\"'" else end

    def _look(self, text: bytes, stem: re.Match[bytes]) -> Span | None:
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
        if separator is None:
            return None
        return _find_value(text, separator.end(), before=text[max(0, start - 1) : start], name=name)


def _find_value(text: bytes, start: int, *, before: bytes, name: str) -> Span | None:
    for quoted in (_DOUBLE, _SINGLE):
        match = compile_once(quoted).match(text, start)
        if match is not None:
            return _accept(match, 1)
    match = compile_once(_ESCAPED_QUOTE).match(text, start)
    if match is not None:
        return _accept(match, 2)
    if before == b"<":
        form = _BEFORE_TAG
    elif before in (b"?", b"&"):
        form = _PARAMETER
    elif text.startswith(b"[redacted]", start):
        return None
    elif squeeze(name).endswith(_HEADERS) or text[start : start + 1] in (b"{", b"[", b"("):
        form = _LINE
    else:
        form = _TEXT
    match = compile_once(form).match(text, start)
    return _accept(match, 1) if match is not None else None


def _accept(match: re.Match[bytes], group: int) -> Span | None:
    return None if compile_once(_NO_SECRET).fullmatch(match[group]) else match.span(group)
