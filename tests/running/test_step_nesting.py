"""Which step lies in which: threads, tasks, generators, context managers; all in this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.importorskip("loguru")

from aind_capsule import Run


class Kept:
    """A run's handle that keeps the rows of its steps."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.run = Run(
            "r", lambda message: self.rows.extend(message.get("steps", ())), lambda *_: None
        )

    @property
    def paths(self) -> list[str]:
        """The steps' paths, in the order of their ends."""
        return [row["path"] for row in self.rows]


@pytest.fixture
def kept() -> Kept:
    """A handle."""
    return Kept()


def test_names_are_whole(kept: Kept) -> None:
    """A slash belongs to the name that it is in: `name` and `parents` hold each name whole."""
    with kept.run.step("https://host/a"), kept.run.step("chunk 3/10"):
        pass
    inner, outer = kept.rows
    assert (inner["name"], inner["parents"]) == ("chunk 3/10", ["https://host/a"])
    assert inner["path"] == "https://host/a/chunk 3/10"
    assert outer["name"] == "https://host/a"
    assert "parents" not in outer


def test_threads(kept: Kept) -> None:
    """A thread has steps of its own; one that runs in its maker's context (`to_thread`) lies in its step."""

    def work(name: str) -> None:
        with kept.run.step(name):
            pass

    async def main() -> None:
        await asyncio.to_thread(work, "asked")

    with kept.run.step("outer"):
        thread = threading.Thread(target=work, args=("thread",))
        thread.start()
        thread.join()
        asyncio.run(main())
    assert kept.paths == ["thread", "outer/asked", "outer"]


def test_tasks(kept: Kept) -> None:
    """Tasks lie in the step that made them, while it goes on, and never in one another."""

    async def work(n: int, gate: asyncio.Event) -> None:
        with kept.run.step(f"task {n}"):
            await gate.wait()
            with kept.run.step("inner"):
                await asyncio.sleep(0)

    async def main() -> None:
        gate, late_gate = asyncio.Event(), asyncio.Event()
        with kept.run.step("all"):
            tasks = [asyncio.create_task(work(n, gate)) for n in range(2)]
            await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(*tasks)
            late = asyncio.create_task(work(9, late_gate))
        late_gate.set()
        await late

    asyncio.run(main())
    assert sorted(kept.paths[:4]) == [
        "all/task 0", "all/task 0/inner", "all/task 1", "all/task 1/inner",
    ]  # fmt: skip
    assert kept.paths[4:] == ["all", "task 9/inner", "task 9"]


def test_a_suspended_generator_has_no_children(kept: Kept) -> None:
    """Its consumer's steps lie beside its step; its own lie in it, also when resumed within another."""

    def generate() -> Iterator[int]:
        with kept.run.step("gen"):
            yield 1
            with kept.run.step("own"), kept.run.step("deep"):
                yield 2
            with kept.run.step("last"):
                pass

    numbers = generate()
    with kept.run.step("outer"):
        next(numbers)
        with kept.run.step("consumer"):
            next(numbers)
            with kept.run.step("inner"):
                pass
            assert list(numbers) == []
            with kept.run.step("after"):
                pass
        with kept.run.step("then"):
            pass
    with kept.run.step("top"):
        pass
    assert kept.paths == [
        "outer/consumer/inner", "outer/gen/own/deep", "outer/gen/own", "outer/gen/last", "outer/gen",
        "outer/consumer/after", "outer/consumer", "outer/then", "outer", "top",
    ]  # fmt: skip


def test_generators_in_generators(kept: Kept) -> None:
    """Each generator's step holds what happens in it, delegation (`yield from`) and calls too."""

    def helper() -> None:
        with kept.run.step("helper"), kept.run.step("deep"):
            pass

    def inner() -> Iterator[int]:
        with kept.run.step("inner"):
            yield 1
            helper()

    def outer() -> Iterator[int]:
        with kept.run.step("outer"):
            yield from inner()
            for _ in inner():
                with kept.run.step("loop"):
                    pass

    for _ in outer():
        helper()
    assert kept.paths == [
        "helper/deep", "helper", "outer/inner/helper/deep", "outer/inner/helper", "outer/inner",
        "outer/loop", "outer/inner/helper/deep", "outer/inner/helper", "outer/inner", "outer",
    ]  # fmt: skip


def test_a_generator_that_is_dropped(kept: Kept) -> None:
    """Its step ends with it, and what is open around it stays as it is."""

    def generate() -> Iterator[int]:
        with kept.run.step("gen"):
            yield 1

    with kept.run.step("outer"):
        numbers = generate()
        next(numbers)
        with kept.run.step("consumer"):
            del numbers
            with kept.run.step("inner"):
                pass
        with kept.run.step("then"):
            pass
    assert sorted(kept.paths) == [
        "outer", "outer/consumer", "outer/consumer/inner", "outer/gen", "outer/then",
    ]  # fmt: skip


def test_asynchronous_generators(kept: Kept) -> None:
    """The same holds for them."""

    async def generate() -> AsyncIterator[int]:
        with kept.run.step("gen"):
            yield 1
            with kept.run.step("own"):
                await asyncio.sleep(0)
            yield 2

    async def main() -> None:
        async for _ in generate():
            with kept.run.step("consumer"):
                await asyncio.sleep(0)

    asyncio.run(main())
    assert kept.paths == ["consumer", "gen/own", "consumer", "gen"]


def test_context_managers_of_the_users(kept: Kept) -> None:
    """A generator that is a context manager is a block; so is a class, whose function is left."""

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        with kept.run.step(name):
            yield

    @contextlib.asynccontextmanager
    async def slow_stage(name: str) -> AsyncIterator[None]:
        with kept.run.step(name):
            yield

    class Stage:
        def __enter__(self) -> None:
            self.step = kept.run.step("class")
            self.step.__enter__()

        def __exit__(self, *error: object) -> None:
            self.step.__exit__(None, None, None)

    async def main() -> None:
        async with slow_stage("async"):
            with kept.run.step("d"):
                pass

    with stage("a"), contextlib.ExitStack() as stack:
        stack.enter_context(stage("b"))
        with Stage(), kept.run.step("c"):
            pass
        asyncio.run(main())
    assert kept.paths == [
        "a/b/class/c", "a/b/class", "a/b/async/d", "a/b/async", "a/b", "a",
    ]  # fmt: skip


def test_two_runs_do_not_nest(kept: Kept) -> None:
    """A step lies in those of its own run only; handles of one run are one."""
    other, again = Kept(), Kept()
    other.run.run_id = "other"
    with kept.run.step("a"), other.run.step("b"), again.run.step("c"):
        pass
    assert (again.paths, other.paths, kept.paths) == (["a/c"], ["b"], ["a"])

    def generate() -> Iterator[int]:
        with kept.run.step("gen"):
            yield 1
            with other.run.step("its own"):
                pass

    assert list(generate()) == [1]
    assert other.paths == ["b", "its own"]


def test_tasks_in_a_generator(kept: Kept) -> None:
    """Tasks that a generator runs lie in its step, and never in one another."""

    async def work(n: int) -> None:
        with kept.run.step(f"task {n}"):
            await asyncio.sleep(0)
            with kept.run.step("inner"):
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(work(0), work(1))

    def generate() -> Iterator[int]:
        with kept.run.step("gen"):
            yield 1
            asyncio.run(main())

    assert list(generate()) == [1]
    assert sorted(kept.paths) == [
        "gen", "gen/task 0", "gen/task 0/inner", "gen/task 1", "gen/task 1/inner",
    ]  # fmt: skip
