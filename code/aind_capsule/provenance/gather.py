"""Find what tells of processing below some folders: runs, records of others, data descriptions.

Every file that looks like one and cannot be taken is kept with the reason.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.context.asset_metadata import DESCRIPTION, PROCESSING
from aind_capsule.context.files import (
    NestedTooDeeplyError,
    UnusableFileError,
    read_json_object,
)
from aind_capsule.logs.place import HIDDEN_NAME
from aind_capsule.provenance.model.plain_json import MAX_NESTING, NestingError, clean
from aind_capsule.provenance.run_facts import read_text
from aind_capsule.records.naming import LOG_SUFFIX, find_run_id, is_run_id

RUN_SUFFIX = "run.json"
#: Where aind-code-ocean-pipeline-utils keeps its records.
ENVELOPES = "provenance"
_MAX_BYTES = 256 * 1024 * 1024
_MAX_DEPTH = 12
#: Data assets may hold millions of files; what tells of them is near their top. So far all folders
#: of an asset are looked into, and of those that are deeper only so many.
_DEPTH_IN_ASSET = 2
_MAX_FOLDERS_IN_ASSET = 1000
_NAMES_OF_FILES = (PROCESSING, DESCRIPTION, RUN_SUFFIX, "data_process.json")
_DATA_FOLDERS = (".zarr", ".n5", ".git", "node_modules")


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was read.

    Attributes:
        path: Where it is.
        content: The JSON object in it.
    """

    path: str
    content: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """The real path of the folder that it is in."""
        return os.path.dirname(os.path.realpath(self.path))


@dataclass(frozen=True, slots=True)
class TornSource:
    """A file that could not be read, and whose name says of which run it tells.

    Attributes:
        run_id: The run.
        path: Where it is.
        why: What is wrong with it.
    """

    run_id: str
    path: str
    why: str


