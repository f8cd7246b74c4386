"""Lines that a destination refuses for good: kept in a file with the server's words."""

from __future__ import annotations

import os
from collections.abc import Iterable

from aind_capsule.context.own_files import OPEN_FLAGS
from aind_capsule.records.encode import encode
from aind_capsule.shipping.destination import Piece

SET_ASIDE_SUFFIX = ".set-aside.jsonl"


def write_set_aside(path: str, log: str, pieces: Iterable[Piece], words: str) -> None:
    """Append lines to the file of what was set aside: why, from where in the log, and the line.

    Raises:
        OSError: The log cannot be read, or the file not written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | OPEN_FLAGS
    with open(log, "rb") as source, open(os.open(path, flags, 0o666), "ab") as file:
        for piece in pieces:
            source.seek(piece.start)
            line = source.read(piece.end - piece.start - 1).decode("utf-8", "backslashreplace")
            row = {"reason": piece.fault or words, "position": piece.start, "line": line}
            file.write(encode(row) + b"\n")
