"""Delivery to Loki, one test for each thing that a Loki was measured to answer."""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.logs.positions import Progress, read_progress
from aind_capsule.shipping.loki import MAX_BATCH_BYTES
from tests.shipping.logs import HOUR_S, Log, Way, deliver, make_settings
from tests.shipping.loki_double import LokiDouble, Request, make_basic

SELECTOR = '{process_name="spike-sorting"}'


def _read(loki: LokiDouble) -> list[str]:
    return [entry.line for entry in loki.entries]


def _answer(status: int, text: str = "", times: int = 10**9):
    """Answer so many pushes so; queries and the rest as ever."""
    left = times

    def answer(request: Request) -> tuple[int, str] | None:
        nonlocal left
        if request.method != "POST" or left <= 0:
            return None
        left -= 1
        return status, text

    return answer


def test_what_arrives(loki: LokiDouble, tmp_path: Path) -> None:
    """The lines as they are, under few labels, with level and ids as structured metadata."""
    log = Log(tmp_path)
    log.write("one")
    log.write("zwei \u00e4 \u4e16 \U0001f600 \0 \\ \" '", level="ERROR", odd={"a": [1]})
    way = deliver(log, make_settings(loki.url))
    assert _read(loki) == log.lines
    labels = {"service_name": "spike-sorting", "process_name": "spike-sorting"}
    assert [dict(stream) for stream in loki.streams] == [labels]
    metadata = dict(loki.entries[0].metadata)
    assert metadata == {"level": "INFO", "run_id": log.fields["run_id"], "subject_id": "123456"}
    assert [json.loads(e.line)["seq"] for e in loki.find(f'{SELECTOR} | level="ERROR"')] == [1]
    assert way.delivery.progress == Progress(log.path.stat().st_size, log.path.stat().st_size, 2)


def test_the_full_push_path_and_a_prefix(loki: LokiDouble, tmp_path: Path) -> None:
    """The url may be the server's or the push path's; a path before that is kept."""
    for n, (suffix, path) in enumerate(
        [
            ("/", "/loki/api/v1/push"),
            ("/loki/api/v1/push", "/loki/api/v1/push"),
            ("/loki/api/v1/push/", "/loki/api/v1/push"),
            ("/gateway", "/gateway/loki/api/v1/push"),
            ("/gateway/loki/api/v1/push", "/gateway/loki/api/v1/push"),
        ]
    ):
        log = Log(tmp_path, f"20260101T00000{n}-0123abcd")
        log.write("x")
        deliver(log, make_settings(loki.url + suffix), steps=1)
        assert loki.requests[-1].path == path


def test_batches(loki: LokiDouble, tmp_path: Path) -> None:
    """Gzipped JSON, one stream a request, at most 1 MiB unpacked, however much there is."""
    log = Log(tmp_path)
    log.write(*(f"{n} " + "x" * 900 for n in range(3000)))
    deliver(log, make_settings(loki.url))
    assert _read(loki) == log.lines
    assert len(loki.requests) >= 3
    for request in loki.requests:
        assert request.headers["content-encoding"] == "gzip"
        body = gzip.decompress(request.body)
        assert len(body) <= 1024 * 1024
        assert len(json.loads(body)["streams"]) == 1


def test_batches_by_records(loki: LokiDouble, tmp_path: Path) -> None:
    """At most 10,000 records a request."""
    log = Log(tmp_path)
    log.write(*map(str, range(12_000)))
    deliver(log, make_settings(loki.url))
    assert len(loki.entries) == 12_000
    counts = [
        len(json.loads(gzip.decompress(r.body))["streams"][0]["values"]) for r in loki.requests
    ]
    assert max(counts) <= 10_000


def test_equal_lines_are_all_there(loki: LokiDouble, tmp_path: Path) -> None:
    """Lines with equal messages are as many records."""
    log = Log(tmp_path)
    log.write(*["the same"] * 5000)
    deliver(log, make_settings(loki.url))
    assert len(loki.find(SELECTOR)) == 5000


