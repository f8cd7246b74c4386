"""`python -m aind_capsule.shipping LOG`: deliver a log while it is written, and what is left then.

By hand, the settings are those of the working folder, and the report is printed as JSON. Started
by a run (`--linked`) it is told its settings and the log's end on stdin, and speaks of its doings
on stdout, one JSON object a line; when nobody is at the other end any more it delivers what there
is, and ends.
"""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from typing import Any

from aind_capsule.context.folders import get_cwd
from aind_capsule.errors import CapsuleError, SettingsError
from aind_capsule.logs.reader import is_being_written
from aind_capsule.records.encode import decode, encode
from aind_capsule.settings.load import find_code_folder, load_settings
from aind_capsule.settings.model import Settings
from aind_capsule.shipping.places import find_state_folder
from aind_capsule.shipping.registry import find_kinds
from aind_capsule.shipping.shipper import LOOK_S, Deadline, Shipper

DEADLINE_S = 30.0
_STATUS_S = 0.5
#: The processing comes first where there is one processor for both.
_NICENESS = 5


class Link:
    """Words to and from the run: JSON lines on stdout and stdin.

    Attributes:
        deadline: How long delivery may take once the log has ended; None until then.
        moves: Where the log has gone to, and whether it is the same; oldest first.
    """

    def __init__(self) -> None:
        self.deadline: Deadline | None = None
        self.moves: deque[tuple[str, bool]] = deque()
        self._told: set[str] = set()
        self._status: dict[str, int] = {}
        self._next_status = 0.0
        _set_blocking(is_blocking=False)

    def read_settings(self) -> Settings:
        """The first line: the run's settings, as it has them."""
        settings = pickle.loads(base64.b64decode(sys.stdin.buffer.readline()))
        assert isinstance(settings, Settings)
        threading.Thread(target=self._read, daemon=True).start()
        return settings

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            message = decode(line) or {}
            if "log" in message:
                self.moves.append((message["log"], message["is_whole"]))
            if "total_s" in message:
                self.deadline = Deadline(message["total_s"], message["silent_s"])
        if self.deadline is None:  # the run was killed
            self.deadline = Deadline(DEADLINE_S, DEADLINE_S)

    def look(self, shipper: Shipper) -> None:
        """Follow the log; tell of troubles, once for each destination, and how far we are."""
        while self.moves:
            log, is_whole = self.moves.popleft()
            shipper.follow_log(log, is_whole=is_whole)
        for lane in shipper.lanes:
            if lane.name not in self._told and (trouble := lane.trouble):
                self._told.add(lane.name)
                self._say({"trouble": trouble, "destination": lane.name, "is_off": lane.is_off})
        status = {lane.name: lane.settled for lane in shipper.lanes}
        if status != self._status and time.monotonic() >= self._next_status:
            self._status = status
            self._next_status = time.monotonic() + _STATUS_S
            self._say({"settled": status})

    def report(self, shipper: Shipper) -> None:
        """The last word; waited for a little where the run does not read."""
        _set_blocking(is_blocking=True)
        if hasattr(signal, "alarm"):
            signal.alarm(2)
        self._say({"report": shipper.describe()})

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # nobody is there, or the run is suspended
            os.write(1, encode(message) + b"\n")


def _set_blocking(*, is_blocking: bool) -> None:
    """Of stdout; Windows has it since Python 3.12, and not for every pipe."""
    with contextlib.suppress(AttributeError, OSError):
        os.set_blocking(1, is_blocking)


def deliver_linked(log: str) -> None:
    """Deliver for a run."""
    parent = os.getppid()
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGPIPE"):
        if hasattr(signal, name):  # a signal to all processes is the run's business
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    link = Link()
    settings = link.read_settings()
    shipper = Shipper(log, os.path.dirname(log), settings, os.environ)
    shipper.start()
    # Its children may hold the pipe open when the run itself is gone.
    while link.deadline is None and os.getppid() == parent:
        link.look(shipper)
        time.sleep(LOOK_S)
    usual = Deadline(DEADLINE_S, DEADLINE_S)
    link.look(shipper)  # where the log ends may not be where it began
    shipper.finish(lambda: link.deadline or usual, lambda: link.look(shipper))
    link.look(shipper)
    link.report(shipper)


def deliver_by_hand(log: str) -> int:
    """Deliver a log with the settings of this folder until it has ended; the exit status."""
    cwd = get_cwd()
    loaded = load_settings({}, os.environ, find_code_folder((), cwd))
    settings = loaded.settings
    for problem in loaded.problems:
        print(f"{problem.message}. {problem.hint}", file=sys.stderr)
    if not find_kinds(settings):
        raise SettingsError(
            "No destination is configured",
            hint="Set one, such as CAPSULE_LOKI__URL=http://host:3100",
        )
    shipper = Shipper(log, find_state_folder(log, os.environ), settings, os.environ)
    shipper.start()
    while is_being_written(log):
        time.sleep(LOOK_S)
    limit_s = DEADLINE_S if settings.shipping.deadline is None else settings.shipping.deadline
    shipper.finish(lambda: Deadline(limit_s, limit_s), lambda: None)
    report = shipper.describe()
    print(encode(report).decode())
    return 74 if any(row.get("owed", 1) for row in report.values()) else 0


def main(words: list[str]) -> int:
    """Deliver the log that the command line names."""
    is_linked = "--linked" in words
    logs = [word for word in words if word != "--linked"]
    # The processing may have removed a run's log already: then the run says where it is.
    if len(logs) != 1 or not (is_linked or os.path.isfile(logs[0])):
        print("usage: python -m aind_capsule.shipping LOG", file=sys.stderr)
        return 2
    log = os.path.abspath(logs[0])
    if is_linked:
        deliver_linked(log)
        return 0
    try:
        return deliver_by_hand(log)
    except CapsuleError as error:
        print(f"{error.message}. {error.hint}", file=sys.stderr)
        return error.exit_status


if __name__ == "__main__":
    exit_status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(exit_status)  # threads that wait for a server are left behind
