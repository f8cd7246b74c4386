"""Copies of a record that are wrong at one place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

REMOVED = object()
VALUES: dict[str, Any] = {
    "removed": REMOVED, "null": None, "true": True, "number": 7, "text": "x", "list": [1],
    "list of objects": [{}], "object": {"x": 1}, "huge": 10**400, "NaN": float("nan"),
}  # fmt: skip


def list_places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, entry in inner:
        yield (*place, name)
        if isinstance(entry, (dict, list)):
            yield from list_places(entry, (*place, name))


def put(content: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy of a file with another value at one place."""
    altered = copy.deepcopy(content)
    table: Any = altered
    for name in place[:-1]:
        table = table[name]
    if value is REMOVED:
        del table[place[-1]]
    else:
        table[place[-1]] = value
    return altered
