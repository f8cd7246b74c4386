"""`capsule settings`."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.context.folders import get_cwd
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.settings.load import find_code_folder, load_settings
from aind_capsule.settings.model import ROWS, Settings
from aind_capsule.settings.secret import Secret


@click.command(
    "settings",
    cls=CapsuleCommand,
    statuses={"0": "the settings were shown", "78": "capsule.toml cannot be read"},
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(*, as_json: bool) -> int:
    """Show every setting with its value, where it comes from, and what it does."""
    loaded = load_settings({}, os.environ, find_code_folder((), get_cwd()))
    redactor = Redactor.from_settings(loaded.settings, os.environ)
    values = redactor.redact_values({row.key: _get_value(loaded.settings, row.key) for row in ROWS})
    problems = [
        redactor.redact_text(f"{problem.message}. {problem.hint}") for problem in loaded.problems
    ]
    if as_json:
        described = {
            row.key: {
                "value": values[row.key],
                "source": loaded.sources[row.key],
                "variables": list(row.env),
                "flag": row.flag or None,
                "description": row.description,
            }
            for row in ROWS
        }
        click.echo(json.dumps({"settings": described, "problems": problems}, indent=2))
        return 0
    width = max(len(row.key) for row in ROWS)
    for row in ROWS:
        value = values[row.key]
        text = "-" if value is None else value if isinstance(value, str) else json.dumps(value)
        click.echo(f"{row.key:<{width}}  {text:<12}  ({loaded.sources[row.key]})")
        names = ", ".join(name for name in (row.flag, *row.env) if name) or "capsule.toml only"
        click.echo(f"{'':<{width}}  {row.description} [{names}]")
    for problem in problems:
        click.echo(f"capsule settings: {problem}", err=True)
    return 0


def _get_value(settings: Settings, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, dict):
        return {k: str(v) if isinstance(v, Secret) else v for k, v in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [item.pattern if isinstance(item, re.Pattern) else item for item in value]
    return value
