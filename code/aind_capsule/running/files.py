"""The files of one run: opened before its processing, finished and copied into results after it.

Trouble with them never ends a run: it is told on stderr, and remembered for `--strict`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aind_capsule.context.files import write_all
from aind_capsule.errors import LogFileError
from aind_capsule.logs.file.kept_folder import Finding, KeptFolder
from aind_capsule.logs.writer import LogWriter
from aind_capsule.running.finishing.lost_files import describe_finding, report_finding
from aind_capsule.running.finishing.results_copies import (
    ResultsCopies,
    Write,
    copy_file,
    copy_open_file,
)
from aind_capsule.running.finishing.run_json_writer import RunJsonWriter
from aind_capsule.running.journal import Journal
from aind_capsule.running.prepare import Prepared, is_missing, is_writable_folder
from aind_capsule.running.run_folder import SUFFIXES, RunFolder
from aind_capsule.running.views import SessionView
from aind_capsule.settings.values import RUN_FILE_KINDS


class RunFiles:
    """What a run writes, each file from its opening to its copy.

    Args:
        prepared: The run.
        say: Shows people a sentence.
        environ: The environment, which names places for run folders.

    Attributes:
        writer: Writes the log; where no log can be had, into nothing.
        session: The session file, or None.
        run_json: Writes `run.json`.
        failures: What went wrong.
    """

    def __init__(
        self, prepared: Prepared, say: Callable[[str], None], environ: Mapping[str, str]
    ) -> None:
        self._prepared = prepared
        self._names = _build_names(prepared.run_folder)
        path = None if prepared.run_folder is None else prepared.run_folder.path
        scratch = prepared.facts.folders["scratch"]
        self._kept = KeptFolder(path, self._names, scratch, environ)
        self._say = say
        self._told: set[str] = set()
        self._copies = ResultsCopies(prepared.facts.folders["results"])
        self._has_log = False
        self._is_sealed = False
        self.failures: list[str] = []
        self.writer = self._open_log()
        self.session = self._open_session()
        self.run_json = RunJsonWriter(
            prepared, self._kept, self._find_kinds_to_list(), self._names, self._complain_once
        )

    @property
    def folder(self) -> RunFolder | None:
        """Where the run's files are now; it may change, for the processing may remove it."""
        path, before = self._kept.path, self._prepared.run_folder
        return None if path is None or before is None else RunFolder(path, before.stem)

    def find_log(self) -> str | None:
        """Return where the log is now: its copy in results once that is there; None if nowhere."""
        if not self._has_log:
            return None
        return self._copies.find(self._names["log"]) or self._find_original()

    def find_log_to_push(self) -> str | None:
        """Return where the log is that `capsule push` delivers later; None if nowhere."""
        return self._find_original() or self.find_log()

    def _find_original(self) -> str | None:
        folder = self.folder
        path = None if folder is None or not self._has_log else folder.get_file("log")
        return path if path is not None and os.path.exists(path) else None

    def _open_log(self) -> LogWriter:
        cap, folder = self._prepared.settings.log.max_bytes, self.folder
        if folder is not None:
            path, opened = folder.get_file("log"), self._kept.opened
            try:
                writer = LogWriter(path, folder=opened, max_bytes=cap, tell=self.complain)
            except LogFileError as error:
                self.complain(f"{error.message}. {error.hint}")
            else:
                self._has_log = True
                return writer
        return LogWriter(os.devnull, reserves=False, tell=self.complain)

    def _open_session(self) -> SessionView | None:
        settings = self._prepared.settings.session
        if not settings.enabled or self.folder is None:
            return None
        try:
            return SessionView(self._kept.open_file("session"), settings.level)
        except OSError as error:
            self.complain(f"The session file cannot be written: {error.strerror}")
            return None

    def _find_kinds_to_list(self) -> list[str]:
        """Return the kinds of run files that `run.json` names."""
        is_written = {
            "log": True,
            "session": self.session is not None,
            "resources": self._prepared.settings.resources is not None,
        }
        return [kind for kind, is_there in is_written.items() if is_there]

    def open_samples(self) -> None:
        """Open the file of the samples, before the processing can remove its folder."""
        if self.folder is not None:
            try:
                self._kept.open_file("resources")
            except OSError as error:
                self.complain(f"The file of the samples cannot be made: {error.strerror}")

    @property
    def samples_fd(self) -> int:
        """The file of the samples; -1 where there is none."""
        fd = self._kept.get_held("resources")
        return -1 if fd is None else fd

    @property
    def is_removed(self) -> bool:
        """Whether the log has no name any more; costs next to nothing."""
        is_open = self._has_log and not self._is_sealed and self.folder is not None
        return is_open and os.fstat(self.writer.fd).st_nlink == 0

    def keep(self, journal: Journal, *, is_over: bool) -> bool:
        """Have all files in a folder that exists, and the log whole; say what was wrong.

        Args:
            journal: The run's log, which has not ended yet.
            is_over: Whether the processing has ended.

        Returns:
            Whether the log is another file now.
        """
        if not self._has_log:
            if is_over:
                journal.lost["no_folder"] = self.writer.next_seq
            return False
        finding = self._kept.look(self.writer, is_over=is_over)
        if not finding.is_changed:
            return False
        if finding.is_lost:
            if is_over and not self._can_publish("log"):
                journal.lost["no_folder"] = self.writer.next_seq
            return False
        self._follow(finding)
        report_finding(finding, self.writer.path, journal)
        return True

    def keep_after_end(self) -> None:
        """Have all files in a folder that exists, when the log has ended already; say it."""
        if not self._has_log:
            return
        if os.fstat(self.writer.fd).st_size < self.writer.size_bytes:
            self._complain_once("The log was truncated after its end: its last records are lost")
        finding = self._kept.look(self.writer, is_over=True)
        if finding.is_changed and not finding.is_lost:
            self._follow(finding)
            for message in describe_finding(finding, self.writer.path):
                self._say(f"WARNING: {message}")

    def _follow(self, finding: Finding) -> None:
        """Write `run.json` anew where the run has another folder."""
        if finding.is_moved:
            self.run_json.write_anew()

    def seal_log(self) -> None:
        """End the log after its canonical record, and copy it into results at once."""
        self._is_sealed = True
        self.writer.seal()
        self._has_log = self._has_log and self.writer.size_bytes > 0
        self.publish(("log",))  # the banner that follows says where it is

    @property
    def has_data_process(self) -> bool:
        """Whether the run's `DataProcess` is made now; else it can be made of `run.json` later."""
        prepared = self._prepared
        if self.folder is None:
            return False
        if prepared.settings.upload.url is not None:  # an asset has one, whatever results have
            return True
        return self._can_publish("provenance")

    def make_data_process(
        self,
        must_hurry: Callable[[float], bool],
        tell: Callable[[str], None],
        *,
        stopped_s_ago: float | None,
    ) -> dict[str, Any]:
        """Make it of the `run.json` that is there; returns what `run.json` says of it.

        Args:
            must_hurry: Waits for so many seconds, or less; returns whether to stop waiting.
            tell: Shows people a sentence.
            stopped_s_ago: Since when the run has been asked to stop, or None: then time is short.
        """
        assert self.folder is not None
        results = self._prepared.facts.folders["results"]
        from aind_capsule.running.data_process import describe_report, make_data_process

        report = make_data_process(
            self.folder,
            results,
            must_hurry,
            needs_schema=self._prepared.settings.provenance.schema_version != 1,
            stopped_s_ago=stopped_s_ago,
        )
        sentence = describe_report(report)
        if sentence is not None:
            tell(sentence)
        return {"data_process": report}

    def publish(self, kinds: Collection[str] = RUN_FILE_KINDS) -> None:
        """Copy the run files that are wanted there into results; all, or some kinds of them.

        They are read from where they are held open: their folder may be gone.
        """
        sources = {
            self._names[kind]: write
            for kind in kinds
            if self._is_wanted_in_results(kind) and (write := self._find_source(kind)) is not None
        }
        results, folder = self._prepared.facts.folders["results"], self.folder
        for why, names in self._copies.add(sources).items():
            then = "" if folder is None else f"; the run folder is {folder.path}"
            self._complain_once(f"{', '.join(names)} could not be copied to {results}: {why}{then}")

    def _find_source(self, kind: str) -> Write | None:
        """Return what writes a run file to a descriptor; None where there is no such file."""
        held, opened, content = self._kept.get_held(kind), self._kept.opened, self.run_json.content
        if kind == "log":
            return self.writer.copy_to if self._has_log else None
        if kind == "run":
            return (lambda fd: write_all(fd, content)) if content else None
        if held is not None:
            return (lambda fd: copy_open_file(held, fd)) if os.fstat(held).st_size else None
        name = self._names[kind]
        if opened is None or opened.find_file(name) is None:
            return None
        return lambda fd: copy_file(opened, name, fd)

    def _is_wanted_in_results(self, kind: str) -> bool:
        prepared = self._prepared
        if prepared.run_folder is None or kind not in prepared.run_files:
            return False
        return not is_missing(prepared.facts.folders["results"])  # the banner says that

    def _can_publish(self, kind: str) -> bool:
        results = self._prepared.facts.folders["results"]
        return self._is_wanted_in_results(kind) and is_writable_folder(results)

    def remove_old_runs(self) -> None:
        """Remove run folders that are old, beside this run's."""
        if self.folder is not None:
            keep_days = self._prepared.settings.history.keep_days
            from aind_capsule.history.tidy import remove_old_runs

            remove_old_runs(os.path.dirname(self.folder.path), keep_days)

    def finish(self) -> None:
        """Let go of all files; the last line says it where no log is kept."""
        session = self.session
        if session is not None and session.lost:
            self.complain(f"{session.lost} lines are not in the session file: {session.problem}")
        if self.find_log() is None:
            unwritten = {**self.writer.lost, "damaged_log": 0}  # those have a number
            count = self.writer.next_seq + sum(unwritten.values())
            self.complain(
                f"This run's log is kept nowhere: no file for it can be written. {count} records"
                " are lost; name a folder that can be written by --scratch"
            )
        self.writer.close()
        fd, opened = self._kept.get_held("resources"), self._kept.opened
        if fd is not None and opened is not None and not os.fstat(fd).st_size:
            opened.remove_file(self._names["resources"])
        self.run_json.close()
        self._kept.close()

    def complain(self, message: str) -> None:
        """Say what went wrong where the log cannot take it."""
        self.failures.append(message)
        self._say(message)

    def _complain_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self.complain(message)


def _build_names(folder: RunFolder | None) -> dict[str, str]:
    """Return the names of the run files by kind."""
    return {} if folder is None else {kind: folder.stem + end for kind, end in SUFFIXES.items()}
