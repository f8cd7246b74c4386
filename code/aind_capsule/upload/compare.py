"""Find out by their SHA-256 which files the server has, as an earlier manifest tells it.

Nothing is sent. In batches, because measured: a file of 4 KB takes a tenth of the time that handing
it to a thread and back takes.
"""

from __future__ import annotations

import collections
import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from aind_capsule.upload.journal import Journal
from aind_capsule.upload.progress import Progress, Tell
from aind_capsule.upload.rows import FileRow, KnownFile
from aind_capsule.upload.tree import FileIdentity

#: More would wait for one another: the interpreter is free only while bytes are hashed.
_THREADS = 4
_BATCH_FILES = 200
_BATCH_BYTES = 32 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_TELL_EVERY_S = 0.2


def compare_known(journal: Journal, tell: Tell) -> None:
    """Take into the journal which files the server has as they are.

    A file that cannot be read, or changes meanwhile, counts as one that it has not; one that is
    as it was when its folder was last uploaded from here is not read again.

    Args:
        journal: Knows the files, what the manifest tells of them, and what the server holds.
        tell: Takes the progress.

    Raises:
        JournalError: It cannot be written.
    """
    journal.take_hashes()
    total = journal.count()
    progress = Progress(total.files, total.size, total.done_files, total.done_size)
    told_at = time.monotonic()
    is_over = threading.Event()
    waiting: collections.deque[Future[list[KnownFile]]] = collections.deque()
    with ThreadPoolExecutor(_THREADS, "compare") as threads:
        try:
            batches = _make_batches(journal.find_known())
            for batch in batches:
                waiting.append(threads.submit(_find_alike, batch, is_over))
                if len(waiting) <= 2 * _THREADS:
                    continue
                _take(waiting.popleft(), journal, progress)
                if time.monotonic() - told_at > _TELL_EVERY_S:
                    told_at = time.monotonic()
                    tell(progress)
            while waiting:
                _take(waiting.popleft(), journal, progress)
        except BaseException:  # raised again
            is_over.set()
            raise


def _take(done: Future[list[KnownFile]], journal: Journal, progress: Progress) -> None:
    alike = done.result()
    journal.set_alike(alike)
    progress.done_files += len(alike)
    progress.done_size += sum(known.row.size for known in alike)


def _make_batches(known: Iterable[KnownFile]) -> Iterator[list[KnownFile]]:
    batch: list[KnownFile] = []
    size = 0
    for file in known:
        batch.append(file)
        size += file.row.size
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _find_alike(batch: list[KnownFile], is_over: threading.Event) -> list[KnownFile]:
    """Those of some files that are as the manifest tells."""
    return [known for known in batch if _is_alike(known.row, known.sha256, is_over)]


def _is_alike(row: FileRow, sha256: bytes, is_over: threading.Event) -> bool:
    digest = hashlib.sha256()
    try:
        # Few calls, and none of `open`'s: at each of them the threads wait for one another.
        fd = os.open(row.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            read = 0
            while read < row.size and not is_over.is_set():
                data = os.read(fd, min(_READ_BYTES, row.size - read))
                if not data:
                    break
                digest.update(data)
                read += len(data)
            # It is what was found before: then it has not changed meanwhile either.
            return (
                digest.digest() == sha256 and FileIdentity.from_status(os.fstat(fd)) == row.identity
            )
        finally:
            os.close(fd)
    except OSError:
        return False  # said where it is sent