def test_a_line_that_is_too_long_is_cut_with_a_mark(loki: LokiDouble, tmp_path: Path) -> None:
    """A record beyond 256 KiB arrives cut, and says which field."""
    log = Log(tmp_path)
    log.write("before")
    log.write("long", text="y" * 400_000)
    log.write("after")
    way = deliver(log, make_settings(loki.url))
    lines = [json.loads(line) for line in _read(loki)]
    assert [line["message"] for line in lines] == ["before", "long", "after"]
    assert lines[1]["truncated"] == ["text"]
    assert way.delivery.progress.set_aside == 0


@pytest.mark.parametrize("place", [0, 1, 500, 998, 999])
def test_a_poison_line_is_isolated(loki: LokiDouble, tmp_path: Path, place: int) -> None:
    """A line that the server refuses among 1,000: the others arrive once, it is set aside with words."""
    loki.limits.line_bytes = 2000
    log = Log(tmp_path)
    log.write(*("x" * (3000 if n == place else 10) for n in range(1000)))
    way = deliver(log, make_settings(loki.url))
    assert _read(loki) == [line for n, line in enumerate(log.lines) if n != place]
    progress = way.delivery.progress
    assert (progress.delivered, progress.set_aside) == (999, 1)
    row = json.loads(Path(way.delivery.place.set_aside).read_text())
    assert row["line"] == log.lines[place]
    assert "max entry size" in row["reason"]
    assert len(loki.requests) < 60


def test_many_poison_lines(loki: LokiDouble, tmp_path: Path) -> None:
    """Each tenth line refused: nothing good is lost, nothing bad stops the rest."""
    loki.limits.line_bytes = 2000
    log = Log(tmp_path)
    log.write(*("x" * (3000 if n % 10 == 3 else 10) for n in range(30)))
    way = deliver(log, make_settings(loki.url))
    assert _read(loki) == [line for n, line in enumerate(log.lines) if n % 10 != 3]
    assert way.delivery.progress.set_aside == 3


def test_a_redirect_says_where_to(loki: LokiDouble, tmp_path: Path) -> None:
    """A redirect is not followed, and its target is said without what may be secret."""
    loki.trouble.answer = _answer(302)
    loki.trouble.headers = {"Location": "https://me:s3cr3t@sso.example.org/login?token=s3cr3t"}
    log = Log(tmp_path)
    log.write("x")
    way = deliver(log, make_settings(loki.url))
    assert way.delivery.has_stopped
    assert "302: it redirects to https://sso.example.org/login" in way.delivery.problem
    assert "s3cr3t" not in way.delivery.problem


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "no org id"),
        (403, "forbidden"),
        (404, "not found"),
        (400, "stream has 16 label names; limit 15"),
        (405, ""),
        (302, ""),
    ],
)
def test_what_is_refused_for_good_stops_delivery(
    loki: LokiDouble, tmp_path: Path, status: int, text: str
) -> None:
    """A server that takes nothing of ours is not asked for ever, nothing is set aside, all is owed."""
    loki.trouble.answer = _answer(status, text)
    log = Log(tmp_path)
    log.write(*map(str, range(100)))
    way = deliver(log, make_settings(loki.url))
    assert way.delivery.has_stopped
    assert str(status) in way.delivery.problem
    assert way.delivery.progress.settled == 0
    assert len(_pushes(loki)) <= 2
    loki.trouble.answer = None
    deliver(log, make_settings(loki.url))
    assert _read(loki) == log.lines


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (500, "empty ring"),
        (503, ""),
        (502, "bad gateway"),
        (429, "Ingestion rate limit exceeded"),
        (260, "ingestion blocked"),
        (200, ""),
        (202, ""),
        (408, ""),
    ],
)
def test_what_passes_is_tried_again(
    loki: LokiDouble, tmp_path: Path, status: int, text: str
) -> None:
    """Answers that pass, and those that look like success and store nothing: the lines wait."""
    loki.trouble.answer = _answer(status, text, times=4)
    log = Log(tmp_path)
    log.write(*map(str, range(100)))
    way = deliver(log, make_settings(loki.url))
    assert _read(loki) == log.lines
    assert way.delivery.progress.delivered == 100
    assert len(way.waits) == 4


