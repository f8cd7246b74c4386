"""Check an asset on S3 against its manifest: every object, and every byte of it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import AbsentError, StorageError
from aind_capsule.storage.objects import Bucket, Held
from aind_capsule.upload.keys import CLAIM, MANIFEST
from aind_capsule.upload.manifest import ManifestFile, read_files, read_head

_MEMORY_BYTES = 1024 * 1024


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
    """

    files: int = 0
    size: int = 0
    faults: list[str] = field(default_factory=list)
    strangers: int = 0


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
    verdict = Verdict()
    with tempfile.TemporaryFile() as file:
        try:
            bucket.read(asset.folder + MANIFEST, file.write)
        except AbsentError as error:
            raise NoManifestError(
                f"{asset} has no {MANIFEST}: it is not whole, or not an asset of ours",
                hint="Where its upload was begun, capsule upload --resume finishes it.",
            ) from error
        file.seek(0)
        read_head(file.readline())
        rows = read_files(file)
        waiting: dict[Future[str | None], ManifestFile] = {}
        with ThreadPoolExecutor(max_concurrency) as pool:
            for row in _match(rows, _list(bucket, asset), verdict):
                waiting[pool.submit(_compare, bucket, asset, row)] = row
                if len(waiting) >= 2 * max_concurrency:
                    _take(waiting, verdict, tell)
            while waiting:
                _take(waiting, verdict, tell)
    return verdict


def _list(bucket: Bucket, asset: S3Url) -> Iterator[Held]:
    for held in bucket.list(asset.folder):
        key = held.key[len(asset.folder) :]
        if key not in (CLAIM, MANIFEST):
            yield Held(key, held.size)


def _match(
    rows: Iterator[ManifestFile], held: Iterator[Held], verdict: Verdict
) -> Iterator[ManifestFile]:
    """The files that are held in their size; both come by key, as bytes order it."""
    there = next(held, None)
    for row in rows:
        while there is not None and there.key.encode() < row.key.encode():
            verdict.strangers += 1
            there = next(held, None)
        if there is None or there.key != row.key:
            verdict.faults.append(f"{row.key!r} is missing")
            continue
        if there.size != row.size:
            verdict.faults.append(f"{row.key!r} has {there.size:,} bytes instead of {row.size:,}")
        else:
            yield row
        there = next(held, None)
    verdict.strangers += (there is not None) + sum(1 for _ in held)


def _compare(bucket: Bucket, asset: S3Url, row: ManifestFile) -> str | None:
    digest = hashlib.sha256()
    try:
        bucket.read(asset.folder + row.key, digest.update)
    except StorageError as error:
        return error.message
    return None if digest.digest() == row.sha256 else f"{row.key!r} holds other bytes"


def _take(
    waiting: dict[Future[str | None], ManifestFile],
    verdict: Verdict,
    tell: Callable[[Verdict], object],
) -> None:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        row = waiting.pop(future)
        fault = future.result()
        if fault is None:
            verdict.files += 1
            verdict.size += row.size
        else:
            verdict.faults.append(fault)
    tell(verdict)
