"""How long a run's delivery may take at its end."""

from __future__ import annotations

import pytest

from aind_capsule.running.delivery import choose_deadline
from aind_capsule.settings.load import load_settings


def _choose(*, in_task: bool, stopped_s_ago: float | None, **env: str) -> tuple[float, float]:
    settings = load_settings({}, env, None).settings
    return choose_deadline(settings, in_task=in_task, stopped_s_ago=stopped_s_ago)


@pytest.mark.parametrize("in_task", [True, False])
def test_at_the_end(*, in_task: bool) -> None:
    """30 s; in a pipeline task, whose folder goes, 120 s while the server takes records; a setting wins."""
    assert _choose(in_task=in_task, stopped_s_ago=None) == (120.0 if in_task else 30.0, 30.0)
    for given in ("0", "2.5", "300"):
        expected = (float(given), float(given))
        env = {"CAPSULE_SHIPPING__DEADLINE": given}
        assert _choose(in_task=in_task, stopped_s_ago=None, **env) == expected


@pytest.mark.parametrize("in_task", [True, False])
@pytest.mark.parametrize("ago_s", [0.0, 3.0, 5.0, 60.0])
def test_after_a_stop(*, in_task: bool, ago_s: float) -> None:
    """All is over 9 s after the stop, the last words included: docker kills after 10."""
    total_s, silent_s = _choose(in_task=in_task, stopped_s_ago=ago_s)
    assert silent_s <= total_s
    assert ago_s + total_s <= max(8.5, ago_s + 0.5)
    env = {"CAPSULE_SHIPPING__DEADLINE": "1"}
    assert max(_choose(in_task=in_task, stopped_s_ago=ago_s, **env)) <= 1.0


def test_a_longer_grace() -> None:
    """Who gives the processing longer than docker would has more time for the delivery too."""
    total_s, _ = _choose(in_task=False, stopped_s_ago=20.0, CAPSULE_GRACE="25")
    assert 0.5 < total_s <= 9.0
