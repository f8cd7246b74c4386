"""Confirm that a server holds what was sent to it, before a manifest says so."""

from __future__ import annotations

import hashlib

from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import AbsentError, RefusedError, StorageError
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.claim import is_forbidden
from aind_capsule.upload.journal import Journal


class NotWholeError(StorageError):
    """Something is missing: no manifest was written, and the upload can be resumed."""


def confirm_objects(bucket: Bucket, asset: S3Url, journal: Journal) -> list[str]:
    """Compare what was sent with what was listed; return the keys that must be sent again.

    What is not listed is looked at by its key, for some servers list others. An object that is
    listed by another ETag than it was sent with is read: some servers list another one, and
    something may have replaced it.

    Raises:
        NotWholeError: Something else has replaced an object.
        StorageError: There is no answer.
    """
    ledger = journal.ledger
    missing = [
        key
        for key, size in ledger.find_missing()
        if not _is_there(bucket, asset.folder + key, size)
    ]
    for key, size, sha256, etag in ledger.find_renamed():
        is_same = _is_same(bucket, asset.folder + key, sha256)
        if is_same is None and not journal.get_etag(key):
            continue  # its size is all that can be known
        if is_same:
            journal.set_etag(key, etag)
            continue
        journal.unsend([key])
        raise NotWholeError(
            f"{asset.join(key)} was sent with {size} bytes, and holds something else now",
            hint="Another program writes there. End it; then capsule upload --resume.",
        )
    ledger.take_listed_times()
    return missing


def _is_there(bucket: Bucket, key: str, size: int) -> bool:
    """Return whether an object of that size is there, although it was not listed."""
    try:
        held = bucket.head(key)
    except RefusedError as error:
        if not is_forbidden(error):
            raise
        return False
    return held is not None and held.size == size


def _is_same(bucket: Bucket, key: str, sha256: bytes) -> bool | None:
    """Return whether an object has these bytes; None where it may not be read."""
    digest = hashlib.sha256()
    try:
        bucket.read(key, digest.update)
    except AbsentError:
        return False
    except RefusedError as error:
        if not is_forbidden(error):
            raise
        return None
    return digest.digest() == sha256
