"""Whatever a server does: in the end every record is there once, or set aside and counted."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shipping.logs import Log, Way, make_settings
from tests.shipping.loki_double import LokiDouble, Request

_ANSWERS = [(500, "x"), (503, ""), (429, "limit"), (429, "part of it"), (260, ""), (413, ""),
            (500, "larger than max"), (400, "something odd"), (408, ""), (504, "")]  # fmt: skip


class _Moody:
    """Answers as a list says, one after the other, then well; every second one stores all the same."""

    def __init__(self, loki: LokiDouble, moods: list[int], stores: bool) -> None:
        self._loki = loki
        self._moods = moods
        self._stores = stores

    def __call__(self, request: Request) -> tuple[int, str] | None:
        if not self._moods or request.method != "POST":
            return None
        mood = self._moods.pop()
        if mood < 0:
            return None
        if self._stores and mood % 2:
            self._loki._push(request)
        return _ANSWERS[mood % len(_ANSWERS)]


@settings(max_examples=40)
@given(
    moods=st.lists(st.integers(-3, 19), max_size=25),
    stores=st.booleans(),
    reads=st.booleans(),
    counts=st.lists(st.integers(1, 120), min_size=1, max_size=4),
    seed=st.integers(0, 10**6),
)
def test_any_moods(
    tmp_path_factory: pytest.TempPathFactory,
    moods: list[int],
    stores: bool,
    reads: bool,
    counts: list[int],
    seed: int,
) -> None:
    """Refusals, limits and lies in any order, the process beginning anew now and then: nothing is lost."""
    rng = random.Random(seed)
    loki = LokiDouble()
    loki.trouble.reads = reads
    loki.trouble.answer = _Moody(loki, list(moods), stores)
    try:
        log = Log(tmp_path_factory.mktemp("moods"))
        given = make_settings(loki.url)
        for count in counts:
            log.write(*(f"{n}" for n in range(count)))
            way = Way(log, given)
            way.go(rng.randrange(1, 6))
            way.close()
        way = Way(log, given)
        for _ in range(20):
            way.go(200)
        way.close()
        progress = way.delivery.progress
        path = Path(way.delivery.place.set_aside)
        aside = (
            [json.loads(row)["line"] for row in path.read_text().splitlines()]
            if path.exists()
            else []
        )
        there = [entry.line for entry in loki.entries]
        assert Counter(there).most_common(1)[0][1] == 1 if there else True
        assert set(there) | set(aside) == set(log.lines)
        assert progress.settled == len(log.lines)
        assert progress.position == log.path.stat().st_size
    finally:
        loki.stop()
