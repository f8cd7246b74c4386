"""Metadata of the input that hold for what is derived from it, copied unchanged into results.

Of several inputs those of one whose set holds all the others' are taken; where none does, only the
files that all of them hold alike: never a mixture of two inputs.

`python -m aind_capsule.provenance.carry DATA RESULTS [NAME]` does it for a run, at its end and in a
process of its own (a data folder may hang), and prints what it did as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.asset_metadata import (
    ACQUISITION,
    INSTRUMENT,
    PROCEDURES,
    RIG,
    SESSION,
    SUBJECT,
)
from aind_capsule.context.assets import DataAsset, find_assets
from aind_capsule.context.files import UnusableFileError, read_bytes, write_file

#: What AIND expects unchanged in a derived asset.
FILE_NAMES = (SUBJECT, PROCEDURES, ACQUISITION, SESSION, INSTRUMENT, RIG)


_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files are carried.

    Attributes:
        files: Their paths by name.
        sources: Names of the inputs that they are of.
        left_out: Names of those that not all inputs have alike.
        lone: Those of them on which nobody disagrees: some inputs have none.
        problem: Why there is nothing, where that is somebody's mistake.
    """

    files: dict[str, str]
    sources: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    lone: tuple[str, ...] = ()
    problem: str | None = None


def choose_metadata(assets: Iterable[DataAsset], wanted: str | None = None) -> Choice:
    """Choose among the inputs' metadata files.

    Args:
        assets: The input data assets.
        wanted: The one asset, by name or folder, whose files are taken; by default all are asked.
    """
    every = list(assets)
    known = [asset for asset in every if set(asset.files) & set(FILE_NAMES)]
    if wanted is not None:
        chosen = [asset for asset in every if wanted in (asset.name, _get_folder_name(asset))]
        if len(chosen) != 1:
            names = ", ".join(sorted(asset.name for asset in every)) or "none"
            how = "no input data asset is" if not chosen else "more than one input data asset is"
            return Choice({}, problem=f"{how} {wanted!r} (there is: {names})")
        return Choice(_list_files(chosen[0]), (chosen[0].name,))
    sets = [(asset, _list_files(asset)) for asset in known]
    for asset, files in sets:
        if all(_holds(files, others) for _, others in sets):
            return Choice(files, (asset.name,))
    if not sets:
        return Choice({})
    agreed = {
        name: path
        for name, path in sets[0][1].items()
        if all(name in others and _are_alike(path, others[name]) for _, others in sets)
    }
    found = {name for _, files in sets for name in files}
    left_out = tuple(name for name in FILE_NAMES if name in found - agreed.keys())
    lone = tuple(name for name in left_out if _is_undisputed(name, [files for _, files in sets]))
    return Choice(agreed, tuple(asset.name for asset in known), left_out, lone)


def _is_undisputed(name: str, sets: list[dict[str, str]]) -> bool:
    first, *others = [files[name] for files in sets if name in files]
    return all(_are_alike(first, path) for path in others)


def carry(choice: Choice, results: str) -> dict[str, Any]:
    """Copy the chosen files into results; what is there already stays.

    Returns:
        `files`, `sources`, `left_out`, `lone`, `kept` (the processing's own), and `problem` where
        there is one.
    """
    copied: list[str] = []
    kept: list[str] = []
    report: dict[str, Any] = {"sources": list(choice.sources), "left_out": list(choice.left_out)}
    report |= {"lone": list(choice.lone), "files": copied, "kept": kept}
    problems = [] if choice.problem is None else [choice.problem]
    for name, path in choice.files.items():
        target = os.path.join(results, name)
        if os.path.lexists(target):
            kept.append(name)
            continue
        try:
            write_file(target, read_bytes(path, _MAX_BYTES))
        except (OSError, UnusableFileError) as error:
            why = f"it {error}" if isinstance(error, UnusableFileError) else error.strerror
            problems.append(f"{path} cannot be copied to {results}: {why}")
        else:
            copied.append(name)
    if problems:
        report["problem"] = "; ".join(problems)
    return report


def _list_files(asset: DataAsset) -> dict[str, str]:
    return {name: os.path.join(asset.path, name) for name in FILE_NAMES if name in asset.files}


def _holds(files: dict[str, str], others: dict[str, str]) -> bool:
    return all(name in files and _are_alike(files[name], path) for name, path in others.items())


def _are_alike(one: str, other: str) -> bool:
    """Whether two files say the same, to the byte or as JSON; one that cannot be read does not."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        texts = read_bytes(one, _MAX_BYTES), read_bytes(other, _MAX_BYTES)
    except (OSError, UnusableFileError):
        return False
    try:
        return texts[0] == texts[1] or json.loads(texts[0]) == json.loads(texts[1])
    except (ValueError, RecursionError):
        return False


def _get_folder_name(asset: DataAsset) -> str:
    return os.path.basename(os.path.abspath(asset.path))


def main(words: list[str]) -> int:
    """Carry the metadata of one run."""
    if len(words) not in (2, 3):
        print("usage: python -m aind_capsule.provenance.carry DATA RESULTS [NAME]", file=sys.stderr)
        return 2
    data, results, *wanted = words
    choice = choose_metadata(find_assets(data), wanted[0] if wanted else None)
    report = carry(choice, results)
    print(json.dumps(report), flush=True)
    return 1 if "problem" in report else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
