"""Send many files at a time, and keep the journal meanwhile: the one thread that writes it."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from aind_capsule.storage.errors import StorageError
from aind_capsule.storage.objects import Bucket
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.upload.budget import Budget
from aind_capsule.upload.content_types import ContentTypes
from aind_capsule.upload.events import Event
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.keeping import WAIT_S, Keeper
from aind_capsule.upload.progress import Progress, Tell
from aind_capsule.upload.reading import FolderReader
from aind_capsule.upload.rows import FileRow
from aind_capsule.upload.sending import COUNTED_BYTES, MIB, PART_BYTES, Sender
from aind_capsule.upload.workers import Workers
from aind_capsule.upload.writing import ObjectWriter

#: What may be in memory of files at a time.
_BUDGET_BYTES = 96 * MIB
#: Files in parts at the same time: while one ends the next begins.
_LARGE_AT_A_TIME = 4
#: Small files that wait in the queue: enough for the threads while the journal is written.
_QUEUED_FILES = 1000
#: A file that was sent while it may have been written is read again, and sent again, this often.
_CHECKS = 3


def send_pending(
    bucket: Bucket,
    folder: str,
    journal: Journal,
    patience: RetryPolicy,
    *,
    source: str | None,
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
        source: The folder that the files are in; None where they are all beside it.
        max_concurrency: Requests at the same time.
        content_types: By ending of the file's name.
        tell: Takes the progress.

    Returns:
        How that went. `failures` names files that could not be read, or changed all the time.

    Raises:
        StorageError: The server refuses, or does not answer any more; or the journal fails.
    """
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    total = journal.count()
    progress = Progress(total.files, total.size, total.done_files, total.done_size)
    is_over = threading.Event()
    keeper = Keeper(journal, events, progress, tell, few=2 * max_concurrency)
    try:
        with (
            _opening(source) as reader,
            Workers(max_concurrency, "send") as workers,
            ThreadPoolExecutor(_LARGE_AT_A_TIME, "parts") as readers,
            _ending(is_over, patience),
        ):
            budget = Budget(_BUDGET_BYTES)
            sender = Sender(
                ObjectWriter(bucket, folder), reader, ContentTypes(content_types), budget, workers,
                events.put, is_over,
            )  # fmt: skip
            pool = _Pool(journal, sender, keeper, readers)
            pool.send_all()
            pool.check_doubtful()
    finally:
        keeper.finish()
    return progress


class _Pool:
    """Gives files to the threads.

    Args:
        journal: Knows the files.
        sender: Sends one.
        keeper: Takes what the threads report.
        readers: Threads that read large files.
    """

    def __init__(
        self,
        journal: Journal,
        sender: Sender,
        keeper: Keeper,
        readers: ThreadPoolExecutor,
    ) -> None:
        self._journal = journal
        self._sender = sender
        self._keeper = keeper
        self._readers = readers
        self._limits = (_QUEUED_FILES, 2 * _LARGE_AT_A_TIME)

    def send_all(self) -> None:
        """Send all files that the server has not."""
        for row in self._journal.find_pending():
            if row.size > PART_BYTES:
                self._send_large(row)
            else:
                self._give(row, functools.partial(self._sender.send_small, row))
        self._wait()

    def check_doubtful(self) -> None:
        """Read again what may have been written unseen while it was sent, until it is at rest."""
        self._keeper.is_checking = True
        for number in range(_CHECKS + 1):
            is_any = False
            for row, sha256 in self._journal.find_doubtful():
                is_any = True
                call = functools.partial(
                    self._sender.check_again, row, sha256, may_send=number < _CHECKS
                )
                self._give(row, call)
            self._wait()
            if not is_any:
                return

    def _give(self, row: FileRow, call: Callable[[], object]) -> None:
        """Have a thread do something with a file, once there is room for it."""
        is_large = row.size > PART_BYTES
        if COUNTED_BYTES < row.size <= PART_BYTES:
            while not self._sender.budget.take(row.size, WAIT_S):
                self._keeper.take_there()
        while self._keeper.outstanding[is_large] >= self._limits[is_large]:
            self._keeper.take()
        self._keeper.outstanding[is_large] += 1
        if is_large:
            self._readers.submit(call)
        else:
            self._sender.workers.put(call)

    def _send_large(self, row: FileRow) -> None:
        begun = self._journal.find_begun(row.key)
        self._give(row, functools.partial(self._sender.send_large, row, begun))

    def _wait(self) -> None:
        """Wait until nothing is in a thread's hands."""
        while any(self._keeper.outstanding) or self._keeper.outgrown:
            while self._keeper.outgrown:
                self._send_large(self._keeper.outgrown.pop())
            self._keeper.take()


@contextlib.contextmanager
def _opening(source: str | None) -> Iterator[FolderReader]:
    """Have the folder opened.

    Raises:
        StorageError: It cannot be.
    """
    try:
        reader = FolderReader(None if source is None else os.fsencode(source))
    except OSError as error:
        raise StorageError(
            f"{source} cannot be read: {error.strerror}",
            hint="Make it readable; then capsule upload --resume.",
        ) from error
    with reader:
        yield reader


@contextlib.contextmanager
def _ending(is_over: threading.Event, patience: RetryPolicy) -> Iterator[None]:
    """Have the threads end soon where something fails, or somebody interrupts."""
    try:
        yield
    except BaseException:  # raised again
        is_over.set()
        patience.end()
        raise
