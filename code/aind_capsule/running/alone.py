"""A run that a Python process makes itself, where no wrapper is around it.

The same parts as `run`, in the same order: start record, records, canonical record, `run.json`,
copies in results. What only a wrapper can see is not there: the end of a process that is killed.
"""

from __future__ import annotations

import importlib.util  # noqa: F401 (see below)
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aind_capsule.context.folders import get_cwd
from aind_capsule.context.platform import PIPELINE_TASK
from aind_capsule.history import tidy
from aind_capsule.logs.client import describe_python
from aind_capsule.logs.configure import install_target
from aind_capsule.logs.own_log import OwnLog
from aind_capsule.logs.run_log import RunLog
from aind_capsule.logs.sink import describe_exception
from aind_capsule.logs.stderr import find_stderr, write_stderr
from aind_capsule.logs.target import SerialTarget
from aind_capsule.records.run_fields import add_identity
from aind_capsule.records.simplify import simplify
from aind_capsule.records.timestamps import read_clock_us
from aind_capsule.running import banners, data_process
from aind_capsule.running.canonical import build_canonical
from aind_capsule.running.carried import carry_metadata
from aind_capsule.running.delivery import RunDelivery
from aind_capsule.running.files import RunFiles
from aind_capsule.running.finishing.code_warnings import warn_of_code
from aind_capsule.running.first_records import write_start
from aind_capsule.running.inputs import (
    add_links,
    count_results,
    find_data_assets,
    find_identity,
    find_inputs,
    find_upstream,
)
from aind_capsule.running.journal import Journal, StatedName
from aind_capsule.running.late_records import LateRecords
from aind_capsule.running.listener import Listener
from aind_capsule.running.outcome import Ended, Outcome
from aind_capsule.running.parameters import parse_parameters
from aind_capsule.running.prepare import Prepared, RunRequest, find_code, prepare
from aind_capsule.running.preparing.data_assets import name_data_assets
from aind_capsule.running.preparing.python_arguments import find_own_arguments
from aind_capsule.running.recording import failure_evidence
from aind_capsule.running.steps import read_cpu_s, read_peak_rss_bytes
from aind_capsule.running.views import ConsoleView

# Python forgets that an interrupt has ended the program, and leaves with another exit status, where
# code is compiled after it, as for a dataclass: what the end needs is imported before.
_NEEDED_AT_THE_END = (data_process, failure_evidence, tidy)
#: Metadata in the data folder are waited for this long.
_INPUTS_WAIT_S = 2.0


class _Stderr:
    """This process's stderr, written at once."""

    ends_line = True

    def __init__(self) -> None:
        self.fd = find_stderr()

    def write(self, data: bytes) -> None:
        write_stderr(data)


