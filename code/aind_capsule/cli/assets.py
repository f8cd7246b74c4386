"""`capsule assets [DIR]`."""

from __future__ import annotations

import contextlib
import json
import os

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.cli.messages import hide_secrets
from aind_capsule.context.assets import DataAsset, find_assets
from aind_capsule.context.folders import Folder, find_folder, get_cwd
from aind_capsule.errors import UsageError
from aind_capsule.logs.console import format_bytes
from aind_capsule.settings.load import find_code_folder, load_settings


@click.command(
    "assets",
    cls=CapsuleCommand,
    statuses={"0": "the folder was read", "2": "the folder cannot be used"},
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.argument("folder", required=False, metavar="[DIR]")
def command(folder: str | None, *, as_json: bool) -> int:
    """List the data assets in a folder: acquisition, subject, instrument, size, and what is wrong.

    Without DIR: the data folder that `capsule run` would use. Missing and invalid metadata are
    listed with each asset.
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
    assets = [(asset, *count_files(asset.path)) for asset in find_assets(place.path)]
    if as_json:
        described = [
            {**asset.describe(), "file_count": count, "size_bytes": size_bytes}
            for asset, count, size_bytes in assets
        ]
        click.echo(json.dumps(described, indent=2))
    elif not assets:
        text = f"There is no data asset in {_show(place.path)} ({place.source})."
        click.echo(hide_secrets(text))
    else:
        click.echo(hide_secrets("\n\n".join("\n".join(_format(*row)) for row in assets)))
    return 0


def count_files(folder: str) -> tuple[int, int]:
    """Files below a folder and their bytes; the folder itself may be a link, those in it may not.

    A link to a file counts as that file; what cannot be read is passed over.
    """
    count, size_bytes = 0, 0
    waiting = [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        count += 1
                        size_bytes += entry.stat().st_size
    return count, size_bytes


def _find_data_folder() -> Folder:
    cwd = get_cwd()
    loaded = load_settings({}, os.environ, find_code_folder((), cwd))
    return find_folder("data", loaded.settings.data, loaded.sources["data"], cwd=cwd)


def _format(asset: DataAsset, file_count: int, size_bytes: int) -> list[str]:
    """The lines of one asset; what is not known is left out, but for what every asset has."""
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
        ("files", f"{file_count}, {format_bytes(size_bytes)}"),
        *(("problem", problem) for problem in asset.problems),
    ]
    lines = [click.style(_show(asset.name), bold=True)]
    for label, value in rows:
        if value is not None:
            colour = "yellow" if label == "problem" else None
            lines.append(click.style(f"  {label:<11}  {_show(value)}", fg=colour))
    return lines


def _show(text: str) -> str:
    """Text that does nothing to a terminal; names of folders may hold any byte."""
    shown = (c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return "".join(shown)
