"""The process that delivers the log: how a run starts it, listens to it, and takes leave of it.

Started after the processing, where a destination is set. It holds nothing of ours but two pipes,
lives in a session of its own, and outlives us: what it has to do it does also when we are killed.
"""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.running.own_python import start_own_python
from aind_capsule.settings.model import Settings

#: Its report is waited for so much longer than it may deliver.
REPORT_S = 1.0
_MAX_RESTARTS = 3


class ShipperProcess:
    """Delivers a run's log to all destinations that the settings name.

    Args:
        log: The log.
        settings: The run's.
        tell: Shows people a sentence.
        watch: Called with a descriptor and what is to be called when it can be read; with None
            when it is not to be watched any more. Without it the caller calls `read`.
        on_started: Called with the pid of each process that is started.

    Raises:
        OSError: No process is to be had.

    Attributes:
        log: As given.
        settled: Records that nothing more happens to, by destination, as told last.
    """

    def __init__(
        self,
        log: str,
        settings: Settings,
        tell: Callable[[str], None],
        watch: Callable[[int, Callable[[], None] | None], None] | None = None,
        on_started: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self.settled: dict[str, int] = {}
        self.log = log
        self._settings = settings
        self._tell = tell
        self._watch = watch
        self._on_started = on_started
        self._is_cut = False
        self._restarts = 0
        self._told: set[str] = set()
        self._report: dict[str, Any] | None = None
        self._rest = b""
        self._process = self._start()

    def finish(
        self, total_s: float, silent_s: float, must_hurry: Callable[[float], bool]
    ) -> dict[str, Any]:
        """Have the rest delivered, in the time that there is; returns the push report.

        Args:
            total_s: Most seconds.
            silent_s: Most seconds since a server has taken something.
            must_hurry: Waits for so many seconds, or less; returns whether to stop waiting.
        """
        if self._report is None and self._process.poll() is not None:
            self._restart()
        if self._watch is not None:  # from here on it is asked, not watched
            self._watch(self._get_fd(), None)
        self._send({"total_s": total_s, "silent_s": silent_s})
        deadline = time.monotonic() + total_s + REPORT_S
        while self._report is None and time.monotonic() < deadline:
            if must_hurry(min(0.05, max(0.0, deadline - time.monotonic()))):
                self._send({"total_s": 0, "silent_s": 0})
                deadline = min(deadline, time.monotonic() + REPORT_S)
            self.read()
            if self._process.poll() is not None and not self._has_output():
                break
        self._close()
        return self._report or {}

    def follow_log(self, log: str, *, is_whole: bool) -> None:
        """Have the log read from another file.

        Args:
            log: The file.
            is_whole: Whether it holds all that the one before did, in the same places.
        """
        self.log = log
        self._send({"log": log, "is_whole": is_whole})

    def read(self) -> None:
        """Take what it says, if it has said something."""
        for message in self._read_messages():
            self.settled.update(message.get("settled", {}))
            self._report = message.get("report", self._report)
            destination = message.get("destination")
            if destination is not None and destination not in self._told:
                self._told.add(destination)
                then = "it is kept, and tried again"
                if message.get("is_off"):
                    then = "it is kept, and not tried again in this run"
                self._tell(f"The log does not reach {destination} ({message['trouble']}); {then}")

    def _start(self) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes]
        process = start_own_python("aind_capsule.shipping", ["--linked", self.log])
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._on_started(process.pid)
        with contextlib.suppress(OSError):
            process.stdin.write(base64.b64encode(pickle.dumps(self._settings)) + b"\n")
        if self._watch is not None:
            self._watch(process.stdout.fileno(), self._hear)
        return process

    def _hear(self) -> None:
        """It has said something, or it has ended."""
        self.read()
        if self._is_cut and self._watch is not None:
            self._watch(self._get_fd(), None)
            self._process.wait()
            if self._report is None:
                self._restart()

    def _restart(self) -> None:
        """It was killed: another goes on where it was."""
        if self._restarts < _MAX_RESTARTS:
            self._restarts += 1
            self._close_pipes()
            with contextlib.suppress(OSError):
                self._start()

    def _read_messages(self) -> Iterator[Mapping[str, Any]]:
        data = b""
        self._is_cut = False
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(self._get_fd(), 1 << 16):
                data += chunk
            self._is_cut = True
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield decode(line) or {}

    def _has_output(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return bool(select.select([self._get_fd()], [], [], 0)[0]) and not self._is_cut
        return False

    def _get_fd(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(encode(message) + b"\n")

    def _close(self) -> None:
        """Take leave: what it has not done by now it does not do."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
