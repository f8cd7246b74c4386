"""Find out which files a server has already: by hashing them here, several at a time.

Where the server still names an object as it did when it was sent, its SHA-256 is known and the
file's is compared with it. Elsewhere the ETag is compared with the file's MD5, and an object whose
ETag is none is read.
"""

from __future__ import annotations

import collections
import hashlib
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from aind_capsule.storage.errors import AbsentError, RefusedError
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.claim import is_forbidden
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.progress import Progress, Tell
from aind_capsule.upload.reading import FolderReader
from aind_capsule.upload.rows import KnownFile

#: More would wait for one another: the interpreter is free only while bytes are hashed.
_THREADS = 4
_BATCH_FILES = 100
_BATCH_BYTES = 16 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_TELL_EVERY_S = 0.2
_FEW = 10

#: With the SHA-256, and whether the file must be read once more.
Alike = list[tuple[KnownFile, bytes, bool]]


class Comparison:
    """Compares files with objects. To be used by one thread, which has others do the work.

    Args:
        bucket: Where the objects are.
        folder: What keys begin with.
        source: The folder that the files are in; None where they are all beside it.
        is_thorough: Whether an object is read that the server lists without an ETag. Else the time
            of its last change has to do.
    """

    def __init__(
        self, bucket: Bucket, folder: str, source: bytes | None, *, is_thorough: bool
    ) -> None:
        self._bucket = bucket
        self._folder = folder
        self._source = source
        self._is_thorough = is_thorough
        self._is_over = threading.Event()

    def run(self, journal: Journal, tell: Tell) -> None:
        """Take into the journal which files the server has as they are.

        A file that cannot be read, or changes meanwhile, counts as one that it has not.

        Raises:
            StorageError: An object cannot be read.
            JournalError: The journal cannot be written.
        """
        total = journal.count()
        progress = Progress(total.files, total.size, total.done_files, total.done_size)
        told_at = time.monotonic()
        waiting: collections.deque[Future[Alike]] = collections.deque()
        with (
            FolderReader(self._source) as reader,
            ThreadPoolExecutor(_THREADS, "compare") as threads,
        ):
            try:
                for batch in _make_batches(journal.ledger.find_known()):
                    waiting.append(threads.submit(self._find_alike, batch, reader))
                    if len(waiting) <= 2 * _THREADS:
                        continue
                    _take(waiting.popleft(), journal, progress)
                    if time.monotonic() - told_at > _TELL_EVERY_S:
                        told_at = time.monotonic()
                        tell(progress)
                while waiting:
                    _take(waiting.popleft(), journal, progress)
            except BaseException:  # raised again
                self._is_over.set()
                raise

    def _find_alike(self, batch: list[KnownFile], reader: FolderReader) -> Alike:
        """Return those of some files that the server has."""
        alike: Alike = []
        for known in batch:
            try:
                with reader.open_file(known.row.path) as file:
                    is_certain = known.is_certain and not (self._is_thorough and known.is_timed)
                    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
                    while not self._is_over.is_set() and (data := file.read(_PIECE_BYTES)):
                        sha256.update(data)
                        if not is_certain:
                            md5.update(data)
                    is_at_rest = file.identity == known.row.identity and file.is_as_opened()
            except OSError:  # said where it is sent
                continue
            digest = sha256.digest()
            if not is_at_rest or self._is_over.is_set():
                continue
            if is_certain:
                is_alike = digest == known.sha256
            else:
                is_alike = known.etag == md5.hexdigest() or self._is_held(known, digest)
            if is_alike:
                alike.append((known, digest, file.is_doubtful))
        return alike

    def _is_held(self, known: KnownFile, sha256: bytes) -> bool:
        """Return whether an object has just these bytes; one known to differ is not read."""
        if known.sha256 is not None and known.sha256 != sha256:
            return False
        digest = hashlib.sha256()
        try:
            self._bucket.read(self._folder + known.row.key, digest.update)
        except AbsentError:
            return False
        except RefusedError as error:
            if not is_forbidden(error):
                raise
            return False
        return digest.digest() == sha256


def find_different(journal: Journal, source: bytes | None) -> list[str]:
    """Return some keys of files that are not as the manifest says, and of those that are gone.

    Args:
        journal: Knows the files that the server has not as they are, and the manifest.
        source: The folder that the files are in.
    """
    different = list({*journal.ledger.find_stale(), *journal.ledger.find_unlike_manifest()})
    with FolderReader(source) as reader:
        for row in journal.find_pending():
            known = journal.ledger.find_sha256(row.key)
            try:
                digest = None if known is None else reader.hash_file(row.path)
            except OSError:
                digest = None
            if digest is None or digest.sha256 != known:
                different.append(row.key)
            if len(different) >= _FEW:
                break
    return different[:_FEW]


def _take(done: Future[Alike], journal: Journal, progress: Progress) -> None:
    alike = done.result()
    journal.ledger.set_alike(alike)
    progress.done_files += len(alike)
    progress.done_size += sum(known.row.size for known, _, _ in alike)


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