def test_429_for_ever(loki: LokiDouble, tmp_path: Path) -> None:
    """Nothing is set aside and nothing lost while the server says "later" to everything."""
    loki.trouble.answer = _answer(429, "Maximum active stream limit exceeded")
    log = Log(tmp_path)
    log.write(*map(str, range(100)))
    way = deliver(log, make_settings(loki.url), steps=12)
    assert way.delivery.progress.settled == 0
    assert not way.delivery.has_stopped
    loki.trouble.answer = None
    deliver(log, make_settings(loki.url))
    assert _read(loki) == log.lines


def test_retry_after(loki: LokiDouble, tmp_path: Path) -> None:
    """The server's wish to be left alone is respected."""
    loki.trouble.answer = _answer(503, "busy", times=1)
    loki.trouble.headers = {"Retry-After": "17"}
    log = Log(tmp_path)
    log.write("x")
    assert deliver(log, make_settings(loki.url)).waits == [17.0]


def test_a_line_that_gets_500_for_ever(loki: LokiDouble, tmp_path: Path) -> None:
    """A line at which alone the server fails every time does not hold up the others."""

    def answer(request: Request) -> tuple[int, str] | None:
        is_poison = request.body and b"POISON" in gzip.decompress(request.body)
        return (500, "label name is empty") if is_poison else None

    loki.trouble.answer = answer
    log = Log(tmp_path)
    log.write(*("POISON" if n == 37 else str(n) for n in range(100)))
    way = deliver(log, make_settings(loki.url))
    assert _read(loki) == [line for n, line in enumerate(log.lines) if n != 37]
    assert way.delivery.progress.set_aside == 1


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 500])
def test_a_server_that_mostly_says_later(loki: LokiDouble, tmp_path: Path, status: int) -> None:
    """Nine pushes of ten are put off, at random: no good line is taken for poison."""
    rng = random.Random(status)
    loki.trouble.answer = lambda request: (
        (status, "busy") if request.method == "POST" and rng.random() < 0.9 else None
    )
    log = Log(tmp_path)
    log.write(*map(str, range(12)))
    way = deliver(log, make_settings(loki.url), steps=5000)
    assert _read(loki) == log.lines
    assert way.delivery.progress.set_aside == 0


@pytest.mark.parametrize(("status", "text"), [(400, "The plain HTTP request was sent to HTTPS port"), (413, "no"), (422, "")])  # fmt: skip
@pytest.mark.parametrize("before", [0, 3])
def test_a_server_that_refuses_everything_line_by_line(
    loki: LokiDouble, tmp_path: Path, status: int, text: str, before: int
) -> None:
    """A slow log whose every line comes alone, and a gateway that takes nothing: all waits for its cure."""
    log = Log(tmp_path)
    log.write("first", *map(str, range(before)))
    way = Way(log, make_settings(loki.url))
    if before:
        way.go()
    loki.trouble.answer = _answer(status, text)
    for n in range(5):
        log.write(f"line {n}")
        way.go()
        assert way.delivery.has_stopped
        assert text in way.delivery.problem
    assert way.delivery.progress.set_aside == 0
    loki.trouble.answer = None
    way.go()
    way.close()
    assert _read(loki) == log.lines


