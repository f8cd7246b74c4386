"""How long a server asks us to wait."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies

from aind_capsule.http.retry_after import parse_retry_after
from tests.http.servers import MakeClient, StartServer, answer, build_answer

NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [(None, None), ("0", 0), ("7", 7), (" 7 ", 7), ("7\x1f", 7), ("1.5", 1.5), ("9" * 400, 3600), ("3601", 3600),
     ("-1", None), ("nan", None), ("inf", None), ("1e3", None), ("٣", None), ("", None), ("soon", None),
     ("Tue, 14 Nov 2023 22:13:50 GMT", 30), ("Tue, 14 Nov 2023 22:13:50 -0000", 30),
     ("Tuesday, 14-Nov-23 22:13:50 GMT", 30), ("Tue, 14 Nov 2023 22:13:10 GMT", None),
     ("Thu, 14 Nov 2093 22:13:50 GMT", 3600), ("Tue, 99 Nov 2023 22:13:50 GMT", None),
     (f"Tue, 14 Nov {'9' * 20} 22:13:50 GMT", None), (f"Tue, 14 Nov 2023 22:13:50 +{'9' * 20}", None)],
)  # fmt: skip
def test_retry_after(value: str | None, wait_s: float | None) -> None:
    """Seconds and dates are understood, 1 h is the most, and nonsense and the past are nothing."""
    assert parse_retry_after(value, NOW_S) == wait_s


@hypothesis.given(strategies.text() | strategies.from_regex(r"[\w ,:+-]{0,40}"))
def test_no_retry_after_is_too_strange(value: str) -> None:
    """Whatever a server sends, it is a number within bounds or nothing."""
    wait_s = parse_retry_after(value, NOW_S)
    assert wait_s is None or 0 <= wait_s <= 3600


def test_retry_after_is_read_by_our_clock(start: StartServer, make: MakeClient) -> None:
    """The answer tells how long to wait, from now."""
    text = build_answer(
        b"slow down", "429 Too Many Requests", Retry_After="Tue, 14 Nov 2023 22:14:20 GMT"
    )
    given = make(start(answer(text)), read_clock_s=lambda: NOW_S).request("GET", "/")
    assert (given.status, given.retry_after_s) == (429, 60)
