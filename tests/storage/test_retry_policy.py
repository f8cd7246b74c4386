"""How long requests are sent again, and how many go at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from aind_capsule.storage.concurrency import ConcurrencyLimit
from aind_capsule.storage.errors import RefusedError, SilentError
from aind_capsule.storage.retry_policy import RetryPolicy


def _fail(error: SilentError | None = None) -> None:
    raise error or SilentError("nobody answers")


def test_time_counts_from_the_last_success() -> None:
    """A request that fails goes on while others succeed, and ends once none has for that long."""
    policy = RetryPolicy(0.3, 0.02)
    calls: list[float] = []
    began = time.monotonic()

    def once() -> None:
        calls.append(time.monotonic())
        if calls[-1] - began < 0.8:
            policy.note_success()
        _fail()

    with pytest.raises(SilentError):
        policy.call(once)
    assert calls[-1] - began >= 1.0


def test_an_answer_is_a_success() -> None:
    """A server that says no is there: what fails next has all of its time."""
    policy = RetryPolicy(0.2, 0.02)
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        with pytest.raises(RefusedError):
            policy.call(lambda: (_ for _ in ()).throw(RefusedError("no")))
    calls: list[float] = []

    def once() -> None:
        calls.append(time.monotonic())
        _fail()

    with pytest.raises(SilentError):
        policy.call(once)
    assert calls[-1] - calls[0] >= 0.15


def test_three_tries_at_least() -> None:
    """However long each takes."""
    policy = RetryPolicy(0.01, 0.01)
    calls: list[int] = []

    def once() -> None:
        calls.append(1)
        time.sleep(0.02)
        _fail()

    with pytest.raises(SilentError):
        policy.call(once)
    assert len(calls) == 3


def test_all_pauses_end_at_once() -> None:
    """Where the upload ends, whoever waits for the next try waits no longer, and tries no more."""
    policy = RetryPolicy(300.0, 300.0)
    tries: list[int] = []
    ended: list[BaseException] = []
    error = SilentError("throttled")
    error.retry_after_s = 300.0

    def wait() -> None:
        try:
            policy.call(lambda: (tries.append(1), _fail(error)))
        except SilentError as raised:
            ended.append(raised)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    _wait_for(lambda: len(tries) == 4)
    policy.end()
    for thread in threads:
        thread.join(10)
    assert len(ended) == 4
    assert len(tries) == 4
    with pytest.raises(SilentError):
        policy.call(lambda: (tries.append(1), _fail()))
    assert len(tries) == 5


def test_what_the_server_asks_for() -> None:
    """Its Retry-After is kept to, but not beyond the time that there is."""
    error = SilentError("throttled")
    for asked, allowed, least in ((0.3, 10.0, 0.3), (600.0, 0.3, 0.25)):
        policy = RetryPolicy(allowed, 0.01)
        error.retry_after_s = asked
        calls: list[float] = []

        def once(calls: list[float] = calls, asked: float = asked) -> None:
            calls.append(time.monotonic())
            if len(calls) < 2 or asked > 1:
                _fail(error)

        if asked > 1:
            with pytest.raises(SilentError):
                policy.call(once)
        else:
            policy.call(once)
        assert calls[1] - calls[0] >= least


def test_fewer_requests_after_throttling() -> None:
    """Half as many at the same time, then more again, one after the other."""
    limit = ConcurrencyLimit(8)
    limit.halve()
    assert limit.limit == 4
    limit.halve()  # an answer to a request that was under way together with the first
    assert limit.limit == 4
    inside: list[int] = []
    most: list[int] = []
    go = threading.Event()

    def work() -> None:
        with limit:
            inside.append(1)
            most.append(len(inside))
            go.wait(10)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    _wait_for(lambda: len(inside) == 4)
    go.set()
    for thread in threads:
        thread.join(10)
    assert max(most) == 4
    for _ in range(4 + 5 + 6):
        limit.grow()
    assert limit.limit == 7
    for _ in range(7):
        limit.grow()
    assert limit.limit is None


def test_one_request_at_least() -> None:
    """A server that always throttles still gets one."""
    limit = ConcurrencyLimit(1)
    limit.halve()
    assert limit.limit == 1
    with limit:
        pass


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