def test_late_lines_among_other_refusals(loki: LokiDouble, tmp_path: Path) -> None:
    """Late ones, one of tomorrow and good ones in one request: each beside the stream, aside, or there."""
    now_s = time.time()
    newer = Log(tmp_path, "20260101T000001-0123abcd")
    newer.write("newer", at_s=now_s - 2 * HOUR_S)
    deliver(newer, make_settings(loki.url))
    log = Log(tmp_path)
    for message, age_h in (("late", 4), ("new", 0), ("between", 1.5), ("tomorrow", -24), ("last", 0)):  # fmt: skip
        log.write(message, at_s=now_s - age_h * HOUR_S + 1)
    progress = deliver(log, make_settings(loki.url)).delivery.progress
    found = [json.loads(line)["message"] for line in _read(loki)]
    assert sorted(found) == ["between", "last", "late", "new", "newer"]
    assert (progress.delivered, progress.set_aside, progress.late) == (4, 1, 2)


@settings(max_examples=25)
@given(ages_min=st.lists(st.integers(0, 240), min_size=1, max_size=40), shards=st.integers(1, 3))
def test_a_clock_that_jumps(
    tmp_path_factory: pytest.TempPathFactory, ages_min: list[int], shards: int
) -> None:
    """Times that go back and forth by hours in one batch: every line is there, and what is double is counted."""
    loki = LokiDouble()
    loki.limits.shards = shards
    try:
        now_s = time.time()
        log = Log(tmp_path_factory.mktemp("jumps"))
        for n, age in enumerate(ages_min):
            log.write(str(n), at_s=now_s - 60 * age + n / 1000)
        progress = deliver(log, make_settings(loki.url)).delivery.progress
        assert set(_read(loki)) == set(log.lines)
        assert len(_read(loki)) - len(log.lines) <= progress.maybe_double
    finally:
        loki.stop()


def test_too_much_at_once(loki: LokiDouble, tmp_path: Path) -> None:
    """500 `larger than max`, 413 and 429 for a request's size: it is sent in parts."""
    for status, text in ((500, "grpc: received message larger than max"), (413, "too large"), (429, "rate limit")):  # fmt: skip

        def answer(request: Request, status=status, text=text) -> tuple[int, str] | None:
            return (status, text) if len(request.body) and len(gzip.decompress(request.body)) > 50_000 else None  # fmt: skip

        loki.trouble.answer = answer
        loki.streams.clear()
        log = Log(tmp_path / str(status))
        log.write(*(f"{n} " + "x" * 900 for n in range(120)))
        deliver(log, make_settings(loki.url))
        assert _read(loki) == log.lines


def test_older_than_what_is_taken(loki: LokiDouble, tmp_path: Path) -> None:
    """Lines of last month: set aside and counted with few requests; the newer ones arrive."""
    now_s = time.time()
    log = Log(tmp_path)
    log.write(*map(str, range(2000)), at_s=now_s - 30 * 24 * HOUR_S)
    log.write(*map(str, range(2000)), at_s=now_s - 60)
    way = deliver(log, make_settings(loki.url))
    assert _read(loki) == log.lines[2000:]
    progress = way.delivery.progress
    assert (progress.delivered, progress.set_aside) == (2000, 2000)
    assert len(loki.requests) < 60
    rows = [
        json.loads(line) for line in Path(way.delivery.place.set_aside).read_text().splitlines()
    ]
    assert [row["line"] for row in rows] == log.lines[:2000]
    assert "too old" in rows[0]["reason"]


def test_a_record_of_the_future(loki: LokiDouble, tmp_path: Path) -> None:
    """A record whose time is wrong is set aside; one that is early because our clock is, waits."""
    now_s = time.time()
    log = Log(tmp_path)
    log.write("start", at_s=now_s)
    log.write("tomorrow", at_s=now_s + 24 * HOUR_S)
    log.write("end", at_s=now_s + 1)
    way = deliver(log, make_settings(loki.url))
    assert [json.loads(line)["message"] for line in _read(loki)] == ["start", "end"]
    assert way.delivery.progress.set_aside == 1
    early = Log(tmp_path, "20260101T000001-0123abcd")
    early.write("a", "b", at_s=now_s + HOUR_S)
    ahead = deliver(early, make_settings(loki.url), steps=20, read_clock_us=lambda: int((now_s + HOUR_S + 1) * 1e6))  # fmt: skip
    assert ahead.delivery.progress.settled == 0