class LoneRun:
    """One run of this process; begins when it is made.

    Args:
        process_name: Its name; by default the setting's or the script's.
        fields: Fields of every record.

    Attributes:
        run_id: The run.
        process_name: Its name at the start.
        target: Where this process's records go.
    """

    def __init__(self, process_name: str | None, fields: Mapping[str, Any]) -> None:
        environ = dict(os.environ)
        command = [*getattr(sys, "orig_argv", sys.argv)] or ["python"]
        flags: dict[str, Any] = {"fields": simplify(fields)} if fields else {}
        if process_name:
            flags["process_name"] = process_name
        request = RunRequest(command, flags, environ, get_cwd())
        parameters = parse_parameters(find_own_arguments(command))
        self._prepared = _prepare(request, parameters)
        prepared, settings = self._prepared, self._prepared.settings
        self.run_id = prepared.facts.run_id
        self.process_name = prepared.facts.process_name
        self._console = ConsoleView(
            _Stderr(),
            settings.console,
            environ,
            prepared.fields,
            redact=prepared.redactor.redact_text,
        )
        self._files = RunFiles(prepared, self._console.say, environ)
        self.found = _read_inputs(request, prepared)
        run_fields = add_identity(prepared.fields, self.found.get("identity", {}), settings)
        self._journal = Journal(
            self._files.writer,
            prepared.redactor.redact_fields(run_fields),
            redactor=prepared.redactor,
            level=settings.log.level,
            is_name_guess=prepared.facts.is_name_guess,
        )
        self._stated_name: StatedName | None = None
        self._cpu_s = read_cpu_s()
        self._late_records = LateRecords(self.run_id, self._find_sessions)
        log = RunLog(
            lambda line: self._journal.write_inside(line, self._stated_name),
            self._journal.fields,
            prepared.redactor,
            lambda: OwnLog(
                prepared.facts.process_name, settings, environ, get_cwd(), prepared.redactor
            ),
            self._late_records.take,
            is_echoed=self._console.is_on,
            state_name=self._state_name,
        )
        self.target = SerialTarget(log)
        self._log = log
        self._canonical: Mapping[str, Any] = {}
        self._lists: dict[str, Any] = {}
        self._interrupts: list[BaseException] = []
        self._delivery = RunDelivery(prepared, self._files, self._warn, Listener().watch)
        self._start()
        self._delivery.start()
        self._previous = install_target(self.target)

    def _state_name(self, name: str) -> None:
        """Take the name that the process states after the start."""
        self._stated_name = self._journal.state_name(name) or self._stated_name

    def add(self, message: Mapping[str, Any]) -> bool:
        """Take what the processing says of the run; False where it has ended."""
        if not self._log.is_open:
            return False
        self._journal.additions.take(message)
        return True

    def log_failure(self, error: BaseException) -> None:
        """Write the record of an exception that has left a block of the run."""
        described = describe_exception(
            type(error), error, error.__traceback__, self._prepared.redactor
        )
        text = f"{described['type']}: {described['message']}"
        self._late_records.expect(described["type"], described["message"])
        self.target.exclusively(lambda: self._log_unseen(text, described))

    def finish(self, outcome: Outcome) -> None:
        """End the run: canonical record, `run.json`, copies in results."""
        self.target.exclusively(lambda: self._end(outcome))
        install_target(self._previous or self.target)
        self._deliver_rest(outcome)

    def _log_unseen(self, text: str, described: Mapping[str, str]) -> None:
        # On the console the interpreter prints it, as soon as it is known that nobody catches it.
        viewers = self._journal.viewers
        self._journal.viewers = [view for view in viewers if view != self._console.show]
        self._journal.log("ERROR", text, exception=described)
        self._journal.viewers = viewers

    def _find_sessions(self) -> list[str]:
        """The session file in the run folder, and its copy in results, as far as they are there."""
        folder = self._prepared.run_folder
        if folder is None or self._files.session is None:
            return []
        path = folder.get_file("session")
        copy = os.path.join(self._prepared.facts.folders["results"], os.path.basename(path))
        return [file for file in (path, copy) if os.path.isfile(file)]

    def _warn(self, message: str) -> None:
        self._console.say(f"WARNING: {message}")

    def _start(self) -> None:
        prepared, journal, session = self._prepared, self._journal, self._files.session
        journal.viewers.append(self._console.show)
        if session is not None:
            journal.viewers.append(session.show)
        banners.show_start(prepared, self._console, session, self._files.find_log())
        write_start(journal, prepared)
        for problem in prepared.problems:
            level = "ERROR" if problem.is_error else "WARNING"
            journal.log(level, f"{problem.message}. {problem.hint}")
        if prepared.fatal is not None:  # it may not stop a processing that is running already
            journal.log("ERROR", f"{prepared.fatal.message}. {prepared.fatal.hint}")
        if prepared.name_hint is not None:
            journal.log("INFO", prepared.name_hint)
        for message in self.found.get("identity", {}).get("problems", ()):
            journal.log("WARNING", f"Metadata of {message}")
        if prepared.settings.upload.url is not None:
            message = "Results are uploaded by `capsule run`; afterwards: capsule upload DIR URL"
            journal.log("WARNING", message)
        self._files.run_json.write(None, self.found, {})

    def _end(self, outcome: Outcome) -> None:
        prepared, journal = self._prepared, self._journal
        self._log.close()
        results = count_results(prepared.facts.folders["results"])  # before anything of ours
        carried: dict[str, Any] = {}
        if outcome.status != "stopped":
            carried = carry_metadata(prepared, self._wait_at_end, journal.log)
        warn_of_code(self.found, journal.log)
        self._delivery.keep_files(journal, is_over=True)
        used = Ended(0, cpu_s=read_cpu_s() - self._cpu_s, max_rss_bytes=read_peak_rss_bytes() or 0)
        canonical = journal.write_canonical(
            build_canonical(
                prepared.facts.rename(journal.stated_name),
                outcome,
                used,
                now_us=read_clock_us(),
                found=self.found,
                results=results,
                counts=journal.counts,
                lost=journal.get_lost(),
                cut=journal.cut,
                undelivered=self._delivery.count_undelivered(self._files.writer.records),
                oom_kills=0,
                resources={},
                additions=journal.additions,
                taken=journal.fields,
            )
        )
        self._files.seal_log()
        log = self._files.find_log()
        banners.show_end(prepared, outcome, canonical, self._console, self._files.session, log)
        lists = journal.additions.describe_lists()
        self._canonical, self._lists = canonical, {**carried, **lists}
        if self._files.has_data_process:
            self._write_last_run_json({}, is_last=False)
            self._lists |= self._files.make_data_process(
                self._wait_at_end,
                self._console.advise,
                stopped_s_ago=0.0 if outcome.status == "stopped" else None,
            )
        self._write_last_run_json({}, is_last=not self._delivery.is_on)
        self._files.publish()
        self._files.remove_old_runs()

    def _write_last_run_json(self, more: Mapping[str, Any], *, is_last: bool) -> None:
        self._files.run_json.write(
            self._canonical,
            self.found,
            describe_python(),
            is_last=is_last,
            more={**self._lists, **more},
        )

    def _deliver_rest(self, outcome: Outcome) -> None:
        """Wait for what is still on its way, within the deadline, and add the push report.

        Who interrupts that ends the waiting, and is heard afterwards.
        """
        if self._delivery.is_on:
            stopped_s_ago = 0.0 if outcome.status == "stopped" else None
            report = self._delivery.finish(stopped_s_ago, self._wait_at_end)
            self._write_last_run_json({"delivery": report}, is_last=True)
            self._files.publish(("run",))
        self._files.finish()
        for interrupt in self._interrupts[:1]:
            raise interrupt

    def _wait_at_end(self, limit_s: float) -> bool:
        """Wait for what is done behind the canonical record; whether somebody wants it to end."""
        try:
            time.sleep(limit_s)
        except BaseException as error:  # raised at the end
            self._interrupts.append(error)
        return bool(self._interrupts)


