"""SIGTERM while a block of `capsule_run` is open: an exception that lets `finally` blocks run."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from aind_capsule.running.blocks import Blocks
from aind_capsule.running.program_exit import is_program_over


class StopRequested(SystemExit):
    """A SIGTERM came: `finally` blocks run, and `except Exception` does not swallow it.

    Nobody has to catch it; the process then ends with 143.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class StopSignal:
    """The handler of SIGTERM, where nobody else handles it.

    Attributes:
        requested: Set when a SIGTERM has come.
    """

    def __init__(self) -> None:
        self.requested = threading.Event()
        self._blocks: Blocks[Any] | None = None
        self._pid = 0

    def take(self, blocks: Blocks[Any]) -> None:
        """Have SIGTERM raise `StopRequested` where it would end the process."""
        self._blocks, self._pid = blocks, os.getpid()
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread may set handlers; when it enters a block it does
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)

    def give_back(self) -> None:
        """Have SIGTERM end the process as before."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        blocks = self._blocks
        if self._pid == os.getpid() and blocks is not None:
            if blocks.is_empty:  # the last block was left by a thread, which could not restore it
                _end_process(number)
            if is_program_over() or (self.requested.is_set() and not blocks.is_main_inside):
                # Nobody is left here whom an exception could reach.
                self.requested.set()
                blocks.end_by_stop()
                _end_process(number)
        if not self.requested.is_set():  # a second one may not interrupt the `finally` blocks
            self.requested.set()
            raise StopRequested


def _end_process(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
