"""The blocks of `capsule_run` that are open in this process, and the one run that they are in.

One process has one run. The first block begins it, later ones join it, and it ends with the last
that is left; when the program ends before that, it ends with the program.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Generic, Protocol, TypeVar

from aind_capsule.running.block import (
    Block,
    describe_place,
    find_parent,
    has_lost_its_program,
    make_block,
)
from aind_capsule.running.block_end import (
    STOPPED,
    UNKNOWN,
    UnseenError,
    combine,
    find_cause,
    judge_block,
)
from aind_capsule.running.outcome import Outcome
from aind_capsule.running.program_exit import ProgramWatch

#: On an exception that has been counted, with the run's number: it may leave several blocks.
_COUNTED = "_aind_capsule_counted"


class OpenRun(Protocol):
    """The run that the blocks are in."""

    @property
    def is_own(self) -> bool:
        """Whether this process makes it; else it is the wrapper's."""

    def log_failure(self, error: BaseException) -> None:
        """Write the record of an exception that has left a block."""

    def log_open_blocks(self, places: list[str]) -> None:
        """Write that the program has ended inside these blocks."""

    def finish(self, outcome: Outcome) -> None:
        """End it."""


R = TypeVar("R", bound=OpenRun)


@dataclass(slots=True)
class _Ending:
    """A run that is being ended."""

    thread: int = field(default_factory=threading.get_ident)
    is_over: threading.Event = field(default_factory=threading.Event)


class Blocks(Generic[R]):
    """All open blocks of this process.

    Args:
        is_stop_requested: Whether a SIGTERM came.
    """

    def __init__(self, is_stop_requested: Callable[[], bool]) -> None:
        self._is_stop_requested = is_stop_requested
        self._program = ProgramWatch()
        self._pid = os.getpid()
        self._renew()
        self._run: R | None = None
        self._number = 0

    def _renew(self) -> None:
        # Reentrant: garbage collection may close a generator, and so leave a block, at any time.
        self._lock = threading.RLock()
        self._open: list[Block] = []
        self._outcomes: list[Outcome] = []
        self._ending: _Ending | None = None

    @property
    def run(self) -> R | None:
        """The run that is open, if any."""
        if self._pid != os.getpid():  # forked past Python's own `os.fork`
            self.start_anew()
        return self._run

    def start_anew(self) -> None:
        """In a forked child: the blocks are the parent's, and so is a run that it makes itself."""
        self._pid = os.getpid()
        self._renew()
        self._program.end()
        if self._run is not None and self._run.is_own:
            self._run = None

    def enter(self, frame: FrameType | None, begin: Callable[[], R]) -> tuple[Block, R, bool]:
        """Enter a block; returns it, its run, and whether it has joined one that was there.

        Args:
            frame: The function that the block is in.
            begin: Makes the run, where there is none.
        """
        block = make_block(frame)
        while True:
            with self._lock:
                if self._pid != block.pid:
                    self.start_anew()
                ending = self._ending
                if ending is None or ending.thread == block.thread:
                    return (block, *self._enter(block, begin))
            ending.is_over.wait()  # its log is being closed: this block is a run of its own

    def _enter(self, block: Block, begin: Callable[[], R]) -> tuple[R, bool]:
        block.parent = find_parent(block, self._open)
        self._open.append(block)  # before all else: from here on nobody ends the run
        run = self._run
        has_joined = run is not None
        try:
            if run is None:
                self._outcomes.clear()
                self._number += 1
                run = self._run = begin()
            if run.is_own and block.may_stay_open:
                self._program.begin()
        except BaseException:
            self._open.remove(block)
            raise
        return run, has_joined

    def leave(self, block: Block, error: BaseException | None) -> None:
        """Leave a block; the last one ends the run."""
        if block not in self._open:  # the program has ended before it, and the run with that
            return
        run = self._run
        if run is None or self._pid != os.getpid():  # a forked child leaves the block as well
            return
        if isinstance(error, GeneratorExit) and has_lost_its_program(block):
            return  # it is let go of because the program is over, which ends the run
        if block.parent not in self._open:  # else what nobody catches comes to that
            cause = find_cause(error, block.frame, block.handled)
            if isinstance(cause, UnseenError):  # it is seen if it ends the program
                return
            self._count(cause, run.log_failure)
        with self._lock:
            self._open.remove(block)
            is_last = not self._open and self._ending is None
            if is_last:
                self._ending = _Ending()
        if is_last:
            self._count_program()  # where threads have outlived it
            self._finish(run)

    def end_at_exit(self) -> None:
        """End the run that is open although the program has ended."""
        self._end_open_run(self._count_program)
        self._program.let_go()

    def end_by_stop(self) -> None:
        """End the run that is open, because a SIGTERM ends the process now."""
        self._end_open_run(self._count_stop)

    def _end_open_run(self, count: Callable[[], None]) -> None:
        ending = self._ending
        if ending is not None and ending.thread != threading.get_ident():
            ending.is_over.wait()  # a daemon thread is at it, and would be cut off
        with self._lock:
            run, blocks = self._run, self._open[:]
            if run is None or not blocks or self._pid != os.getpid() or self._ending is not None:
                return
            self._open.clear()
            self._ending = _Ending()
        run.log_open_blocks([describe_place(block) for block in blocks])
        count()
        self._finish(run)

    @property
    def is_empty(self) -> bool:
        """Whether no block is open, and no run is being ended."""
        return not self._open and self._ending is None

    @property
    def is_main_inside(self) -> bool:
        """Whether the main thread is inside a block."""
        main = threading.main_thread().ident
        return any(block.thread == main for block in self._open)

    def _finish(self, run: R) -> None:
        ending = self._ending
        try:
            run.finish(combine(self._outcomes))
        finally:
            with self._lock:
                self._run = self._ending = None
                self._program.end()
            if ending is not None:
                ending.is_over.set()

    def _count_program(self) -> None:
        """Count how the program has ended, if it has."""
        end = self._program.find_end()
        if end is not None and end.is_known:
            self._count(end.error)  # its record came by `sys.excepthook`
        elif end is not None and combine(self._outcomes).status == "success":
            self._outcomes.append(STOPPED if self._is_stop_requested() else UNKNOWN)

    def _count_stop(self) -> None:
        """Count the stop, which a block may have been left by already."""
        if all(outcome.status != "stopped" for outcome in self._outcomes):
            self._outcomes.append(STOPPED)

    def _count(
        self,
        error: BaseException | None,
        log_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Count how a block was left, or how the program ended; an exception counts once."""
        if error is None:
            return
        with contextlib.suppress(Exception):  # a class of the user's may take no attributes
            if vars(error).get(_COUNTED) == self._number:
                return
            vars(error)[_COUNTED] = self._number
        if log_failure is not None and isinstance(error, Exception):
            log_failure(error)
        self._outcomes.append(judge_block(error, is_stop_requested=self._is_stop_requested()))
