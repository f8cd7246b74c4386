"""`capsule assets [DIR]`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.cli.messages import hide_secrets
from aind_capsule.context.assets import DataAsset, find_assets
from aind_capsule.context.folders import Folder, find_folder, get_cwd
from aind_capsule.errors import UsageError
from aind_capsule.logs.console import format_bytes
from aind_capsule.settings.load import find_code_folder, load_settings

#: Files are counted for this long in all.
COUNT_LIMIT_S = 10.0
_SHOW_EVERY_S = 0.5


@click.command(
    "assets",
    cls=CapsuleCommand,
    statuses={"0": "the folder was read", "2": "the folder cannot be used"},
)
@click.option(
    "--count", "is_unlimited", is_flag=True, help="Count all files, however long it takes."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.argument("folder", required=False, metavar="[DIR]")
def command(folder: str | None, *, as_json: bool, is_unlimited: bool) -> int:
    """List the data assets in a folder: acquisition, subject, instrument, size, and what is wrong.

    Without DIR: the data folder that `capsule run` would use. Missing and invalid metadata are
    listed with each asset. Files are counted for 10 s in all, or to the end with --count.
    """
    place = Folder(os.path.abspath(folder), "DIR") if folder else _find_data_folder()
    fault = place.find_fault(to_write=False)
    if fault is None:
        try:
            os.scandir(place.path).close()
        except OSError as error:
            fault = f"it cannot be listed ({error.strerror})"
    if fault is not None:
        raise UsageError(
            f"capsule assets: {_show(place.path)} ({place.source}) cannot be used: {fault}",
            hint="Name a folder that exists: capsule assets DIR",
        )
    assets = find_assets(place.path)
    counter = FileCounter(None if is_unlimited else COUNT_LIMIT_S)
    if as_json:
        described = []
        for asset in assets:
            counted = counter.count(asset.path)
            described.append(
                {
                    **asset.describe(),
                    "file_count": counted.files,
                    "size_bytes": counted.size_bytes,
                    "is_counted": counted.is_whole,
                }
            )
        click.echo(json.dumps(described, indent=2))
    elif not assets:
        text = f"There is no data asset in {_show(place.path)} ({place.source})."
        click.echo(hide_secrets(text))
    else:
        for number, asset in enumerate(assets):
            before, after = _format(asset)
            click.echo(hide_secrets("\n".join(["", *before] if number else before)))
            rows = [_format_row("files", _describe_count(counter.count(asset.path))), *after]
            click.echo(hide_secrets("\n".join(rows)))
    return 0


@dataclass(frozen=True, slots=True)
class FileCount:
    """Files below a folder.

    Attributes:
        files: Their number.
        size_bytes: Their bytes.
        is_whole: Whether all were counted before the time was up.
    """

    files: int
    size_bytes: int
    is_whole: bool


class FileCounter:
    """Counts the files of several folders in a limited time, with progress on a terminal.

    Args:
        limit_s: The seconds for all folders, or None for as long as it takes.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._deadline = None if limit_s is None else time.monotonic() + limit_s
        self._next_show = time.monotonic() + _SHOW_EVERY_S
        self._is_shown = False

    def count(self, folder: str) -> FileCount:
        """Count the files below a folder, without following links to folders in it.

        A link to a file counts as that file. What cannot be read is passed over.
        """
        files, size_bytes, is_whole = 0, 0, True
        waiting = [folder]
        while waiting and is_whole:
            with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if self._deadline is not None and time.monotonic() > self._deadline:
                        is_whole = False
                        break
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        elif entry.is_file():
                            files += 1
                            size_bytes += entry.stat().st_size
                    self._show(files, size_bytes)
        self._clear()
        return FileCount(files, size_bytes, is_whole)

    def _show(self, files: int, size_bytes: int) -> None:
        if time.monotonic() < self._next_show or not sys.stderr.isatty():
            return
        self._next_show = time.monotonic() + _SHOW_EVERY_S
        self._is_shown = True
        click.echo(
            f"\r\x1b[K  {files} files, {format_bytes(size_bytes)} so far", nl=False, err=True
        )

    def _clear(self) -> None:
        if self._is_shown:
            self._is_shown = False
            click.echo("\r\x1b[K", nl=False, err=True)


def _describe_count(counted: FileCount) -> str:
    text = f"{counted.files}, {format_bytes(counted.size_bytes)}"
    return text if counted.is_whole else f"at least {text} (the time was up; --count counts all)"


def _find_data_folder() -> Folder:
    cwd = get_cwd()
    loaded = load_settings({}, os.environ, find_code_folder((), cwd))
    return find_folder("data", loaded.settings.data, loaded.sources["data"], cwd=cwd)


def _format(asset: DataAsset) -> tuple[list[str], list[str]]:
    """Return an asset's lines before and after its files, without what is not known."""
    rows = [
        ("path", asset.path),
        ("level", asset.level or "-"),
        ("modalities", ", ".join(asset.modalities) or "-"),
        ("subject", asset.subject_id or "-"),
        ("specimen", asset.specimen_id),
        ("acquisition", asset.acquisition_name or "-"),
        ("instrument", asset.instrument_id),
        ("rig", asset.rig_id),
        ("schema", asset.schema_version or "-"),
        ("metadata", ", ".join(asset.files) or "-"),
    ]
    lines = [_format_row(label, value) for label, value in rows if value is not None]
    problems = [_format_row("problem", problem) for problem in asset.problems]
    return [click.style(_show(asset.name), bold=True), *lines], problems


def _format_row(label: str, value: str) -> str:
    colour = "yellow" if label == "problem" else None
    return click.style(f"  {label:<11}  {_show(value)}", fg=colour)


def _show(text: str) -> str:
    """Text that does nothing to a terminal; names of folders may hold any byte."""
    shown = (c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return "".join(shown)
