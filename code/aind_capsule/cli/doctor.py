"""`capsule doctor`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.context.folders import get_cwd
from aind_capsule.errors import SettingsError
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.running.own_python import wait_patiently
from aind_capsule.running.upload_process import check_upload
from aind_capsule.settings.load import LoadedSettings, find_code_folder, load_settings
from aind_capsule.settings.model import Settings
from aind_capsule.shipping.destination import Check
from aind_capsule.shipping.registry import find_kinds

EXIT_FAILED = 74


@click.command(
    "doctor",
    cls=CapsuleCommand,
    statuses={
        "0": "everything that is configured works",
        "74": "something does not",
        "78": "capsule.toml cannot be read",
    },
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(*, as_json: bool) -> int:
    """Try each configured destination for real. Show what is wrong and what to do.

    A log server gets one test record, which is read back. For uploads of results, a multipart
    upload is started and aborted.
    """
    loaded = load_settings({}, os.environ, find_code_folder((), get_cwd()))
    redactor = Redactor.from_settings(loaded.settings, os.environ)
    checks = list(run_checks(loaded))
    shown = [redactor.redact_fields(asdict(check)) for check in checks]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    elif not checks:
        click.echo("Nothing is configured. A Loki, for one: CAPSULE_LOKI__URL=http://host:3100")
        click.echo("S3 for results: CAPSULE_UPLOAD__URL=s3://bucket/prefix")
    else:
        _print([Check(**row) for row in shown])
    return 0 if all(check.is_good for check in checks) else EXIT_FAILED


def run_checks(loaded: LoadedSettings) -> list[Check]:
    """What is wrong with the settings, and what each destination says."""
    checks = [
        Check("settings", "", is_good=not problem.is_error, message=problem.message,
              hint=problem.hint)
        for problem in loaded.problems
    ]  # fmt: skip
    for kind in find_kinds(loaded.settings):
        try:
            checks.append(kind.check(loaded.settings, os.environ))
        except SettingsError as error:
            checks.append(
                Check(kind.name, "", is_good=False, message=error.message, hint=error.hint)
            )
    if loaded.settings.upload.url is not None:
        checks.append(_check_upload(loaded.settings))
    return checks


def _check_upload(settings: Settings) -> Check:
    told = check_upload(settings, wait_patiently)
    problem = told.get("problem")
    return Check(
        "upload", settings.upload.url or "", is_good=problem is None,
        message=problem or "results can be written there", hint=told.get("hint", ""),
    )  # fmt: skip


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = (
            click.style("ok    ", fg="green") if check.is_good else click.style("failed", fg="red")
        )
        where = f"{check.address}: " if check.address else ""
        click.echo(f"{mark}  {check.name:<{width}}  {where}{check.message}")
        if check.hint:
            click.echo(f"{'':<{8 + width}}  {check.hint}")
