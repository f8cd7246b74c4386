"""Write objects of an asset without touching those of others.

What nothing proves to be ours is written only where there is nothing. S3 checks that itself
(`If-None-Match: *`); where a server does not know the condition, the listing before has to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from aind_capsule.errors import CapsuleError
from aind_capsule.storage.errors import (
    AbsentError,
    RefusedError,
    StorageError,
    TakenError,
    UnableError,
)
from aind_capsule.storage.objects import Bucket, Part
from aind_capsule.upload.claim import is_forbidden
from aind_capsule.upload.rows import FileRow

OVERWRITE_FOREIGN = "Look at it. `--overwrite-foreign` replaces it; another --asset-name keeps it."


class UnsentError(CapsuleError):
    """A file could not be sent as it is. The others go on."""

    exit_status = 74


class ForeignObjectError(UnsentError):
    """Something else has written an object where a file was to go."""


class ObjectWriter:
    """Writes the objects of one asset. May be used by many threads.

    Args:
        bucket: The bucket.
        folder: What keys begin with.
    """

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self.bucket = bucket
        self._folder = folder
        self._knows_conditions = True

    def name(self, row: FileRow) -> str:
        """Return the whole key of a file."""
        return self._folder + row.key

    def put(self, row: FileRow, body: bytes, sha256: bytes, headers: Mapping[str, str]) -> str:
        """Write a file at once and return the object's ETag.

        Raises:
            ForeignObjectError: An object is there, and nothing proves it to be ours.
            StorageError: It cannot be written.
        """
        key = self.name(row)
        if not row.may_replace and self._knows_conditions:
            try:
                return self.bucket.put(
                    key, body, digest=sha256, headers=headers, only_if_absent=True
                )
            except UnableError:
                self._knows_conditions = False
            except TakenError as error:
                etag = self._find_alike(row, body, sha256, headers, error)
                if etag is not None:
                    return etag
        return self.bucket.put(key, body, digest=sha256, headers=headers)

    def check_absent(self, row: FileRow, size: int, etag: str | None) -> None:
        """Check that an object in parts replaces nothing but what it may.

        Args:
            row: The file.
            size: Bytes of the object.
            etag: The ETag that it will have.

        Raises:
            ForeignObjectError: An object is there, and nothing proves it to be ours.
            StorageError: There is no answer.
        """
        if row.may_replace:
            return
        try:
            held = self.bucket.head(self.name(row))
        except RefusedError as error:
            if not is_forbidden(error):
                raise
            return  # without the right to look nobody knows
        if held is not None and (held.size, held.etag) != (size, etag):
            raise self.refuse(row)

    def complete(self, row: FileRow, upload_id: str, parts: Sequence[Part]) -> None:
        """Make one object of its parts, which replaces nothing but what it may.

        Raises:
            TakenError: An object is there; it may be this one, and an answer was lost.
            StorageError: It cannot be done.
        """
        key = self.name(row)
        if not row.may_replace and self._knows_conditions:
            try:
                self.bucket.complete(key, upload_id, parts, only_if_absent=True)
            except UnableError:
                self._knows_conditions = False
            else:
                return
        self.bucket.complete(key, upload_id, parts)

    def refuse(self, row: FileRow, more: str = "") -> ForeignObjectError:
        """Return the error that an object is in the way.

        Args:
            row: The file that was to be there.
            more: Why nothing more is known.
        """
        return ForeignObjectError(
            f"s3://{self.bucket.name}/{self.name(row)} is there, and no upload of this asset has"
            f" written it{more}",
            hint=OVERWRITE_FOREIGN,
        )

    def find_etag(self, row: FileRow, size: int) -> str:
        """Return the ETag of an object in parts that was just made; empty where it is not known.

        What Complete answers is no help: servers leave it out, or tell another one.
        """
        try:
            held = self.bucket.head(self.name(row))
        except StorageError:
            return ""
        return held.etag if held is not None and held.size == size else ""

    def _find_alike(
        self,
        row: FileRow,
        body: bytes,
        sha256: bytes,
        headers: Mapping[str, str],
        error: StorageError,
    ) -> str | None:
        """Return the ETag of the object that is there, where it has just these bytes.

        None means that it may be replaced: an earlier request of ours may have written it, and
        nobody lets us look.

        Raises:
            ForeignObjectError: It has others.
        """
        key, md5 = self.name(row), hashlib.md5(body, usedforsecurity=False).hexdigest()
        try:
            held = self.bucket.head(key)
            if held is not None and held.size == len(body):
                if held.etag == md5:
                    return held.etag
                digest = hashlib.sha256()
                self.bucket.read(key, digest.update)
                if digest.digest() == sha256:
                    return held.etag
        except AbsentError:
            return None
        except RefusedError as refusal:
            if not is_forbidden(refusal):
                raise
            if row.was_handed:
                return self._replace_alike(row, body, sha256, headers, md5)
            raise self.refuse(row, " (it cannot be looked at without s3:GetObject)") from error
        if held is None:  # it has gone meanwhile
            return None
        raise self.refuse(row) from error

    def _replace_alike(
        self, row: FileRow, body: bytes, sha256: bytes, headers: Mapping[str, str], md5: str
    ) -> str | None:
        """Write an object again where it has these bytes already; return its ETag.

        None means that nobody says whether it has them (S3 wants s3:GetObject for this condition):
        an earlier process was about to write it, and it counts as ours.

        Raises:
            ForeignObjectError: It has others.
        """
        try:
            return self.bucket.put(
                self.name(row), body, digest=sha256, headers=headers, only_if_etag=md5
            )
        except (TakenError, AbsentError) as error:
            raise self.refuse(row) from error
        except (UnableError, RefusedError):
            return None
