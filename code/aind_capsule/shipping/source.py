"""The log as pieces that are due: read once, encoded once, kept until they are settled.

At most some megabytes are read ahead, however much waits in the file.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from aind_capsule.logs.reader import LogLine, LogTail
from aind_capsule.shipping.destination import Piece

#: A batch that is not full is sent when its first line has waited so long. With the time between
#: two looks at the file and a quick answer, a record waits less than 2 s.
LINGER_S = 1.0


class Source:
    """Gives the pieces of a log in order, from a position on.

    Args:
        path: The log.
        position: Byte of the first line that is wanted.
        encode: Makes a piece of a line.
        max_bytes: Most bytes of pieces that are given at once.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        path: str,
        position: int,
        encode: Callable[[LogLine], Piece],
        *,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tail = LogTail(path, position)
        self._encode = encode
        self._max_bytes = max_bytes
        self._clock = clock
        self._ready: deque[Piece] = deque()
        self._ready_bytes = 0
        self._seen_at = 0.0

    def take(self, max_pieces: int, *, flush: bool) -> list[Piece]:
        """The next pieces, if they are due; they stay until they are settled.

        Args:
            max_pieces: Most pieces.
            flush: Whether all are due at once.

        Raises:
            OSError: The log cannot be read.
        """
        self._fill()
        if not self._ready:
            return []
        is_full = len(self._ready) >= max_pieces or self._ready_bytes >= self._max_bytes
        if not (flush or is_full or self._clock() - self._seen_at >= LINGER_S):
            return []
        taken: list[Piece] = []
        size = 0
        for piece in self._ready:
            size += len(piece.data) + 1
            if taken and (size > self._max_bytes or len(taken) >= max_pieces):
                break
            taken.append(piece)
        return taken

    def find_shortest(self, other_than: Piece | None) -> Piece | None:
        """The shortest of the pieces that were read, or None where there is none but that one."""
        self._fill()
        fit = [piece for piece in self._ready if not piece.fault and piece is not other_than]
        return min(fit, key=lambda piece: len(piece.data), default=None)

    def settle(self, pieces: list[Piece]) -> None:
        """Forget the first pieces."""
        for piece in pieces:
            dropped = self._ready.popleft()
            assert dropped is piece
            self._ready_bytes -= len(piece.data) + 1
        self._seen_at = self._clock() - LINGER_S  # what is left was read with them, and is as old

    def follow_log(self, path: str) -> None:
        """Read on in another file, at the same byte."""
        self._tail.follow(path)

    def count_torn_bytes(self) -> int:
        """Bytes behind the last whole line."""
        return self._tail.count_unread_bytes()

    def close(self) -> None:
        """Close the log."""
        self._tail.close()

    def _fill(self) -> None:
        was_empty = not self._ready
        while self._ready_bytes < self._max_bytes:
            lines = self._tail.read(self._max_bytes)
            if not lines:
                break
            for line in lines:
                piece = self._encode(line)
                self._ready.append(piece)
                self._ready_bytes += len(piece.data) + 1
        if was_empty:
            self._seen_at = self._clock()