def test_an_owed_run_after_a_newer_one(loki: LokiDouble, tmp_path: Path) -> None:
    """Too far behind the newest line of its stream: the old run goes beside it, each line once."""
    now_s = time.time()
    old = Log(tmp_path, "20260101T000000-0123abcd")
    old.write(*map(str, range(800)), at_s=now_s - 5 * HOUR_S)
    old.write(*map(str, range(800)), at_s=now_s - 3.5 * HOUR_S)
    new = Log(tmp_path, "20260101T000001-0123abcd")
    new.write(*map(str, range(100)), at_s=now_s)
    deliver(new, make_settings(loki.url))
    way = deliver(old, make_settings(loki.url))
    assert sorted(_read(loki)) == sorted(old.lines + new.lines)
    progress = way.delivery.progress
    assert (progress.delivered, progress.late, progress.set_aside) == (1600, 1600, 0)
    assert {dict(stream).get("backfill") for stream in loki.streams} > {None}
    assert len(loki.find(f'{SELECTOR} | run_id="{old.fields["run_id"]}"')) == 1600
    # From another machine, with nothing remembered: nothing is there twice.
    deliver(old, make_settings(loki.url), folder=_make(tmp_path / "elsewhere"))
    deliver(new, make_settings(loki.url), folder=_make(tmp_path / "elsewhere"))
    assert sorted(_read(loki)) == sorted(old.lines + new.lines)


@pytest.mark.parametrize("is_flushed", [True, False])
def test_delivered_in_time_then_pushed_again_late(
    loki: LokiDouble, tmp_path: Path, *, is_flushed: bool
) -> None:
    """A run that arrived in time, pushed again after others: not beside its stream, or that is counted."""
    now_s = time.time()
    old = Log(tmp_path, "20260101T000000-0123abcd")
    old.write(*map(str, range(500)), at_s=now_s - 5 * HOUR_S)
    deliver(old, make_settings(loki.url))
    new = Log(tmp_path, "20260101T000001-0123abcd")
    new.write("newer", at_s=now_s)
    deliver(new, make_settings(loki.url))
    loki.limits.unseen_s = 10**9 if is_flushed else 3 * HOUR_S
    way = deliver(
        old, make_settings(loki.url), folder=_make(tmp_path / "elsewhere"), is_resend=True
    )
    assert set(_read(loki)) == {*old.lines, *new.lines}
    doubles = len(_read(loki)) - 501
    assert (way.delivery.progress.late, way.delivery.progress.maybe_double) == (doubles, doubles)
    assert doubles == (0 if is_flushed else 500)


@pytest.mark.parametrize("shards", [2, 3, 7])
@pytest.mark.parametrize("age_h", [0.9, 1.2, 2.2, 4.0])
def test_beside_a_divided_stream(
    loki: LokiDouble, tmp_path: Path, shards: int, age_h: float
) -> None:
    """A stream that others have filled fast: shards refuse old lines, and the answer is 204; none is lost."""
    now_s = time.time()
    new = Log(tmp_path, "20260101T000001-0123abcd")
    new.write(*map(str, range(100)), at_s=now_s)
    deliver(new, make_settings(loki.url))
    loki.limits.shards = shards - 1
    deliver(new, make_settings(loki.url), folder=_make(tmp_path / "again"))
    loki.limits.shards = shards
    old = Log(tmp_path, "20260101T000000-0123abcd")
    old.write(*map(str, range(500)), at_s=now_s - age_h * HOUR_S)
    way = deliver(old, make_settings(loki.url))
    found = [entry.line for entry in loki.find(f'{SELECTOR} | run_id="{old.fields["run_id"]}"')]
    assert set(found) == set(old.lines)
    doubles = len(found) - 500
    assert doubles <= way.delivery.progress.maybe_double
    assert way.delivery.progress.settled == 500


