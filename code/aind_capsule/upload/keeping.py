"""Take into the journal what the threads that send report, many events at a time.

A statement a file would hand the interpreter over to the threads and wait for it, each time: that
costs more than the statement.
"""

from __future__ import annotations

import queue
import time

from aind_capsule.errors import CapsuleError
from aind_capsule.storage.errors import StorageError
from aind_capsule.upload.events import (
    Confirmed,
    Event,
    Failed,
    Gone,
    Outgrown,
    PartsBegun,
    PartSent,
    Sent,
)
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.progress import Progress, Tell
from aind_capsule.upload.rows import FileRow, SentRow
from aind_capsule.upload.sending import PART_BYTES
from aind_capsule.upload.writing import ForeignObjectError

#: What is reported in this time is written together.
WAIT_S = 0.02
_TELL_EVERY_S = 0.2


class Keeper:
    """Takes events, and counts.

    Args:
        journal: Where to.
        events: What the threads report.
        progress: Is kept up to date.
        tell: Takes it.
        few: So many files in the threads' hands that each event is worth waking up for.

    Attributes:
        outstanding: Files in a thread's hands: small ones, large ones.
        outgrown: Files that are to be sent in parts.
        is_checking: Whether all files were sent before and count no more.
    """

    def __init__(
        self,
        journal: Journal,
        events: queue.SimpleQueue[Event],
        progress: Progress,
        tell: Tell,
        *,
        few: int,
    ) -> None:
        self.outstanding = [0, 0]
        self.outgrown: list[FileRow] = []
        self.is_checking = False
        self._few = few
        self._journal = journal
        self._events = events
        self._progress = progress
        self._tell = tell
        self._began = self._told = time.monotonic()
        self._in_parts: dict[str, int] = {}
        self._sent: list[SentRow] = []

    def take(self) -> None:
        """Wait for events and take them.

        Raises:
            Exception: What ended a thread's file and concerns all others.
        """
        if sum(self.outstanding) > self._few:
            time.sleep(WAIT_S)
        elif any(self.outstanding) and self._events.empty():
            first = self._events.get()
            self._take_all([first])
            return
        self.take_there()

    def take_there(self) -> None:
        """Take the events that are there."""
        self._take_all([])

    def finish(self) -> None:
        """Keep what was sent before something failed, and report how it went."""
        while not self._events.empty():
            event = self._events.get()
            if not isinstance(event, Failed):
                self._take(event)
        self._write()
        self._progress.seconds = time.monotonic() - self._began
        self._tell(self._progress)

    def _take_all(self, events: list[Event]) -> None:
        failure: Exception | None = None
        while not self._events.empty():
            events.append(self._events.get())
        for event in events:
            if isinstance(event, Failed):
                failure = self._take_failure(event) or failure
            else:
                self._take(event)
        self._write()
        if failure is not None:
            raise failure
        if (now := time.monotonic()) - self._told > _TELL_EVERY_S:
            self._told = now
            self._progress.seconds = now - self._began
            self._tell(self._progress)

    def _write(self) -> None:
        if self._sent:
            rows, self._sent = self._sent, []
            self._journal.set_sent(rows)

    def _take(self, event: Event) -> None:
        if isinstance(event, Sent):
            self._take_sent(event)
            return
        if isinstance(event, PartSent):
            self._take_part(event)
            return
        self._write()  # in the order in which it happened
        progress, journal = self._progress, self._journal
        if isinstance(event, PartsBegun):
            journal.set_begun(event.key, event.begun)
            event.kept.set()
            progress.done_size -= self._in_parts.pop(event.key, 0)
            return
        self.outstanding[event.row.size > PART_BYTES] -= 1
        if isinstance(event, Confirmed):
            self._sent.append(SentRow(event.row.key, event.identity, event.sha256))
        elif isinstance(event, Gone):
            progress.vanished.append(event.row.name)
            journal.forget(event.row.key)
        elif isinstance(event, Outgrown):
            self.outgrown.append(event.row._replace(identity=event.identity))

    def _take_sent(self, event: Sent) -> None:
        row, progress = event.row, self._progress
        is_large = row.size > PART_BYTES
        self.outstanding[is_large] -= 1
        has_parts = is_large or row.key in self._in_parts
        self._sent.append(
            SentRow(row.key, event.identity, event.sha256, event.etag, event.is_doubtful, has_parts)
        )
        parts = self._in_parts.pop(row.key, 0)
        progress.transferred += event.transferred
        progress.transferred_files += 1
        progress.done_size -= parts
        if not self.is_checking:
            progress.done_files += 1
            progress.done_size += event.identity.size

    def _take_part(self, event: PartSent) -> None:
        self._journal.add_part(event.key, event.part)
        self._in_parts[event.key] = self._in_parts.get(event.key, 0) + event.size
        self._progress.done_size += event.size
        if event.is_new:
            self._progress.transferred += event.size

    def _take_failure(self, event: Failed) -> Exception | None:
        """Count a file that failed, or return what concerns all files."""
        self.outstanding[event.row.size > PART_BYTES] -= 1
        if isinstance(event.error, ForeignObjectError):
            self._journal.forget_handing(event.row.key)
        if isinstance(event.error, StorageError) or not isinstance(event.error, CapsuleError):
            return event.error
        self._progress.failures.append(f"{event.error.message}. {event.error.hint}")
        return None
