"""One block of `capsule_run` that somebody is inside of."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from aind_capsule.running.program_exit import find_operation

_SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_WITH = frozenset({"BEFORE_WITH", "SETUP_WITH"})
_DECORATOR = "aind_capsule.running.decorator"


@dataclass(slots=True, eq=False)
class Block:
    """One block that somebody is inside of.

    Attributes:
        thread: Identity of its thread.
        task: Its asyncio task, if any.
        frame: The function that it is in.
        handled: The exception that was being handled when it was entered.
        may_stay_open: Whether the program can end inside of it.
        parent: The block around it, in the same thread and task.
    """

    pid: int
    thread: int
    task: Any
    frame: FrameType | None
    handled: BaseException | None
    may_stay_open: bool
    parent: Block | None = None


def make_block(frame: FrameType | None) -> Block:
    """Return a block that a function enters now."""
    is_left_in_time = (
        frame is not None
        and find_operation(frame) in _WITH
        and not _can_be_suspended(frame)
        and threading.current_thread() is threading.main_thread()
    )
    return Block(
        os.getpid(),
        threading.get_ident(),
        _find_task(),
        find_place(frame),
        sys.exc_info()[1],
        may_stay_open=not is_left_in_time,
    )


def find_place(frame: FrameType | None) -> FrameType | None:
    """Return the function that enters or leaves a block, be it by an `ExitStack`."""
    while frame is not None and frame.f_globals.get("__name__") == "contextlib":
        frame = frame.f_back
    return frame


def find_parent(block: Block, others: Sequence[Block]) -> Block | None:
    """Return the innermost of other blocks that this one lies in, in its own thread and task."""
    frames = {id(frame) for frame in _walk(block.frame)}
    for other in reversed(others):
        is_own = other.thread == block.thread and other.task is block.task
        if is_own and id(other.frame) in frames:
            return other
    return None


def _find_task() -> Any:
    """Return the asyncio task that is running in this thread, if any."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop is running here
        return None


def _walk(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a function, its caller, and so on."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _can_be_suspended(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & _SUSPENDABLE)


def has_lost_its_program(block: Block) -> bool:
    """Return whether the main thread closes the block's generator with no program below it."""
    if threading.current_thread() is not threading.main_thread():
        return False
    frames = list(_walk(block.frame))
    return bool(frames) and _can_be_suspended(frames[-1])


def describe_place(block: Block) -> str:
    """Return the function that a block is in, with its file and line."""
    frame = block.frame
    if frame is None:
        return "an unknown function"
    function = frame.f_locals.get("function")  # of `decorator`, which stands for it
    if frame.f_globals.get("__name__") == _DECORATOR:
        return str(getattr(function, "__qualname__", "a function"))
    return f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})"
