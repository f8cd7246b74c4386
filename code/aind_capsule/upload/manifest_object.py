"""The object `manifest.json` of an asset: taken away before the asset changes, written last."""

from __future__ import annotations

import contextlib
import enum
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import (
    AbsentError,
    RefusedError,
    StorageError,
    TakenError,
    UnableError,
)
from aind_capsule.storage.objects import Bucket, Part
from aind_capsule.upload.claim import is_forbidden
from aind_capsule.upload.database import JournalError
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.keys import MANIFEST
from aind_capsule.upload.manifest import (
    ManifestError,
    build_placeholder,
    read_files,
    read_head,
    write_manifest,
)
from aind_capsule.upload.sending import PART_BYTES

_MEMORY_BYTES = 1024 * 1024
_JSON = {"content-type": "application/json"}


class ManifestState(enum.Enum):
    """What stands where an asset's manifest is due."""

    ABSENT = "absent"
    WHOLE = "whole"
    #: It was cut, emptied or replaced; what could be read of it counts.
    DAMAGED = "damaged"
    #: Without the rights to read or to list nobody says whether there is one.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """What was found where the manifest is due.

    Attributes:
        head: What stands in front of the files; empty where that could not be read.
    """

    state: ManifestState
    head: Mapping[str, Any] = field(default_factory=dict)


class ManifestObject:
    """The manifest of one asset.

    Args:
        bucket: The bucket.
        asset: The asset's folder in it.
        journal: Takes what the manifest names, and gives what it is made of.
    """

    def __init__(self, bucket: Bucket, asset: S3Url, journal: Journal) -> None:
        self._bucket = bucket
        self._key = asset.folder + MANIFEST
        self._journal = journal

    def find(self) -> FoundManifest:
        """Look for the manifest, and take what it names into the journal.

        Raises:
            StorageError: It cannot be read, and no missing right is the reason.
        """
        ledger = self._journal.ledger
        with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as file:
            try:
                with _explaining_space():
                    self._bucket.read(self._key, file.write)
            except AbsentError:
                ledger.set_known(())
                return FoundManifest(ManifestState.ABSENT)
            except RefusedError as error:  # S3 says so of what is absent, without the right to list
                if not is_forbidden(error):
                    raise
                return FoundManifest(ManifestState.UNKNOWN)
            file.seek(0)
            head: Mapping[str, Any] = {}
            try:
                head = read_head(file.readline())
                ledger.set_known(
                    (row.key, row.size, row.sha256, row.etag) for row in read_files(file)
                )
            except ManifestError:
                self._take_readable_rows(file)
                return FoundManifest(ManifestState.DAMAGED, head)
        if head.get("is_incomplete"):
            return FoundManifest(ManifestState.ABSENT)
        return FoundManifest(ManifestState.WHOLE, head)

    def retire(self) -> None:
        """Have no manifest name what is replaced from now on."""
        self._journal.ledger.keep_known()
        self._journal.commit()
        try:
            self._bucket.remove(self._key)
        except RefusedError as error:
            if not is_forbidden(error):
                raise
            target = self._journal.target
            head = {"upload_id": target.upload_id if target is not None else None}
            self._bucket.put(self._key, build_placeholder(head), headers=_JSON)
        self._journal.set_job("may_have_manifest", value=False)
        self._journal.commit()

    def write(self, head: Mapping[str, Any], check: Callable[[], object]) -> None:
        """Write the manifest of what the journal has sent.

        Args:
            head: What it says besides the files.
            check: Raises where the name is another's meanwhile. It is called before the manifest is
                written and once more after that: who takes the name later removes the manifest.

        Raises:
            JournalError: There is no room for it here.
            StorageError: It cannot be written, or the name is another's meanwhile.
        """
        with tempfile.SpooledTemporaryFile(PART_BYTES) as file:
            with _explaining_space():
                write_manifest(file, head, self._journal)
            self._put(file, check)
        try:
            check()
        except StorageError:
            self._withdraw(head)
            raise

    def _take_readable_rows(self, file: IO[bytes]) -> None:
        """Take what a damaged manifest names into the journal, up to where it is damaged."""
        rows = []
        file.seek(0)
        with contextlib.suppress(ManifestError):
            read_head(file.readline())
            for row in read_files(file):
                rows.append((row.key, row.size, row.sha256, row.etag))  # noqa: PERF401 (up to the damage)
        self._journal.ledger.set_known(rows)

    def _put(self, file: IO[bytes], check: Callable[[], object]) -> None:
        """Write the manifest where there is none, or in the place of one that stayed there.

        Raises:
            StorageError: It cannot be written, or the name is another's meanwhile.
        """
        check()
        try:
            return self._write(file, only_if_absent=True)
        except UnableError:
            return self._write(file)
        except TakenError:
            etag = self._find_etag()
            check()  # after that look: what was there then is not of a later claim
        try:
            self._write(file, only_if_etag=etag)
        except UnableError:
            self._write(file)

    def _write(
        self, file: IO[bytes], *, only_if_absent: bool = False, only_if_etag: str | None = None
    ) -> None:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= PART_BYTES:
            self._bucket.put(
                self._key, file.read(), headers=_JSON, only_if_absent=only_if_absent,
                only_if_etag=only_if_etag,
            )  # fmt: skip
            return
        upload_id = self._bucket.begin(self._key, _JSON)
        parts: list[Part] = []
        while data := file.read(PART_BYTES):
            parts.append(self._bucket.put_part(self._key, upload_id, len(parts) + 1, data))
        try:
            self._bucket.complete(self._key, upload_id, parts, only_if_absent=only_if_absent)
        except (TakenError, UnableError):
            self._bucket.abort(self._key, upload_id)
            raise

    def _find_etag(self) -> str | None:
        """Return the ETag of the manifest that is there; None where it is not known."""
        try:
            held = self._bucket.head(self._key)
        except RefusedError as error:
            if not is_forbidden(error):
                raise
            return None
        return None if held is None or not held.etag else held.etag

    def _withdraw(self, head: Mapping[str, Any]) -> None:
        """Have the manifest that was just written name nothing, if it is still ours."""
        with contextlib.suppress(StorageError):  # what failed before is raised
            etag = self._find_etag()
            line = self._bucket.read_small(self._key)[0].partition(b"\n")[0]
            if etag is not None and read_head(line).get("upload_id") == head.get("upload_id"):
                self._bucket.put(
                    self._key, build_placeholder(head), headers=_JSON, only_if_etag=etag
                )


@contextlib.contextmanager
def _explaining_space() -> Iterator[None]:
    """A disk that is full is told as what it is.

    Raises:
        JournalError: It is.
    """
    try:
        yield
    except OSError as error:
        raise JournalError(
            f"No temporary file can be written in {tempfile.gettempdir()}: {error.strerror}",
            hint="Make room there, or name another folder by TMPDIR; then capsule upload --resume.",
        ) from error
