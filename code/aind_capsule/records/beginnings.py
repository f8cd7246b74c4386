"""Read what is left of a JSON object whose end was cut off.

Used for records that are longer than what is read of one: level, message and the fields before the
cut are still known.
"""

from __future__ import annotations

import re
from typing import Any

from aind_capsule.records.encode import decode
from aind_capsule.records.simplify import CUT_MARK, MAX_DEPTH

_TOKENS = rb'["\\{}\[\],]'
_CLOSERS = {ord("{"): b"}", ord("["): b"]"}
#: An escape that the cut has torn, or half of a surrogate pair.
_TORN_ESCAPE = rb"\\(?:u[0-9a-fA-F]{0,3}|u[dD][89abAB][0-9a-fA-F]{2})?"


def decode_beginning(data: bytes) -> dict[str, Any] | None:
    """Return the object that some bytes begin, or None.

    A text that is open at their end gets a mark. Any other value there may be torn, and is left
    out.

    >>> decode_beginning(b'{"level":"ERROR","message":"it is lo')
    {'level': 'ERROR', 'message': 'it is lo…'}
    >>> decode_beginning(b'{"level":"ERROR","n":[1,2')
    {'level': 'ERROR', 'n': [1]}
    """
    whole = decode(data)
    if whole is not None:
        return whole
    opened = bytearray()
    comma, opened_at_comma = 0, 0
    is_text = False
    escape = previous = -2
    for match in re.finditer(_TOKENS, data):
        token = data[match.start()]
        if is_text:
            if token == ord("\\") and match.start() != escape + 1:
                escape, previous = match.start(), escape
            elif token == ord('"') and match.start() != escape + 1:
                is_text = False
        elif token == ord('"'):
            is_text, escape, previous = True, -2, -2
        elif token in _CLOSERS:
            opened.append(token)
            if len(opened) > MAX_DEPTH:
                return None
        elif token == ord(","):
            comma, opened_at_comma = match.start(), len(opened)
        elif token != ord("\\") and opened:
            opened.pop()
            if len(opened) < opened_at_comma:
                # The comma is inside of what is closed now: all of that is whole.
                comma, opened_at_comma = match.end(), len(opened)
    if is_text:
        end = len(data)
        for start in (escape, previous):
            if start >= 0 and re.fullmatch(_TORN_ESCAPE, data[start:end][:8]):
                end = start
        text = data[:end].decode("utf-8", "ignore").encode() + CUT_MARK.encode() + b'"'
        found = decode(text + _close(opened))
        if found is not None:
            return found
    return decode(data[:comma] + _close(opened[:opened_at_comma])) if comma else None


def _close(opened: bytearray) -> bytes:
    return b"".join(_CLOSERS[token] for token in reversed(opened))
