"""A run from its start to the end of its processing; what follows is `finishing.finish_run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aind_capsule.context.cgroup import is_counter_shared, read_oom_kill_count
from aind_capsule.context.folders import build_variables
from aind_capsule.context.platform import PIPELINE_TASK
from aind_capsule.records.run_fields import add_identity
from aind_capsule.running import banners, first_records
from aind_capsule.running.delivery import RunDelivery
from aind_capsule.running.files import RunFiles
from aind_capsule.running.finishing.end_wait import EndWait
from aind_capsule.running.helper import NoProcessError
from aind_capsule.running.inputs_reader import InputsReader
from aind_capsule.running.intake import Intake
from aind_capsule.running.journal import Journal
from aind_capsule.running.loop import READABLE, Loop
from aind_capsule.running.nesting import build_child_environ
from aind_capsule.running.outlet import Outlet, describe_loss
from aind_capsule.running.prepare import Prepared, RunRequest, find_code
from aind_capsule.running.process.signal_names import get_signal_name
from aind_capsule.running.process.socket_folder import remove_abandoned_folders
from aind_capsule.running.signals import SignalInbox
from aind_capsule.running.spawn import CannotStartError
from aind_capsule.running.supervise import Manner, Supervision
from aind_capsule.running.views import ConsoleView

if TYPE_CHECKING:
    from aind_capsule.running.finishing.finish_run import RunParts
    from aind_capsule.running.outcome import Ended, Outcome
    from aind_capsule.running.resources import ResourceSampler
    from aind_capsule.running.uploading import RunUpload

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
            self._err,
            settings.console,
            environ,
            prepared.fields,
            self._out,
            prepared.redactor.redact_text,
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
        self._end_wait = EndWait(loop, self._supervision)
        self._delivery = RunDelivery(
            prepared, self._files, self._warn, self._watch, self._supervision.add_helper
        )
        self._upload = self._make_upload()
        self._asset_problems: list[str] = []
        self._oom_before = read_oom_kill_count(prepared.cgroup)

    def run(self, *, is_stale: bool) -> int:
        """Run to the end."""
        self._inbox.on_signal = self._take_signal
        data = self._prepared.facts.folders["data"]
        inputs = InputsReader(
            data,
            lambda: find_code(self._request, self._prepared),
            self._loop,
            is_task=self._prepared.facts.run_mode == PIPELINE_TASK,
        )
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
        from aind_capsule.running.finishing.finish_run import RunEnding, finish_run

        ending = RunEnding(
            outcome, ended, inputs.found, processing, resources, self._count_oom_kills
        )
        return finish_run(self._collect_parts(), ending)

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
            evidence=self._journal.evidence,
            log=self._journal.log,
        )
        return ended, judge_output(outcome, describe_loss((self._out, self._err)))

    def _collect_parts(self) -> RunParts:
        from aind_capsule.running.finishing.finish_run import RunParts

        return RunParts(
            self._prepared,
            self._journal,
            self._files,
            self._console,
            (self._out, self._err),
            self._delivery,
            self._upload,
            self._end_wait,
        )

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
        self._delivery.start()
        return self._start_sampler(own_pids)

    def _watch(self, fd: int, read: Callable[[], None] | None) -> None:
        if read is None:
            self._loop.unwatch(fd)
        else:
            self._loop.watch(fd, READABLE, lambda _events: read())

    def _look_at_files(self) -> None:
        """Have the log in another place soon after the processing has removed it."""
        if self._files.is_removed:
            self._delivery.keep_files(self._journal, is_over=False)
        self._loop.call_in(_LOOK_AT_FILES_S, self._look_at_files)

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
            self._end_wait.wait,
        )

    def _wait_before(self, limit_s: float) -> bool:
        """Wait for what is done before the start; whether somebody wants it to end."""
        self._loop.run_once(limit_s)
        return self._supervision.is_stopped

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
        self._end_wait.take_signal(number)
        self._supervision.take_signal(number)

    def _update_reading(self) -> None:
        self._supervision.update_reading()
