"""Times of processing records: without a zone they are UTC, wherever they are read.

Containers run in UTC. The schema itself would take the zone of the machine that reads the record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: What the notes of a step say whose times had no zone.
TAKEN_AS_UTC = "Times without a zone were taken as UTC"
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d(?P<time>[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?", re.ASCII)
_FIELDS = ("start_date_time", "end_date_time")
_USAGES = ("cpu_usage", "gpu_usage", "ram_usage")


def add_zones(process: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose times have zones; its notes say so where some had none.

    >>> add_zones({"start_date_time": "2023-02-02T21:58:54.4"})["start_date_time"]
    '2023-02-02T21:58:54.4Z'
    >>> add_zones({"start_date_time": "2023-02-02T21:58:54-08:00"})
    {'start_date_time': '2023-02-02T21:58:54-08:00'}
    """
    changed = {
        name: zoned
        for name in _FIELDS
        if (zoned := _add_zone(process.get(name))) != process.get(name)
    }
    resources = process.get("resources")
    if isinstance(resources, Mapping):
        usages = {
            name: [_add_zone_to_sample(sample) for sample in resources[name]]
            for name in _USAGES
            if isinstance(resources.get(name), list)
        }
        if any(usages[name] != resources[name] for name in usages):
            changed["resources"] = {**resources, **usages}
    if not changed:
        return dict(process)
    notes = process.get("notes")
    if isinstance(notes, str) and notes.strip():
        is_said = TAKEN_AS_UTC in notes
        changed["notes"] = notes if is_said else f"{notes.strip()}\n{TAKEN_AS_UTC}"
    elif notes in (None, "") or isinstance(notes, str):
        changed["notes"] = TAKEN_AS_UTC
    return {**process, **changed}


def _add_zone_to_sample(sample: Any) -> Any:
    if not isinstance(sample, Mapping) or "timestamp" not in sample:
        return sample
    return {**sample, "timestamp": _add_zone(sample["timestamp"])}


def _add_zone(value: Any) -> Any:
    match = _NAIVE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    text = match.group().replace(",", ".")
    return f"{text}Z" if match["time"] else f"{text}T00:00:00Z"
