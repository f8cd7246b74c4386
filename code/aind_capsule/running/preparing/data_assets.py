"""Name the data assets among a run's inputs, for `run.json` and the record of the run.

A mount has any name (`/data/ecephys_session`), so an asset goes by the name of its folder or of its
metadata. What the capsule before has left (in a pipeline, or beside its `run.json`) is no asset,
unless it says that it is one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aind_capsule.context.assets import DataAsset

#: The data folder itself, in `handed_on`.
TOP = "."


def name_data_assets(
    data: str,
    entries: Iterable[Mapping[str, Any]],
    assets: Iterable[DataAsset],
    *,
    is_task: bool,
    handed_on: Collection[str] = (),
) -> list[dict[str, str]]:
    """Return name and resolved path of each data asset, each name once.

    Args:
        data: The data folder.
        entries: Its top-level entries, by `name`.
        assets: The assets that were found in it.
        is_task: Whether the run is a task of a pipeline.
        handed_on: Entries that hold a run's `run.json`; `TOP` for one in the data folder itself.
    """
    by_entry: dict[str, list[DataAsset]] = {}
    for asset in assets:
        by_entry.setdefault(_find_entry(data, asset.path), []).append(asset)
    named: dict[str, str] = {}
    for asset in by_entry.get(TOP, ()):
        if _says_its_name(asset) or not (is_task or TOP in handed_on):
            named.setdefault(asset.name, asset.path)
    is_whole = bool(named)  # the data folder is an asset: its files are none
    for entry in entries:
        name = str(entry["name"])
        is_foreign = is_task or TOP in handed_on or name in handed_on
        found = by_entry.get(name, [])
        for asset in found:
            if _says_its_name(asset) or not is_foreign:
                named.setdefault(asset.name, asset.path)
        if not (found or is_whole or is_foreign or name.startswith(".")):
            named.setdefault(name, os.path.join(data, name))
    return [{"name": name, "path": os.path.realpath(path)} for name, path in named.items()]


def _find_entry(data: str, path: str) -> str:
    """Return the top-level entry that a path is in, or `TOP`."""
    return os.path.relpath(path, data).split(os.sep)[0]


def _says_its_name(asset: DataAsset) -> bool:
    """Return whether an asset has a name of its own, or that of an acquisition."""
    return asset.described_name is not None or asset.acquisition_name is not None
