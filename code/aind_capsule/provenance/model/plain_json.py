"""JSON as it was read, made such that it can be written again and followed to its end."""

from __future__ import annotations

import math
from typing import Any

from aind_capsule.records.simplify import simplify_text

#: Deeper than the schema takes (255), and far from where Python gives up.
MAX_NESTING = 300


class NestingError(Exception):
    """A value that is nested deeper than `MAX_NESTING`."""


def clean(value: Any, levels_left: int = MAX_NESTING) -> Any:
    """Return a value without what JSON can hold or Python reads, and nothing can write.

    Lone surrogates are replaced, and NaN and Infinity become text.

    Raises:
        NestingError: It is nested too deeply.

    >>> clean({"a": [float("nan"), 1.5, float("-inf")]})
    {'a': ['NaN', 1.5, '-Infinity']}
    """
    if isinstance(value, str):
        return simplify_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if not isinstance(value, (dict, list)):
        return value
    if not levels_left:
        raise NestingError
    if isinstance(value, list):
        return [clean(inner, levels_left - 1) for inner in value]
    return {simplify_text(name): clean(inner, levels_left - 1) for name, inner in value.items()}