@dataclass(slots=True)
class Gathered:
    """What there is.

    Attributes:
        runs: `run.json` files.
        logs: Logs of runs, by run id.
        records: Bare `DataProcess` files.
        processings: `processing.json` files.
        envelopes: Records of aind-code-ocean-pipeline-utils.
        descriptions: `data_description.json` files.
        torn: Files of runs that could not be taken.
        rejected: Path and reason of each file that could not be taken, these included.
    """

    runs: list[Source] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    records: list[Source] = field(default_factory=list)
    processings: list[Source] = field(default_factory=list)
    envelopes: list[Source] = field(default_factory=list)
    descriptions: list[Source] = field(default_factory=list)
    torn: list[TornSource] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing tells of any processing."""
        known = (self.runs, self.logs, self.records, self.processings, self.envelopes, self.torn)
        return not any(known)


def gather(folders: Iterable[str]) -> Gathered:
    """Read all files below some folders that tell of processing; links are followed once.

    What is the same file by another way is read once.
    """
    found = Gathered()
    for path in _walk(folders, found.rejected):
        name = os.path.basename(path)
        if name.endswith(LOG_SUFFIX):
            run_id = find_run_id(name.removesuffix(LOG_SUFFIX))
            if run_id is not None:
                found.logs.setdefault(run_id, path)
        elif name.endswith(".json"):
            _take(path, name, found)
    return found


def _take(path: str, name: str, found: Gathered) -> None:
    kind = _find_kind(path, name)
    if kind is None:
        return
    try:
        content = _read(path, found)
    except UnusableFileError as error:
        _reject(path, f"it {error}", found)
        return
    except OSError as error:
        _reject(path, f"it cannot be read ({error.strerror})", found)
        return
    source = Source(path, content)
    if kind == "run":
        if is_run_id(read_text(content, "run_id") or ""):
            found.runs.append(source)
        elif _find_run_of(name) is not None:
            _reject(path, "it has no run_id", found)
    elif _is_in_envelopes(path) and content.keys() >= {"v", "node"}:
        _take_envelope(source, found)
    elif kind == "description":
        found.descriptions.append(source)
    elif content.keys() & {"data_processes", "processing_pipeline"}:
        found.processings.append(source)
    elif kind == "processing":
        _reject(path, "it has neither data_processes nor processing_pipeline", found)
    elif content.keys() & {"process_type", "code", "code_url", "start_date_time"}:
        found.records.append(source)
    elif kind == "record":
        _reject(path, "it is no DataProcess: none of its fields is there", found)
    elif content.keys() & {"v", "node", "parents", "data_process"}:
        _reject(path, "it is no record of a step: it lacks v or node", found)


def _reject(path: str, why: str, found: Gathered) -> None:
    found.rejected.append((path, why))
    run_id = _find_run_of(os.path.basename(path))
    if run_id is not None:
        found.torn.append(TornSource(run_id, path, why))


def _find_run_of(name: str) -> str | None:
    """The run that a file of ours is of, by its name."""
    for ending in (f".{RUN_SUFFIX}", "_data_process.json"):
        if name.endswith(ending):
            return find_run_id(name.removesuffix(ending))
    return None


def _read(path: str, found: Gathered) -> dict[str, Any]:
    """Return the object in a file. What is nested too deeply in it is left out, and named.

    Raises:
        OSError: There is no such file.
        UnusableFileError: It is no readable JSON object.
    """
    try:
        content: dict[str, Any] = clean(read_json_object(path, _MAX_BYTES))
    except (NestingError, NestedTooDeeplyError):
        content = clean(read_json_object(path, _MAX_BYTES, MAX_NESTING))
        reason = f"the rest of it was, but not what is nested deeper than {MAX_NESTING} levels"
        found.rejected.append((path, reason))
    return content


def _find_kind(path: str, name: str) -> str | None:
    if name.endswith(RUN_SUFFIX):
        return "run"
    if name == DESCRIPTION:
        return "description"
    if name.endswith(PROCESSING):
        return "processing"
    if "data_process" in name:
        return "record"
    return "envelope" if _is_in_envelopes(path) else None


def _is_in_envelopes(path: str) -> bool:
    return os.path.basename(os.path.dirname(path)) == ENVELOPES


def _take_envelope(source: Source, found: Gathered) -> None:
    node, version = source.content["node"], source.content["v"]
    if version != 1:
        reason = f"it is of version {version!r}, and only 1 is known"
        found.rejected.append((source.path, reason))
    elif not isinstance(node, str) or not node:
        found.rejected.append((source.path, f"its node is {node!r}, not a name"))
    else:
        found.envelopes.append(source)


@dataclass(slots=True)
class _Asset:
    """A data asset that is looked into: where its folders begin to count, and how many may come."""

    path: str
    depth: int
    folders_left: int = _MAX_FOLDERS_IN_ASSET


def _walk(folders: Iterable[str], rejected: list[tuple[str, str]]) -> Iterator[str]:
    """Paths of the files, each real file once."""
    waiting: deque[tuple[str, int, _Asset | None]] = deque(
        (os.path.abspath(folder), 0, None) for folder in folders
    )
    seen: set[str] = set()
    while waiting:
        folder, depth, asset = waiting.popleft()
        real = os.path.realpath(folder)
        if real in seen or not _may_enter(asset, depth, rejected):
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            rejected.append((folder, f"it cannot be listed ({error.strerror})"))
            continue
        if depth and asset is None and any(entry.name == DESCRIPTION for entry in entries):
            asset = _Asset(folder, depth)
        for entry in entries:
            if _is_folder(entry):
                if entry.name.endswith(_NAMES_OF_FILES):
                    rejected.append((entry.path, "it is a folder, not a file"))
                if depth < _MAX_DEPTH and _is_worth_a_look(entry.name):
                    waiting.append((entry.path, depth + 1, asset))
            elif entry.name.endswith((".json", LOG_SUFFIX)):
                place = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if place not in seen:
                    seen.add(place)
                    yield entry.path


def _may_enter(asset: _Asset | None, depth: int, rejected: list[tuple[str, str]]) -> bool:
    """Whether a folder is looked into; it is said of an asset where the first one is not."""
    if asset is None or depth - asset.depth <= _DEPTH_IN_ASSET:
        return True
    asset.folders_left -= 1
    if asset.folders_left == -1:
        reason = f"not all of its folders were looked into, but {_MAX_FOLDERS_IN_ASSET} of the deep"
        rejected.append((asset.path, reason))
    return asset.folders_left >= 0


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever reads it says so
        return False


def _is_worth_a_look(name: str) -> bool:
    is_hidden = name.startswith(".") and name != HIDDEN_NAME
    return not is_hidden and not name.endswith(_DATA_FOLDERS)
