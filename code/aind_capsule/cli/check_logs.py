"""`capsule check-logs FILE…`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import BinaryIO

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.cli.messages import hide_secrets
from aind_capsule.errors import UsageError
from aind_capsule.logs.check import Verdict, check_log
from aind_capsule.records.schema import build_json_schema


@click.command(
    "check-logs",
    cls=CapsuleCommand,
    statuses={
        "0": "every line meets the standard; with --secrets: nothing would be hidden",
        "1": "some lines do not; with --secrets: some lines would be changed",
        "2": "a file cannot be read",
        "78": "capsule.toml cannot be read, with --secrets",
    },
    examples=[
        "capsule check-logs results/*.log.jsonl",
        "bash run 2>&1 | capsule check-logs --secrets -",
    ],
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a record and exit.")
@click.option(
    "--secrets",
    is_flag=True,
    help="Show the lines of any text that a run here would hide something of, with the rule.",
)
@click.argument("files", nargs=-1, metavar="FILE…")
def command(files: tuple[str, ...], *, as_json: bool, schema: bool, secrets: bool) -> int:
    """Validate log files against the AIND logging standard, line by line.

    FILE may be - for standard input. With --secrets it may be any text. The settings and the
    environment are those that a run in this folder would have, and no secret is printed.
    """
    if schema:
        click.echo(json.dumps(build_json_schema(), indent=2))
        return 0
    if not files:
        raise UsageError("capsule check-logs: no file was named", hint="capsule check-logs FILE…")
    if secrets:
        from aind_capsule.cli.check_secrets import check_secrets

        return check_secrets(files, as_json=as_json)
    verdicts: dict[str, Verdict] = {}
    is_unreadable = False
    for name in files:
        try:
            verdicts[name] = check_log(sys.stdin.buffer) if name == "-" else _check(Path(name))
        except OSError as error:
            text = hide_secrets(f"{name} cannot be read: {error.strerror}")
            click.echo(f"capsule check-logs: {text}", err=True)
            is_unreadable = True
    if as_json:
        click.echo(json.dumps({name: _describe(item) for name, item in verdicts.items()}, indent=2))
    else:
        for name, verdict in verdicts.items():
            _print(name, verdict)
    if is_unreadable:
        return 2
    return 0 if all(verdict.is_good for verdict in verdicts.values()) else 1


def _check(path: Path) -> Verdict:
    file: BinaryIO
    with path.open("rb") as file:
        return check_log(file)


def _describe(verdict: Verdict) -> dict[str, object]:
    return {
        "lines": verdict.lines,
        "errors": dict(verdict.errors),
        "warnings": dict(verdict.warnings),
        "examples": [
            {"line": line, "rule": fault.rule, "field": fault.field, "message": fault.message}
            for line, fault in verdict.examples
        ],
    }


def _print(name: str, verdict: Verdict) -> None:
    word = "ok" if verdict.is_good else "faults"
    click.echo(f"{name}: {word}, {verdict.lines} lines")
    for line, fault in verdict.examples:
        click.echo(f"  line {line}: [{fault.rule}] {fault.message}")
    for kind, counts in (("error", verdict.errors), ("warning", verdict.warnings)):
        for rule, count in counts.most_common():
            click.echo(f"  {count:>8} {kind:<7} {rule}")
