"""Lines that come to a Loki late: which were refused, where they go instead, and how fast.

What a Loki 3 was measured to do: it refuses lines more than an hour behind the newest of their
stream, and stores the others of the request; it divides a stream that gets more than 1.5 MB/s into
shards, and shows a line twice that came into two of them; of the shards of one request it tells the
last one's fate only, so that 204 may stand above lines that another shard has refused; and lines of
more than three hours ago cannot be asked for until they are flushed, half an hour later or more.
So what is that old goes slowly enough not to be divided: then a resend is stored once, though
nobody can ask.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

from aind_capsule.records.timestamps import US_PER_S, parse_timestamp, read_clock_us
from aind_capsule.shipping.destination import Piece

#: Older than this is perhaps not seen by a query (`query_ingesters_within` is 3 h).
_OLD_US = 2.5 * 3600 * US_PER_S
#: A line is refused that is an hour behind another, which is 10 minutes ahead of the clock at most;
#: the rest is for clocks that differ.
_NEVER_LATE_US = 45 * 60 * US_PER_S
#: `shard_streams.desired_rate` is 1.5 MB/s; what is pushed more than once a second is not counted
#: with its size on top of the rate.
_PORTION_BYTES = 256 * 1024
_BYTES_PER_S = 1_000_000
_HOUR_US = 3600 * US_PER_S
_WEEKDAYS = ("thu", "fri", "sat", "sun", "mon", "tue", "wed")  # 1970 began on a Thursday
_TOTAL = re.compile(r"total ignored: (\d+) out of (\d+)")
_CUTOFF = re.compile(r"oldest acceptable timestamp is: (\S+?Z)")


class Gate:
    """Lets old pieces pass in small portions, and slowly; others as they are.

    Args:
        read_us: The wall clock, microseconds since 1970.
        clock: Monotonic seconds.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        read_us: Callable[[], int] = read_clock_us,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._read_us = read_us
        self._clock = clock
        self._sleep = sleep
        self._open_at = 0.0

    def divide(self, pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
        """The pieces in portions; each comes when it may be sent."""
        if not pieces:
            return
        if min(piece.time_us for piece in pieces) > self._read_us() - _OLD_US:
            yield pieces
            return
        for portion, size_bytes in _cut(pieces):
            wait_s = self._open_at - self._clock()
            if wait_s > 0:
                self._sleep(wait_s)
            self._open_at = self._clock() + size_bytes / _BYTES_PER_S
            yield portion


def read_cutoff(words: str) -> int:
    """From when on a stream takes lines, by the server's words of a refusal; microseconds.

    One second is added, for it writes whole seconds. Of several the latest; 0 where its words hold
    no time.

    >>> read_cutoff("oldest acceptable timestamp is: 1970-01-01T00:00:04Z', …")
    5000000
    """
    times = [parse_timestamp(text) for text in _CUTOFF.findall(words)]
    return max((time_us + US_PER_S for time_us in times if time_us is not None), default=0)


def are_some_stored(words: str, pushed: int, late: int) -> bool:
    """Whether a refusal speaks of fewer lines than are late: the others came before what is newer.

    Or of fewer than were pushed: then it is one shard's.

    >>> are_some_stored("… total ignored: 3 out of 5", pushed=5, late=3)
    False
    >>> are_some_stored("… total ignored: 3 out of 5", pushed=5, late=4)
    True
    """
    match = _TOTAL.search(words)
    return match is not None and (int(match.group(1)) < late or int(match.group(2)) < pushed)


def compute_cutoff(newest_us: int) -> int:
    """From when on a stream takes lines, by the newest that it holds; microseconds."""
    return newest_us - _HOUR_US


def may_be_late(pieces: Sequence[Piece], now_us: int) -> bool:
    """Whether a stream may hold lines that are too new for some of these."""
    return any(piece.time_us < now_us - _NEVER_LATE_US for piece in pieces)


def count_unseen(pieces: Sequence[Piece], now_us: int) -> int:
    """How many of these nobody can ask for, although they may be stored."""
    return sum(piece.time_us < now_us - _OLD_US for piece in pieces)


def group_by_hour(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The pieces by the hour of their time, oldest first."""
    groups: dict[int, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.time_us // _HOUR_US, []).append(piece)
    return [groups[hour] for hour in sorted(groups)]


def name_backfills(time_us: int) -> tuple[str, str]:
    """Values of `backfill` to try: the hour of the day; where that has newer lines, with the day.

    >>> name_backfills(1_700_000_000_000_000)
    ('22', 'tue-22')
    """
    days, hour = divmod(time_us // _HOUR_US, 24)
    return f"{hour:02d}", f"{_WEEKDAYS[days % 7]}-{hour:02d}"


def _cut(pieces: Sequence[Piece]) -> Iterator[tuple[list[Piece], int]]:
    portion: list[Piece] = []
    size_bytes = 0
    for piece in pieces:
        if portion and size_bytes + len(piece.data) > _PORTION_BYTES:
            yield portion, size_bytes
            portion, size_bytes = [], 0
        portion.append(piece)
        size_bytes += len(piece.data)
    if portion:
        yield portion, size_bytes