def test_lines_of_many_years(loki: LokiDouble, tmp_path: Path) -> None:
    """A log over years, of which it is not known what has arrived: no query spans them, recent lines are there once."""
    loki.limits.query_s, loki.limits.unseen_s = 30 * 86_400, 10**9
    now_s = time.time()
    log = Log(tmp_path)
    for age_h in (20_000, 9000, 1000, 30, 20, 0):
        log.write(f"{age_h}", at_s=now_s - age_h * HOUR_S)
    deliver(log, make_settings(loki.url))
    place = deliver(log, make_settings(loki.url), folder=_make(tmp_path / "x"), is_resend=True)
    assert [json.loads(line)["message"] for line in _read(loki)] == ["30", "20", "0"]
    assert (place.delivery.progress.set_aside, place.delivery.progress.maybe_double) == (3, 0)


def test_late_where_reading_is_not_allowed(loki: LokiDouble, tmp_path: Path) -> None:
    """Where the server may not be asked, late lines may be there twice: that is counted."""
    loki.trouble.reads = False
    now_s = time.time()
    new = Log(tmp_path, "20260101T000001-0123abcd")
    new.write("newer", at_s=now_s)
    deliver(new, make_settings(loki.url))
    old = Log(tmp_path, "20260101T000000-0123abcd")
    old.write(*map(str, range(500)), at_s=now_s - 5 * HOUR_S)
    way = deliver(old, make_settings(loki.url))
    assert set(_read(loki)) == {*old.lines, *new.lines}
    assert way.delivery.progress.maybe_double == 500


def test_days_that_share_an_hour(loki: LokiDouble, tmp_path: Path) -> None:
    """Owed runs of six days at the same hour, delivered newest first: each line once."""
    now_s = time.time()
    logs = []
    for day in range(6):
        log = Log(tmp_path, f"2026010{day + 1}T000000-0123abcd")
        log.write(*map(str, range(50)), at_s=now_s - day * 24 * HOUR_S)
        logs.append(log)
    for _ in range(2):
        for log in logs:
            deliver(log, make_settings(loki.url), folder=_make(tmp_path / f"state{_}"))
    assert sorted(_read(loki)) == sorted(line for log in logs for line in log.lines)


def test_a_clock_that_goes_back(loki: LokiDouble, tmp_path: Path) -> None:
    """The clock steps back by three hours in the middle of a run: all is there."""
    now_s = time.time()
    log = Log(tmp_path)
    log.write(*map(str, range(300)), at_s=now_s)
    log.write(*map(str, range(300)), at_s=now_s - 3 * HOUR_S)
    way = deliver(log, make_settings(loki.url))
    assert sorted(_read(loki)) == sorted(log.lines)
    assert way.delivery.progress.delivered == 600


def test_an_answer_that_is_lost(loki: LokiDouble, tmp_path: Path) -> None:
    """The server stores and its answer is cut: it is asked what it has, and nothing is sent twice."""
    log = Log(tmp_path)
    log.write(*map(str, range(500)))
    loki.trouble.drops = True
    way = Way(log, make_settings(loki.url, CAPSULE_LOKI__TIMEOUT="2"))
    way.go(1)
    assert way.delivery.progress.delivered == 0
    loki.trouble.drops = False
    pushes = len(_pushes(loki))
    way.go()
    way.close()
    assert _read(loki) == log.lines
    assert way.delivery.progress.delivered == 500
    assert len(_pushes(loki)) == pushes  # all were there


