"""How long to wait before the next try: exponential backoff with full jitter.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_BASE_S = 0.5
#: Nobody answers: looking more often than this is no use, less often makes people wait.
SILENT_CAP_S = 30.0
#: A server that answers has its reasons, and they pass sooner.
HEARD_CAP_S = 8.0
#: At the end of a run every second counts.
HURRIED_CAP_S = 2.0


def choose_delay(
    attempts: int,
    cap_s: float,
    retry_after_s: float | None = None,
    draw: Callable[[], float] = random.random,
) -> float:
    """Return the seconds to wait after `attempts` tries without success (1 or more).

    What the server asks for is kept to in any case.

    >>> choose_delay(3, 30, draw=lambda: 1.0), choose_delay(9, 30, 5, draw=lambda: 0.0)
    (2.0, 5)
    """
    most_s = min(cap_s, _BASE_S * 2.0 ** min(attempts - 1, 20))
    return max(draw() * most_s, retry_after_s or 0)
