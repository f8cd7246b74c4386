"""Cut a record to a size: the canonical record must fit what is left of a full disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.records.encode import encode
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import decode_bytes

#: Cut last: without these the record does not say how the run ended.
_KEPT_TYPES = ("integer", "number", "boolean")


def shrink(fields: Mapping[str, Any], limit_bytes: int) -> dict[str, Any]:
    """The record with its largest values cut until it fits; `truncated` names what was cut.

    >>> shrink({"message": "m", "parameters": {"x": "y" * 5000}}, 200)["truncated"]
    ['parameters']
    """
    kept = dict(fields)
    size = len(encode(kept))
    if size <= limit_bytes:
        return kept
    sizes = {name: len(encode(value)) for name, value in kept.items() if _may_be_cut(name)}
    truncated: list[str] = []
    kept["truncated"] = truncated
    for name in sorted(sizes, key=lambda name: (name in BY_NAME, -sizes[name])) * 2:
        is_again = name in truncated
        if name not in kept:
            continue
        if is_again and name not in BY_NAME:
            del kept[name]
        else:
            _cut(kept, name, 64 if is_again else max(256, limit_bytes // 16))
        if not is_again:
            truncated.append(name)
        if len(encode(kept)) <= limit_bytes:
            break
    return kept


def _may_be_cut(name: str) -> bool:
    field = BY_NAME.get(name)
    if field is None:
        return True
    return field.type not in _KEPT_TYPES and not field.choices and not field.pattern


def _cut(fields: dict[str, Any], name: str, keep_bytes: int) -> None:
    """Keep the beginning of a text, the first entries of a list or table."""
    value = fields[name]
    if isinstance(value, list):
        kept: list[Any] = []
        for item in value:
            if len(encode([*kept, item])) > keep_bytes:
                break
            kept.append(item)
        fields[name] = kept
    elif isinstance(value, Mapping):
        table: dict[str, Any] = {}
        for key, item in value.items():
            if len(encode({**table, str(key): item})) <= keep_bytes:
                table[str(key)] = item
        fields[name] = table
    else:
        text = value if isinstance(value, str) else decode_bytes(encode(value))
        fields[name] = text.encode()[:keep_bytes].decode("utf-8", "ignore") + "…"
