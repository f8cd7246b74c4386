"""Threads that take what there is to do from one queue, in the order in which it came."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, final

_T = TypeVar("_T")


@final
class Workers:
    """Some threads, started as they are needed. At the end of `with` all tasks are done.

    A queue of one's own, because an executor needs a lock, a future and a wake-up for each task.

    Args:
        count: The most threads.
        name: What they are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for _thread in self._threads:
                self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def put(self, task: Callable[[], object]) -> None:
        """Have a task done. It must not raise."""
        self._tasks.put(task)
        if len(self._threads) < self._count:
            with self._lock:
                if len(self._threads) < self._count:
                    name = f"{self._name}-{len(self._threads)}"
                    thread = threading.Thread(target=self._work, name=name, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def submit(self, call: Callable[..., _T], *args: Any) -> Future[_T]:
        """Have a function called and return what becomes its result."""
        future: Future[_T] = Future()
        self.put(functools.partial(_call, future, call, args))
        return future

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


def _call(future: Future[_T], call: Callable[..., _T], args: tuple[Any, ...]) -> None:
    try:
        result = call(*args)
    except BaseException as error:  # whoever waits for the result raises it
        future.set_exception(error)
    else:
        future.set_result(result)
