"""Cut a record to a size: the canonical record must fit what is left of a full disk.

Called by the log's writer for the last record, and for records from inside that are too long for
the socket. The work is in proportion to the record, however many fields it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import CUT_MARK

#: Cut last: without these the record does not say how the run ended.
_KEPT_TYPES = ("integer", "number", "boolean")
#: What a standard field keeps at the least.
_LEAST_BYTES = 64
_MAX_NAMES = 20


def shrink(fields: Mapping[str, Any], limit_bytes: int) -> dict[str, Any]:
    """The record with its largest values cut until it fits; `truncated` names what was cut.

    Fields that are not the standard's are cut first, and left out where that is not enough. A
    record of 8 KiB or more can always be reached.

    >>> shrink({"message": "m", "parameters": {"x": "y" * 5000}}, 200)["truncated"]
    ['parameters']
    """
    data = encode(fields)
    if len(data) <= limit_bytes:
        return dict(fields)
    kept = decode(data) or {}
    sizes = {name: _measure({name: value}) for name, value in kept.items()}
    total = 2 + sum(sizes.values())
    budget = limit_bytes - min(2048, limit_bytes // 4)  # the rest is for the names
    cut: dict[str, None] = {}
    order = sorted(filter(_may_be_cut, kept), key=lambda name: (name in BY_NAME, -sizes[name]))
    for is_last_pass in (False, True):
        for name in order:
            if total <= budget:
                break
            total -= sizes[name]
            if is_last_pass and name not in BY_NAME:
                del kept[name]
                sizes[name] = 0
            else:
                keep_bytes = _LEAST_BYTES if is_last_pass else max(256, limit_bytes // 16)
                if sizes[name] > keep_bytes:
                    kept[name] = _cut(kept[name], keep_bytes)
                    sizes[name] = _measure({name: kept[name]})
                else:
                    total += sizes[name]
                    continue
            total += sizes[name]
            cut[name] = None
    return {**kept, "truncated": _name(list(cut))}


def _may_be_cut(name: str) -> bool:
    field = BY_NAME.get(name)
    if field is None:
        return True
    return field.type not in _KEPT_TYPES and not field.choices and not field.pattern


def _measure(part: Any) -> int:
    return len(encode(part))


def _name(names: list[str]) -> list[str]:
    """The names of what was cut, within what is kept free for them."""
    shown = [name if _measure(name) <= 64 else _cut_text(name, 60) for name in names[:_MAX_NAMES]]
    more = len(names) - len(shown)
    return [*shown, f"… and {more} more"] if more else shown


def _cut(value: Any, keep_bytes: int) -> Any:
    """Keep the beginning of a text, the first entries of a list or table."""
    left = keep_bytes
    if isinstance(value, list):
        kept: list[Any] = []
        for item in value:
            left -= _measure(item) + 1
            if left < 0:
                break
            kept.append(item)
        return kept
    if isinstance(value, Mapping):
        table: dict[str, Any] = {}
        for key, item in value.items():
            size = _measure({key: item})
            if size > left and isinstance(item, str) and left > _LEAST_BYTES + len(key.encode()):
                item = _cut_text(item, left - len(key.encode()) - 8)  # noqa: PLW2901
                size = _measure({key: item})
            if size <= left:
                table[key] = item
                left -= size
        return table
    return _cut_text(value if isinstance(value, str) else encode(value).decode(), keep_bytes)


def _cut_text(text: str, keep_bytes: int) -> str:
    """As much of a text as is so long in JSON, where a character may take six bytes."""
    kept = text.encode()[:keep_bytes].decode("utf-8", "ignore")
    while kept and _measure(kept) > keep_bytes:
        excess = _measure(kept) - keep_bytes
        kept = kept[: len(kept) - max(1, excess // 6)]
    return f"{kept}{CUT_MARK}"
