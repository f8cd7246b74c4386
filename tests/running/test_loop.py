"""The wrapper's loop: timers of any length, beside descriptors."""

from __future__ import annotations

import os

import pytest

from aind_capsule.running.loop import READABLE, Loop
from aind_capsule.settings.durations import LONGEST_S


@pytest.mark.parametrize("delay_s", [30 * 86400, 2**31 / 1000, LONGEST_S, float("inf")])
def test_a_timer_may_lie_as_far_ahead_as_it_likes(delay_s: float) -> None:
    """A timer beyond the 24 days that `poll` takes is waited for, and descriptors are read meanwhile."""
    loop, calls = Loop(), []
    read_fd, write_fd = os.pipe()
    loop.call_in(delay_s, lambda: calls.append("timer"))
    loop.watch(read_fd, READABLE, lambda _events: calls.append("byte"))
    os.write(write_fd, b"x")
    loop.run_once()
    loop.run_once(0)
    assert calls == ["byte", "byte"]
    os.close(read_fd)
    os.close(write_fd)


def test_timers_come_in_their_order() -> None:
    """The nearest timer ends the wait, a cancelled one does not, and `max_wait_s` ends it earlier."""
    loop, calls = Loop(), []
    loop.call_in(LONGEST_S, lambda: calls.append("far"))
    loop.call_in(0, lambda: calls.append("cancelled")).cancel()
    loop.call_in(0.01, lambda: calls.append("near"))
    loop.run_once(0)
    assert calls == []
    while not calls:
        loop.run_once()
    assert calls == ["near"]
