r"""Secrets that stand behind their names in text: `password=…`, `"token": "…"`, `--api-key …`.

What is taken for the value: a quoted text to its closing quote; a bare one behind a quoted name (as
in JSON) to the next comma or bracket; in a URL's query the parameter; else everything up to the
next white space (a password may hold any character), and behind a header such as `Authorization:`
or before a bracket the rest of the line. What cannot be a secret stays: see `guards.is_no_value`.
"""

from __future__ import annotations

from aind_capsule.records.redaction.guards import is_no_value, is_phrase
from aind_capsule.records.redaction.names import SecretNames, is_password_name, squeeze
from aind_capsule.records.redaction.rules import Span, compile_once

_WORD = r"[\w.\-]{0,64}"
_MAX_NAME_BYTES = 64
_WORD_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")

_ASSIGNED = r"""(?:\\{0,4}["'])?\]?\s{0,8}(?:=>|:=|[:=](?!=))\s{0,8}"""
#: `--password x`, `"--password", "x"`
_OPTION = r"""(?:\\{0,4}["']\s{0,8},\s{0,8}|=|\s{1,8})(?!-)"""
_ELEMENT = r">"
_QUOTES = (b'"', b"'", b"\\")

_DOUBLE = r'[bBrRuUfF]{0,2}"((?:[^"\\]|\\.)*)'
_SINGLE = r"[bBrRuUfF]{0,2}'((?:[^'\\]|\\.)*)"
#: A quote behind more backslashes than the first one's is part of the value.
_ESCAPED_QUOTE = r"""(\\{1,8}["'])(.*?)(?:(?<!\\)(?=\1)|\Z)"""
_PARAMETER = r"""([^&\s"'<>#]+)"""
_IN_JSON = r"""([^\s,}\]]+)"""
_LINE = r"([^\r\n]+)"
_TEXT = r"([^\s]+)"
_BEFORE_TAG = r"([^<]*)(?=</)"
_QUOTED = (_DOUBLE, _SINGLE, _ESCAPED_QUOTE, _BEFORE_TAG)
_HEADERS = ("authorization", "cookie", "cookies")


class Assignments:
    """Finds the values that stand behind the names of secrets.

    Args:
        names: Which names are secrets'.

    Attributes:
        name: What it is, for people.
    """

    name = "value behind a secret's name"

    def __init__(self, names: SecretNames) -> None:
        self._names = names

    def find_at(self, text: bytes, start: int) -> tuple[list[Span], int]:
        """Find the value behind a name of which a part stands at a place.

        Returns:
            The value where there is one, and how far no other name needs a look.
        """
        found = self._find_separator(text, start)
        if found is None:
            return [], start
        name, name_start, name_end, end = found
        form, group = _choose_form(text, name_start, name_end, end, name)
        match = compile_once(form).match(text, end)
        if match is None:
            return [], start
        if self._is_harmless(match[group], form, name):
            return [], start
        return [match.span(group)], match.end(group)

    def _is_harmless(self, value: bytes, form: str, name: str) -> bool:
        if self._names.has_users(name.lstrip("-.")):
            return not value or value.startswith(b"[redacted]")
        is_password = is_password_name(name)
        if is_no_value(value, is_password=is_password):
            return True
        may_be_phrase = form == _LINE or (form in _QUOTED and not is_password)
        return may_be_phrase and is_phrase(value, is_password=is_password, is_list=form == _LINE)

    def _find_separator(self, text: bytes, place: int) -> tuple[str, int, int, int] | None:
        """Return the name around a place, where it begins and ends, and where its value begins."""
        start = place
        first = max(0, start - _MAX_NAME_BYTES)
        while start > first and text[start - 1] in _WORD_BYTES:
            start -= 1
        word = compile_once(_WORD).match(text, place)
        end = word.end() if word is not None else place
        name = text[start:end].decode("ascii", "replace").rstrip(".-")
        end = start + len(name)
        if end <= place:
            return None
        if name.lstrip("-.") not in self._names:
            return None
        separator = compile_once(_ASSIGNED).match(text, end)
        if separator is None and name.startswith("-"):
            separator = compile_once(_OPTION).match(text, end)
        if separator is None and text[start - 1 : start] == b"<":
            separator = compile_once(_ELEMENT).match(text, end)
        return None if separator is None else (name, start, end, separator.end())


def _choose_form(
    text: bytes, name_start: int, name_end: int, start: int, name: str
) -> tuple[str, int]:
    """Return the expression of a value that begins at a place, and its group."""
    for quoted in _QUOTED[:3]:
        if compile_once(quoted).match(text, start, start + 8) is not None:
            return quoted, 2 if quoted == _ESCAPED_QUOTE else 1
    before = text[name_start - 1 : name_start]
    if before == b"<":
        return _BEFORE_TAG, 1
    if before in (b"?", b"&"):
        return _PARAMETER, 1
    if text[start : start + 1] in (b"{", b"[", b"("):
        return _LINE, 1
    if before in _QUOTES and text[name_end : name_end + 1] in _QUOTES:
        return _IN_JSON, 1
    return (_LINE, 1) if squeeze(name).endswith(_HEADERS) else (_TEXT, 1)
