"""`capsule upload DIR URL`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.cli.messages import hide_secrets
from aind_capsule.cli.upload_owed import drop, find_scratch, find_unnamed, resume
from aind_capsule.context.folders import get_cwd
from aind_capsule.errors import CapsuleError, SettingsError, UsageError
from aind_capsule.logs.screen import find_screen
from aind_capsule.logs.stderr import find_stderr
from aind_capsule.running.describing import make_description
from aind_capsule.running.own_python import wait_patiently
from aind_capsule.settings.load import find_code_folder, load_settings
from aind_capsule.settings.model import Settings
from aind_capsule.storage.addresses import S3Url, parse_s3_url
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.asset import Report
from aind_capsule.upload.beginning import Permission
from aind_capsule.upload.jobs import NOTHING, do_job
from aind_capsule.upload.naming import check_asset_name, find_asset_name, read_run
from aind_capsule.upload.open_job import (
    Job,
    OpenJob,
    find_job_folder,
    make_job,
    note_whole,
)
from aind_capsule.upload.progress import Progress, show_bytes
from aind_capsule.upload.source_runs import find_source_runs
from aind_capsule.upload.verify import Verdict, verify

EXIT_OWED = 74
_MAX_FAULTS = 20
_SHOW_EVERY_S = 0.2


@click.command(
    "upload",
    cls=CapsuleCommand,
    statuses={
        "0": "the asset is complete",
        "2": "the command line cannot be understood",
        "74": "the asset is not complete, or differs from its manifest",
        "78": "a setting is wrong, or the asset's name is not known",
    },
    examples=(
        "capsule upload results s3://bucket/prefix",
        "capsule upload --resume results",
        "capsule upload --drop results",
        "capsule upload --verify s3://bucket/prefix/NAME",
    ),
)
@click.option(
    "--asset-name", metavar="NAME", help="Name of the asset. Default: by AIND's naming rule."
)
@click.option(
    "--overwrite", is_flag=True, help="Replace what an upload of this toolkit has put there."
)
@click.option("--overwrite-foreign", is_flag=True, help="Replace what others have put there, too.")
@click.option(
    "--repair", is_flag=True, help="Send again what the server does not hold as the manifest says."
)
@click.option("--resume", "resumes", is_flag=True, help="Resume interrupted uploads.")
@click.option("--drop", "drops", is_flag=True, help="Forget interrupted uploads of DIR.")
@click.option("--verify", "verified", metavar="URL", help="Check an asset against its manifest.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.argument("folder", required=False, metavar="[DIR")
@click.argument("url", required=False, metavar="URL]")
def command(
    folder: str | None,
    url: str | None,
    *,
    asset_name: str | None,
    overwrite: bool,
    overwrite_foreign: bool,
    repair: bool,
    resumes: bool,
    drops: bool,
    verified: str | None,
    as_json: bool,
) -> int:
    """Upload a folder to S3, as a data asset that is visible only when it is complete.

    The asset is URL/NAME/. Its manifest.json is written last and lists every file with its SHA-256.
    --resume continues interrupted uploads of DIR, or all. What is there is not sent again.
    --drop forgets such uploads of DIR, and says what stays on the server.
    --asset-name names an upload whose name could not be derived.
    """
    settings = _load()
    permission = Permission(overwrite, overwrite_foreign, repair)
    if verified is not None:
        if (
            folder is not None
            or resumes
            or drops
            or permission != NOTHING
            or asset_name is not None
        ):
            raise UsageError(
                "capsule upload: --verify URL stands alone", hint="It uploads nothing."
            )
        return _verify(_parse(verified), settings, as_json=as_json)
    if drops:
        if folder is None or resumes or permission != NOTHING or asset_name is not None:
            raise UsageError(
                "capsule upload: --drop forgets the uploads of one folder, and does nothing else",
                hint="Give the folder, and the place where there are several:"
                " capsule upload --drop DIR [URL]",
            )
        is_done = drop(folder, None if url is None else _parse(url), settings)
        return 0 if is_done else EXIT_OWED
    if resumes:
        if url is not None:
            raise UsageError(
                "capsule upload: --resume goes on as it was begun",
                hint="Give the folder at most: capsule upload --resume [DIR]",
            )
        name = None if asset_name is None else check_asset_name(asset_name)
        do = functools.partial(_do, settings=settings, permission=permission, as_json=as_json)
        return 0 if resume(folder, name, settings, do) else EXIT_OWED
    if folder is None or url is None:
        raise UsageError(
            "capsule upload: a folder and a place are needed",
            hint="capsule upload results s3://bucket/prefix",
        )
    if not os.path.isdir(folder):
        raise UsageError(
            f"capsule upload: {folder} is not a directory", hint="Pass the directory to upload."
        )
    place = _parse(url)
    if asset_name is not None:
        name = check_asset_name(asset_name)
        waiting = find_unnamed(folder, place, settings)
        if waiting is not None:
            opened, job = waiting
            job = dataclasses.replace(job, asset=name)
            return _do(opened, job, settings=settings, permission=permission, as_json=as_json)
    opened = OpenJob(find_job_folder(folder, str(place), asset_name, os.environ))
    begun = opened.job
    job = begun or _make_job(opened, folder, place, asset_name, settings)
    return _do(opened, job, settings=settings, permission=permission, as_json=as_json)


def _load() -> Settings:
    loaded = load_settings({}, os.environ, find_code_folder((), get_cwd()))
    for problem in loaded.problems:
        if problem.is_error and problem.key and problem.key.startswith(("s3.", "upload.")):
            raise SettingsError(f"capsule upload: {problem.message}", hint=problem.hint)
        text = hide_secrets(f"{problem.message}. {problem.hint}")
        click.echo(f"capsule upload: {text}", err=True)
    return loaded.settings


def _parse(url: str) -> S3Url:
    try:
        return parse_s3_url(url)
    except ValueError as error:
        raise UsageError(f"capsule upload: {url!r}: expected {error}", hint="") from error


def _make_job(
    opened: OpenJob, folder: str, place: S3Url, asset_name: str | None, settings: Settings
) -> Job:
    now = dt.datetime.now(dt.timezone.utc)
    try:
        if asset_name is not None:
            name, may_be_later = check_asset_name(asset_name), False
        else:
            run = read_run(folder)
            name, may_be_later = find_asset_name(folder, run, settings.upload.label, now)
    except CapsuleError:
        opened.close(is_done=True)
        raise
    return make_job(folder, place, name, may_be_later=may_be_later, now=now)


def _do(
    opened: OpenJob, job: Job, *, settings: Settings, permission: Permission, as_json: bool
) -> int:
    shower = _Shower()
    is_done = False
    try:
        runs = None
        if job.source is not None:
            runs = find_source_runs(job.source, find_scratch(settings), os.environ)
        report = do_job(
            opened,
            job,
            settings,
            shower.show,
            permission=permission,
            announce=_announce,
            prepare=_make_description,
            runs=runs,
        )
        is_done = True
    finally:
        shower.clear()
        opened.close(is_done=is_done or opened.job is None)  # refused at once, nothing was begun
    note_whole(job, report)
    for warning in report.warnings:
        click.echo(f"capsule upload: {warning}", err=True)
    click.echo(json.dumps(report.describe()) if as_json else _describe(report))
    return 0


def _announce(message: str) -> None:
    click.echo(f"capsule upload: {hide_secrets(message)}", err=True)


def _make_description(job: Job) -> None:
    """Where a run's upload ended before it: the description that bears the asset's name."""
    if job.run_folder is None or job.data is None:
        return
    for message in make_description(
        job.run_folder, job.source, job.data, job.asset, job.label, wait_patiently
    ):
        _announce(message)


def _verify(asset: S3Url, settings: Settings, *, as_json: bool) -> int:
    shower = _Shower()
    try:
        verdict = verify(
            Bucket(asset.bucket, settings.s3),
            asset,
            max_concurrency=settings.s3.max_concurrency,
            tell=shower.show_verdict,
        )
    finally:
        shower.clear()
    if as_json:
        told: Mapping[str, Any] = {name: getattr(verdict, name) for name in verdict.__slots__}
        click.echo(json.dumps(told))
        return EXIT_OWED if verdict.faults else 0
    for note in verdict.notes:
        click.echo(f"capsule upload: {note}", err=True)
    for fault in verdict.faults[:_MAX_FAULTS]:
        click.echo(fault)
    if len(verdict.faults) > _MAX_FAULTS:
        click.echo(f"… and {len(verdict.faults) - _MAX_FAULTS:,} more")
    more = f"; {verdict.strangers:,} objects are not of it" if verdict.strangers else ""
    faults = f", {len(verdict.faults):,} wrong" if verdict.faults else ""
    told_size = show_bytes(verdict.size)
    click.echo(f"{asset}: {verdict.files:,} files, {told_size}, as the manifest says{faults}{more}")
    return EXIT_OWED if verdict.faults else 0


def _describe(report: Report) -> str:
    parts = [f"{report.url}: {report.files:,} files, {show_bytes(report.size)}"]
    if report.transferred_files:
        rate = report.transferred / max(report.seconds, 1e-3)
        parts.append(
            f"{report.transferred_files:,} sent ({show_bytes(report.transferred)}) in"
            f" {report.seconds:.1f} s ({show_bytes(rate)}/s)"
        )
    else:
        parts.append("nothing had to be sent")
    if report.left_out:
        parts.append(f"{report.left_out:,} left out (the manifest says why)")
    return ", ".join(parts)


class _Shower:
    """A line that is written over, on a terminal."""

    def __init__(self) -> None:
        self._is_on = find_screen(find_stderr(), os.environ).moves_cursor
        self._shown_at = 0.0

    def show(self, progress: Progress) -> None:
        """How far an upload is, how fast, and how long it will take."""
        self._write(progress.describe())

    def show_verdict(self, verdict: Verdict) -> None:
        """How much was compared."""
        self._write(f"{verdict.files:,} files, {show_bytes(verdict.size)}")

    def clear(self) -> None:
        """Leave an empty line."""
        if self._is_on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _write(self, text: str) -> None:
        if self._is_on and time.monotonic() - self._shown_at > _SHOW_EVERY_S:
            self._shown_at = time.monotonic()
            width = shutil.get_terminal_size().columns
            sys.stderr.write(f"\r\x1b[K{text[: width - 1]}")
            sys.stderr.flush()
