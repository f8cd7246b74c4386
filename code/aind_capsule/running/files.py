"""The files of one run: opened before its processing, finished and copied into results after it.

Trouble with them never ends a run: it is told on stderr, and remembered for `--strict`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from aind_capsule.errors import LogFileError
from aind_capsule.history.tidy import remove_old_runs
from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.encode import decode, encode
from aind_capsule.running.canonical import build_run_json
from aind_capsule.running.data_process import describe_report, make_data_process
from aind_capsule.running.prepare import Prepared, is_writable_folder
from aind_capsule.running.run_folder import RunJson, publish
from aind_capsule.running.views import SessionView
from aind_capsule.settings.values import RUN_FILE_KINDS


class RunFiles:
    """What a run writes, each file from its opening to its copy.

    Args:
        prepared: The run.
        say: Shows people a sentence.

    Attributes:
        writer: Writes the log; where no log can be had, into nothing.
        session: The session file, or None.
        failures: What went wrong.
    """

    def __init__(self, prepared: Prepared, say: Callable[[str], None]) -> None:
        self._prepared = prepared
        self._folder = prepared.run_folder
        self._say = say
        self._run_json: RunJson | None = None
        self.failures: list[str] = []
        self.writer = self._open_log()
        self.session = self._open_session()

    def _open_log(self) -> LogWriter:
        path = os.devnull if self._folder is None else self._folder.get_file("log")
        cap = self._prepared.settings.log.max_bytes
        try:
            return LogWriter(path, max_bytes=cap, tell=self.complain)
        except LogFileError as error:
            self.complain(f"{error.message}. {error.hint}")
            return LogWriter(os.devnull, tell=self.complain)

    def _open_session(self) -> SessionView | None:
        settings = self._prepared.settings.session
        if not settings.enabled or self._folder is None:
            return None
        try:
            return SessionView(self._folder.get_file("session"), settings.level)
        except OSError as error:
            self.complain(f"The session file cannot be written: {error}")
            return None

    def write_run_json(
        self,
        canonical: Mapping[str, Any] | None,
        found: Mapping[str, Any],
        processing: Mapping[str, Any],
        *,
        is_last: bool = False,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write `run.json`: first with nothing known but the start, last with the canonical record.

        Args:
            canonical: The canonical record, once there is one.
            found: What is known of the inputs.
            processing: What the processing's own Python has said about itself.
            is_last: Whether no other version follows.
            more: What the processing has said of the run beyond the canonical record.
        """
        if self._folder is None:
            return
        files = {"log": os.path.basename(self._folder.get_file("log"))}
        if self.session is not None:
            files["session"] = os.path.basename(self._folder.get_file("session"))
        if self._prepared.settings.resources is not None:
            files["resources"] = os.path.basename(self._folder.get_file("resources"))
        content = build_run_json(
            self._prepared.facts,
            canonical,
            found=found,
            processing=processing,
            files=files,
            more=more,
        )
        try:
            if self._run_json is None:
                self._run_json = RunJson(self._folder.get_file("run"))
            content = self._prepared.redactor.redact_fields(decode(encode(content)) or {})
            self._run_json.write(content, is_last=is_last)
        except OSError as error:
            self.complain(f"{self._folder.get_file('run')} cannot be written: {error.strerror}")

    @property
    def has_data_process(self) -> bool:
        """Whether the run's `DataProcess` is made now; else it can be made of `run.json` later."""
        prepared = self._prepared
        if self._folder is None:
            return False
        if prepared.settings.upload.url is not None:  # an asset has one, whatever results have
            return True
        is_wanted = "provenance" in prepared.run_files
        return is_wanted and is_writable_folder(prepared.facts.folders["results"])

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
        assert self._folder is not None
        results = self._prepared.facts.folders["results"]
        report = make_data_process(
            self._folder,
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
        """Copy the run files that are wanted there into results; all, or some kinds of them."""
        prepared = self._prepared
        results, folder = prepared.facts.folders["results"], self._folder
        if folder is None or not prepared.run_files or not is_writable_folder(results):
            return
        for path, why in publish(folder, prepared.run_files.intersection(kinds), results):
            self.complain(
                f"{os.path.basename(path)} could not be copied to {results}: {why};"
                f" it is in {folder.path}"
            )

    def remove_old_runs(self) -> None:
        """Remove run folders that are old, beside this run's."""
        if self._folder is not None:
            keep_days = self._prepared.settings.history.keep_days
            remove_old_runs(os.path.dirname(self._folder.path), keep_days)

    def complain(self, message: str) -> None:
        """Say what went wrong where the log cannot take it."""
        self.failures.append(message)
        self._say(message)
