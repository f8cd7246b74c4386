"""Which acquisition an asset is of, where its folder and its description name different ones.

Of 97 real records four have the time of the upload in their description, and the folder is right. A
name has the wall clock of the rig, and the start of a session may have a zone, so it is read as it
stands and as the wall clock of Seattle.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

from aind_capsule.context.asset_names import AssetName

_START = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:[.,]\d+)?\s*"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d))?",
    re.ASCII,
)
_STANDARD_TIME, _DAYLIGHT_TIME = dt.timedelta(hours=-8), dt.timedelta(hours=-7)


def choose_acquisition(
    described: AssetName | None, folders: Sequence[AssetName], start: str | None
) -> tuple[AssetName | None, str | None]:
    """Return the name that tells the acquisition, and a sentence where the names disagree.

    Args:
        described: That of the asset's description.
        folders: Those of its folder, and of the folder behind a link.
        start: When its session or acquisition started, as its metadata say.
    """
    others = [name for name in folders if name.acquisition_name != _get_name(described)]
    if described is None or not others:
        return described or next(iter(folders), None), None
    folder = others[0]
    same = [name for name in others if name.subject_id == described.subject_id]
    taken, why = described, "it names the subject"
    if same:
        folder = taken = same[0]
        why = "no start of a session decides"
        clocks = [] if start is None else read_wall_clocks(start)
        if clocks:
            away = {name: _find_distance(name, clocks) for name in (*same, described)}
            taken = min(away, key=lambda name: away[name])
            is_equal = len(set(away.values())) == 1
            why = f"{start} is {'as near to both' if is_equal else 'nearer to it'}"
    return taken, (
        f"The folder's name says the acquisition {folder.acquisition_name!r}, its description"
        f" {described.acquisition_name!r}: {taken.acquisition_name!r} was taken, {why}."
    )


def read_wall_clocks(start: str) -> list[dt.datetime]:
    """Return what a clock may have shown at a start: as it is written, and in Seattle.

    All of them are in UTC here, whatever zone the clock was in: they are compared with each other.

    >>> [f"{clock:%H:%M}" for clock in read_wall_clocks("2025-07-16T20:46:00.5Z")]
    ['20:46', '13:46']
    >>> [f"{clock:%H:%M}" for clock in read_wall_clocks("2025-01-16 20:46:00")]
    ['20:46']
    """
    match = _START.fullmatch(start.strip())
    if match is None:
        return []
    try:
        written = dt.datetime.fromisoformat(f"{match['date']}T{match['time']}+00:00")
    except ValueError:
        return []
    if match["zone"] is None:
        return [written]
    offset = dt.timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
    utc = written + offset if match["sign"] == "-" else written - offset
    return [written, utc + find_seattle_offset(utc)]


def find_seattle_offset(utc: dt.datetime) -> dt.timedelta:
    """Return the offset of America/Los_Angeles at a time in UTC, by the rule since 2007.

    Containers often have no database of zones. Daylight time is from 2 a.m. of the second Sunday of
    March to 2 a.m. of the first Sunday of November (Energy Policy Act of 2005, section 110).
    """
    march = _find_sunday(utc.year, 3, 8) + dt.timedelta(hours=2) - _STANDARD_TIME
    november = _find_sunday(utc.year, 11, 1) + dt.timedelta(hours=2) - _DAYLIGHT_TIME
    return _DAYLIGHT_TIME if march <= utc < november else _STANDARD_TIME


def _find_sunday(year: int, month: int, day: int) -> dt.datetime:
    """Return the first Sunday from a day on."""
    first = dt.datetime(year, month, day, tzinfo=dt.timezone.utc)
    return first + dt.timedelta(days=6 - first.weekday())


def _find_distance(name: AssetName, clocks: Sequence[dt.datetime]) -> float:
    """Return how far a name's time is from the nearest clock, in seconds."""
    try:
        told = dt.datetime.strptime(f"{name.acquired}+0000", "%Y-%m-%d_%H-%M-%S%z")
    except ValueError:
        return float("inf")
    return min(abs((told - clock).total_seconds()) for clock in clocks)


def _get_name(name: AssetName | None) -> str | None:
    return None if name is None else name.acquisition_name
