"""Send one file: at once, or in parts where it is large. What is sent is what was hashed.

Runs in threads. What is to be remembered goes to the one that keeps the journal as events.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from aind_capsule.storage.errors import StorageError
from aind_capsule.upload.budget import Budget
from aind_capsule.upload.content_types import ContentTypes
from aind_capsule.upload.events import Confirmed, Event, Failed, Gone, Outgrown, Sent
from aind_capsule.upload.parts import FORGOTTEN_CODES, PartsSender
from aind_capsule.upload.reading import FolderReader
from aind_capsule.upload.rows import Begun, FileRow
from aind_capsule.upload.workers import Workers
from aind_capsule.upload.writing import ObjectWriter, UnsentError

MIB = 1024 * 1024
#: Files up to this are sent at once, larger ones in parts of at least this.
PART_BYTES = 8 * MIB
#: Of larger ones that are sent at once, room is taken in the budget before a thread has them.
COUNTED_BYTES = 256 * 1024
_MAX_PARTS = 10_000
_TRIES = 3


def choose_part_size(size: int) -> int:
    """Return the bytes of a part, so that there are 10,000 at most; whole MiB.

    >>> choose_part_size(50 * 1000**3) // MIB, choose_part_size(5 * 1024**4) // MIB
    (8, 525)
    """
    return max(PART_BYTES, -(-size // _MAX_PARTS // MIB) * MIB)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends files to one asset's folder.

    Attributes:
        writer: Writes objects, and replaces none of others.
        reader: Opens the files.
        content_types: Finds the type of each.
        budget: Bounds what is in memory.
        workers: Where parts are sent.
        report: Takes events.
        is_over: Set where nothing is to be sent any more.
    """

    writer: ObjectWriter
    reader: FolderReader
    content_types: ContentTypes
    budget: Budget
    workers: Workers
    report: Callable[[Event], object]
    is_over: threading.Event

    def send_small(self, row: FileRow) -> None:
        """Send a file at once and report how that went."""
        self._report(row, lambda: self._send_small(row))

    def send_large(self, row: FileRow, begun: Begun | None) -> None:
        """Send a file in parts and report how that went; some may have been sent before."""
        self._report(row, lambda: self._send_large(row, begun))

    def check_again(self, row: FileRow, sha256: bytes, *, may_send: bool) -> None:
        """Read a file that was sent in doubt once more, and send it again where it has changed.

        Args:
            row: The file.
            sha256: Of what was sent.
            may_send: False where it was sent again often enough.
        """
        self._report(row, lambda: self._check_again(row, sha256, may_send=may_send))

    def _report(self, row: FileRow, call: Callable[[], Event]) -> None:
        try:
            event = call()
        except FileNotFoundError:
            event = Gone(row)
        except OSError as error:
            why = f"{os.fsdecode(row.path)!r} cannot be read: {error.strerror}"
            hint = "Make it readable; then capsule upload --resume."
            event = Failed(row, UnsentError(why, hint=hint))
        except Exception as error:  # it is raised where the events are taken
            event = Failed(row, error)
        finally:
            if COUNTED_BYTES < row.size <= PART_BYTES:
                self.budget.give_back(row.size)
        self.report(event)

    def _send_small(self, row: FileRow) -> Event:
        for _ in range(_TRIES):
            self._must_go_on()
            with self.reader.open_file(row.path) as file:
                size = file.identity.size
                if size > PART_BYTES:
                    return Outgrown(row, file.identity)
                data = file.read(size + 1)
                if len(data) != size or not file.is_as_opened():
                    continue
            digest = hashlib.sha256(data).digest()
            headers = {"content-type": self.content_types.find(row.key)}
            etag = self.writer.put(row, data, digest, headers)
            return Sent(row, file.identity, digest, etag, file.is_doubtful, transferred=size)
        raise _explain_change(row)

    def _send_large(self, row: FileRow, begun: Begun | None) -> Event:
        lost: StorageError | None = None
        for _ in range(_TRIES):
            with self.reader.open_file(row.path) as file:
                if file.identity.size <= PART_BYTES:  # it was larger when it was found
                    return self._send_small(row)
                earlier, begun = begun, None
                parts = PartsSender(
                    self.writer, row, file, self.budget, self.workers, self.report,
                    self._must_go_on,
                )  # fmt: skip
                try:
                    headers = {"content-type": self.content_types.find(row.key)}
                    sent = parts.send(choose_part_size(file.identity.size), headers, earlier)
                except StorageError as error:
                    if error.code not in FORGOTTEN_CODES:
                        raise
                    lost = error  # the server has forgotten it: begin anew
                    continue
                if sent is not None:
                    digest, etag = sent
                    return Sent(row, file.identity, digest, etag, file.is_doubtful)
                lost = None
        raise lost or _explain_change(row)

    def _check_again(self, row: FileRow, sha256: bytes, *, may_send: bool) -> Event:
        self._must_go_on()
        found = self.reader.hash_file(row.path, self.is_over.is_set)
        if found is not None and found.sha256 == sha256:
            return Confirmed(row, found.identity, sha256)
        self._must_go_on()
        if not may_send:
            raise _explain_change(row)
        return self._send_small(row) if row.size <= PART_BYTES else self._send_large(row, None)

    def _must_go_on(self) -> None:
        if self.is_over.is_set():
            raise UnsentError("the upload has ended")


def _explain_change(row: FileRow) -> UnsentError:
    path = os.fsdecode(row.path)
    return UnsentError(
        f"{path!r} changes while it is read ({_TRIES} times)",
        hint="End what writes it; then capsule upload --resume.",
    )