def test_an_unanswered_batch_of_another_process(loki: LokiDouble, tmp_path: Path) -> None:
    """What was sent before a kill is asked for by whoever comes next."""
    log = Log(tmp_path)
    log.write(*map(str, range(500)))
    loki.trouble.drops = True
    deliver(log, make_settings(loki.url), steps=1)
    loki.trouble.drops = False
    pushes = len(_pushes(loki))
    log.write(*map(str, range(10)))
    deliver(log, make_settings(loki.url))
    assert _read(loki) == log.lines
    assert sum(len(v) for v in _values(_pushes(loki)[pushes:])) == 10


def test_a_gateway_that_swallows_queries(loki: LokiDouble, tmp_path: Path) -> None:
    """Where queries are never answered delivery goes on without them."""
    log = Log(tmp_path)
    log.write(*map(str, range(100)))
    loki.trouble.drops = True
    way = Way(log, make_settings(loki.url))
    way.go(1)
    loki.trouble.drops = False
    loki.trouble.answer = lambda request: (504, "") if request.method == "GET" else None
    way.go()
    way.close()
    assert _read(loki) == log.lines


def test_a_server_that_hangs_or_refuses(loki: LokiDouble, tmp_path: Path) -> None:
    """A request is bounded in time, a refused connection is no loss; after it all is delivered."""
    log = Log(tmp_path)
    log.write(*map(str, range(100)))
    given = make_settings(loki.url, CAPSULE_LOKI__TIMEOUT="0.3")
    loki.trouble.hangs = True
    hung = deliver(log, given, steps=2)
    assert "0.3 s" in hung.delivery.problem
    loki.stop()
    refused = deliver(log, given, steps=2)
    assert "refuses" in refused.delivery.problem
    again = LokiDouble(loki.port)
    try:
        deliver(log, given)
        assert _read(again) == log.lines
    finally:
        again.stop()


def test_a_host_that_is_not(tmp_path: Path) -> None:
    """A name that cannot be looked up: said, waited for, owed."""
    log = Log(tmp_path)
    log.write("x")
    way = deliver(log, make_settings("http://loki.invalid:3100"), steps=1)
    assert "loki.invalid" in way.delivery.problem
    assert way.delivery.progress.settled == 0


def test_tenant_and_authorization(tmp_path: Path) -> None:
    """Tenant header, basic and bearer authorization, further headers: all arrive, for queries too."""
    for more, expected in (
        ({"CAPSULE_LOKI__USER": "u", "CAPSULE_LOKI__PASSWORD": "p:w"}, make_basic("u", "p:w")),
        ({"CAPSULE_LOKI__TOKEN": "t0ken"}, "Bearer t0ken"),
    ):
        double = LokiDouble(tenant=True, authorization=expected)
        try:
            log = Log(tmp_path / expected[:3])
            log.write("x")
            stopped = deliver(log, make_settings(double.url))
            assert stopped.delivery.has_stopped
            more = {**more, "CAPSULE_LOKI__TENANT": "aind", "CAPSULE_LOKI__HEADERS": "X-Lab=7"}
            deliver(log, make_settings(double.url, **more))
            assert _read(double) == log.lines
            assert double.requests[-1].headers["x-scope-orgid"] == "aind"
            assert double.requests[-1].headers["x-lab"] == "7"
        finally:
            double.stop()


def test_credentials_in_the_url(tmp_path: Path) -> None:
    """User and password may stand in the url; no message names them."""
    double = LokiDouble(authorization=make_basic("me", "s3cr&t"))
    try:
        log = Log(tmp_path)
        log.write("x")
        url = double.url.replace("http://", "http://me:s3cr%26t@")
        way = deliver(log, make_settings(url))
        assert _read(double) == log.lines
        assert way.delivery.destination.address == double.url
    finally:
        double.stop()


