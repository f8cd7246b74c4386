"""The blocks of `capsule_run` that are open in this process, and the one run that they are in.

One process has one run. The first block begins it, later ones join it, and it ends with the last
that is left. Where that does not tell how it ended, it ends with the program or before the next
block.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from aind_capsule.running.block import Block, describe_place, find_parent
from aind_capsule.running.block_end import STOPPED, combine, has_cause, is_closing, judge_block
from aind_capsule.running.outcome import Outcome
from aind_capsule.running.program_exit import ProgramWatch, UnseenExit, is_program_over

#: On an exception that has been counted, with the run's outcomes: it may leave several blocks.
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


class Blocks(Generic[R]):
    """All open blocks of this process.

    Args:
        is_stop_requested: Whether a SIGTERM came.
    """

    def __init__(self, is_stop_requested: Callable[[], bool]) -> None:
        self._is_stop_requested = is_stop_requested
        self._run: R | None = None
        self._program: ProgramWatch | None = None
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        # Reentrant: garbage collection may close a generator, and so leave a block, at any time.
        self._lock = threading.RLock()
        self._open: list[Block] = []
        self._outcomes: list[Outcome] = []
        #: How the last block was left, where only the program's end can tell why.
        self._pending: Outcome | None = None
        self._is_ending = False

    @property
    def run(self) -> R | None:
        """The run that is open, if any."""
        if self._pid != os.getpid():  # forked past Python's own `os.fork`
            self.start_anew()
        return self._run

    @property
    def is_empty(self) -> bool:
        """Whether there is neither an open block nor an open run."""
        return not self._open and self._run is None

    @property
    def is_main_inside(self) -> bool:
        """Whether the main thread is inside a block."""
        main = threading.main_thread().ident
        return any(block.thread == main for block in self._open)

    def start_anew(self) -> None:
        """Forget the parent's blocks in a forked child, and a run that the parent makes itself."""
        self._renew()
        self._forget_program()
        if self._run is not None and self._run.is_own:
            self._run = None

    def enter(self, block: Block, begin: Callable[[], R]) -> tuple[R, bool]:
        """Enter a block; returns its run, and whether it has joined one that was there.

        Args:
            block: The block.
            begin: Makes the run, where there is none.
        """
        if self._pid != os.getpid():
            self.start_anew()
        with self._lock:  # held while a run is being ended: this block is in the next one
            if self._pending is not None:
                self._finish()  # the program has gone on
            block.parent = find_parent(block, self._open)
            self._open.append(block)  # before all else: from here on nobody ends the run
            if self._run is not None:
                return self._run, True
            try:
                self._outcomes = []
                self._run = run = begin()
                if run.is_own:
                    self._program = ProgramWatch()
            except BaseException:
                self._open.remove(block)
                raise
            return run, False

    def leave(self, block: Block, error: BaseException | None) -> None:
        """Leave a block; the last one ends the run, unless the program's end must tell how."""
        run = self._run
        if run is None or self._pid != os.getpid():  # a forked child leaves the block as well
            return
        if block not in self._open:  # the program has ended before it, and the run with that
            return
        is_inside = block.parent in self._open  # what nobody catches comes to that one too
        if not is_inside and self._count(error) and isinstance(error, Exception):
            run.log_failure(error)  # outside of the lock: it waits for other threads' records
        with self._lock:
            if block not in self._open:  # the program has ended meanwhile
                return
            self._open.remove(block)
            if self._open or self._is_ending:
                return
            can_wait = run.is_own and not is_program_over()
            if can_wait and is_closing(error) and not has_cause(self._outcomes):
                self._pending = self._outcomes.pop()
            else:
                self._finish()

    def end_at_exit(self) -> None:
        """End the run that is open although the program has ended."""
        self._end_early(sys.exc_info()[1])  # of a worker, before Python 3.13

    def end_by_stop(self) -> None:
        """End the run that is open, because a SIGTERM ends the process now."""
        self._end_early(None, STOPPED)

    def _end_early(self, error: BaseException | None, *outcomes: Outcome) -> None:
        with self._lock:  # a daemon thread that ends the run would be cut off
            run, blocks = self._run, self._open[:]
            if run is None or self._is_ending or self._pid != os.getpid():
                return
            self._open.clear()
            if blocks:
                run.log_open_blocks([describe_place(block) for block in blocks])
            self._count(error)
            self._outcomes += outcomes
            self._finish()

    def _finish(self) -> None:
        """End the run as its blocks have ended, and the program where that is over."""
        pending, self._pending, self._is_ending = self._pending, None, True
        error = None if self._program is None else self._program.find_error()
        # What nobody has seen may be an exit that has left a block.
        if not isinstance(error, UnseenExit) or not has_cause(self._outcomes):
            self._count(error)  # its record came by `sys.excepthook`
        if pending is not None and not has_cause(self._outcomes):
            self._outcomes.append(pending)
        try:
            if self._run is not None:
                self._run.finish(combine(self._outcomes))
        finally:
            self._run, self._is_ending = None, False
            self._open.clear()  # of what this thread has entered meanwhile
            self._forget_program()

    def _forget_program(self) -> None:
        if self._program is not None:
            self._program.end()
            self._program = None

    def _count(self, error: BaseException | None) -> bool:
        """Count how a block was left, or how the program ended; False for what was counted."""
        if error is None:
            return False
        with contextlib.suppress(Exception):  # a class of the user's may take no attributes
            if vars(error).get(_COUNTED) is self._outcomes:
                return False
            vars(error)[_COUNTED] = self._outcomes
        self._outcomes.append(judge_block(error, is_stop_requested=self._is_stop_requested()))
        return True
