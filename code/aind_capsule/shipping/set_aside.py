"""Lines that a destination refuses for good: kept in a file with the server's words."""

from __future__ import annotations

from collections.abc import Iterable

from aind_capsule.records.encode import encode
from aind_capsule.shipping.destination import Piece

SET_ASIDE_SUFFIX = ".set-aside.jsonl"


def write_set_aside(path: str, log: str, pieces: Iterable[Piece], words: str) -> None:
    """Append lines to the file of what was set aside: why, from where in the log, and the line.

    Raises:
        OSError: The log cannot be read, or the file not written.
    """
    with open(log, "rb") as source, open(path, "ab") as file:
        for piece in pieces:
            source.seek(piece.start)
            line = source.read(piece.end - piece.start - 1).decode("utf-8", "backslashreplace")
            row = {"reason": piece.fault or words, "position": piece.start, "line": line}
            file.write(encode(row) + b"\n")
