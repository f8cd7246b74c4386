"""Colours and other sequences for terminals, which are no part of a text."""

from __future__ import annotations

import functools
import re
from typing import Any

from aind_capsule.records.encode import decode, encode

#: Sequences for terminals (ECMA-48): CSI, OSC with either end, and those of two characters.
_COLOURS = (
    rb"\x1b\[[0-?]{0,40}[ -/]{0,4}[@-~]|\x1b\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)"
    rb"|\x1b[@-Z\\-_]|\x1b[()][A-Z0-9]"
)


def strip_colours(text: bytes) -> bytes:
    r"""Return a text without colours and other sequences for terminals.

    >>> strip_colours(b"\x1b[1;31mred\x1b[0m")
    b'red'
    """
    return _compile_colours().sub(b"", text)


def strip_record(data: bytes) -> bytes:
    r"""Return an encoded record without such sequences in its message and its exception.

    >>> strip_record(b'{"message":"\\u001b[31mred\\u001b[0m","n":1}')
    b'{"message":"red","n":1}'
    """
    if b"\\u001b" not in data:
        return data
    record = decode(data)
    if record is None:
        return data
    plain = {
        name: _strip_value(value) if name in ("message", "exception") else value
        for name, value in record.items()
    }
    return encode(plain)


def _strip_value(value: Any) -> Any:
    if isinstance(value, str):
        return strip_colours(value.encode()).decode()
    if isinstance(value, dict):
        return {name: _strip_value(part) for name, part in value.items()}
    return value


@functools.cache
def _compile_colours() -> re.Pattern[bytes]:
    return re.compile(_COLOURS)
