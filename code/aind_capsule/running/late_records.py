"""Records that come after the end of a run that its own process made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from aind_capsule.logs.stderr import print_record, say
from aind_capsule.records.encode import decode
from aind_capsule.running.journal import format_line


class LateRecords:
    """Shows them on stderr and adds them to the session file; the log is closed.

    Args:
        run_id: The run that has ended.
        find_sessions: Finds the session file and its copies.
    """

    def __init__(self, run_id: str, find_sessions: Callable[[], Sequence[str]]) -> None:
        self._run_id = run_id
        self._find_sessions = find_sessions
        self._sessions: Sequence[str] | None = None
        self._logged_failures: set[tuple[str, str]] = set()

    def expect(self, kind: str, message: str) -> None:
        """Expect an exception that the log has: when nobody catches it, it comes again."""
        self._logged_failures.add((kind, message))

    def take(self, record: bytes) -> None:
        """Take an encoded record."""
        exception = (decode(record) or {}).get("exception") or {}
        if (exception.get("type"), exception.get("message")) in self._logged_failures:
            print_record(record)
            return
        if self._sessions is None:
            self._sessions = self._find_sessions()
            where = " and to the session file" if self._sessions else ""
            say(f"the run {self._run_id} has ended; records after its end go to stderr{where}")
        print_record(record)
        line = format_line(decode(record) or {}, "plain")
        self._sessions = [path for path in self._sessions if _append(path, line)]


def _append(path: str, line: bytes) -> bool:
    """Add a line to a file that is there; returns whether that worked."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
    except OSError:
        return False
    return True
