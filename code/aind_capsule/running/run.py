"""A run from end to end: start, supervise, write the canonical record, publish.

The order of what happens at the end is part of the product (see the documentation, "How a run
ends").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aind_capsule.context.cgroup import is_counter_shared, read_oom_kill_count
from aind_capsule.context.folders import build_variables
from aind_capsule.records.run_fields import add_identity
from aind_capsule.records.timestamps import read_clock_us
from aind_capsule.running import banners, first_records
from aind_capsule.running.delivery import RunDelivery
from aind_capsule.running.files import RunFiles
from aind_capsule.running.helper import NoProcessError
from aind_capsule.running.inputs import count_results
from aind_capsule.running.inputs_reader import InputsReader
from aind_capsule.running.intake import Intake
from aind_capsule.running.journal import Journal, format_line
from aind_capsule.running.loop import READABLE, Loop
from aind_capsule.running.nesting import (
    build_child_environ,
)
from aind_capsule.running.outlet import Outlet, describe_loss
from aind_capsule.running.prepare import Prepared, RunRequest, find_code
from aind_capsule.running.process.signal_names import get_signal_name
from aind_capsule.running.process.socket_folder import remove_abandoned_folders
from aind_capsule.running.signals import STOPS, SignalInbox
from aind_capsule.running.spawn import CannotStartError
from aind_capsule.running.supervise import Manner, Supervision
from aind_capsule.running.views import ConsoleView

if TYPE_CHECKING:
    from aind_capsule.running.outcome import Ended, Outcome
    from aind_capsule.running.resources import ResourceSampler
    from aind_capsule.running.uploading import RunUpload

EXIT_DELIVERY = 74
#: The inputs' helper is waited for this long before the start, and at the end.
_INPUTS_WAIT_S = 2.0
#: Between two looks whether the log still has a name.
_LOOK_AT_FILES_S = 1.0


class Run:
    """One run: its log, its views, and the order in which things happen."""

    def __init__(
        self,
        request: RunRequest,
        prepared: Prepared,
        environ: Mapping[str, str],
        loop: Loop,
        inbox: SignalInbox,
    ) -> None:
        self._request = request
        self._prepared = prepared
        self._environ = environ
        self._loop = loop
        self._inbox = inbox
        self._out, self._err = self._open_outlet(1), self._open_outlet(2)
        settings = prepared.settings
        self._console = ConsoleView(
            self._err, settings.console, environ, prepared.fields, self._out
        )
        # The results of a task that fails are published nowhere, whatever is in them.
        self._console.keeps_canonical = prepared.task is not None or prepared.run_folder is None
        self._files = RunFiles(prepared, self._console.say, environ)
        if settings.resources is not None:
            self._files.open_samples()
        self._journal = Journal(
            self._files.writer,
            prepared.fields,
            redactor=prepared.redactor,
            level=settings.log.level,
            is_name_guess=prepared.facts.is_name_guess,
        )
        self._journal.viewers.append(self._console.show)
        if self._files.session is not None:
            self._journal.viewers.append(self._files.session.show)
            self._journal.captured_viewer = self._files.session.show
        self._sampler: ResourceSampler | None = None
        manner = Manner(
            settings.grace,
            settings.timeout,
            settings.merge_streams,
            request.keeps_terminal,
            settings.redact.output,
        )
        self._supervision = Supervision(
            self._loop, self._journal, self._out, self._err, manner, self._start_helpers
        )
        self._delivery = RunDelivery(prepared, self._files, self._warn)
        self._upload = self._make_upload()
        self._is_over = False
        self._must_end = False
        self._asset_problems: list[str] = []
        self._oom_before = read_oom_kill_count(prepared.cgroup)

    def run(self, *, is_stale: bool) -> int:
        """Run to the end."""
        self._inbox.on_signal = self._take_signal
        data = self._prepared.facts.folders["data"]
        inputs = InputsReader(data, lambda: find_code(self._request, self._prepared), self._loop)
        log = self._files.find_log()
        banners.show_start(self._prepared, self._console, self._files.session, log)
        inputs.wait_for_identity(_INPUTS_WAIT_S, lambda: self._supervision.is_stopped)
        self._take_identity(inputs.found.get("identity", {}))
        first_records.write_start(self._journal, self._prepared)
        first_records.write_problems(
            self._journal, self._prepared, self._files, self._asset_problems, is_stale=is_stale
        )

        def write_first() -> None:  # where the wrapper is killed it is all that tells of the inputs
            self._files.run_json.write(None, inputs.found, {})

        def take_inputs() -> None:
            write_first()
            if self._upload is not None:
                self._upload.look_at(inputs.found)

        write_first()
        inputs.on_upstream = take_inputs
        intake = self._open_intake()
        ended: Ended | None = None
        refused = self._find_refusal(inputs.found)
        if refused is not None:
            outcome = refused
        else:
            ended, outcome = self._supervise(intake, inputs.pids)
        processing = intake.environment if intake is not None else {}
        if intake is not None:
            intake.close()
        is_hurried = outcome.status == "stopped"
        inputs.finish(0.1 if is_hurried else _INPUTS_WAIT_S)
        resources = self._sampler.finish(0.3 if is_hurried else 2.0) if self._sampler else {}
        return self._finish(outcome, ended, inputs.found, processing, resources)

    def _supervise(
        self, intake: Intake | None, own_pids: tuple[int, ...]
    ) -> tuple[Ended | None, Outcome]:
        environ = build_child_environ(
            self._environ,
            run_id=self._prepared.facts.run_id,
            socket_path=None if intake is None else intake.path,
            folders=build_variables(self._prepared.folders),
        )
        try:
            ended = self._supervision.run(
                self._request.command, environ, self._inbox, intake, own_pids
            )
        except (CannotStartError, NoProcessError) as error:
            from aind_capsule.running.finishing.run_end import judge_failed_start

            return None, judge_failed_start(self._request.command, error, environ)
        from aind_capsule.running.finishing.run_end import judge_end
        from aind_capsule.running.outcome import judge_output

        kills = self._count_oom_kills()
        outcome = judge_end(
            ended,
            self._request.command,
            environ,
            oom_kills=kills,
            is_oom_shared=kills > 0 and is_counter_shared(self._prepared.cgroup),
            exception=self._journal.last_exception,
            log=self._journal.log,
        )
        return ended, judge_output(outcome, describe_loss((self._out, self._err)))

    def _open_outlet(self, fd: int) -> Outlet:
        def tell(problem: str) -> None:
            name = "stderr" if fd == 2 else "stdout"
            self._journal.log(
                "ERROR",
                f"Cannot write to {name}: {problem}. The processing goes on and is still logged",
            )

        return Outlet(fd, self._loop, self._update_reading, self._update_reading, tell)

    def _start_helpers(self, own_pids: frozenset[int]) -> tuple[int, ...]:
        """Start what works beside the processing; the pids of those that it has started."""
        self._loop.call_in(_LOOK_AT_FILES_S, self._look_at_files)
        remove_abandoned_folders(self._environ)
        self._start_delivery()
        return self._start_sampler(own_pids)

    def _start_delivery(self) -> None:
        def watch(fd: int, read: Callable[[], None] | None) -> None:
            if read is None:
                self._loop.unwatch(fd)
            else:
                self._loop.watch(fd, READABLE, lambda _events: read())

        self._delivery.start(watch, self._supervision.add_helper)

    def _look_at_files(self) -> None:
        """Have the log in another place soon after the processing has removed it."""
        if self._files.is_removed:
            self._keep_files(is_over=False)
        self._loop.call_in(_LOOK_AT_FILES_S, self._look_at_files)

    def _keep_files(self, *, is_over: bool) -> None:
        if self._files.keep(self._journal, is_over=is_over):
            self._delivery.follow_log()

    def _warn(self, message: str) -> None:
        self._console.say(f"WARNING: {message}")

    def _start_sampler(self, own_pids: frozenset[int]) -> tuple[int, ...]:
        """Sample what the processing uses, where that is asked for; the sampler's pid."""
        interval_s, folder = self._prepared.settings.resources, self._files.folder
        if interval_s is None or folder is None:
            return ()
        from aind_capsule.running.resources import ResourceSampler  # few runs want it

        def tell(message: str) -> None:
            self._journal.log("WARNING", message)
            self._files.failures.append(message)

        try:
            self._sampler = ResourceSampler.start(
                folder.get_file("resources"),
                interval_s,
                self._loop,
                file_fd=self._files.samples_fd,
                own_pids=own_pids,
                tell=tell,
            )
        except OSError as error:
            tell(f"Resources are not sampled: {error}")
            return ()
        return (self._sampler.pid,)

    def _find_refusal(self, found: Mapping[str, Any]) -> Outcome | None:
        """How the run ends where its processing may not start."""
        fatal = self._prepared.fatal
        if fatal is not None:
            from aind_capsule.running.finishing.run_end import refuse

            return refuse(fatal)
        refused = self._upload.check(found, self._wait_before) if self._upload else None
        if refused is not None:
            return refused
        number = self._supervision.stopped_by
        if not number:
            return None
        name = get_signal_name(number)
        self._journal.log("WARNING", f"Stopped by {name} before the processing was started")
        from aind_capsule.running.finishing.run_end import judge_early_stop

        return judge_early_stop(number)

    def _make_upload(self) -> RunUpload | None:
        if self._prepared.settings.upload.url is None:
            return None
        from aind_capsule.running.uploading import RunUpload  # most runs upload nothing

        return RunUpload(
            self._prepared,
            lambda: self._files.folder,
            self._journal.log,
            self._files.complain,
            self._console.show_progress,
            self._wait_at_end,
        )

    def _finish(
        self,
        outcome: Outcome,
        ended: Ended | None,
        found: Mapping[str, Any],
        processing: Mapping[str, Any],
        resources: Mapping[str, Any],
    ) -> int:
        """Canonical record, copies, last `run.json`: in this order."""
        from aind_capsule.running.canonical import build_canonical
        from aind_capsule.running.carried import carry_metadata

        prepared = self._prepared
        results = count_results(prepared.facts.folders["results"])  # before anything of ours
        carried: dict[str, Any] = {}
        if ended is not None and outcome.status != "stopped":
            carried = carry_metadata(prepared, self._wait_at_end, self._journal.log)
        if self._upload is not None and ended is not None:
            self._keep_files(is_over=True)
            outcome = self._upload.send(outcome, found)
        self._keep_files(is_over=True)
        if self._files.folder is None:  # it was removed, and nothing takes its place
            self._console.keeps_canonical = True
        canonical = self._journal.write_canonical(
            build_canonical(
                prepared.facts.rename(self._journal.stated_name),
                outcome,
                ended,
                now_us=read_clock_us(),
                found=found,
                results=results,
                counts=self._journal.counts,
                lost=self._journal.get_lost(),
                undelivered=self._delivery.count_undelivered(self._files.writer.records),
                oom_kills=self._count_oom_kills(),
                resources=resources,
                additions=self._journal.additions,
                taken=self._journal.fields,
                upload={} if self._upload is None else self._upload.describe(),
                lost_output={o.name: o.lost_bytes for o in (self._out, self._err) if o.lost_bytes},
            )
        )
        if "canonical_record" in self._journal.lost:  # then it is nowhere else
            self._console.keeps_canonical = True
        self._files.seal_log()
        log = self._files.find_log()
        banners.show_end(prepared, outcome, canonical, self._console, self._files.session, log)
        if ended is None and outcome.status == "fail":
            self._console.show_refusal(canonical)
        more: dict[str, Any] = {**carried, **self._journal.additions.describe_lists()}
        is_last = not self._delivery.is_on and self._upload is None
        if self._files.has_data_process:
            self._files.run_json.write(canonical, found, processing, more=more)
            more |= self._files.make_data_process(
                self._wait_at_end, self._console.advise, stopped_s_ago=self._count_stopped_s()
            )
        self._files.run_json.write(canonical, found, processing, is_last=is_last, more=more)
        self._files.publish()
        if self._upload is not None:
            more = {**more, "upload": self._upload.commit() or None}
        if self._delivery.is_on:
            more = {**more, "delivery": self._deliver_rest()}
        self._files.keep_after_end()
        if not is_last:
            self._files.run_json.write(canonical, found, processing, is_last=True, more=more)
            self._files.publish(("run",))
        self._files.remove_old_runs()
        in_task = prepared.task is not None
        if in_task:
            self._files.finish()
        if self._console.keeps_canonical:
            self._console.write(format_line(canonical, "json"))
        if not in_task:  # what cannot be kept is the last line, but where others read the record
            self._files.finish()
        self._flush()
        if self._upload is not None and self._upload.has_failed and not outcome.wrapper_status:
            return EXIT_DELIVERY
        is_whole = not self._journal.get_lost() and not self._files.failures
        if prepared.settings.strict and outcome.wrapper_status == 0 and not is_whole:
            return EXIT_DELIVERY
        return outcome.wrapper_status

    def _deliver_rest(self) -> dict[str, Any]:
        """Wait for what is still on its way, within the deadline; returns the push report."""
        self._start_delivery()  # where the processing could not be started there is none yet
        return self._delivery.finish(self._count_stopped_s(), self._wait_at_end)

    def _count_stopped_s(self) -> float | None:
        """Seconds since the run was asked to stop, or None."""
        stopped_at = self._supervision.stopped_at
        return None if stopped_at is None else time.monotonic() - stopped_at

    def _wait_before(self, limit_s: float) -> bool:
        """Wait for what is done before the start; whether somebody wants it to end."""
        self._loop.run_once(limit_s)
        return self._supervision.is_stopped

    def _wait_at_end(self, limit_s: float) -> bool:
        """Wait for what is done behind the canonical record; whether somebody wants it to end."""
        self._is_over = True
        self._loop.run_once(limit_s)
        return self._must_end

    def _open_intake(self) -> Intake | None:
        try:
            return Intake(self._loop, self._journal, self._environ, echo=self._console.is_on)
        except OSError as error:
            self._journal.log("WARNING", f"No socket for records from inside: {error}")
            return None

    def _take_identity(self, identity: Mapping[str, Any]) -> None:
        """Have what the data assets tell in every record."""
        prepared = self._prepared
        fields = add_identity(prepared.fields, identity, prepared.settings)
        self._journal.set_fields(prepared.redactor.redact_fields(fields))
        self._asset_problems = identity.get("problems", [])

    def _count_oom_kills(self) -> int:
        now = read_oom_kill_count(self._prepared.cgroup)
        if now is None or self._oom_before is None:
            return 0
        return max(0, now - self._oom_before)

    def _take_signal(self, number: Any) -> None:
        if self._is_over and number in STOPS:
            self._must_end = True
        self._supervision.take_signal(number)

    def _update_reading(self) -> None:
        self._supervision.update_reading()

    def _flush(self) -> None:
        """Let our last words out; a reader that takes none is not waited for longer than this."""
        deadline_s = 5.0 if self._supervision.stopped_at is None else 1.0
        while self._err.has_waiting and deadline_s > 0:
            self._loop.run_once(0.1)
            deadline_s -= 0.1 if self._err.has_waiting else 0
