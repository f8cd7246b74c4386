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
#: Ends a text that was cut. What stands before it may be the beginning of a secret, which the
#: redactor then looks for.
CUT_MARK = "…"
#: More lists, tables and objects than these are named, not written out: a small value can hold
#: another over and over again.
MAX_VALUES = 100_000
#: Modules whose values say it best by their `str()`.
_TEXT_MODULES = frozenset({"uuid", "decimal", "fractions", "ipaddress"})
_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1


def simplify(value: Any) -> Any:
    """A tree of dict (string keys), list, str, int (64 bits), finite float, bool and None.

    NaN and the infinities become None (JSON has none of them), integers beyond 64 bits and
    lone surrogates become text; what contains itself is cut where it begins again.

    >>> simplify({1: float("nan"), "1": 2**70, "x": {"y"}})
    {'1': None, '1_': '1180591620717411303424', 'x': ['y']}
    """
    return _Walk().simplify(value, 0)


class _Walk:
    """One walk through a value: knows what it is inside of, and how much it has seen."""

    def __init__(self) -> None:
        self._around: set[int] = set()
        self._left = MAX_VALUES

    def simplify(self, value: Any, depth: int) -> Any:
        """One value of the tree."""
        if value is None or value is True or value is False:
            return value
        try:
            return self._simplify(value, depth)
        except Exception:  # the value's own code failed; what it is called is still worth a line
            return repr_safely(value)

    def _simplify(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.simplify(value.value, depth + 1)
        if isinstance(value, str):
            return simplify_text(value)
        if isinstance(value, int):
            plain = int.__int__(value)
            return plain if _INT64_MIN <= plain <= _UINT64_MAX else str_of_integer(plain)
        if isinstance(value, float):
            number = float.__float__(value)
            return number if math.isfinite(number) else None
        self._left -= 1
        if depth >= MAX_DEPTH or self._left < 0:
            return _name_value(value)
        if id(value) in self._around:
            return f"<{type(value).__name__} that contains itself>"
        self._around.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self._simplify_mapping(value, depth)
            if isinstance(value, (list, tuple, set, frozenset)):
                return [self.simplify(item, depth + 1) for item in list(value)]
            leaf = simplify_leaf(value)
            return leaf if type(leaf) is str else self.simplify(leaf, depth + 1)
        finally:
            self._around.discard(id(value))

    def _simplify_mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, item in list(value.items()):
            given = key if isinstance(key, str) else self.simplify(key, depth + 1)
            name = simplify_text(given if isinstance(given, str) else str_safely(given))
            while name in plain:
                name += "_"
            plain[name] = self.simplify(item, depth + 1)
        return plain


def _name_value(value: Any) -> str:
    """A value that is too deep or too much; a container's `repr` would walk through it all."""
    is_container = isinstance(value, (Mapping, list, tuple, set, frozenset))
    return f"<{type(value).__name__}>" if is_container else repr_safely(value)


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
        names = [name for name in kind.__dataclass_fields__ if not name.startswith("_")]
        return {name: getattr(value, name) for name in names}
    if kind.__module__ in _TEXT_MODULES:
        return str_safely(value)
    if hasattr(kind, "tolist") and hasattr(kind, "dtype"):  # numpy scalars and arrays
        if getattr(value, "size", 1) > MAX_ARRAY_ITEMS:
            return f"array(shape={tuple(value.shape)}, dtype={value.dtype})"
        plain = value.tolist()
        return plain if type(plain) is not kind else repr_safely(value)
    return repr_safely(value)


def simplify_text(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates become their escapes."""
    plain = str.__str__(text)  # a subclass may have other ideas of its text
    try:
        plain.encode()
    except UnicodeEncodeError:
        return plain.encode("utf-8", "backslashreplace").decode()
    return plain


def cut_text(text: str, max_characters: int) -> str:
    """Return a text, or its beginning with a mark where it is too long.

    >>> cut_text("abc", 3), cut_text("abcd", 3)
    ('abc', 'ab…')
    """
    if len(text) <= max_characters:
        return text
    return f"{str.__str__(text)[: max_characters - len(CUT_MARK)]}{CUT_MARK}"


def decode_bytes(value: bytes | str) -> str:
    r"""Bytes as text; what is not UTF-8 is shown as `\xNN`."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def str_of_integer(value: int) -> str:
    """A huge integer in decimal, or in hexadecimal beyond Python's limit for decimal."""
    try:
        return str(int(value))
    except ValueError:
        return cut_text(hex(value), MAX_REPR_CHARACTERS)


def str_safely(value: Any) -> str:
    """`str(value)` of an object that may be broken."""
    try:
        return cut_text(str(value), MAX_REPR_CHARACTERS)
    except Exception:  # the object's own code failed
        return f"<{type(value).__name__} whose str() fails>"


def repr_safely(value: Any) -> str:
    """`repr(value)` of an object that may be broken, as text that UTF-8 can hold."""
    try:
        return simplify_text(cut_text(repr(value), MAX_REPR_CHARACTERS))
    except Exception:  # the object's own code failed
        return f"<{type(value).__name__} whose repr() fails>"