def test_lines_that_are_no_records(loki: LokiDouble, tmp_path: Path) -> None:
    """A damaged line is set aside with its reason; a torn end waits; the rest arrives."""
    log = Log(tmp_path)
    log.write("one")
    two = log.lines[0].encode().replace(b"one", b"two")
    log.append_raw(b'{"timestamp":"2026\xff\n[1]\n{"level":"INFO"}\n' + two + b'\n{"torn')
    way = deliver(log, make_settings(loki.url))
    assert [json.loads(line)["message"] for line in _read(loki)] == ["one", "two"]
    assert way.delivery.progress.set_aside == 3
    assert way.delivery.progress.position == log.path.stat().st_size - 6


def test_a_log_without_a_form(loki: LokiDouble, tmp_path: Path) -> None:
    """Where the first record is torn or has no `shipping` object, format 1's labels apply."""
    log = Log(tmp_path)
    log.write("one", "two")
    damaged = tmp_path / "damaged.log.jsonl"
    damaged.write_text(f'{{"torn\n{log.lines[1]}\n')
    deliver(damaged, make_settings(loki.url))
    labels = {"service_name": "spike-sorting", "process_name": "spike-sorting"}
    assert [dict(stream) for stream in loki.streams] == [labels]
    assert _read(loki) == [log.lines[1]]


def test_settings_at_the_time_of_a_push_change_nothing(loki: LokiDouble, tmp_path: Path) -> None:
    """Other labels in the settings of a later push: what is sent is what was sent."""
    log = Log(tmp_path)
    log.write("one", "two")
    deliver(log, make_settings(loki.url))
    given = make_settings(loki.url, CAPSULE_SHIPPING__LABELS="subject_id,site=AIND")
    deliver(log, given, folder=_make(tmp_path / "elsewhere"))
    first, second = _pushes(loki)
    assert first.body == second.body


def test_a_position_that_is_another_logs(loki: LokiDouble, tmp_path: Path) -> None:
    """A position that is no line's start, or behind the end, is not believed: all is sent."""
    for position in (3, 10**9):
        loki.streams.clear()
        log = Log(tmp_path / str(position))
        log.write("one", "two")
        way = Way(log, make_settings(loki.url))
        way.delivery._save(Progress(position, position, 7))
        way.close()
        done = deliver(log, make_settings(loki.url))
        assert _read(loki) == log.lines
        assert read_progress(done.delivery.place.position).delivered == 2


@settings(max_examples=60)
@given(
    texts=st.lists(st.text(max_size=200), min_size=1, max_size=20),
    # A user's field never takes the place of the time, without which nothing is delivered.
    fields=st.dictionaries(st.text(max_size=20).filter(lambda name: name != "timestamp"),
                           st.text(max_size=50) | st.integers() | st.none() | st.booleans(), max_size=8),
)  # fmt: skip
def test_whatever_is_logged_arrives(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], fields: dict
) -> None:
    """Any text and any field names, indexed ones too: the strict server takes every line, byte by byte."""
    loki = LokiDouble()
    try:
        log = Log(tmp_path_factory.mktemp("any"))
        log.fields = {**fields, **log.fields}
        log.write(*texts)
        names = ",".join(
            name for name in fields if name.strip() and "," not in name and "=" not in name
        )
        given = make_settings(
            loki.url, **({"CAPSULE_SHIPPING__METADATA": names} if names.strip() else {})
        )
        way = deliver(log, given)
        assert _read(loki) == log.lines
        assert way.delivery.progress.set_aside == 0
    finally:
        loki.stop()


def test_no_batch_is_larger_than_said() -> None:
    """The limit leaves room for the labels before the lines."""
    assert MAX_BATCH_BYTES < 1024 * 1024


def _make(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _pushes(loki: LokiDouble) -> list[Request]:
    return [request for request in loki.requests if request.method == "POST"]


def _values(requests: list[Request]) -> list[list]:
    return [json.loads(gzip.decompress(r.body))["streams"][0]["values"] for r in requests]
