"""How long delivery waits before it tries again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.http.backoff import choose_delay


@given(
    attempts=st.integers(1, 10_000),
    cap_s=st.floats(0, 60),
    drawn=st.floats(0, 1),
    asked=st.none() | st.floats(0, 600),
)
def test_any_delay(attempts: int, cap_s: float, drawn: float, asked: float | None) -> None:
    """From nothing to the cap by the luck of the draw (full jitter), but what the server asks for at least."""
    delay = choose_delay(attempts, cap_s, asked, draw=lambda: drawn)
    most = choose_delay(attempts, cap_s, draw=lambda: 1.0)
    assert most <= cap_s
    assert delay == max(drawn * most, asked or 0)


def test_it_doubles_up_to_its_cap() -> None:
    """Each failure doubles what may be waited at most, until the cap."""
    most = [choose_delay(n, 8.0, draw=lambda: 1.0) for n in range(1, 8)]
    assert most == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_two_of_many_do_not_try_together() -> None:
    """Without a draw that is given, the delays of many differ."""
    assert len({choose_delay(5, 30.0) for _ in range(100)}) > 90
