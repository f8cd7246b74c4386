"""AIND data assets under a data folder: which acquisition, subject and instrument they tell.

Called by `running` (fields of the records) and by `cli`. It reads metadata files and nothing else,
looks at no other file, and never raises for what it finds: an asset tells its problems.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from aind_capsule.context.acquisition_choice import (
    NameSource,
    choose_acquisition,
    choose_name,
)
from aind_capsule.context.asset_metadata import (
    ACQUISITION,
    DESCRIPTION,
    FILE_NAMES,
    PROCEDURES,
    PROCESSING,
    RIG,
    SESSION,
    SUBJECT,
    read_metadata,
)
from aind_capsule.context.asset_names import AssetName, parse_asset_name

#: The data folder itself, an asset in it, an asset in a mount.
_MAX_DEPTH = 2
#: Any of these makes a folder an asset; a lone processing.json is a capsule's output as well.
_MARKS = frozenset(FILE_NAMES) - {PROCESSING, PROCEDURES}
#: Folders that are one array or session each, with thousands of folders in them.
_DATA_ENDINGS = (".zarr", ".nwb", ".n5")
_SINGLE_FIELDS = ("acquisition_name", "subject_id", "specimen_id", "instrument_id", "rig_id")


@dataclass(frozen=True, slots=True)
class DataAsset:
    """One asset; what is not known is None.

    Attributes:
        name: Its folder's where that is an asset's name, else as its metadata say.
        path: Where it was found, links as they are.
        level: `raw`, `derived` or `simulated`.
        modalities: Abbreviations.
        acquisition_name: `<subject_id>_<date>_<time>` of the acquisition that it comes from.
        schema_version: That of `data_description.json`.
        files: Names of its metadata files.
        problems: What is missing or invalid and why, one sentence each.
        described_name: That in `data_description.json`.
        specimen_ids: All specimens; `specimen_id` is set where there is one.
    """

    name: str
    path: str
    level: str | None = None
    modalities: tuple[str, ...] = ()
    subject_id: str | None = None
    specimen_id: str | None = None
    acquisition_name: str | None = None
    instrument_id: str | None = None
    rig_id: str | None = None
    schema_version: str | None = None
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    described_name: str | None = field(default=None, compare=False)
    specimen_ids: tuple[str, ...] = field(default=(), compare=False)

    def describe(self) -> dict[str, Any]:
        """The asset as a mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What is in a folder, as far as it matters: metadata files, and folders to look into."""

    metadata: frozenset[str]
    folders: tuple[str, ...]
    broken: tuple[DataAsset, ...]


def find_assets(data: str) -> list[DataAsset]:
    """Find the assets in a data folder, in one folder below it, and the data folder itself.

    A folder is an asset when it holds metadata files or is named as one. Links to folders are
    followed, each folder is looked at once. What is inside an asset is not searched, but for the
    data folder: where that has metadata, folders in it with a `data_description.json` count too.

    Returns:
        The assets in the order of their paths; empty where the folder cannot be read.
    """
    found: list[DataAsset] = []
    seen: set[tuple[int, int]] = set()
    waiting, is_in_asset = [data], False
    for depth in range(_MAX_DEPTH + 1):
        folders, waiting = waiting, []
        for folder in folders:
            try:
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                listing = _list_folder(folder, has_folders=depth < _MAX_DEPTH)
            except OSError as error:
                found += _build_unreadable(folder, error) if depth else ()
                continue
            except ValueError:  # a NUL in the path
                continue
            found += listing.broken
            if _is_asset(folder, listing.metadata, is_in_asset=is_in_asset):
                found.append(read_asset(folder, listing.metadata))
                if depth:
                    continue
                is_in_asset = True
            waiting += listing.folders
    return sorted(found, key=lambda asset: asset.path)


def read_asset(folder: str, names: Iterable[str]) -> DataAsset:
    """Read one asset.

    Args:
        folder: Its folder.
        names: What is in it; other files' names do no harm.
    """
    metadata = read_metadata(folder, names)
    described_name = metadata.find_text(DESCRIPTION, "name", is_required=True)
    told_level = metadata.find_level()
    subject_id = metadata.find_agreed(
        "subject_id",
        [(SUBJECT, True), (DESCRIPTION, False), (ACQUISITION, False), (SESSION, False)],
    )
    # A link may be named by what a capsule expects, and the folder behind it by what it is.
    places = [
        (os.path.basename(os.path.abspath(folder)), "the folder's name"),
        (os.path.basename(os.path.realpath(folder)), "the name of the folder behind the link"),
        (described_name, DESCRIPTION),
    ]
    sources = [
        NameSource(name, place, _parse_name(name, subject_id, told_level), place != DESCRIPTION)
        for name, place in places
        if name is not None
    ]
    if described_name is not None and sources[-1].parsed is None:
        metadata.problems.append(
            f"{DESCRIPTION}: name is {described_name!r}, which names no acquisition"
            " (<subject>_<date>_<time>)."
        )
    parsed, contradiction = choose_acquisition(sources, subject_id, metadata.find_start())
    if contradiction is not None:
        metadata.problems.append(contradiction)
    if parsed is not None and subject_id not in (None, parsed.subject_id):
        metadata.problems.append(
            f"The name says subject {parsed.subject_id!r}, the metadata say {subject_id!r}."
        )
    if parsed is not None:
        told_level = told_level or parsed.level
        subject_id = subject_id or parsed.subject_id
    specimen_ids = metadata.find_specimen_ids(subject_id)
    values: dict[str, Any] = {
        "level": told_level,
        "modalities": metadata.find_modalities(),
        "subject_id": subject_id,
        "specimen_id": specimen_ids[0] if len(specimen_ids) == 1 else None,
        "specimen_ids": specimen_ids,
        "acquisition_name": parsed.acquisition_name if parsed else None,
        "instrument_id": metadata.find_instrument_id(),
        "rig_id": metadata.find_agreed("rig_id", [(SESSION, True), (RIG, True)]),
        "schema_version": metadata.find_text(DESCRIPTION, "schema_version", is_required=True),
        "files": metadata.files,
    }
    problems = (*_find_missing_files(metadata.files, told_level), *metadata.problems)
    name = choose_name(sources, parsed)
    return DataAsset(name, folder, **values, problems=problems, described_name=described_name)


def summarise(assets: Iterable[DataAsset]) -> dict[str, Any]:
    """Fields of a record from all assets of a run; what is unknown is left out.

    `acquisition_name`, `subject_id`, `specimen_id`, `instrument_id` and `rig_id` are there when all
    assets that know the value agree; where acquisitions or subjects are several,
    `acquisition_names` and `subject_ids` list them, and of the others only what every asset knows
    is told. `problems` has what is wrong with the assets' metadata, each with the asset's name in
    front.
    """
    assets = list(assets)
    is_one = len({asset.acquisition_name for asset in assets} - {None}) <= 1
    fields: dict[str, Any] = {}
    for name in _SINGLE_FIELDS:
        known = [value for asset in assets if (value := getattr(asset, name)) is not None]
        values = list(dict.fromkeys(known))
        if len(values) == 1 and (is_one or len(known) == len(assets)):
            fields[name] = values[0]
        elif values and name in ("acquisition_name", "subject_id"):
            fields[f"{name}s"] = values
    problems = [
        f"{asset.name}: {problem}" for asset in assets if asset.files for problem in asset.problems
    ]
    if problems:
        fields["problems"] = problems
    return fields


def _parse_name(name: str, subject_id: str | None, level: str | None) -> AssetName | None:
    """The acquisition in a name.

    An analysis over several acquisitions is named `<project>_<analysis>_<date>_<time>`, which looks
    like a raw name with a platform: in a derived asset the subject must be the one of the metadata.
    """
    parsed = parse_asset_name(name, subject_id)
    if parsed is None or level != "derived" or parsed.level == "derived":
        return parsed
    return parsed if parsed.subject_id == subject_id else None


def _find_missing_files(files: tuple[str, ...], level: str | None) -> list[str]:
    if not files:
        return ["There are no metadata files; what is known is told by the folder's name."]
    missing = [f"{name} is missing." for name in (DESCRIPTION, SUBJECT) if name not in files]
    if level == "raw" and ACQUISITION not in files and SESSION not in files:
        missing.append(f"{ACQUISITION} ({SESSION} in version 1) is missing.")
    if level == "derived" and PROCESSING not in files:
        missing.append(f"{PROCESSING} is missing.")
    return missing


def _list_folder(folder: str, *, has_folders: bool) -> _Listing:
    """List a folder by one scan; only links are looked at, for they may lead to a folder.

    Raises:
        OSError: It cannot be listed.
    """
    metadata: set[str] = set()
    folders: list[tuple[bool, str]] = []
    broken: list[DataAsset] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name in FILE_NAMES:
                metadata.add(name)
            elif has_folders and not name.startswith(".") and not name.endswith(_DATA_ENDINGS):
                try:
                    is_link = entry.is_symlink()
                    if entry.is_dir():
                        folders.append((is_link, entry.path))
                    elif is_link and _is_asset_name(name) and not os.path.exists(entry.path):
                        broken.append(_build_broken(entry.path, "is a link that leads nowhere"))
                except OSError as error:  # a link in a loop, or into a folder that is closed to us
                    broken += _build_unreadable(entry.path, error)
    # Of a folder and a link to it the folder comes first, and names the asset.
    return _Listing(frozenset(metadata), tuple(path for _, path in sorted(folders)), tuple(broken))


def _is_asset(folder: str, metadata: frozenset[str], *, is_in_asset: bool) -> bool:
    if is_in_asset:
        return DESCRIPTION in metadata
    if not _MARKS.isdisjoint(metadata):
        return True
    if _is_asset_name(os.path.basename(os.path.abspath(folder))):
        return True
    return os.path.islink(folder) and _is_asset_name(os.path.basename(os.path.realpath(folder)))


def _is_asset_name(name: str) -> bool:
    parsed = parse_asset_name(name)
    return parsed is not None and parsed.is_complete


def _build_unreadable(folder: str, error: OSError) -> list[DataAsset]:
    """An asset of which no more is known; a folder of another name may be closed, not broken."""
    is_closed = error.errno in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
    if is_closed and not _is_asset_name(os.path.basename(folder)):
        return []
    return [_build_broken(folder, f"cannot be listed ({error.strerror})")]


def _build_broken(folder: str, why: str) -> DataAsset:
    name = os.path.basename(folder)
    parsed = parse_asset_name(name)
    return DataAsset(
        name,
        folder,
        level=parsed.level if parsed else None,
        subject_id=parsed.subject_id if parsed else None,
        acquisition_name=parsed.acquisition_name if parsed else None,
        problems=(f"The folder {name!r} {why}.",),
    )
