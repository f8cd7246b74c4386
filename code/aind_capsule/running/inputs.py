"""What is in the data folder, and the size of the results: found by looking, whoever asks.

The folders may be a mount that hangs: `inputs_reader` asks in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aind_capsule.logs.place import HIDDEN_NAME
from aind_capsule.records.encode import decode
from aind_capsule.records.naming import is_run_file, is_run_id

if TYPE_CHECKING:
    from aind_capsule.context.assets import DataAsset

_MAX_ENTRIES = 10_000
#: In results where scratch is inside of them.
_RUN_FOLDER = re.compile(rf"/{re.escape(HIDDEN_NAME)}/\d{{8}}T\d{{6}}-[0-9a-f]{{8}}$")
#: In folders among the inputs no more is looked at than at the top, for data assets hold any number
#: of files; and where the disk is slow, for so long: the run's upstream is to be found after it.
_MAX_LOOKED_AT = _MAX_ENTRIES
_LINKS_LIMIT_S = 2.0
_LINK_DEPTH = 1
_MAX_RUN_FILES = 10_000
_MAX_RUN_FILE_BYTES = 64 * 1024 * 1024
_RUN_FILE_DEPTH = 3


def find_identity(assets: Iterable[DataAsset]) -> dict[str, Any]:
    """What the data assets' metadata say of the run; see `context.assets.summarise`."""
    from aind_capsule.context.assets import summarise  # slow to import

    return summarise(assets)


def find_data_assets(data: str) -> list[DataAsset]:
    """Find the data assets in the data folder; see `context.assets.find_assets`."""
    from aind_capsule.context.assets import find_assets  # slow to import

    return find_assets(data)


def find_inputs(data: str) -> Iterator[dict[str, Any]]:
    """The top-level entries of the data folder, each with its resolved path."""
    try:
        names = sorted(os.listdir(data))
    except OSError:
        return
    for name in names[:_MAX_ENTRIES]:
        yield {"name": name, "path": os.path.realpath(os.path.join(data, name))}


def add_links(data: str, inputs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same entries, with what the links inside of them lead to.

    A folder that an engine has made to hold inputs (a connection with a target path) has `links`:
    the resolved paths of the links in it, and in its own folders.
    """
    deadline = time.monotonic() + _LINKS_LIMIT_S
    told = []
    for entry in inputs:
        path = os.path.join(data, entry["name"])
        links = [] if os.path.islink(path) else _find_links(path, deadline)
        told.append({**entry, "links": links} if links else dict(entry))
    return told


def _find_links(folder: str, deadline: float) -> list[str]:
    links: list[str] = []
    folders, count = [(folder, 0)], 0
    while folders and count < _MAX_LOOKED_AT and time.monotonic() <= deadline:
        current, depth = folders.pop(0)
        with contextlib.suppress(OSError), os.scandir(current) as entries:
            for entry in entries:
                count += 1
                if count > _MAX_LOOKED_AT or time.monotonic() > deadline:
                    break
                if entry.is_symlink():
                    links.append(os.path.realpath(entry.path))
                elif depth < _LINK_DEPTH and entry.is_dir():
                    folders.append((entry.path, depth + 1))
    return sorted(links)


def find_upstream(data: str) -> dict[str, list[Any]]:
    """The `run.json` of every run among the inputs.

    Returns:
        `upstream`: theirs, and of what was upstream of them, each run once; `parents`: the ids of
        the runs that are among the inputs themselves; `handed_on`: the entries of the data folder
        that their files are in, `.` for itself.
    """
    runs: dict[str, dict[str, Any]] = {}
    parents: dict[str, None] = {}
    handed_on: set[str] = set()
    for path in _find_run_files(data):
        record = None
        with contextlib.suppress(OSError):
            if os.path.getsize(path) <= _MAX_RUN_FILE_BYTES:
                with open(path, "rb") as file:
                    record = decode(file.read())
        if record is None or not is_run_id(str(record.get("run_id"))):  # a file of others
            continue
        parents[record["run_id"]] = None
        inner = os.path.relpath(path, data).split(os.sep)
        handed_on.add(inner[0] if len(inner) > 1 else os.curdir)
        earlier = record.pop("upstream", None)
        for run in (record, *(earlier if isinstance(earlier, list) else ())):
            if isinstance(run, dict) and is_run_id(str(run.get("run_id"))):
                runs.setdefault(run["run_id"], run)
    return {
        "upstream": list(runs.values()),
        "parents": list(parents),
        "handed_on": sorted(handed_on),
    }


def _find_run_files(data: str) -> Iterator[str]:
    folders, count = [(data, 0)], 0
    while folders and count < _MAX_RUN_FILES:
        folder, depth = folders.pop(0)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith("run.json") and entry.is_file():
                    count += 1
                    yield entry.path
                elif depth + 1 < _RUN_FILE_DEPTH and entry.is_dir():
                    folders.append((entry.path, depth + 1))


def count_bytes(folder: str, limit_s: float) -> int | None:
    """Bytes of all files below a folder, links to folders at its top followed; None if too slow."""
    deadline = time.monotonic() + limit_s
    total = 0
    for _, size_bytes in walk_files(folder, follow_top=True):
        total += size_bytes
        if time.monotonic() > deadline:
            return None
    return total


def walk_files(
    folder: str, *, follow_top: bool = False, at_folder: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, int]]:
    """All files below a folder with their sizes in bytes; what cannot be read is passed over.

    Args:
        folder: The folder.
        follow_top: Whether links to folders at its top are followed.
        at_folder: Called before each folder is read, however few files are in it.
    """
    for entry in _walk(folder, follow_top=follow_top, at_folder=at_folder):
        with contextlib.suppress(OSError):
            if entry.is_file():
                yield entry.path, entry.stat().st_size


def _walk(
    folder: str, *, follow_top: bool = False, at_folder: Callable[[], object] = lambda: None
) -> Iterator[os.DirEntry[str]]:
    """Yield all that is no folder, below a folder; one that cannot be read is passed over."""
    folders = [(folder, follow_top)]
    while folders:
        at_folder()
        current, follow = folders.pop()
        try:
            entries = os.scandir(current)
        except OSError:
            continue
        with entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=follow):
                        folders.append((entry.path, False))
                    else:
                        yield entry


def count_results(folder: str) -> dict[str, int]:
    """Count what the processing left: `results_files` and `results_bytes` of a folder.

    Run files, of whichever run, are not counted. A symbolic link counts as itself, with the length
    of its target's name. A file with several names counts once. What cannot be read is passed over.
    """
    files = size_bytes = 0
    linked: set[tuple[int, int]] = set()
    for entry in _walk(folder):
        if is_run_file(entry.name) or _RUN_FOLDER.search(os.path.dirname(entry.path)):
            continue
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                continue  # a pipe or a socket holds nothing
            if status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in linked:
                    continue
                linked.add((status.st_dev, status.st_ino))
            files += 1
            size_bytes += status.st_size
    return {"results_files": files, "results_bytes": size_bytes}
