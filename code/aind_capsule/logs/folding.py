"""Text in the cells of a screen: how wide it is, and how it is cut and folded.

Used by `console`. A character of East Asian scripts and most emoji take two cells.
"""

from __future__ import annotations

from collections.abc import Iterator


def count_cells(text: str) -> int:
    """Return how many cells of a terminal a text takes.

    >>> count_cells("spikes"), count_cells("脳")
    (6, 2)
    """
    return len(text) if text.isascii() else sum(map(_measure, text))


def cut(text: str, cells: int) -> str:
    """Return the start of a text that has room in so many cells.

    >>> cut("spikes", 3), cut("脳波", 3)
    ('spi', '脳')
    """
    if text.isascii():
        return text[:cells]
    for index, character in enumerate(text):
        cells -= _measure(character)
        if cells < 0:
            return text[:index]
    return text


def fold(text: str, columns: int, first: int, rest: int) -> list[str]:
    """Break a line at its spaces, and a word that is too long at its slashes, or where it must.

    Spaces inside of a line stay as they are.

    Args:
        text: One line.
        columns: The width.
        first: Columns that the first line has already. It stays empty where nothing fits there.
        rest: Columns that each other line will be indented by.

    >>> fold("the log is in /a/long/path", 14, 4, 2)
    ['the log is', 'in', '/a/long/path']
    >>> fold("/a/longer/path", 14, 4, 4)
    ['/a/longer/', 'path']
    >>> fold("a-very-long-name", 8, 2, 2)
    ['a-very', '-long-', 'name']
    """
    lines: list[str] = []
    line, used, room = "", 0, columns - first
    for piece in _cut_words(text, columns - rest):
        if used + count_cells(piece.rstrip()) > room:
            if line.strip() or (not lines and first > rest):
                lines.append(line.rstrip())
            line, used, room = "", 0, columns - (rest if lines else first)
        added = piece if line or not lines else piece.lstrip()
        line += added
        used += count_cells(added)
    return [*lines, line.rstrip()]


def _cut_words(text: str, limit: int) -> Iterator[str]:
    """Yield words with the spaces behind them; one that is too long by its parts."""
    for word in text.split(" "):
        parts = word.split("/") if count_cells(word) > limit else [word]
        for index, part in enumerate(parts, 1):
            rest = part + ("/" if index < len(parts) else "")
            while count_cells(rest) > limit:
                start = cut(rest, limit) or rest[0]
                yield start
                rest = rest[len(start) :]
            yield rest if index < len(parts) else f"{rest} "


def _measure(character: str) -> int:
    if character.isascii():
        return 1
    import unicodedata  # few names and messages need it

    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