def _prepare(request: RunRequest, parameters: Mapping[str, Any]) -> Prepared:
    """Prepare the run; its parameters are those of the program, and not of a notebook's kernel."""
    prepared = prepare(request)
    return replace(prepared, facts=replace(prepared.facts, parameters=parameters))


def _read_inputs(request: RunRequest, prepared: Prepared) -> dict[str, Any]:
    """What is in the data folder, by a thread: a mount that hangs may not stop the processing."""
    data = prepared.facts.folders["data"]
    found: dict[str, Any] = {}

    def read() -> None:
        inputs = list(find_inputs(data))
        assets = find_data_assets(data) if inputs else []
        found.update(inputs=inputs, identity=find_identity(assets))
        found.update(code=find_code(request, prepared))
        found.update(inputs=add_links(data, inputs))
        found.update(find_upstream(data))
        is_task = prepared.facts.run_mode == PIPELINE_TASK
        found["data_assets"] = name_data_assets(
            data, inputs, assets, is_task=is_task, handed_on=found["handed_on"]
        )

    reader = threading.Thread(target=read, name="aind-capsule inputs", daemon=True)
    try:
        reader.start()
    except RuntimeError:  # a run that begins when the interpreter ends, which starts no thread
        read()
    else:
        reader.join(_INPUTS_WAIT_S)
    return found
