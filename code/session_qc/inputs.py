"""Find the data folder, the sessions' NWB files in it, and give each session a name of its own.

Called by `run_capsule.py`. Never opens a file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

#: The folder that holds `code`.
_CAPSULE = Path(__file__).resolve().parents[2]
#: One of these stands in the top folder of an NWB session that is stored as Zarr.
_ZARR_MARKS = frozenset({".zgroup", ".zattrs", "zarr.json"})


def find_folder(
    kind: str,
    environ: Mapping[str, str],
    root: Path = Path("/"),
    capsule: Path = _CAPSULE,
) -> Path:
    """Find the capsule's data or results folder.

    Args:
        kind: `data` or `results`.
        environ: The environment; `CAPSULE_DATA` and `CAPSULE_RESULTS` come first, when not empty.
        root: Where the platform has its folders; `/data` and `/results` count where they exist.
        capsule: The capsule's own folder; the folder beside its `code` comes last.

    >>> find_folder("data", {"CAPSULE_DATA": "/mnt/sessions"}).as_posix()
    '/mnt/sessions'
    """
    given, platform = environ.get(f"CAPSULE_{kind.upper()}"), root / kind
    if given:
        return Path(given)
    return platform if platform.is_dir() else capsule / kind


def find_sessions(
    data: Path, on_unreadable: Callable[[OSError], object] | None = None
) -> dict[str, Path]:
    """Find every NWB file below a folder; links are followed, each file is found once.

    NWB sessions stored as Zarr (folders) are found too, so that whoever reads them can say that
    they are not supported. Hidden files are passed over: copies from macOS hold `._<name>.nwb`.

    Args:
        data: The data folder.
        on_unreadable: Called with the error of each folder that cannot be listed.

    Returns:
        Paths by session name, in a fixed order.
    """
    return name_sessions(sorted(_walk(data, on_unreadable)), data)


def name_sessions(paths: Sequence[Path], data: Path) -> dict[str, Path]:
    """Name sessions: by file name, or by the whole path where two files have the same name.

    Raw and processed assets of one session often hold a file of one name, and their results must
    not overwrite each other.

    >>> list(name_sessions([Path("data/raw/nwb/1.nwb"), Path("data/raw/2.nwb")], Path("data")))
    ['1', '2']
    >>> list(name_sessions([Path("data/raw/1.nwb"), Path("data/sorted/1.nwb")], Path("data")))
    ['raw_1', 'sorted_1']
    """
    uses = Counter(_strip_ending(path.name) for path in paths)
    named: dict[str, Path] = {}
    for path in paths:
        base = _strip_ending(path.name)
        if uses[base] > 1:
            base = "_".join([*path.relative_to(data).parent.parts, base])
        name, number = base, 1
        while name in named:
            number += 1
            name = f"{base}-{number}"
        named[name] = path
    return named


def _walk(data: Path, on_unreadable: Callable[[OSError], object] | None) -> Iterator[Path]:
    seen = set()
    for folder, subfolders, files in os.walk(data, onerror=on_unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back to where we were, or a second link to the same asset
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()  # which of two links comes first decides on the path that is told
        if folder.endswith((".nwb", ".nwb.zarr")) and not _ZARR_MARKS.isdisjoint(files):
            subfolders.clear()
            yield Path(folder)
            continue
        for name in sorted(files):
            real = os.path.realpath(os.path.join(folder, name))
            if name.endswith(".nwb") and not name.startswith(".") and real not in seen:
                seen.add(real)
                yield Path(folder, name)


def _strip_ending(name: str) -> str:
    return name.removesuffix(".zarr").removesuffix(".nwb")
