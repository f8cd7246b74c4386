"""A record as one line of JSON (RFC 8259, UTF-8), and back.

The one owner of orjson; where it is not installed the standard library serves, slower and with
the same output down to a nesting of `simplify.MAX_DEPTH` (the tests run on both).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aind_capsule.records.simplify import repr_safely, simplify, simplify_leaf

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

#: orjson 3.13 writes 10 ms of a time of day as 100 ms; `simplify_leaf` writes times.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME if orjson is not None else 0


def _encode_plain(value: Any) -> bytes:
    """Encode a tree that `simplify` made."""
    if orjson is not None:
        return orjson.dumps(value)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def encode_quickly(value: Any) -> bytes | None:
    """Encode by orjson alone; None where it is missing, or where the value needs the slow way.

    What is returned has no name twice: names that are no plain text take the slow way.
    """
    if orjson is not None:
        try:
            return orjson.dumps(value, simplify_leaf, _OPTIONS)
        except Exception:  # a surrogate, a huge integer, a loop, a hostile object
            pass
    return None


def encode(value: Any) -> bytes:
    """Any value as JSON on one line.

    Never raises for what a user may log: what JSON cannot hold is written as text.
    """
    data = encode_quickly(value)
    if data is not None:
        return data
    try:
        return _encode_plain(simplify(value))
    except Exception as error:  # only a value that changes while it is read comes here
        text = f"<value that cannot be encoded: {type(error).__name__}: {repr_safely(error)}>"
        return _encode_plain({"message": text} if isinstance(value, Mapping) else text)


def encode_text(text: str) -> bytes:
    """Text as a JSON string with its quotes; the text must be free of lone surrogates."""
    return _encode_plain(text)


def encode_open(fields: Mapping[str, Any]) -> bytes:
    """A record as JSON without its closing brace: the log's writer adds `seq` and closes it."""
    return encode(fields)[:-1]


def encode_members(fields: Mapping[str, Any]) -> str:
    """Fields as `,"name":value,…`, to be put into a record that is being written; may be empty.

    >>> encode_members({"a": 1, "b": "x"})
    ',"a":1,"b":"x"'
    """
    return "," + encode(fields)[1:-1].decode() if fields else ""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def decode(line: bytes) -> dict[str, Any] | None:
    """The record on a line, or None where the line is not a JSON object."""
    try:
        if orjson is not None:
            value = orjson.loads(line)
        else:
            value = json.loads(line.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
