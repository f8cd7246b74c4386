"""Colours and other sequences for terminals, which are no part of a text."""

from __future__ import annotations

import functools
import re

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


@functools.cache
def _compile_colours() -> re.Pattern[bytes]:
    return re.compile(_COLOURS)
