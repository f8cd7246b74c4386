"""The run's middle: the processing lives, its streams and records flow, and it ends.

`Supervision` holds the processing from its fork until nothing of it is left. How the run is
prepared and what is written at its end is `run`'s business.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from aind_capsule.frozen import frozen
from aind_capsule.running import reaping
from aind_capsule.running.intake import Intake
from aind_capsule.running.journal import Journal
from aind_capsule.running.loop import Loop, Timer
from aind_capsule.running.outlet import Outlet
from aind_capsule.running.process.job_control import JobControl
from aind_capsule.running.process.process_group import ProcessGroup, find_children_of_ours
from aind_capsule.running.process.signal_names import get_signal_name
from aind_capsule.running.process.termination import Termination
from aind_capsule.running.signals import PASSED_ON, STOPS, SignalInbox
from aind_capsule.running.spawn import spawn
from aind_capsule.running.watcher import dismiss_watcher, start_watcher

if TYPE_CHECKING:
    from aind_capsule.running.capture.captured_stream import CapturedStream
    from aind_capsule.running.outcome import Ended

#: Streams that others hold open are read this much longer than the processing lives.
DRAIN_S = 5.0
#: What the processing left behind gets SIGTERM, and this much later SIGKILL.
LEFTOVER_GRACE_S = 2.0


@frozen
class Manner:
    """How the processing is to be run (the settings of the same names)."""

    grace_s: float = 5.0
    timeout_s: float | None = None
    merge_streams: bool = False
    keeps_terminal: bool = False
    redact_output: bool = False


class Supervision:
    """Runs one command to its end.

    Args:
        loop: The wrapper's loop.
        journal: Takes the records.
        out: Our stdout.
        err: Our stderr.
        on_started: Called when the processing has been started, with all helpers so far; returns
            those that it has started itself.

    Attributes:
        stopped_at: When the run was asked to end, monotonic seconds; None if it was not.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        out: Outlet,
        err: Outlet,
        manner: Manner,
        on_started: Callable[[frozenset[int]], Collection[int]] | None = None,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._intake: Intake | None = None
        self._out = out
        self._err = err
        self._manner = manner
        self._own: set[int] = set()
        self._on_started = on_started
        self._streams: list[CapturedStream] = []
        self._usage = reaping.Usage()
        self._processes = ProcessGroup(find_children_of_ours, self._own)
        self._wait_status: int | None = None
        self._stopped_by = 0
        self.stopped_at: float | None = None
        self._is_timed_out = False
        self._child_was_killed = False
        self._must_hurry = False
        self._jobs = JobControl(loop, self._processes)
        self._termination = Termination(loop, self._processes)
        self._kills: list[Timer] = []

    @property
    def is_stopped(self) -> bool:
        """Whether the run was asked to end."""
        return self._stopped_by != 0

    @property
    def stopped_by(self) -> int:
        """The signal that asked the run to end, or 0."""
        return self._stopped_by

    def run(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        inbox: SignalInbox,
        intake: Intake | None,
        own_pids: Sequence[int] = (),
    ) -> Ended:
        """Run the command until nothing of it is left.

        Args:
            command: Program and arguments.
            environ: Its environment.
            inbox: Where our signals come from.
            intake: Where records from inside arrive, or None.
            own_pids: Helpers of ours that are not the processing's.

        Raises:
            CannotStartError: It could not be executed.
        """
        self._intake = intake
        self._own.update(own_pids)
        reaping.become_subreaper()
        watcher = start_watcher(
            self._manner.grace_s,
            f"CAPSULE_RUN_ID={environ.get('CAPSULE_RUN_ID')}",
            None if intake is None else intake.path,
        )
        self._own.add(watcher.pid)
        foreground = self._jobs.take_foreground(self._own)
        try:
            self._start(command, environ, inbox, watcher.pipe_fd, foreground.terminal_fd)
            self._loop.run_until(lambda: self._wait_status is not None)
            self._drain()
            has_killed_orphan = self._usage.has_killed_orphan  # before we kill any ourselves
            self._end_leftovers()
        finally:
            foreground.take_back()
            dismiss_watcher(watcher)
        for stream in self._streams:
            stream.read_rest()
        self._loop.run_until(
            lambda: self._must_hurry or not (self._out.has_waiting or self._err.has_waiting)
        )
        for outlet in (self._out, self._err):
            outlet.give_up()
        for timer in self._kills:
            timer.cancel()
        assert self._wait_status is not None
        from aind_capsule.running.outcome import Ended

        return Ended(
            self._wait_status,
            self._stopped_by,
            self._child_was_killed,
            self._manner.timeout_s if self._is_timed_out else None,
            foreground.is_handed_over,
            self._usage.cpu_s,
            self._usage.max_rss_bytes,
            has_killed_orphan,
        )

    def add_helper(self, pid: int) -> None:
        """A process of ours that is none of the processing's."""
        self._own.add(pid)

    def take_signal(self, number: signal.Signals) -> None:
        """A signal has come to the wrapper."""
        if number == signal.SIGCHLD:
            self._wait()
        elif number in STOPS:
            self._stop(number)
        elif not self._processes.leader or self._wait_status is not None:
            return
        elif number == signal.SIGCONT:
            self._jobs.resume()
        elif number in PASSED_ON:
            self._processes.send(number)
        else:
            self._jobs.forward(number)

    def update_reading(self) -> None:
        """Read from the processing as far as our own streams can take it."""
        for stream in self._streams:
            stream.update()
        if self._intake is not None:
            if self._err.is_full:
                self._intake.pause()
            else:
                self._intake.resume()

    def _start(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        inbox: SignalInbox,
        announce_fd: int,
        foreground_fd: int | None,
    ) -> None:
        manner = self._manner
        spawned = spawn(
            command,
            environ,
            inherited=inbox.inherited,
            announce_fd=announce_fd,
            merge_streams=manner.merge_streams,
            keeps_terminal=manner.keeps_terminal,
            foreground_fd=foreground_fd,
        )
        self._processes.leader = spawned.pid
        if self._on_started is not None:
            self._own.update(self._on_started(frozenset(self._own)))
        if spawned.stdout_fd >= 0:
            self._add_stream(spawned.stdout_fd, "stdout", self._out, manner.merge_streams)
        if spawned.stderr_fd >= 0:
            self._add_stream(spawned.stderr_fd, "stderr", self._err, closely=True)
        if manner.timeout_s is not None:
            self._loop.call_in(manner.timeout_s, self._time_out)
        if self._stopped_by:  # a stop came before there was anything to stop
            self._end_stopped(signal.Signals(self._stopped_by))
        self._wait()

    def _add_stream(self, fd: int, name: str, outlet: Outlet, closely: bool) -> None:
        # The processing has been started, and does not wait for these.
        from aind_capsule.records.redaction.stream import OutputRedactor
        from aind_capsule.running.capture.captured_stream import CapturedStream
        from aind_capsule.running.capture.stream_capture import StreamCapture

        capture = StreamCapture(name, self._journal, has_stderr=closely)
        hider = OutputRedactor(self._journal.redactor) if self._manner.redact_output else None

        def report_slow(size_bytes: int, took_s: float) -> None:
            self._journal.log(
                "WARNING",
                f"{size_bytes} bytes of {name} took {took_s:.1f} s, and the processing may have"
                " waited. Expressions of redact.patterns are tried on every line",
            )

        self._streams.append(CapturedStream(fd, self._loop, outlet, capture, hider, report_slow))

    def _drain(self) -> None:
        """Read the streams to their end; others may hold them open."""
        self._loop.run_until(
            lambda: self._must_hurry or not any(stream.is_open for stream in self._streams), DRAIN_S
        )

    def _end_leftovers(self) -> None:
        """End what is left of the group, and what else the processing has started."""
        left, termination = self._processes.find(), self._termination
        if left and not termination.is_requested:
            names = ", ".join(str(pid) for pid in sorted(left)[:10])
            self._journal.log(
                "WARNING",
                f"Ending {len(left)} processes that the processing left behind (pid {names})",
                left_processes=len(left),
            )
            termination.request(signal.SIGTERM)
            self._loop.run_until(lambda: not termination.is_any_left, LEFTOVER_GRACE_S)
        elif left:  # they were asked together with the processing, and the kill timer still runs
            self._loop.run_until(lambda: self._must_hurry or not termination.is_any_left)
        termination.kill_rest()
        reaping.reap_orphans(self._own, self._usage)

    def _wait(self) -> None:
        """SIGCHLD: the processing has ended or was suspended, or an orphan has ended."""
        child = self._processes.leader
        reaping.reap_orphans({*self._own, child}, self._usage)
        if self._wait_status is not None or not child:
            return
        done, status, used = os.wait4(child, os.WNOHANG | os.WUNTRACED)
        if not done:
            return
        if os.WIFSTOPPED(status):
            self._jobs.follow_suspension(os.WSTOPSIG(status))
            return
        self._wait_status = status
        self._usage.add(used)
        self._jobs.stay_awake()  # there is nobody left to wait for

    def _stop(self, number: signal.Signals) -> None:
        name = get_signal_name(number)
        if self._wait_status is not None:  # it has ended by itself: only what is left is hurried
            self._must_hurry = True
        elif self._stopped_by:
            self._kill(f"A second signal, {name}: killing the processing")
        else:
            self._stopped_by = int(number)
            self.stopped_at = time.monotonic()
            if self._processes.leader:
                self._end_stopped(number)

    def _end_stopped(self, number: signal.Signals) -> None:
        grace_s = self._manner.grace_s
        name = get_signal_name(number)
        self._journal.log("WARNING", f"Stopped by {name}; the processing has {grace_s:g} s to end")
        self._ask_to_end(number)

    def _time_out(self) -> None:
        if self._wait_status is None and not self._stopped_by:
            self._is_timed_out = True
            self._journal.log(
                "ERROR",
                f"Still running after {self._manner.timeout_s:.15g} s: ending the processing",
            )
            self._ask_to_end(signal.SIGTERM)

    def _ask_to_end(self, number: signal.Signals) -> None:
        self._termination.request(number)
        self._kills.append(self._loop.call_in(self._manner.grace_s, self._kill_after_grace))

    def _kill_after_grace(self) -> None:
        if self._processes.find():
            grace_s = self._manner.grace_s
            self._kill(f"Not all of the processing ended within {grace_s:g} s: killing it")
        self._must_hurry = True  # nothing but a reader that takes nothing may be left

    def _kill(self, reason: str) -> None:
        if self._must_hurry or not self._processes.leader:
            return
        self._journal.log("WARNING", reason)
        self._must_hurry = True
        self._child_was_killed = self._wait_status is None
        self._processes.kill()
