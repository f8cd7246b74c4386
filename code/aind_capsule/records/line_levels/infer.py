"""The level of one line."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from aind_capsule.records.levels import find_standard_level
from aind_capsule.records.line_levels.forms import EXCEPTION, FORMS, WORD, Form
from aind_capsule.records.line_levels.leads import begins_with_time, find_starts
from aind_capsule.records.line_levels.values import ends_with_value, is_setting, is_value

#: Levels are stated early in a line; what is further on is the message.
LOOK_AT_CHARACTERS = 300

_LETTERS = {
    "D": "DEBUG", "I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL", "C": "CRITICAL",
}  # fmt: skip
#: syslog(3): emergency, alert, critical, error, warning, notice, informational, debug.
_NUMBERS = ("CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "INFO", "INFO", "DEBUG")
#: Lines of `set -x`, of quotes and diffs, of comments, of tables.
_STATE_NOTHING = ("+ ", "++", "> ", "# ", "| ", "- ")
_PAIRS = (
    r"(?:[\w.]{1,40}=(?:\"[^\"]{0,200}\"|\S{1,200})\s{1,4}){0,8}"
    rf"(?:level|lvl|severity)=\"?(?P<word>(?i:{WORD}))\"?\s{{1,4}}.{{0,200}}="
)
#: `root INFO x`, `[INFO] x`, `my.logger.WARNING x`: what a line of a logger begins with.
_LOGGED = rf"\[?(?:{WORD})\b|\[\w{{1,40}}\]\s|\w{{1,40}}[.:](?:{WORD})\b"
_NAMED = r"\(\?P<\w+>"


@functools.cache
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def infer_level(line: str) -> str:
    """Return the level that a line of text states itself; INFO where it states none.

    A word somewhere in a sentence is no statement, and a word before a value is a metric.

    >>> infer_level("[WARNING] 3 labels missing"), infer_level("ERROR: no such file")
    ('WARNING', 'ERROR')
    >>> infer_level("the error was small"), infer_level("[INFO] retry after ERROR: x")
    ('INFO', 'INFO')
    >>> infer_level("Error: 0.02"), infer_level("MeanSquaredError: 0.2")
    ('INFO', 'INFO')
    """
    line = line[:LOOK_AT_CHARACTERS].rstrip("\r\n")
    if line.startswith(_STATE_NOTHING):
        return "INFO"
    for form, match in _find_forms(line):
        level = _read(form, match)
        if level:
            return level
    pairs = _compile(_PAIRS).match(line)
    if pairs is not None:
        return find_standard_level(pairs["word"]) or "INFO"
    raised = _compile(EXCEPTION).match(line)
    if raised is None or is_value(raised["rest"]):
        return "INFO"
    return "WARNING" if raised["name"].endswith("Warning") else "ERROR"


def begins_record(line: str) -> bool:
    """Return whether a line begins a new record for certain: it states a level or a time."""
    start = line[:LOOK_AT_CHARACTERS]
    return (
        begins_with_time(start)
        or _compile(_LOGGED).match(start) is not None
        or infer_level(start) != "INFO"
    )


@dataclass(frozen=True, slots=True)
class _Forms:
    """Some forms, and one expression for all of them, which says quickly that none is there."""

    each: tuple[tuple[Form, re.Pattern[str]], ...]
    any: re.Pattern[str]


@functools.cache
def _select_forms(*, is_start: bool, has_time: bool, is_indented: bool) -> _Forms:
    """Return the forms that may stand at a place of a line."""
    needs = ["any"]
    if is_start:
        needs.append("")
    if has_time:
        needs.append("time")
    elif not is_indented:
        needs.append("group")
    forms = [form for form in FORMS if form.needs in needs and not form.is_padded]
    unnamed = "|".join(f"(?:{re.sub(_NAMED, '(?:', form.pattern)})" for form in forms)
    return _Forms(tuple((form, re.compile(form.pattern)) for form in forms), re.compile(unnamed))


def _find_forms(line: str) -> Iterator[tuple[Form, re.Match[str]]]:
    """Yield the forms that a line has; the earliest place in the line comes first."""
    is_indented = line[:1] == " "
    for place, has_time, has_other in find_starts(line):
        is_start = not (place or has_time or has_other)
        forms = _select_forms(is_start=is_start, has_time=has_time, is_indented=is_indented)
        if forms.any.match(line, place) is None:
            continue
        for form, pattern in forms.each:
            match = pattern.match(line, place)
            if match is not None:
                yield form, match
    if line[:8].isspace():  # rich puts the level of a second line below that of the first
        for form in FORMS:
            if form.is_padded and (padded := _compile(form.pattern).match(line)) is not None:
                yield form, padded


def _read(form: Form, match: re.Match[str]) -> str:
    """Return the level of a form's match. A metric is INFO, and then nothing else is looked for."""
    groups = match.groupdict()
    if form.level:
        return form.level
    rest = groups.get("rest")
    if rest is not None and is_value(rest):
        return "INFO"
    if form.is_prose and (ends_with_value(rest or "") or is_setting(rest or "")):
        return "INFO"
    if "letter" in groups:
        return _LETTERS[groups["letter"]]
    if "number" in groups:
        return _NUMBERS[int(groups["number"])]
    word = groups["word"]
    # git says `fatal:` of every failure of its own, however small.
    return "ERROR" if word == "fatal" else find_standard_level(word) or "INFO"
