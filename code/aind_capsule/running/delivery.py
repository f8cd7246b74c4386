"""Delivery of a run's log, from the run's side: begun after its processing, ended with it.

What is delivered, and how, is `shipping`'s business, in a process of its own. Where no destination
is set nothing is started and nothing imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aind_capsule.running.files import RunFiles
from aind_capsule.running.journal import Journal
from aind_capsule.running.prepare import Prepared
from aind_capsule.settings.model import Settings
from aind_capsule.shipping.registry import find_kinds

if TYPE_CHECKING:
    from aind_capsule.running.shipper import ShipperProcess

#: At a run's end delivery may take so long, and inside a pipeline task, whose folder is gone
#: afterwards, so long while the server answers.
END_S = 30.0
TASK_END_S = 120.0
#: After a stop, in all: docker kills ten seconds after it has asked.
STOP_END_S = 9.0
#: Of which its report and our last words take so much.
_LAST_WORDS_S = 1.0

Watch = Callable[[int, Callable[[], None] | None], None]


class RunDelivery:
    """The delivery of one run's log.

    Args:
        prepared: The run.
        files: Its files.
        tell: Shows people a warning.
        watch: See `ShipperProcess`.
        on_started: Called with the pid of each process that is started.
    """

    def __init__(
        self,
        prepared: Prepared,
        files: RunFiles,
        tell: Callable[[str], None],
        watch: Watch | None = None,
        on_started: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self._prepared = prepared
        self._files = files
        self._tell = tell
        self._watch = watch
        self._on_started = on_started
        self._is_on = bool(find_kinds(prepared.settings)) and files.folder is not None
        self._process: ShipperProcess | None = None

    @property
    def is_on(self) -> bool:
        """Whether the log is to be delivered anywhere."""
        return self._is_on

    def start(self) -> ShipperProcess | None:
        """Begin, if there is anything to deliver to, and if that has not been done."""
        log = self._files.writer.path
        if not self._is_on or self._process is not None:
            return self._process
        from aind_capsule.running.shipper import ShipperProcess  # most runs need none

        try:
            self._process = ShipperProcess(
                log, self._prepared.settings, self._tell, self._watch, self._on_started
            )
        except OSError as error:
            self._is_on = False
            self._files.complain(f"The log is not delivered: {error}; `capsule push` does it later")
        return self._process

    def keep_files(self, journal: Journal, *, is_over: bool) -> None:
        """Have all files in a folder that exists, and the log read where it is now.

        Args:
            journal: The run's log, which has not ended yet.
            is_over: Whether the processing has ended.
        """
        if self._files.keep(journal, is_over=is_over) and self._process is not None:
            writer = self._files.writer
            self._process.follow_log(writer.path, is_whole=not writer.was_damaged)

    def count_undelivered(self, records: int) -> dict[str, int]:
        """Records that have not arrived yet, by destination, out of so many in the log."""
        if self._process is None:
            return {}
        settled = self._process.settled
        return {
            kind.name: records - settled.get(kind.name, 0)
            for kind in find_kinds(self._prepared.settings)
            if records > settled.get(kind.name, 0)
        }

    def finish(
        self, stopped_s_ago: float | None, must_hurry: Callable[[float], bool]
    ) -> dict[str, Any]:
        """Have the rest delivered; returns the push report and says what is still owed.

        Args:
            stopped_s_ago: Since when the run has been asked to stop, or None.
            must_hurry: Waits for so many seconds, or less; returns whether to stop waiting.
        """
        prepared, process = self._prepared, self._process
        if process is None:
            return {}
        in_task = prepared.task is not None
        limits = choose_deadline(prepared.settings, in_task=in_task, stopped_s_ago=stopped_s_ago)
        report = process.finish(*limits, must_hurry)
        self._files.keep_after_end()  # what is said next names where they are
        undelivered = self.count_undelivered(self._files.writer.records)
        for kind in find_kinds(prepared.settings):
            missing = {
                "owed": undelivered.get(kind.name, 0),
                "problem": "the process that delivers did not answer",
            }
            row = report.setdefault(kind.name, missing)
            if not os.path.exists(process.log):  # then it cannot count what it has not read
                row["owed"] = max(row.get("owed", 0), missing["owed"])
            self._say_what_is_owed(kind.name, row)
        return report

    def _say_what_is_owed(self, name: str, row: Mapping[str, Any]) -> None:
        """Tell people what has not arrived, and what they can do."""
        problem = row.get("problem") or "there was no time"
        if row.get("set_aside"):
            self._files.complain(
                f"{row['set_aside']} records were refused by {name}"
                f" ({row['set_aside_reason']}); they are in {row['set_aside_file']}"
            )
        if row.get("owed", 1):
            count = f"{row['owed']} records" if "owed" in row else "Records"
            log = self._files.find_log_to_push()
            then = f"`capsule push {log}` delivers them"
            if log is None:
                then = "they are lost, for the log is kept nowhere"
            elif self._prepared.task is not None:
                then = "they are lost when the task's folder goes"
            self._files.complain(f"{count} have not reached {name} ({problem}); {then}")


def choose_deadline(
    settings: Settings, *, in_task: bool, stopped_s_ago: float | None
) -> tuple[float, float]:
    """Seconds that delivery may take at a run's end: in all, and without a success.

    Args:
        settings: `shipping.deadline`, and the grace of a stop.
        in_task: Whether the run is a pipeline task.
        stopped_s_ago: Since when the run has been asked to stop, or None.
    """
    given = settings.shipping.deadline
    total_s, silent_s = (TASK_END_S if in_task else END_S), END_S
    if given is not None:
        total_s = silent_s = given
    if stopped_s_ago is not None:
        # Who gives the processing longer than docker would has more time for us too.
        left_s = max(STOP_END_S, settings.grace + STOP_END_S / 2) - stopped_s_ago
        total_s = min(total_s, max(0.5, left_s - _LAST_WORDS_S))
    return total_s, min(silent_s, total_s)
