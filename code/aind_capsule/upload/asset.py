"""One asset on S3, from its claim to its manifest.

claim the name → look at what is there → send what is missing → list → manifest, last
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from aind_capsule.settings.model import Settings
from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import AbsentError, RefusedError, StorageError
from aind_capsule.storage.objects import Bucket, Part
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.upload.claim import Claim, claim, read_claim
from aind_capsule.upload.compare import compare_known
from aind_capsule.upload.database import JournalError
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.keys import CLAIM, MANIFEST, MAX_KEY_BYTES, make_key
from aind_capsule.upload.manifest import read_files, read_head, write_manifest
from aind_capsule.upload.pool import send_pending
from aind_capsule.upload.progress import Progress, Tell
from aind_capsule.upload.sending import PART_BYTES
from aind_capsule.upload.tree import FoundFile, find_file, walk

_AT_ONCE = 1000
_MEMORY_BYTES = 1024 * 1024
_OURS = (CLAIM, MANIFEST)


class NotWholeError(StorageError):
    """Something is missing: no manifest was written, and the upload is owed."""


@dataclass(slots=True)
class Report:
    """How an upload went.

    Attributes:
        url: Of the asset.
        size: Bytes of all files.
        transferred_files: Files that had to be sent; the others were there.
        failures: Files that could not be sent.
        left_out: What holds no data, or leads out of the folder.
        warnings: For people.
        committed: Whether the manifest is there.
    """

    url: str
    files: int = 0
    size: int = 0
    transferred_files: int = 0
    transferred: int = 0
    seconds: float = 0.0
    failures: int = 0
    left_out: int = 0
    warnings: list[str] = field(default_factory=list)
    committed: bool = False

    def describe(self) -> dict[str, Any]:
        """The report as a mapping."""
        return {name: getattr(self, name) for name in self.__slots__}


class AssetUpload:
    """The upload of one asset.

    Args:
        bucket: The bucket.
        patience: What the bucket's requests are tried with.
        asset: The asset's folder in it.
        journal: What was done so far.
        settings: `s3` and `upload`.
        tell: Takes the progress.
    """

    def __init__(
        self,
        bucket: Bucket,
        patience: RetryPolicy,
        asset: S3Url,
        journal: Journal,
        settings: Settings,
        tell: Tell = lambda _: None,
    ) -> None:
        self.report = Report(str(asset))
        self._bucket = bucket
        self._patience = patience
        self._asset = asset
        self._journal = journal
        self._settings = settings
        self._tell = tell

    def claim(self, mine: Claim, *, overwrite: bool = False) -> Claim:
        """Claim the name; returns whose it is, which may be another's.

        Raises:
            StorageError: It cannot be claimed.
        """
        return claim(self._bucket, self._asset, mine, by_force=overwrite)

    @property
    def owner(self) -> Claim | None:
        """Whose the name is."""
        return read_claim(self._bucket, self._asset)

    def find_manifest(self) -> dict[str, Any] | None:
        """Take the manifest of the whole asset that is there into the journal; its head, or None.

        Raises:
            StorageError: It cannot be read.
        """
        with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as file:
            try:
                with _explaining_space():
                    self._bucket.read(self._asset.folder + MANIFEST, file.write)
            except AbsentError:
                return None
            except RefusedError as error:  # S3 says so, without the right to list
                if "AccessDenied" in error.message:
                    return None
                raise
            file.seek(0)
            head = read_head(file.readline())
            rows = ((row.key, row.size, row.sha256) for row in read_files(file))
            self._journal.set_known(rows)
        self._journal.set_job("had_manifest", value=True)
        return head

    def look_at(self, folder: str | None, beside: Iterable[str] = ()) -> None:
        """Take what is in the folder into the journal.

        Args:
            folder: It; None where only what is beside it is uploaded.
            beside: Further files, which go to the asset's top and win over the folder's.

        Raises:
            NotWholeError: The folder cannot be read.
            JournalError: There is no room for the journal.
        """
        journal = self._journal
        room = MAX_KEY_BYTES - len(self._asset.folder.encode())
        number = journal.begin_walk()
        try:
            entries = walk(os.fsencode(folder)) if folder is not None else iter(())
            while block := list(itertools.islice(entries, _AT_ONCE)):
                files = [entry for entry in block if isinstance(entry, FoundFile)]
                journal.add_found(((file, make_key(file.name, room)) for file in files), number)
                journal.add_others(entry for entry in block if not isinstance(entry, FoundFile))
            more = [find_file(os.fsencode(path)) for path in beside]
            journal.add_found(((file, make_key(file.name, room)) for file in more), number)
        except OSError as error:
            raise NotWholeError(
                f"{folder} cannot be read: {error.strerror}", hint="Name a folder that can be read."
            ) from error
        journal.end_walk(number)

    def list_known(self) -> None:
        """Have what an earlier manifest tells compared with what the server holds."""
        if self._journal.has_known:
            self.list()

    def list(self) -> bool:
        """Take what the server holds into the journal; False where that may not be known.

        Raises:
            StorageError: There is no answer.
        """
        held = self._bucket.list(self._asset.folder)
        folder = self._asset.folder
        try:
            self._journal.set_held(
                (row for row in held if row.key[len(folder) :] not in _OURS), folder
            )
        except RefusedError as error:
            told = f"What the server holds was not compared: {error.message}"
            if told not in self.report.warnings:
                self.report.warnings.append(told)
            return False
        return True

    def is_unchanged(self) -> bool:
        """Whether the whole asset that is there holds just what the folder does; sends nothing."""
        if next(self._journal.find_stale(), None) is not None:
            return False
        if any(is_failure for _, _, is_failure in self._journal.find_others()):
            return False
        if self._journal.has_new:
            return False
        compare_known(self._journal, self._tell)
        return next(self._journal.find_pending(), None) is None

    def send(self) -> None:
        """Send what the server has not.

        Raises:
            StorageError: It cannot be sent; what was sent is in the journal.
        """
        if self._journal.get_job("had_manifest"):
            # While it is overwritten it is not whole.
            self._bucket.remove(self._asset.folder + MANIFEST)
            self._journal.set_job("had_manifest", value=False)
            self._journal.commit()
        compare_known(self._journal, self._tell)
        failures = self._send().failures
        failures += [
            f"{os.fsdecode(name)!r}: {why}"
            for name, why, is_failure in self._journal.find_others()
            if is_failure
        ]
        self.report.failures = len(failures)
        if failures:
            told = "; ".join(failures[:3])
            more = f", and {len(failures) - 3} more" if len(failures) > 3 else ""
            raise NotWholeError(
                f"{len(failures)} files of {self._asset} were not sent: {told}{more}",
                hint="Once that is cured, capsule upload --resume sends the rest.",
            )

    def commit(self, head: Mapping[str, Any]) -> Report:
        """Make the asset whole: compare with what the server holds, then write the manifest.

        Args:
            head: What the manifest says besides the files.

        Raises:
            NotWholeError: The server does not hold what was sent.
            StorageError: The manifest cannot be written.
        """
        journal = self._journal
        if self.list():
            missing = journal.find_missing()
            if missing:
                journal.unsend(missing)
                raise NotWholeError(
                    f"{self._asset} lacks {missing[0]!r}, which was sent",
                    hint="Something removed it; capsule upload --resume sends it again.",
                )
            for key in journal.find_stale():
                self._bucket.remove(self._asset.folder + key)
            strangers = journal.count_strangers()
            if strangers:
                told = f"{strangers} objects below {self._asset} are not of this upload"
                self.report.warnings.append(told)
        changed = journal.count_changed_names()
        if changed:
            told = "names cannot be keys and were changed; the manifest has them as they were"
            self.report.warnings.append(f"{changed} {told}")
        if journal.has_parts:
            self._abort_leftovers()
        with tempfile.SpooledTemporaryFile(PART_BYTES) as file:
            with _explaining_space():
                write_manifest(
                    file, {"asset": self._asset.prefix.rpartition("/")[2], **head}, journal
                )
            self._put_manifest(file)
        self.count()
        self.report.committed = True
        return self.report

    def finish_unchanged(self) -> Report:
        """The report of an asset that needed nothing."""
        self.count()
        self.report.committed = True
        return self.report

    def count(self) -> Report:
        """The report, with how much there is."""
        total = self._journal.count()
        self.report.files, self.report.size = total.files, total.size
        others = [name for name, why, _ in self._journal.find_others() if why is not None]
        self.report.left_out = len(others)
        return self.report

    def _send(self) -> Progress:
        settings = self._settings
        progress = send_pending(
            self._bucket,
            self._asset.folder,
            self._journal,
            self._patience,
            max_concurrency=settings.s3.max_concurrency,
            content_types=settings.upload.content_types,
            tell=self._tell,
        )
        self.report.transferred_files += progress.transferred_files
        self.report.transferred += progress.transferred
        self.report.seconds += progress.seconds
        return progress

    def _abort_leftovers(self) -> None:
        """Abort what was begun in parts and never ended: it costs, and nobody sees it."""
        try:
            for key, upload_id in self._bucket.list_uploads(self._asset.folder):
                self._bucket.abort(key, upload_id)
        except RefusedError as error:
            told = f"Whether parts of uploads are left over is not known: {error.message}"
            self.report.warnings.append(told)

    def _put_manifest(self, file: IO[bytes]) -> None:
        key = self._asset.folder + MANIFEST
        headers = {"content-type": "application/json"}
        size = file.tell()
        file.seek(0)
        if size <= PART_BYTES:
            self._bucket.put(key, file.read(), headers=headers)
            return
        upload_id = self._bucket.begin(key, headers)
        parts: list[Part] = []
        while data := file.read(PART_BYTES):
            parts.append(self._bucket.put_part(key, upload_id, len(parts) + 1, data))
        self._bucket.complete(key, upload_id, parts)


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
