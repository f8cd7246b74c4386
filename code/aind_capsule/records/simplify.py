"""Any Python value as plain JSON values: what users log may be anything, and none may break a line.

Called by `encode` for what the JSON encoder does not take itself. Never raises, never imports the
libraries whose values it knows (numpy, pydantic): it recognises them by what they offer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import Enum
from os import PathLike, fspath
from typing import Any

#: Deeper nesting than this is written as text: people read it, and encoders have their limits.
MAX_DEPTH = 100
#: Longer arrays than this are described (shape, type), not written out: a log is no data store.
MAX_ARRAY_ITEMS = 1000
MAX_REPR_CHARACTERS = 10_000
_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1


def simplify(value: Any, depth: int = 0) -> Any:
    """A tree of dict (string keys), list, str, int (64 bits), finite float, bool and None.

    NaN and the infinities become None (JSON has none of them), integers beyond 64 bits and
    lone surrogates become text.

    >>> simplify({1: float("nan"), "1": 2**70, "x": {"y"}})
    {'1': None, '1_': '1180591620717411303424', 'x': ['y']}
    """
    if value is None or value is True or value is False:
        return value
    if depth >= MAX_DEPTH:
        return repr_safely(value)
    if isinstance(value, Enum):
        return simplify(value.value, depth + 1)
    if isinstance(value, str):
        return simplify_text(value)
    if isinstance(value, int):
        plain = int.__int__(value)
        return plain if _INT64_MIN <= plain <= _UINT64_MAX else str_of_integer(plain)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    try:
        if isinstance(value, Mapping):
            return _simplify_mapping(value, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return [simplify(item, depth + 1) for item in list(value)]
        leaf = simplify_leaf(value)
    except RecursionError:
        return repr_safely(value)
    except Exception:  # the value's own code failed; what it is called is still worth a line
        return repr_safely(value)
    return leaf if isinstance(leaf, (str, type(None))) else simplify(leaf, depth + 1)


def _simplify_mapping(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in list(value.items()):
        name = simplify_text(key if isinstance(key, str) else _name_of_key(key))
        while name in plain:
            name += "_"
        plain[name] = simplify(item, depth + 1)
    return plain


def _name_of_key(key: Any) -> str:
    plain = simplify(key)
    return plain if isinstance(plain, str) else str(plain)


def simplify_leaf(value: Any) -> Any:
    """One step towards plain values for what no JSON encoder takes; the hook of the fast path.

    Raises:
        Exception: Whatever the value's own methods raise.
    """
    if isinstance(value, (str, int, float)):
        return simplify(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, PathLike):
        return simplify_text(decode_bytes(fspath(value)))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return decode_bytes(bytes(value))
    if isinstance(value, BaseException):
        return simplify_text(f"{type(value).__name__}: {str_safely(value)}")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    kind = type(value)
    if hasattr(kind, "model_dump"):  # pydantic 2
        return value.model_dump(mode="json")
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__}
    if hasattr(kind, "tolist") and hasattr(kind, "dtype"):  # numpy scalars and arrays
        if getattr(value, "size", 1) > MAX_ARRAY_ITEMS:
            return f"array(shape={tuple(value.shape)}, dtype={value.dtype})"
        plain = value.tolist()
        return plain if type(plain) is not kind else repr_safely(value)
    return repr_safely(value)


def simplify_text(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates become their escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return str.__str__(text)


def decode_bytes(value: bytes | str) -> str:
    r"""Bytes as text; what is not UTF-8 is shown as `\xNN`."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def str_of_integer(value: int) -> str:
    """A huge integer in decimal, or in hexadecimal beyond Python's limit for decimal."""
    try:
        return str(int(value))
    except ValueError:
        return hex(value)[:MAX_REPR_CHARACTERS]


def str_safely(value: Any) -> str:
    """`str(value)` of an object that may be broken."""
    try:
        return str(value)[:MAX_REPR_CHARACTERS]
    except Exception:  # the object's own code failed
        return f"<{type(value).__name__} whose str() fails>"


def repr_safely(value: Any) -> str:
    """`repr(value)` of an object that may be broken, as text that UTF-8 can hold."""
    try:
        return simplify_text(repr(value)[:MAX_REPR_CHARACTERS])
    except Exception:  # the object's own code failed
        return f"<{type(value).__name__} whose repr() fails>"
