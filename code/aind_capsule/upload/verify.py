"""Check an asset on S3 against its manifest: every object, and every byte of it."""

from __future__ import annotations

import functools
import hashlib
import itertools
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import AbsentError, RefusedError, SilentError, StorageError
from aind_capsule.storage.objects import Bucket, Held
from aind_capsule.upload.keys import CLAIM, MANIFEST
from aind_capsule.upload.listed_objects import ListedObjects
from aind_capsule.upload.manifest import ManifestFile, read_files, read_head
from aind_capsule.upload.workers import Workers

#: Files that are looked up together, and the most that wait for a thread.
_AT_ONCE = 500
#: A thread takes this many small files at a time: to hand over each costs as much as its hash.
_BATCH_FILES = 20
_BATCH_BYTES = 1024 * 1024


class NoManifestError(StorageError):
    """The asset is not whole: it has no manifest."""


@dataclass(slots=True)
class Verdict:
    """What was found.

    Attributes:
        files: Files of the manifest that are as it says.
        size: Their bytes.
        faults: What is wrong, one sentence each.
        strangers: Objects that the manifest does not know.
        notes: What else is to be known, one sentence each.
    """

    files: int = 0
    size: int = 0
    faults: list[str] = field(default_factory=list)
    strangers: int = 0
    notes: list[str] = field(default_factory=list)


def verify(
    bucket: Bucket, asset: S3Url, *, max_concurrency: int, tell: Callable[[Verdict], object]
) -> Verdict:
    """Read every object of an asset and compare it.

    Args:
        bucket: The bucket.
        asset: The asset's folder.
        max_concurrency: Objects at the same time.
        tell: Takes what is known so far.

    Raises:
        NoManifestError: There is no manifest.
        StorageError: It cannot be read.
    """
    with tempfile.TemporaryFile() as file:
        try:
            bucket.read(asset.folder + MANIFEST, file.write)
        except AbsentError as error:
            raise NoManifestError(
                f"{asset} has no {MANIFEST}: it is not whole, or not an asset of ours",
                hint="Where its upload was begun, capsule upload --resume finishes it.",
            ) from error
        file.seek(0)
        if read_head(file.readline()).get("is_incomplete"):
            raise NoManifestError(
                f"{asset} is not whole: an upload that replaces it has not ended",
                hint="Where that was begun, capsule upload --resume finishes it.",
            )
        return _Verification(bucket, asset, tell).run(read_files(file), max_concurrency)


class _Verification:
    """Compares the objects of one asset, many at a time.

    Args:
        bucket: The bucket.
        asset: The asset's folder.
        tell: Takes what is known so far.
    """

    def __init__(self, bucket: Bucket, asset: S3Url, tell: Callable[[Verdict], object]) -> None:
        self._bucket = bucket
        self._asset = asset
        self._tell = tell
        self._verdict = Verdict()
        self._results: queue.SimpleQueue[list[_Result]] = queue.SimpleQueue()
        self._outstanding = 0
        self._unlisted: list[str] = []
        self._is_over = threading.Event()

    def run(self, rows: Iterator[ManifestFile], max_concurrency: int) -> Verdict:
        """Compare all files of a manifest.

        Raises:
            StorageError: An object may not be read, or nobody answers any more.
        """
        with ListedObjects() as listed, Workers(max_concurrency, "verify") as workers:
            is_listed = self._list(listed)
            try:
                while block := list(itertools.islice(rows, _AT_ONCE)):
                    sizes = listed.find_sizes([row.key for row in block]) if is_listed else {}
                    results: list[_Result] = []
                    for row in block:
                        size = sizes.get(row.key)
                        if size is not None and size != row.size:
                            self._add_size_fault(row, size)
                        else:
                            results.append(_Result(row, is_listed and size is None))
                    for batch in _make_batches(results):
                        workers.put(functools.partial(self._compare, batch))
                        self._outstanding += len(batch)
                    while self._outstanding > _AT_ONCE:
                        self._take()
                while self._outstanding:
                    self._take()
            except BaseException:  # raised again
                self._is_over.set()
                raise
            if is_listed:
                self._note_names(listed.count_others())
        self._verdict.faults.sort()  # the threads end in any order
        return self._verdict

    def _list(self, listed: ListedObjects) -> bool:
        """Take what the server lists; returns False where that may not be known."""
        start = len(self._asset.folder)
        rows = (Held(row.key[start:], row.size) for row in self._bucket.list(self._asset.folder))
        try:
            listed.add(row for row in rows if row.key not in (CLAIM, MANIFEST))
        except RefusedError as error:
            self._verdict.notes.append(
                f"Whether there are further objects is not known: {error.message}. {error.hint}"
            )
            return False
        return True

    def _compare(self, results: list[_Result]) -> None:
        """Read some objects and report what is wrong with each. Runs in a thread."""
        for result in results:
            row = result.row
            if self._is_over.is_set():
                break
            digest = hashlib.sha256()
            try:
                self._bucket.read(self._asset.folder + row.key, digest.update)
            except AbsentError:
                result.fault = f"{row.key!r} is missing"
            except Exception as error:  # raised where the results are taken
                result.error = error
                if _must_end(error):
                    break  # it is raised before those behind it are counted
            else:
                if digest.digest() != row.sha256:
                    result.fault = f"{row.key!r} holds other bytes"
        self._results.put(results)

    def _take(self) -> None:
        """Wait for results and take those that are there.

        Raises:
            StorageError: An object may not be read, or nobody answers any more.
        """
        is_first = True
        while is_first or not self._results.empty():
            is_first = False
            results = self._results.get()
            self._outstanding -= len(results)
            for result in results:
                self._add(result)
        self._tell(self._verdict)

    def _add(self, result: _Result) -> None:
        verdict, error = self._verdict, result.error
        if error is not None:
            if not isinstance(error, StorageError) or _must_end(error):
                raise error
            result.fault = error.message
        if result.fault is not None:
            verdict.faults.append(result.fault)
            return
        verdict.files += 1
        verdict.size += result.row.size
        if result.is_unlisted:
            self._unlisted.append(result.row.key)

    def _add_size_fault(self, row: ManifestFile, size: int) -> None:
        self._verdict.faults.append(f"{row.key!r} has {size:,} bytes instead of {row.size:,}")

    def _note_names(self, others: int) -> None:
        """Count the objects that are not of the asset, and say where the server renames keys."""
        self._verdict.strangers = max(0, others - len(self._unlisted))
        if self._unlisted:
            self._verdict.notes.append(
                f"{len(self._unlisted):,} objects can be read and are listed under no such name,"
                f" such as {self._unlisted[0]!r}: this server changes names of keys"
            )


@dataclass(slots=True)
class _Result:
    """What became of one file."""

    row: ManifestFile
    is_unlisted: bool
    fault: str | None = None
    error: Exception | None = None


def _make_batches(results: list[_Result]) -> Iterator[list[_Result]]:
    """Yield what one thread takes at a time."""
    batch: list[_Result] = []
    size = 0
    for result in results:
        batch.append(result)
        size += result.row.size
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _must_end(error: Exception) -> bool:
    """Return whether what failed would fail for all others, and says nothing of the bytes."""
    if not isinstance(error, StorageError) or isinstance(error, SilentError):
        return True
    return error.code == "AccessDenied"
