"""One asset on S3, from its claim to its manifest.

claim the name → look at what is there → send what is missing → list → manifest, last

What holds at any moment, whatever was killed, resumed, overwritten or out of reach before:

1. A manifest names only objects whose bytes were read from this folder for this upload, and that
   the server confirmed. Rows of the journal count for one endpoint, bucket, folder and claim, and
   for one identity of a file.
2. An object that neither the journal nor a manifest proves to be of this toolkit is not replaced,
   counted or removed (`--overwrite-foreign` replaces it). An object in parts that the journal does
   not know is not aborted.
3. An upload that ends well has the local bytes on the server.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.settings.model import Settings
from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import RefusedError
from aind_capsule.storage.objects import Bucket
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.upload.claim import is_forbidden
from aind_capsule.upload.compare import Comparison, find_different
from aind_capsule.upload.confirming import NotWholeError, confirm_objects
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.keys import CLAIM, MANIFEST, find_room, make_key
from aind_capsule.upload.manifest_object import ManifestObject
from aind_capsule.upload.pool import send_pending
from aind_capsule.upload.progress import Progress, Tell
from aind_capsule.upload.tree import FoundFile, find_file, walk
from aind_capsule.upload.writing import OVERWRITE_FOREIGN

_AT_ONCE = 1000
_MEMORY_BYTES = 1024 * 1024
_OURS = (CLAIM, MANIFEST)
_JSON = {"content-type": "application/json"}
_RESUME = "Once that is cured, capsule upload --resume sends the rest."
#: What goes while a server is listed is sent again this often.
_ROUNDS = 3


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
        self.bucket = bucket
        self.asset = asset
        self.journal = journal
        self.manifest = ManifestObject(bucket, asset, journal)
        self._patience = patience
        self._settings = settings
        self._room = find_room(asset.folder)
        self._tell = tell
        self._source: str | None = None
        self._is_listed = False

    def look_at(self, folder: str | None, beside: Iterable[str] = ()) -> None:
        """Take what is in the folder into the journal.

        Args:
            folder: It; None where only what is beside it is uploaded.
            beside: Further files, which go to the asset's top and win over the folder's.

        Raises:
            NotWholeError: The folder cannot be read.
            JournalError: There is no room for the journal.
        """
        journal, self._source = self.journal, folder
        room = self._room
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

    def list_objects(self) -> bool:
        """Take what the server holds into the journal; False where that may not be known.

        Raises:
            StorageError: There is no answer, or it does not concern rights.
        """
        folder = self.asset.folder
        held = self.bucket.list(folder)
        try:
            self.journal.ledger.set_held(
                (row for row in held if row.key[len(folder) :] not in _OURS), folder
            )
        except RefusedError as error:
            if not is_forbidden(error):
                raise
            self._warn(
                f"What the server holds was not compared, without s3:ListBucket: {error.message}"
            )
            self._is_listed = False
            return False
        self._is_listed = True
        return True

    def compare(self, *, is_thorough: bool) -> None:
        """Count files as sent that the server has just as they are.

        Args:
            is_thorough: Whether objects are read that the server lists without an ETag.

        Raises:
            StorageError: There is no answer.
        """
        self.journal.ledger.take_written()
        source = None if self._source is None else os.fsencode(self._source)
        comparison = Comparison(self.bucket, self.asset.folder, source, is_thorough=is_thorough)
        comparison.run(self.journal, self._tell)

    def find_different(self) -> list[str]:
        """Return some keys whose files are not as the manifest says, or that it does not name."""
        source = None if self._source is None else os.fsencode(self._source)
        return find_different(self.journal, source)

    def is_unchanged(self, *, has_manifest: bool) -> bool:
        """Return whether the asset that is there holds just what the folder does.

        Args:
            has_manifest: Whether it has a manifest that can be read, which must name just that too.
        """
        journal = self.journal
        if journal.ledger.find_stale():
            return False
        if has_manifest and journal.ledger.find_unlike_manifest():
            return False
        if any(is_failure for _, _, is_failure in journal.find_others()):
            return False
        return not journal.has_pending

    def refuse_conflicts(self) -> None:
        """Refuse where objects that nothing proves to be ours have the names of files.

        Raises:
            NotWholeError: There are some.
        """
        conflicts = self.journal.ledger.find_conflicts()
        if conflicts:
            raise NotWholeError(
                f"{self.asset} holds objects that no upload of this asset has written:"
                f" {name_some(conflicts)}",
                hint=OVERWRITE_FOREIGN,
            )

    def send(self, *, may_replace_foreign: bool = False) -> None:
        """Send what the server has not.

        Args:
            may_replace_foreign: Whether objects may go that nothing proves to be ours.

        Raises:
            NotWholeError: Some files could not be sent, or objects of others are in the way.
            StorageError: It cannot be sent; what was sent is in the journal.
        """
        journal, ledger = self.journal, self.journal.ledger
        ledger.allow_replacing(is_listed=self._is_listed, all_of_them=may_replace_foreign)
        if not may_replace_foreign:
            self.refuse_conflicts()
        if journal.get_job("may_have_manifest"):
            self.manifest.retire()
        self._remove_stale()
        if not self._source and not journal.count().files:
            return
        progress = self._send()
        failures = progress.failures
        if progress.vanished:
            name = os.fsdecode(progress.vanished[0])
            self._warn(
                f"{len(progress.vanished)} files vanished before they were sent, such as {name!r}"
            )
        failures += [
            f"{os.fsdecode(name)!r}: {why}"
            for name, why, is_failure in journal.find_others()
            if is_failure
        ]
        self.report.failures = len(failures)
        if failures:
            told = "; ".join(failures[:3])
            more = f", and {len(failures) - 3} more" if len(failures) > 3 else ""
            raise NotWholeError(
                f"{len(failures)} files of {self.asset} were not sent: {told}{more}", hint=_RESUME
            )

    def commit(self, head: Mapping[str, Any], check: Callable[[], object] = lambda: None) -> Report:
        """Make the asset whole: compare with what the server holds, then write the manifest.

        Args:
            head: What the manifest says besides the files.
            check: Raises where the name is another's meanwhile. It is called before the manifest is
                written and once more after that: who takes the name later removes the manifest.

        Raises:
            NotWholeError: The server does not hold what was sent.
            StorageError: The manifest cannot be written.
        """
        journal = self.journal
        self._confirm()
        if not journal.count().files:
            self._warn("The folder holds no file: the asset is empty")
        changed = journal.count_changed_names()
        if changed:
            self._warn(
                f"{changed} names cannot be keys and were changed; the manifest has them as they"
                " were"
            )
        self._abort_leftovers()
        # Killed after this it goes on by taking the manifest away, where it cannot be read too.
        journal.set_job("may_have_manifest", value=True)
        journal.commit()
        self.manifest.write({"asset": self.asset.prefix.rpartition("/")[2], **head}, check)
        self.count()
        self.report.committed = True
        return self.report

    def finish_unchanged(self) -> Report:
        """Return the report of an asset that needed nothing."""
        self.count()
        self.report.committed = True
        return self.report

    def count(self) -> Report:
        """Return the report, with how much there is."""
        total = self.journal.count()
        self.report.files, self.report.size = total.files, total.size
        others = [name for name, why, _ in self.journal.find_others() if why is not None]
        self.report.left_out = len(others)
        return self.report

    def _send(self) -> Progress:
        settings = self._settings
        progress = send_pending(
            self.bucket,
            self.asset.folder,
            self.journal,
            self._patience,
            source=self._source,
            max_concurrency=settings.s3.max_concurrency,
            content_types=settings.upload.content_types,
            tell=self._tell,
        )
        self.report.transferred_files += progress.transferred_files
        self.report.transferred += progress.transferred
        self.report.seconds += progress.seconds
        return progress

    def _confirm(self) -> None:
        """Check that the server holds what was sent; what is missing is sent again.

        Raises:
            NotWholeError: It holds something else, or nothing again and again.
        """
        journal, ledger = self.journal, self.journal.ledger
        for _ in range(_ROUNDS):
            if not self.list_objects():
                return
            missing = confirm_objects(self.bucket, self.asset, journal)
            if not missing:
                count = ledger.count_strangers()
                if count:
                    self._warn(
                        f"{count} objects below {self.asset} are not of this upload, such as"
                        f" {name_some(ledger.find_strangers())}; they stay"
                    )
                return
            journal.unsend(missing)
            ledger.allow_replacing(is_listed=True)
            self._send()
        raise NotWholeError(
            f"{self.asset} lacks {missing[0]!r}, which was sent {_ROUNDS + 1} times",
            hint=f"Something removes it. {_RESUME}",
        )

    def _remove_stale(self) -> None:
        """Remove objects of ours that no file has any more, before others take their names."""
        stale = self.journal.ledger.find_stale()
        for number, key in enumerate(stale):
            try:
                self.bucket.remove(self.asset.folder + key)
            except RefusedError as error:
                if not is_forbidden(error):
                    raise
                self._warn(
                    f"{len(stale) - number} objects of an earlier upload, such as {key!r}, stay"
                    " below the asset: they cannot be removed without s3:DeleteObject"
                )
                return
            self.journal.ledger.forget_held(key)

    def _abort_leftovers(self) -> None:
        """Abort what was begun in parts here and never ended: it costs, and nobody sees it."""
        for key, upload_id in self.journal.find_abandoned():
            try:
                self.bucket.abort(self.asset.folder + key, upload_id)
            except RefusedError as error:
                self._warn(f"Parts of an upload that was given up are left over: {error.message}")
                return
            self.journal.forget_abandoned(upload_id)

    def _warn(self, message: str) -> None:
        if message not in self.report.warnings:
            self.report.warnings.append(message)


def name_some(keys: Iterable[str]) -> str:
    """Return some keys for people."""
    keys = list(keys)
    return ", ".join(map(repr, keys[:3])) + (", …" if len(keys) > 3 else "")
