"""Find what tells of processing below some folders: runs, records of others, data descriptions.

Every file that looks like one and cannot be taken is kept with the reason.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.context.asset_metadata import DESCRIPTION, PROCESSING
from aind_capsule.context.files import UnusableFileError, read_json_object
from aind_capsule.logs.place import HIDDEN_NAME
from aind_capsule.records.naming import LOG_SUFFIX, find_run_id, is_run_id

RUN_SUFFIX = "run.json"
#: Where aind-code-ocean-pipeline-utils keeps its records.
ENVELOPES = "provenance"
_MAX_BYTES = 256 * 1024 * 1024
_MAX_DEPTH = 12
#: Data assets may hold millions of files; what tells of them is near their top.
_MAX_DEPTH_IN_ASSET = 4
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
        torn: Paths of `run.json` files that could not be taken, by run id.
        rejected: Path and reason of each file that could not be taken.
    """

    runs: list[Source] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    records: list[Source] = field(default_factory=list)
    processings: list[Source] = field(default_factory=list)
    envelopes: list[Source] = field(default_factory=list)
    descriptions: list[Source] = field(default_factory=list)
    torn: dict[str, str] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing tells of any processing."""
        told = (self.runs, self.logs, self.torn, self.records, self.processings, self.envelopes)
        return not any(told)


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
    run_id = find_run_id(name.removesuffix(f".{RUN_SUFFIX}")) if kind == "run" else None
    try:
        content = _replace_surrogates(read_json_object(path, _MAX_BYTES))
    except (UnusableFileError, RecursionError) as error:
        _reject(found, path, f"it {error}", run_id)
        return
    except OSError as error:
        _reject(found, path, f"it cannot be read ({error.strerror})", run_id)
        return
    source = Source(path, content)
    if kind == "run":
        if is_run_id(str(content.get("run_id"))):
            found.runs.append(source)
        elif run_id is not None:
            _reject(found, path, "it has no run_id", run_id)
    elif _is_in_envelopes(path) and "node" in content:
        _take_envelope(source, found)
    elif kind == "description":
        found.descriptions.append(source)
    elif content.keys() & {"data_processes", "processing_pipeline"}:
        found.processings.append(source)
    elif kind == "processing":
        found.rejected.append((path, "it has neither data_processes nor processing_pipeline"))
    elif content.keys() & {"process_type", "code", "code_url", "start_date_time"}:
        found.records.append(source)
    elif kind == "record":
        found.rejected.append((path, "it is no DataProcess: none of its fields is there"))


def _reject(found: Gathered, path: str, reason: str, run_id: str | None) -> None:
    found.rejected.append((path, reason))
    if run_id is not None:
        found.torn.setdefault(run_id, path)


def _replace_surrogates(value: Any) -> Any:
    """A value whose texts are all Unicode: halves of characters can be written into no file."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {
            _replace_surrogates(name): _replace_surrogates(inner) for name, inner in value.items()
        }
    return [_replace_surrogates(inner) for inner in value] if isinstance(value, list) else value


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
    node, version = source.content["node"], source.content.get("v")
    if version != 1:
        reason = f"it is of version {version!r}, and only 1 is known"
        found.rejected.append((source.path, reason))
    elif not isinstance(node, str) or not node:
        found.rejected.append((source.path, f"its node is {node!r}, not a name"))
    else:
        found.envelopes.append(source)


def _walk(folders: Iterable[str], rejected: list[tuple[str, str]]) -> Iterator[str]:
    """Paths of the files, each real file once."""
    waiting = [(os.path.abspath(folder), 0, _MAX_DEPTH) for folder in folders]
    seen: set[str] = set()
    while waiting:
        folder, depth, limit = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            rejected.append((folder, f"it cannot be listed ({error.strerror})"))
            continue
        if depth and any(entry.name == DESCRIPTION for entry in entries):
            limit = min(limit, depth + _MAX_DEPTH_IN_ASSET)
        for entry in entries:
            is_folder = False
            with contextlib.suppress(OSError):  # a link to itself; whoever reads it says so
                is_folder = entry.is_dir()
            if is_folder:
                if depth < limit and _is_worth_a_look(entry.name):
                    waiting.append((entry.path, depth + 1, limit))
            elif entry.name.endswith((".json", LOG_SUFFIX)):
                place = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if place not in seen:
                    seen.add(place)
                    yield entry.path


def _is_worth_a_look(name: str) -> bool:
    is_hidden = name.startswith(".") and name != HIDDEN_NAME
    return not is_hidden and not name.endswith(_DATA_FOLDERS)
