"""The `data_description.json` of a derived asset, of that of the data that it is derived from.

Its name is `<input>_<label>_<time>` (AIND's rule for derived assets; an asset derived from a
derived one keeps the first input's name), by aind-data-schema's own derivation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.acquisition_choice import find_asset_name
from aind_capsule.context.asset_names import parse_asset_name
from aind_capsule.errors import CapsuleError
from aind_capsule.provenance.gather import Source
from aind_capsule.provenance.known_runs import KnownRun
from aind_capsule.provenance.model.description_upgrade import (
    UpgradedDescription,
    upgrade_description,
)
from aind_capsule.provenance.run_facts import read_text, read_texts
from aind_capsule.provenance.schema import check_schema, derive_description
from aind_capsule.records.timestamps import US_PER_S, parse_timestamp

#: A label and a time, as the schema wants them behind the input's name; neither is kept.
_ANY_STEP = "step_1970-01-01_00-00-00"
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")
#: A time without its zone may be so far from UTC.
_WIDEST_ZONE_US = 14 * 3600 * US_PER_S


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived description.

    Attributes:
        content: It.
        sources: Names of the assets that it is derived from.
        gaps: What the source does not say and was filled, or says and was left out.
    """

    content: dict[str, Any]
    sources: tuple[str, ...]
    gaps: tuple[str, ...] = ()


class NoSourceError(CapsuleError):
    """There is no data description to derive one from, or there are several that disagree."""


def derive(
    descriptions: Iterable[Source],
    runs: Iterable[KnownRun],
    label: str,
    wanted: str | None = None,
) -> Derived:
    """The description of what the runs have made.

    Args:
        descriptions: Those that were found.
        runs: The runs; a description that they have made is none of their inputs.
        label: What stands between input and time in the name.
        wanted: The name of the asset to derive it from; by default the only one.

    Raises:
        NoSourceError: It is not clear what to derive it from.
        InvalidRecordError: The schema refuses it; the message names the fields.
    """
    results: dict[str, int] = {}
    for run in runs:
        for folder in run.outputs:
            results[folder] = min(run.started_us, results.get(folder, run.started_us))
    inputs: dict[str, Mapping[str, Any]] = {}
    for source in descriptions:
        described = read_text(source.content, "name")
        name = find_asset_name(
            os.path.dirname(source.path), described, read_text(source.content, "subject_id")
        )
        if name and not _is_made(source, results):
            inputs.setdefault(name, {**source.content, "name": name})
            if wanted is not None and wanted == described:
                wanted = name
    base, sources = _choose(inputs, wanted)
    check_schema()
    upgraded = UpgradedDescription(dict(base))
    if "modalities" not in base:
        upgraded = upgrade_description(base)
    name = read_text(base, "name")
    content, contradiction = _settle_level(upgraded.content)
    gaps = tuple(f"{name}: {gap}" for gap in (*upgraded.gaps, *contradiction))
    return Derived(derive_description(content, label, sources), tuple(sources), gaps)


def _choose(
    inputs: Mapping[str, Mapping[str, Any]], wanted: str | None
) -> tuple[Mapping[str, Any], list[str]]:
    """The description to derive from, and the names of all sources."""
    last = sorted(
        name for name in inputs if not any(_is_of(other, name) for other in inputs.values())
    )
    if wanted is not None:
        if wanted not in inputs:
            known = ", ".join(sorted(inputs)) or "none"
            raise NoSourceError(
                f"No data_description.json is of {wanted!r}; found: {known}",
                hint="Name a folder that holds it, or another asset by --source.",
            )
        return inputs[wanted], [wanted, *(name for name in last if name != wanted)]
    if not last:
        raise NoSourceError(
            "No data_description.json of an input was found",
            hint="Name the input data asset's folder too: capsule provenance collect DIR ASSET",
        )
    if len({_find_input(name, inputs[name]) for name in last}) > 1:
        raise NoSourceError(
            f"The inputs are several: {', '.join(last)}",
            hint="Say by --source NAME which of them the derived asset is named for.",
        )
    return inputs[last[0]], last


def _settle_level(content: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a description whose level fits its name, and what was wrong with it.

    A derived asset is named for the first input: a part of a derived asset's name, the whole name
    of a raw one. An analysis (`<project>_<analysis>_<time>`) looks like a raw one: its name is kept
    whole as well.
    """
    name, level = read_text(content, "name"), content.get("data_level")
    parsed = parse_asset_name(name, read_text(content, "subject_id")) if name else None
    if parsed is None or level not in ("raw", "derived", None) or level == parsed.level:
        return content, ()
    said = "not said" if level is None else repr(level)
    problem = f"data_level is {said}, and the name is that of {parsed.level} data"
    if parsed.level == "derived":
        return {**content, "data_level": "derived"}, (problem,)
    if level is None:
        raw = {field: value for field, value in content.items() if field != "source_data"}
        return {**raw, "data_level": "raw"}, (problem,)
    # The schema finds the input only in a name with a step.
    whole = f"{name}_{_ANY_STEP}"
    return {**content, "name": whole}, (f"{problem} or of an analysis, and was kept whole",)


def _is_of(description: Mapping[str, Any], name: str) -> bool:
    """Whether an asset is derived from the one of a name."""
    own = read_text(description, "name") or ""
    sources = [*read_texts(description, "source_data"), read_text(description, "input_data_name")]
    return own != name and (name in sources or own.startswith(f"{name}_"))


def _find_input(name: str, description: Mapping[str, Any]) -> str:
    """The first input that an asset's name tells: its own name where it is raw."""
    parsed = parse_asset_name(name, read_text(description, "subject_id"))
    return name if parsed is None else parsed.acquisition_name


def _is_made(source: Source, results: Mapping[str, int]) -> bool:
    """Whether a description is of what a run has made: in its results, and not older than it."""
    told = read_text(source.content, "creation_time") or ""
    created_us = parse_timestamp(told)
    if created_us is not None and not _ZONE.search(told):
        created_us += _WIDEST_ZONE_US
    folder = source.folder
    while True:
        started_us = results.get(folder)
        if started_us is not None and (created_us is None or created_us >= started_us):
            return True
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above
