"""Send many files at a time, and keep the journal meanwhile: the one thread that writes it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from aind_capsule.errors import CapsuleError
from aind_capsule.storage.errors import StorageError
from aind_capsule.storage.objects import Bucket
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.upload.events import Event, Failed, Gone, PartsBegun, PartSent, Sent
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.progress import Progress, Tell
from aind_capsule.upload.sending import MIB, PART_BYTES, Budget, Sender

#: What may be in memory of files at a time.
_BUDGET_BYTES = 96 * MIB
#: Files in parts at the same time: while one ends the next begins.
_LARGE_AT_A_TIME = 4
_TELL_EVERY_S = 0.2


def send_pending(
    bucket: Bucket,
    folder: str,
    journal: Journal,
    patience: RetryPolicy,
    *,
    max_concurrency: int,
    content_types: Mapping[str, str],
    tell: Tell,
) -> Progress:
    """Send all files that the server has not.

    Args:
        bucket: Where to.
        folder: What keys begin with.
        journal: Knows the files, and takes what was done.
        patience: What the bucket's requests are tried with.
        max_concurrency: Requests at the same time.
        content_types: By ending of the file's name.
        tell: Takes the progress.

    Returns:
        How that went; `failures` names files that could not be read, or changed all the time.

    Raises:
        StorageError: The server refuses, or does not answer any more; or the journal fails.
    """
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    total = journal.count()
    progress = Progress(total.files, total.size, total.done_files, total.done_size)
    is_over = threading.Event()
    keeper = _Keeper(journal, events, progress, tell)
    limits = (2 * max_concurrency, 2 * _LARGE_AT_A_TIME)
    try:
        with (
            ThreadPoolExecutor(max_concurrency, "send") as workers,
            ThreadPoolExecutor(_LARGE_AT_A_TIME, "parts") as readers,
            _ending(is_over, patience),
        ):
            budget = Budget(_BUDGET_BYTES)
            sender = Sender(bucket, folder, content_types, budget, workers, events.put, is_over)
            for row in journal.find_pending():
                is_large = row.size > PART_BYTES
                while keeper.outstanding[is_large] >= limits[is_large]:
                    keeper.take()
                keeper.take_all()
                if is_large:
                    journal.note_parts()
                    readers.submit(sender.send, row, journal.find_begun(row.key))
                else:
                    budget.take(row.size)
                    workers.submit(sender.send, row, None)
                keeper.outstanding[is_large] += 1
            while any(keeper.outstanding):
                keeper.take()
    finally:
        keeper.finish()
    return progress


@contextlib.contextmanager
def _ending(is_over: threading.Event, patience: RetryPolicy) -> Iterator[None]:
    """Have the threads end soon where something fails, or somebody interrupts."""
    try:
        yield
    except BaseException:  # raised again
        is_over.set()
        patience.end()
        raise


class _Keeper:
    """Takes the threads' events into the journal.

    Attributes:
        outstanding: Files that were given to a thread and have no end yet: small, large.
    """

    def __init__(
        self,
        journal: Journal,
        events: queue.SimpleQueue[Event],
        progress: Progress,
        tell: Tell,
    ) -> None:
        self.outstanding = [0, 0]
        self._journal = journal
        self._events = events
        self._progress = progress
        self._tell = tell
        self._began = self._told = time.monotonic()
        self._in_parts: dict[str, int] = {}

    def take(self) -> None:
        """Wait for an event and take it."""
        self._take(self._events.get())

    def take_all(self) -> None:
        """Take those that are there."""
        while not self._events.empty():
            self._take(self._events.get())

    def finish(self) -> None:
        """Keep what was sent before something failed, and tell how it went."""
        while not self._events.empty():
            event = self._events.get()
            if not isinstance(event, Failed):
                self._take(event)
        self._progress.seconds = time.monotonic() - self._began
        self._tell(self._progress)

    def _take(self, event: Event) -> None:
        progress, journal = self._progress, self._journal
        if isinstance(event, PartsBegun):
            journal.set_begun(event.key, event.begun)
            progress.done_size -= self._in_parts.pop(event.key, 0)
        elif isinstance(event, PartSent):
            journal.add_part(event.key, event.part)
            self._in_parts[event.key] = self._in_parts.get(event.key, 0) + event.size
            progress.done_size += event.size
            progress.transferred += event.size
        elif isinstance(event, Sent):
            key = event.row.key
            self.outstanding[event.row.size > PART_BYTES] -= 1
            journal.set_sent(key, event.size, event.stamp, event.sha256)
            parts = self._in_parts.pop(key, 0)
            progress.done_files += 1
            progress.done_size += event.size - parts
            progress.transferred += event.transferred
            progress.transferred_files += 1
        elif isinstance(event, Gone):
            self.outstanding[event.row.size > PART_BYTES] -= 1
            journal.forget(event.row.key)
        else:
            self._take_failure(event)
        if (now := time.monotonic()) - self._told > _TELL_EVERY_S:
            self._told = now
            progress.seconds = now - self._began
            self._tell(progress)

    def _take_failure(self, event: Failed) -> None:
        self.outstanding[event.row.size > PART_BYTES] -= 1
        if isinstance(event.error, StorageError) or not isinstance(event.error, CapsuleError):
            raise event.error
        self._progress.failures.append(f"{event.error.message}. {event.error.hint}")
