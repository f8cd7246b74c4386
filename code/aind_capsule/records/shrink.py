"""How long a record may be, and how one that is longer is cut.

The limits hold for records of every origin. A record is cut after its secrets are hidden, never
before. The work is in proportion to the record, however many fields it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.simplify import CUT_MARK

#: A line of a log is at most this long, its own fields and its line end included.
MAX_LINE_BYTES = 256 * 1024
#: A record on its way to the log, on the socket or as RFC 7464, is read to this length. Of a
#: longer one only the beginning is kept.
MAX_RECORD_BYTES = 1024 * 1024
#: Our own client keeps below it: room for what a user's settings add on the way.
MAX_SENT_BYTES = 1000 * 1024
#: The fields that every record of a run bears are at most this long together.
MAX_FIELDS_BYTES = 32 * 1024
#: What the log's writer adds to a record: `seq` and the line's end.
SEQ_BYTES = 48

#: Cut last: without these the record does not say how the run ended.
_KEPT_TYPES = ("integer", "number", "boolean")
#: What a standard field keeps at the least.
_LEAST_BYTES = 64
_MAX_NAMES = 20


def shrink(fields: Mapping[str, Any], limit_bytes: int) -> dict[str, Any]:
    """Return the record with its largest values cut until it fits; `truncated` names these.

    Fields that are not the standard's are cut first, the largest of them before others and only as
    far as is needed. Where that is not enough they are left out. A record of 8 KiB or more can
    always be reached.

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
    cut = dict.fromkeys(_find_cut_names(fields))
    order = sorted(filter(_may_be_cut, kept), key=lambda name: (name in BY_NAME, -sizes[name]))
    for is_standard in (False, True):
        group = [name for name in order if (name in BY_NAME) is is_standard]
        room = budget - total + sum(sizes[name] for name in group)
        level = max(256, limit_bytes // 16, _find_level([sizes[name] for name in group], room))
        for name in group if total > budget else ():
            if sizes[name] > level:
                total -= sizes[name]
                kept[name] = _cut(kept[name], level - _measure(name) - _LEAST_BYTES // 4)
                sizes[name] = _measure({name: kept[name]})
                total += sizes[name]
                cut[name] = None
    for name in order:
        if total <= budget:
            break
        total -= sizes[name]
        if name not in BY_NAME:
            del kept[name]
            cut[name] = None
        elif sizes[name] > _LEAST_BYTES:
            kept[name] = _cut(kept[name], _LEAST_BYTES)
            total += _measure({name: kept[name]})
            cut[name] = None
        else:
            total += sizes[name]
    return {**kept, "truncated": _name(list(cut))}


def fit_record(data: bytes) -> bytes:
    """Return an encoded record, open or whole, or what a line of a log holds of it.

    Args:
        data: The record, without secrets; open is one that lacks its closing brace.

    >>> fit_record(b'{"message":"m"')
    b'{"message":"m"'
    """
    limit_bytes = MAX_LINE_BYTES - SEQ_BYTES
    if len(data) <= limit_bytes:
        return data
    whole = decode(data)
    if whole is not None:
        return encode(shrink(whole, limit_bytes))
    return encode(shrink(decode(data + b"}") or {}, limit_bytes))[:-1]


def fit_fields(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that every record bears, cut where they are too long, and which are cut."""
    kept = shrink(fields, MAX_FIELDS_BYTES)
    return kept, kept.pop("truncated", [])


def is_cut(fields: Mapping[str, Any]) -> bool:
    """Return whether `truncated` has the form in which `shrink` names what it has cut."""
    names = fields.get("truncated")
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _find_cut_names(fields: Mapping[str, Any]) -> list[str]:
    """Return what was cut before, by a process that the record came from."""
    return list(fields["truncated"]) if is_cut(fields) else []


def _find_level(sizes: list[int], room: int) -> int:
    """Return the size to which the largest are cut, so that all fit; smaller ones stay.

    >>> _find_level([10, 50, 100], 90), _find_level([10, 50, 100], 200)
    (40, 100)
    """
    sizes = sorted(sizes)
    for index, size in enumerate(sizes):
        level = room // (len(sizes) - index)
        if size > level:
            return level
        room -= size
    return sizes[-1] if sizes else 0


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
    if isinstance(value, list):
        return list(_cut_entries(enumerate(value), keep_bytes, 1).values())
    if isinstance(value, Mapping):
        return _cut_entries(value.items(), keep_bytes, 4)
    return _cut_text(value if isinstance(value, str) else encode(value).decode(), keep_bytes)


def _cut_entries(
    entries: Iterable[tuple[Any, Any]], keep_bytes: int, own_bytes: int
) -> dict[Any, Any]:
    """Cut the largest entries; keep the first ones where there are too many."""
    given = list(entries)
    keys = [own_bytes + (_measure(key) if own_bytes > 1 else 0) for key, _ in given]
    sizes = [size + _measure(item) for size, (_, item) in zip(keys, given, strict=True)]
    left = keep_bytes - 2
    level = max(_find_level(sizes, left), 2 * _LEAST_BYTES)
    kept: dict[Any, Any] = {}
    for key_bytes, size, (key, item) in zip(keys, sizes, given, strict=True):
        is_cut = size > level and isinstance(item, (str, list, Mapping))
        shown = _cut(item, level - key_bytes - _LEAST_BYTES // 4) if is_cut else item
        left -= key_bytes + _measure(shown) if is_cut else size
        if left < 0:
            break
        kept[key] = shown
    return kept


def _cut_text(text: str, keep_bytes: int) -> str:
    """As much of a text as is so long in JSON, where a character may take six bytes."""
    kept = text.encode()[:keep_bytes].decode("utf-8", "ignore")
    while kept and _measure(kept) > keep_bytes:
        excess = _measure(kept) - keep_bytes
        kept = kept[: len(kept) - max(1, excess // 6)]
    return f"{kept}{CUT_MARK}"
