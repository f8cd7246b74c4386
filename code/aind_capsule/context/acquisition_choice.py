"""Choose the acquisition and the name of an asset whose folder and metadata say different ones.

Called by `assets`. Of 97 real assets 4 bear the time of their upload in `data_description.json`,
and all are in folders with the right name. A folder may be a mount with a name of its own.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aind_capsule.context.asset_names import NAME_TIME_FORMAT, AssetName, parse_asset_name

_OFFSET = re.compile(r"(?:[Zz]|[+-]\d\d:?\d\d)$")
_FRACTION = re.compile(r"[.,]\d+")


@dataclass(frozen=True, slots=True)
class NameSource:
    """An asset's name, and where it stands.

    Attributes:
        name: The name.
        place: The file or folder that says it.
        parsed: The name's parts, or None where it names no acquisition.
        is_folder: Whether a folder bears it.
    """

    name: str
    place: str
    parsed: AssetName | None
    is_folder: bool


def choose_acquisition(
    sources: Iterable[NameSource], subject_id: str | None, start: str | None
) -> tuple[AssetName | None, str | None]:
    """Choose among the names of one asset.

    Args:
        sources: The names, a folder's before a file's.
        subject_id: The subject by the metadata.
        start: When the session or acquisition started, as its file has it.

    Returns:
        The parts of the chosen name, and a sentence where the names disagree.
    """
    named = [(source, source.parsed) for source in sources if source.parsed is not None]
    if not named:
        return None, None
    by_acquisition: dict[str, tuple[NameSource, AssetName]] = {}
    for source, parsed in named:
        by_acquisition.setdefault(parsed.acquisition_name, (source, parsed))
    if len(by_acquisition) == 1:
        return named[0][1], None
    left, why = list(by_acquisition.values()), ""
    fitting = [pair for pair in left if pair[1].subject_id == subject_id]
    if fitting and len(fitting) < len(left):
        left, why = fitting, f"its subject is the metadata's ({subject_id})"
    if len({parsed.subject_id for _, parsed in left}) > 1:
        described = [pair for pair in left if not pair[0].is_folder]
        left, why = described or left[:1], "the metadata describe the data, wherever they are"
    if len(left) > 1:
        left, why = _find_nearest(left, start)
    source, parsed = left[0]
    said = ", ".join(
        f"{other.acquisition_name!r} in {place.place}" for place, other in by_acquisition.values()
    )
    return parsed, f"The names disagree: {said}. Taken: {parsed.acquisition_name!r}, since {why}."


def _find_nearest(
    named: Sequence[tuple[NameSource, AssetName]], start: str | None
) -> tuple[list[tuple[NameSource, AssetName]], str]:
    """Find the name nearest to the start, or the first where none is, and the reason."""
    readings = read_start(start)
    if not readings:
        return [named[0]], "no start of the acquisition is known, and it is the folder's"

    def measure(pair: tuple[NameSource, AssetName]) -> dt.timedelta:
        named_at = dt.datetime.strptime(pair[1].acquired, NAME_TIME_FORMAT)  # noqa: DTZ007
        return min(abs(reading - named_at) for reading in readings)

    nearest = min(named, key=measure)  # the first of several
    if all(measure(pair) == measure(nearest) for pair in named):
        return [nearest], f"none is nearer to the start ({start}), and it is the folder's"
    return [nearest], f"it is nearer to the start ({start})"


def read_start(text: str | None) -> list[dt.datetime]:
    """Return the wall clocks that a start may have been: as it is written, and in Seattle.

    Names have the time of the place of the acquisition, and old files their times in UTC.

    >>> [str(reading) for reading in read_start("2025-07-16T20:46:00Z")]
    ['2025-07-16 20:46:00', '2025-07-16 13:46:00']
    >>> [str(reading) for reading in read_start("2025-07-16T20:46:00")]
    ['2025-07-16 20:46:00']
    """
    text = (text or "").strip()
    offset = _OFFSET.search(text)
    bare = _FRACTION.sub("", text[: offset.start()] if offset else text)
    try:
        written = dt.datetime.fromisoformat(bare)
        if offset is None or ":" not in bare:
            return [written]
        return [written, _to_seattle(written - _read_offset(offset[0]))]
    except (ValueError, OverflowError):
        return []


def _read_offset(text: str) -> dt.timedelta:
    if text in "Zz":
        return dt.timedelta(0)
    size = dt.timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return -size if text[0] == "-" else size


def _to_seattle(utc: dt.datetime) -> dt.datetime:
    """Return the wall clock of Seattle by rule, for images without a database of zones."""
    starts = _find_sunday(utc.year, month=3, nth=2) + dt.timedelta(hours=10)
    ends = _find_sunday(utc.year, month=11, nth=1) + dt.timedelta(hours=9)
    return utc - dt.timedelta(hours=7 if starts <= utc < ends else 8)


def _find_sunday(year: int, *, month: int, nth: int) -> dt.datetime:
    first = dt.datetime(year, month, 1)  # noqa: DTZ001
    return first + dt.timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


def find_asset_name(folder: str, described: str | None, subject_id: str | None) -> str | None:
    """Find the name of the asset in a folder by its names alone, or None where neither is one.

    Args:
        folder: Its path, links as they are.
        described: The name in its description.
        subject_id: The subject, where metadata say it.
    """
    places = [
        (os.path.basename(os.path.abspath(folder)), True),
        (os.path.basename(os.path.realpath(folder)), True),
        (described, False),
    ]
    sources = [
        NameSource(name, "", parse_asset_name(name, subject_id), is_folder)
        for name, is_folder in places
        if name
    ]
    parsed, _ = choose_acquisition(sources, subject_id, None)
    name = choose_name(sources, parsed) if sources else None
    return name if described or parsed is not None else None


def choose_name(sources: Sequence[NameSource], acquisition: AssetName | None) -> str:
    """Choose the name that an asset goes by: not that of a mount.

    A folder's where it is complete and of the same subject; else that of the metadata; else the
    folder's. A folder that is named for the acquisition alone is the mount of a derived asset.

    Args:
        sources: The names, a folder's before a file's.
        acquisition: The chosen name's parts.
    """
    described = next((source for source in sources if not source.is_folder), None)
    of_described = described.parsed if described is not None else None
    for source in sources:
        parsed = source.parsed
        if not source.is_folder or parsed is None or not parsed.is_complete:
            continue
        if acquisition is None or parsed.subject_id != acquisition.subject_id:
            continue
        is_short = (
            of_described is not None
            and of_described.acquisition_name == parsed.acquisition_name
            and (of_described.level, parsed.level) == ("derived", "raw")
        )
        if not is_short:
            return source.name
    return sources[0].name if described is None else described.name
