"""Which step lies in which: steps of one context nest, a suspended generator's has no children.

A context is a thread's or an asyncio task's. A task begins inside the step that has made it, and a
thread or a process in none. A generator shares its caller's context. So its steps count while it
runs, and not while it waits at a `yield` for its caller, who may open steps meanwhile.
"""

from __future__ import annotations

import inspect
import sys
from contextvars import ContextVar
from types import FrameType
from typing import Any

from aind_capsule.running.steps import StepStart, start_step

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class OpenStep:
    """A step that somebody is inside of.

    Attributes:
        run: The run that it is part of.
        start: Its names, and what was used before it.
        parent: The step that it lies in.
        previous: The context's innermost step when it began, perhaps a suspended generator's.
        generator: The innermost generator that it was begun in.
        is_open: Whether it goes on.
    """

    __slots__ = ("generator", "is_open", "parent", "previous", "run", "start")

    def __init__(
        self, run: Any, start: StepStart, parent: OpenStep | None, generator: FrameType | None
    ) -> None:
        self.run = run
        self.start = start
        self.parent = parent
        self.previous = _skip_ended(_innermost.get())
        self.generator = generator
        self.is_open = True

    @property
    def is_suspended(self) -> bool:
        """Whether its generator waits at a `yield`, or has ended."""
        return self.generator is not None and self.generator.f_back is None

    def has_around(self, step: OpenStep) -> bool:
        """Return whether it is that step, or lies in it."""
        current: OpenStep | None = self
        while current is not None and current is not step:
            current = current.parent
        return current is step


_innermost: ContextVar[OpenStep | None] = ContextVar("aind_capsule_step", default=None)
#: Steps that go on in this process, of all runs and threads, in the order of their beginnings.
_open: dict[OpenStep, None] = {}


def begin_step(run: Any, name: str) -> OpenStep:
    """Begin a step of a run in this context."""
    parent = _find_parent(run.run_id)
    around = () if parent is None else parent.start.names
    step = OpenStep(run, start_step((*around, name)), parent, _find_generator())
    _innermost.set(step)
    _open[step] = None
    return step


def leave_step(step: OpenStep) -> bool:
    """Leave a step; returns False for one that was ended before, with its run."""
    was_open = _open.pop(step, step) is None
    step.is_open, step.generator = False, None
    if _innermost.get() is step:  # else the generator is closed in another context
        _innermost.set(_skip_ended(step.previous))
    return was_open


def find_open_steps() -> list[OpenStep]:
    """Return the steps that go on in this process, of all threads."""
    return list(_open)


def forget_open_steps() -> None:
    """Leave them to the parent process, in a forked child: a process begins in no step."""
    for step in _open:
        step.is_open = False
    _open.clear()


def _find_parent(run_id: str | None) -> OpenStep | None:
    """Return the step of a run that this code is in, if any."""
    step = _innermost.get()
    while step is not None and not (
        step.is_open and not step.is_suspended and step.run.run_id == run_id
    ):
        step = step.previous
    running = _find_steps_of_running_generator(run_id)
    if running and (step is None or not any(map(step.has_around, running))):
        return running[-1]  # the generator was resumed inside its caller's step
    return step


def _find_steps_of_running_generator(run_id: str | None) -> list[OpenStep]:
    """Return what is open in the innermost running generator; several where it runs tasks."""
    steps: dict[FrameType, list[OpenStep]] = {}
    for step in list(_open):
        if step.generator is not None and step.run.run_id == run_id:
            steps.setdefault(step.generator, []).append(step)
    frame: FrameType | None = sys._getframe(1) if steps else None  # noqa: SLF001 (documented)
    while frame is not None and frame not in steps:
        frame = frame.f_back
    return [] if frame is None else steps[frame]


def _find_generator() -> FrameType | None:
    """Return the innermost generator of the callers, but for those of `contextlib`.

    A function with `@contextmanager` is a generator that waits while the block goes on.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 (documented)
    while frame is not None:
        caller = frame.f_back
        if frame.f_code.co_flags & _GENERATOR and not _is_contextlib(caller):
            return frame
        frame = caller
    return None


def _is_contextlib(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_globals.get("__name__") == "contextlib"


def _skip_ended(step: OpenStep | None) -> OpenStep | None:
    while step is not None and not step.is_open:
        step = step.previous
    return step
