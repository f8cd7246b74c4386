"""JSON that is nested deeper than Python can follow: its text without what is that deep.

One value of somebody's parameters must not cost the whole file.
"""

from __future__ import annotations

import re

#: Stands where something was left out.
LEFT_OUT = "(nested too deeply)"
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL)


def cut_nesting(text: str, max_levels: int) -> str:
    """Return JSON text without the lists and objects that are deeper than some levels.

    >>> cut_nesting('{"a": [[1], 2, "[[["], "b": 3}', 2)
    '{"a": ["(nested too deeply)", 2, "[[["], "b": 3}'
    """
    pieces: list[str] = []
    level = start = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in "[{":
            level += 1
            if level == max_levels + 1:
                pieces += [text[start : match.start()], f'"{LEFT_OUT}"']
        elif token in "]}":
            level -= 1
            if level == max_levels:
                start = match.end()
    if level <= max_levels:
        pieces.append(text[start:])
    return "".join(pieces)
