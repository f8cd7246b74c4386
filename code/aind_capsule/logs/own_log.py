"""The log of a process that logs without a wrapper: a file in a run folder, and stderr for people.

It is no run: it has no canonical record, and nothing of it goes into results. Calls come one at a
time (`target.SerialTarget` sees to that).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aind_capsule.context.folders import find_folder
from aind_capsule.context.identity import build_environment_fields
from aind_capsule.errors import LogFileError
from aind_capsule.logs.file.kept_folder import KeptFolder
from aind_capsule.logs.place import make_run_folder
from aind_capsule.logs.python.stderr_console import StderrConsole
from aind_capsule.logs.stderr import say
from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.colours import strip_record
from aind_capsule.records.encode import encode
from aind_capsule.records.naming import LOG_SUFFIX, build_shipping, make_file_stem, make_run_id
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.run_fields import build_run_fields
from aind_capsule.records.shrink import (
    MAX_FIELDS_BYTES,
    MAX_LINE_BYTES,
    SEQ_BYTES,
    fit_fields,
    fit_record,
)
from aind_capsule.records.timestamps import format_timestamp, read_clock_us
from aind_capsule.settings.model import Settings


class OwnLog:
    """A log file of this process's own, and its records for people on stderr.

    A forked child gets a file of its own when it logs for the first time.

    Args:
        process_name: The process's name, for the file's name and the records.
        settings: The pipeline's name and its like, and the console's mode and level.
        environ: The environment.
        cwd: The working directory, for the default scratch folder.
        redactor: Knows what is secret.

    Attributes:
        process_name: The process's name.
        fields: What is put into every record.
        redactor: Hides secrets in the records before they come here.
        path: The log file, or None where none could be opened.
    """

    def __init__(
        self,
        process_name: str,
        settings: Settings,
        environ: Mapping[str, str],
        cwd: str,
        redactor: Redactor,
    ) -> None:
        self.process_name = redactor.redact_text(process_name)  # the log's file bears it
        self.path: str | None = None
        self.fields: Mapping[str, Any] = {}
        self._settings = settings
        self._environ = dict(environ)
        self._console = StderrConsole(settings.console, environ)
        self._scratch = find_folder("scratch", settings.scratch, "settings", cwd=cwd).path
        self.redactor = redactor
        self._suffix = b""
        self._writer: LogWriter | None = None
        self._kept: KeptFolder | None = None
        self._must_open = False
        self._longest = MAX_LINE_BYTES
        self._cut = 0
        self._open(is_told=True)

    @property
    def is_echoed(self) -> bool:
        """Whether people see the records on stderr."""
        return self._console.is_on

    def send(self, record: bytes) -> None:
        """Write a record, and show it; one that cannot be written is shown in any case."""
        if self._must_open:
            self._open(is_told=False)
        writer, suffix, record = self._writer, self._suffix, strip_record(record)
        if len(record) > self._longest:
            record, suffix = fit_record(record[:-1] + suffix) + b"}", b""
            self._cut += 1
        is_kept = writer is not None and writer.append_one(record[:-1], suffix)
        if self._console.is_on or not is_kept:
            self._console.show(record, is_needed=not is_kept)

    def forget(self) -> None:
        """Let go of the parent's file and open another at the next send (in a forked child)."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.forget()
        if self._kept is not None:
            self._kept.close()
        self._must_open = True

    def finish(self) -> None:
        """Have the log where it can be found; say what was lost, for no canonical record does."""
        if self._writer is not None and self._kept is not None:
            finding = self._kept.look(self._writer, is_over=True)
            self.path = self._writer.path
            if finding.is_damaged:
                say("the log was truncated or overwritten while the process went on")
            if finding.is_moved:
                say(f"the folder of the log was removed or moved; the log is {self.path} now")
            if finding.is_lost:
                count = self._writer.next_seq
                say(f"the log is kept nowhere, for no folder can be written: {count} records")
        if self._cut:
            say(f"{self._cut} records were longer than {MAX_LINE_BYTES} bytes and were cut")
        for cause, count in sorted(self._writer.lost.items()) if self._writer is not None else ():
            say(f"{count} records are not in {self.path} ({cause})")

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._kept is not None:
            self._kept.close()

    def _open(self, *, is_told: bool) -> None:
        self._must_open = False
        run_id = make_run_id()
        surroundings = build_environment_fields(self._environ)
        fields = build_run_fields(run_id, self.process_name, self._settings, surroundings)
        self.fields, cut_names = fit_fields(self.redactor.redact_fields(fields))
        if cut_names and is_told:
            names = ", ".join(cut_names)
            say(f"the fields of every record are cut to {MAX_FIELDS_BYTES} bytes: {names}")
        self._suffix = b"," + encode(self.fields)[1:-1]
        self._longest = MAX_LINE_BYTES - len(self._suffix) - SEQ_BYTES
        place = make_run_folder(run_id, self._scratch, self._environ)
        if place is None:
            say("there is no folder that a log could be written to; records come here only")
            return
        if place.why_not_scratch is not None and is_told:
            say(f"the log is in {place.path}: {place.why_not_scratch}")
        stem = make_file_stem(self.process_name, run_id, in_pipeline=False)
        name = f"{stem}{LOG_SUFFIX}"
        self.path = os.path.join(place.path, name)
        self._kept = KeptFolder(place.path, {"log": name}, self._scratch, self._environ)
        try:
            # Many short processes write such logs, and most end without giving space back.
            self._writer = LogWriter(self.path, folder=self._kept.opened, reserves=False, tell=say)
        except LogFileError as error:
            say(f"{error.message}; records come here only")
            return
        first = {
            "timestamp": format_timestamp(read_clock_us()),
            "level": "INFO",
            "message": f"{self.process_name} logs to {self.path}",
        }
        hide = self.redactor.redact_text
        shipping = {"shipping": build_shipping(self.fields, self._settings.shipping, hide)}
        self._writer.append_one(encode({**first, **shipping})[:-1] + self._suffix)
        if is_told:
            self._console.show_start(first)
