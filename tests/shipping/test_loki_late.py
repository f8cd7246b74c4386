"""Late and old lines: which are refused, how slowly the old ones go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.shipping.destination import Piece
from aind_capsule.shipping.loki_late import (
    Gate,
    group_by_hour,
    may_be_late,
    name_backfills,
    read_cutoff,
)

US_PER_S = 1_000_000
HOUR_US = 3600 * US_PER_S
NOW_US = 1_800_000_000 * US_PER_S


def _make_pieces(times_us: list[int], size: int = 100) -> list[Piece]:
    return [Piece(n, n + 1, time_us, b"x" * size) for n, time_us in enumerate(times_us)]


class _Clock:
    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self) -> float:
        return self.now


def test_what_is_new_is_not_held_up() -> None:
    """Lines that the server can be asked for go as they are, at once."""
    clock = _Clock()
    gate = Gate(lambda: NOW_US, clock.read, clock.sleep)
    pieces = _make_pieces([NOW_US - HOUR_US] * 100, 10_000)
    assert list(gate.divide(pieces)) == [pieces]
    assert list(gate.divide([])) == []
    assert clock.now == 0


@given(sizes=st.lists(st.integers(1, 400_000), min_size=1, max_size=30))
def test_what_is_old_goes_slowly(sizes: list[int]) -> None:
    """All pieces in order, in portions of 256 KiB or one piece, at 1 MB/s at most over any stretch."""
    clock = _Clock()
    gate = Gate(lambda: NOW_US, clock.read, clock.sleep)
    pieces = [Piece(n, n + 1, NOW_US - 5 * HOUR_US, b"x" * size) for n, size in enumerate(sizes)]
    sent: list[Piece] = []
    times: list[tuple[float, int]] = []
    for portion in gate.divide(pieces):
        size = sum(len(piece.data) for piece in portion)
        assert len(portion) == 1 or size <= 256 * 1024
        times.append((clock.now, size))
        sent += portion
    assert sent == pieces
    for first in range(len(times)):
        for last in range(first + 1, len(times)):
            size = sum(size for _, size in times[first:last])
            assert size <= (times[last][0] - times[first][0]) * 1_000_000 + 1


def test_the_servers_words_tell_which_were_refused() -> None:
    """Lines older than the time in its words, and those of the same second, are sent elsewhere."""
    words = (
        "400 entry with timestamp x ignored, reason: 'entry too far behind, entry timestamp is: "
        "2027-01-15T08:00:00Z, oldest acceptable timestamp is: 2027-01-15T08:00:04Z', total ignored"
    )
    assert read_cutoff(words) == NOW_US + 5 * US_PER_S
    later = words.replace("08:00:04Z", "08:00:09Z")
    assert read_cutoff(f"{words}, {later}, {words}") == NOW_US + 10 * US_PER_S
    assert read_cutoff("400 entry too far behind") == 0


def test_what_is_new_is_never_late() -> None:
    """A line of 50 minutes ago may be refused, for others may be 10 minutes ahead; one of 40 may not."""
    assert may_be_late(_make_pieces([NOW_US, NOW_US - 50 * 60 * US_PER_S - 1]), NOW_US)
    assert not may_be_late(_make_pieces([NOW_US, NOW_US - 40 * 60 * US_PER_S]), NOW_US)
    assert not may_be_late([], NOW_US)


@given(times=st.lists(st.integers(0, NOW_US), max_size=50))
def test_no_two_of_a_group_are_too_far_apart(times: list[int]) -> None:
    """Every piece is in one group, a group spans less than an hour, its name depends on its time alone."""
    pieces = _make_pieces(times)
    groups = group_by_hour(pieces)
    assert sorted(piece.start for group in groups for piece in group) == list(range(len(times)))
    for group in groups:
        found = [piece.time_us for piece in group]
        assert max(found) - min(found) < HOUR_US
        assert len({name_backfills(time_us) for time_us in found}) == 1
