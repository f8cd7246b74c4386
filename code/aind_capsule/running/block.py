"""One block of `capsule_run` that somebody is inside of."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any


def _find_task() -> Any:
    """Return the asyncio task that is running in this thread, if any."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop is running here
        return None


@dataclass(slots=True, eq=False)
class Block:
    """One block that somebody is inside of.

    Attributes:
        frame: The function that it is in.
        name: The decorated function's name, where `capsule_process` has made the block.
        parent: The block around it, in the same thread and task.
    """

    frame: FrameType
    name: str | None = None
    parent: Block | None = None
    thread: int = field(default_factory=threading.get_ident)
    task: Any = field(default_factory=_find_task)


def find_place(frame: FrameType) -> FrameType:
    """Return the function that enters or leaves a block, be it by an `ExitStack`."""
    while frame.f_back is not None and frame.f_globals.get("__name__") == "contextlib":
        frame = frame.f_back
    return frame


def find_parent(block: Block, others: Sequence[Block]) -> Block | None:
    """Return the innermost of other blocks that a block lies in, in its own thread and task."""
    callers: list[FrameType] = []
    frame: FrameType | None = block.frame
    while frame is not None:
        callers.append(frame)
        frame = frame.f_back
    own = [other for other in others if other.task is block.task and other.frame in callers]
    return own[-1] if own else None


def describe_place(block: Block) -> str:
    """Return the function that a block is in, with its file and line."""
    frame = block.frame
    return block.name or f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})"
