"""`capsule check-logs --secrets FILE…`."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import click

from aind_capsule.cli.messages import hide_secrets
from aind_capsule.context.folders import get_cwd
from aind_capsule.errors import LogFileError
from aind_capsule.logs.console import escape_controls
from aind_capsule.logs.foreign_file import ForeignFile
from aind_capsule.records.redaction.redactor import MARK, Redactor
from aind_capsule.records.simplify import CUT_MARK
from aind_capsule.running.capture.secret_check import HiddenLine, SecretCheck
from aind_capsule.settings.load import find_code_folder, load_settings
from aind_capsule.settings.model import Settings

_CHUNK_BYTES = 1024 * 1024
#: So much of a line is shown, from shortly before what is hidden.
_MAX_CHARACTERS, _BEFORE_CHARACTERS = 300, 100


def check_secrets(files: Sequence[str], *, as_json: bool) -> int:
    """Print which lines of some texts a run would change. Return the exit status."""
    settings = _load_settings()
    results: dict[str, dict[str, object]] = {}
    variables: list[str] = []
    is_unreadable = has_secrets = False
    for name in files:
        check = SecretCheck(settings, os.environ)
        variables = check.variables
        report = _Report(name if as_json else hide_secrets(name), as_json=as_json)
        try:
            for line in check.check(_read(name)):
                report.take(line)
        except (OSError, LogFileError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "message", error)
            text = hide_secrets(f"{name} cannot be read: {reason}")
            click.echo(f"capsule check-logs: {text}", err=True)
            click.echo("         Name a text that you may read, or - for standard input.", err=True)
            is_unreadable = True
            continue
        has_secrets = has_secrets or report.changed > 0
        results[name] = {"lines": check.lines, "changed": report.changed, "found": report.found}
        if not as_json:
            report.print_summary(check.lines)
    if as_json:
        click.echo(json.dumps({"known_variables": variables, "files": results}, indent=2))
    elif variables:
        click.echo(f"Values that are known here are those of {', '.join(variables)}.")
    else:
        click.echo("No value is known here: no variable of this environment is named as a secret.")
    if is_unreadable:
        return 2
    return 1 if has_secrets else 0


class _Report:
    """What was found in one text, printed as it comes.

    Attributes:
        changed: Lines that would be changed.
        found: All that was found, for JSON.
    """

    def __init__(self, name: str, *, as_json: bool) -> None:
        self.changed = 0
        self.found: list[dict[str, object]] = []
        self._name = name
        self._as_json = as_json
        self._last_number = 0
        self._rules: Counter[str] = Counter()

    def take(self, line: HiddenLine) -> None:
        """Take a line, or the next piece of one."""
        self.changed += line.number != self._last_number
        self._last_number = line.number
        if self._as_json:
            found = {"line": line.number, "rules": line.rules, "text": line.text}
            self.found.append(found)
            return
        self._rules.update(line.rules)
        rules = ", ".join(line.rules)
        click.echo(f"{self._name}:{line.number}: [{rules}] {escape_controls(_cut(line.text))}")

    def print_summary(self, lines: int) -> None:
        """Print how much was found, by rule."""
        click.echo(f"{self._name}: {self.changed} of {lines} lines would be changed")
        for rule, count in self._rules.most_common():
            click.echo(f"  {count:>8} {rule}")


def _load_settings() -> Settings:
    loaded = load_settings({}, os.environ, find_code_folder((), get_cwd()))
    redactor = Redactor.from_settings(loaded.settings, os.environ)
    for problem in loaded.problems:
        text = redactor.redact_text(f"{problem.message}. {problem.hint}")
        click.echo(f"capsule check-logs: {text}", err=True)
    return loaded.settings


def _read(name: str) -> Iterator[bytes]:
    """Yield a text in pieces: standard input, a file, also a compressed one, or a pipe."""
    if name != "-" and os.path.isfile(name):
        yield from ForeignFile(name).read_chunks()
        return
    given = sys.stdin.fileno() if name == "-" else name
    with open(given, "rb", buffering=0, closefd=name != "-") as file:
        yield from iter(lambda: file.read(_CHUNK_BYTES) or b"", b"")


def _cut(text: str) -> str:
    """Return a text, or what stands around the first mark of a long one."""
    if len(text) <= _MAX_CHARACTERS:
        return text
    start = max(0, text.find(MARK) - _BEFORE_CHARACTERS)
    shown = text[start : start + _MAX_CHARACTERS]
    is_end = start + _MAX_CHARACTERS >= len(text)
    return f"{CUT_MARK if start else ''}{shown}{'' if is_end else CUT_MARK}"
