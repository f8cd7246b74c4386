"""Where this process's records go: to the wrapper around it, or to a log file of its own."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from aind_capsule.context.folders import find_folder
from aind_capsule.context.identity import build_environment_fields
from aind_capsule.errors import LogFileError
from aind_capsule.logs.client import WrapperConnection, print_record
from aind_capsule.logs.place import make_run_folder
from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.encode import encode
from aind_capsule.records.naming import build_shipping, make_file_stem, make_run_id
from aind_capsule.records.timestamps import format_timestamp, read_clock_us


class Target(Protocol):
    """Takes encoded records."""

    fields: Mapping[str, Any]
    #: Whether somebody prints the records on stderr for people.
    is_echoed: bool

    def send(self, record: bytes) -> None:
        """Take one record (a JSON object without a line end); never raises."""

    def reopen(self) -> None:
        """Called in a forked child before anything else."""

    def close(self) -> None:
        """Let go of everything."""


class SerialTarget:
    """Hands records to a target one at a time: from threads, forked children, signal handlers.

    A signal handler that logs in the middle of a send must neither wait for it (it would wait for
    ever) nor go in between: its record is put aside, and the interrupted send lets it out.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._local = threading.local()
        self._renew()

    def send(self, record: bytes) -> None:
        """Take one record; never raises."""
        if self._pid != os.getpid():
            self._renew()
            self.target.reopen()
        if getattr(self._local, "is_sending", False):
            self._waiting.append(record)
            return
        self._local.is_sending = True
        try:
            with self._lock:
                self.target.send(record)
                while self._waiting:
                    self.target.send(self._waiting.pop(0))
        finally:
            self._local.is_sending = False

    def close(self) -> None:
        """Close the target where it is this process's own."""
        if self._pid == os.getpid():
            with self._lock:
                self.target.close()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []


class OwnLog:
    """A log file of this process's own, in a run folder, and the same for people on stderr.

    It is no run: it has no canonical record, and nothing of it goes into results. A forked child
    gets a file of its own when it logs for the first time.

    Attributes:
        path: The log file, or None where none could be opened.
    """

    is_echoed = True

    def __init__(self, process_name: str, environ: Mapping[str, str]) -> None:
        self._process_name = process_name
        self._environ = environ
        self.path: Path | None = None
        self.fields: Mapping[str, Any] = {}
        self._suffix = b""
        self._writer: LogWriter | None = None
        self._open()

    def send(self, record: bytes) -> None:
        """Write a record, and print it."""
        if self._writer is not None:
            self._writer.append([record[:-1] + self._suffix])
        print_record(record)

    def reopen(self) -> None:
        """In a forked child: the file is its parent's; open one of its own."""
        self._open()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> None:
        self._writer = None  # a parent's is not ours to close
        run_id = make_run_id()
        self.fields = {
            "run_id": run_id,
            **build_environment_fields(self._environ),
            "process_name": self._process_name,
        }
        self._suffix = b"," + encode(self.fields)[1:-1]
        given = self._environ.get("CAPSULE_SCRATCH") or None
        scratch = find_folder("scratch", given, "CAPSULE_SCRATCH", cwd=os.getcwd())
        place = make_run_folder(run_id, scratch.path, self._environ)
        if place is None:
            print_record(
                encode({"level": "WARNING", "message": "aind-capsule: no folder for a log"})
            )
            return
        stem = make_file_stem(self._process_name, run_id, in_pipeline=False)
        self.path = Path(place.path, f"{stem}.log.jsonl")
        try:
            self._writer = LogWriter(self.path, tell=_tell)
        except LogFileError as error:
            _tell(error.message)
            return
        first = {
            "timestamp": format_timestamp(read_clock_us()),
            "level": "INFO",
            "message": f"{self._process_name} logs to {self.path}",
            "shipping": build_shipping(self.fields),
        }
        self._writer.append([encode(first)[:-1] + self._suffix])


def open_target(process_name: str, environ: Mapping[str, str]) -> Target:
    """The wrapper where one answers, else a log file of our own."""
    path = environ.get("CAPSULE_SOCKET")
    if path:
        try:
            return WrapperConnection(path)
        except OSError as error:
            _tell(f"CAPSULE_SOCKET names a wrapper that does not answer ({error})")
    return OwnLog(process_name, environ)


def find_script_name() -> str:
    """The name of the program that runs, for a process that was given none."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None) or (sys.argv[0] if sys.argv else "")
    with contextlib.suppress(TypeError):
        stem = Path(path).stem
        if stem not in ("", "-c", "__main__"):
            return stem
    return "python"


def _tell(message: str) -> None:
    print_record(encode({"level": "WARNING", "message": f"aind-capsule: {message}"}))
