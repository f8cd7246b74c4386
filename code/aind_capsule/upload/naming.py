"""The name of the data asset that results become: `<input>_<label>_<YYYY-MM-DD_HH-MM-SS>`.

The input's name is the raw one, also where the input is derived itself: names of AIND's assets tell
the acquisition and the last step, and not the chain between.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aind_capsule.context.asset_names import parse_asset_name
from aind_capsule.errors import UsageError
from aind_capsule.records.naming import is_run_id
from aind_capsule.settings.s3_values import parse_asset_name as parse_asset_name_setting

_TIME_FORMAT = "%Y-%m-%d_%H-%M-%S"
_TIME_CHARS = 19
_MAX_BYTES = 64 * 1024 * 1024
RUN_SUFFIX = ".run.json"
_DESCRIPTION = "data_description.json"


class NoNameError(UsageError):
    """The asset's name cannot be derived from the inputs."""


class InputNameError(NoNameError):
    """The asset's name is that of an input."""


def build_asset_name(inputs: Iterable[str], label: str, now: dt.datetime) -> str:
    """The name of what was derived from some inputs.

    Args:
        inputs: Names of the input data assets.
        label: What was done.
        now: UTC.

    Raises:
        NoNameError: There is no input, or several of different acquisitions.

    >>> inputs = ["ecephys_1_2024-01-02_03-04-05_sorted_2024-02-03_04-05-06"]
    >>> build_asset_name(inputs, "qc", dt.datetime(2024, 3, 4, 5, 6, 7))
    'ecephys_1_2024-01-02_03-04-05_qc_2024-03-04_05-06-07'
    """
    raw = {name for name in map(_find_raw_name, inputs) if name is not None}
    if len(raw) != 1:
        reason = f"the inputs are of several acquisitions ({', '.join(sorted(raw))})"
        if not raw:
            reason = "no input data asset is named after its acquisition"
        raise NoNameError(
            f"The asset's name is not known: {reason}", hint="Pass --asset-name NAME."
        )
    return f"{raw.pop()}_{label}_{now.strftime(_TIME_FORMAT)}"


def find_next_name(name: str) -> str | None:
    """The same name a second later, where it ends in a time.

    >>> find_next_name("1_2024-01-02_03-04-05_qc_2024-03-04_05-06-59")
    '1_2024-01-02_03-04-05_qc_2024-03-04_05-07-00'
    """
    try:
        time = dt.datetime.strptime(name[-_TIME_CHARS:], _TIME_FORMAT)  # noqa: DTZ007
    except ValueError:
        return None
    return name[:-_TIME_CHARS] + (time + dt.timedelta(seconds=1)).strftime(_TIME_FORMAT)


def check_asset_name(name: str) -> str:
    """A name that somebody gave.

    Raises:
        UsageError: It cannot be one part of a key.
    """
    try:
        return parse_asset_name_setting(name)
    except ValueError as error:
        raise UsageError(
            f"{name!r} cannot be the name of an asset", hint=f"Give {error}."
        ) from error


def read_run(folder: str | None) -> dict[str, Any]:
    """The `run.json` of the run that made a folder's files; empty where it is not clear."""
    if folder is None:
        return {}
    names = [name for name in os.listdir(folder) if name.endswith(RUN_SUFFIX)]
    content = _read(os.path.join(folder, names[0])) if len(names) == 1 else {}
    return content if is_run_id(str(content.get("run_id"))) else {}  # else others named it so


def find_asset_name(
    folder: str, run: Mapping[str, Any], label: str, now: dt.datetime
) -> tuple[str, bool]:
    """The name of the asset that a folder becomes, and whether it may be a second later.

    Args:
        folder: Its `data_description.json` tells its name, where there is one.
        run: The run that made it: its inputs tell the acquisition.
        label: What was done.
        now: UTC.

    Raises:
        NoNameError: Neither tells it.
    """
    name = _read(os.path.join(folder, _DESCRIPTION)).get("name")
    if isinstance(name, str) and parse_asset_name(name) is not None:
        return name, False
    rows = run.get("inputs", ())
    inputs = [str(row.get("name")) for row in rows if isinstance(row, dict)]
    return build_asset_name(inputs, label, now), True


def find_input_names(told: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that a run's input assets go by.

    These are the names of entries, of what they lead to, and of the acquisition by the metadata.

    Args:
        told: Of `run.json`, or what a run knows of its inputs.
    """
    identity = told.get("identity")
    also = identity.get("acquisition_name") if isinstance(identity, dict) else None
    names = {name for name in (told.get("acquisition_name"), also) if isinstance(name, str)}
    lists = (told.get("inputs"), told.get("data_assets"))
    for row in (row for rows in lists if isinstance(rows, (list, tuple)) for row in rows):
        if not isinstance(row, dict):
            continue
        links = row.get("links")
        paths = [row.get("name"), row.get("path"), *(links if isinstance(links, list) else ())]
        names.update(os.path.basename(path) for path in paths if isinstance(path, str))
    return frozenset(names - {""})


def find_described_inputs(folder: str) -> set[str]:
    """Return the names of input assets that a folder's `data_description.json` tells.

    These are what it names as source. Where it is a raw asset's it was copied from an input, and
    results that bear its name would be written over the raw data.
    """
    told = _read(os.path.join(folder, _DESCRIPTION))
    sources = told.get("source_data")
    names = [told.get("input_data_name"), *(sources if isinstance(sources, list) else ())]
    name = told.get("name")
    if isinstance(name, str):
        parsed = parse_asset_name(name)
        is_raw = parsed is not None and parsed.level == "raw"
        if is_raw or str(told.get("data_level")).lower().startswith("raw"):
            names.append(name)
    return {name for name in names if isinstance(name, str) and name}


def refuse_input_name(name: str, inputs: Collection[str], label: str, now: dt.datetime) -> None:
    """Refuse the name of an input asset for what was derived from it.

    Args:
        name: The name that results would get.
        inputs: The names of input assets.
        label: What was done, for the name that is proposed.
        now: UTC.

    Raises:
        InputNameError: It is an input's.
    """
    parsed = parse_asset_name(name)
    is_acquisition = (
        parsed is not None and parsed.level == "raw" and parsed.acquisition_name in inputs
    )
    if name not in inputs and not is_acquisition:
        return
    raw = _find_raw_name(name) or name
    raise InputNameError(
        f"{name} is the name of an input asset: results are not written over it",
        hint=f"Pass --asset-name {raw}_{label}_{now.strftime(_TIME_FORMAT)}, or another name.",
    )


def _find_raw_name(name: str) -> str | None:
    parsed = parse_asset_name(name)
    if parsed is None or not parsed.is_complete:
        return None
    return name if parsed.derived is None else name.removesuffix(f"_{parsed.derived}")


def _read(path: str) -> dict[str, Any]:
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            return {}
        with open(path, "rb") as file:
            told = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
