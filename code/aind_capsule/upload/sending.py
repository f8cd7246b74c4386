"""Send one file: at once, or in parts where it is large; what is sent is what was hashed.

Runs in threads; what is to be remembered goes to the one that keeps the journal as events.
"""

from __future__ import annotations

import dataclasses
import hashlib
import mimetypes
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from aind_capsule.errors import CapsuleError
from aind_capsule.storage.errors import RefusedError
from aind_capsule.storage.objects import Bucket, Part
from aind_capsule.upload.events import Event, Failed, Gone, PartsBegun, PartSent, Sent
from aind_capsule.upload.rows import Begun, FileRow
from aind_capsule.upload.tree import FileIdentity

MIB = 1024 * 1024
#: Files up to this are sent at once, larger ones in parts of at least this.
PART_BYTES = 8 * MIB
_MAX_PARTS = 10_000
_TRIES = 3


class UnsentError(CapsuleError):
    """A file could not be read as it is; the others go on."""

    exit_status = 74


class Budget:
    """Bytes that may be in memory at a time.

    Args:
        limit: How many; a single piece may be larger, alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._limit)
            self._used += size

    def give_back(self, size: int) -> None:
        """Make room."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()


def choose_part_size(size: int) -> int:
    """Bytes of a part, so that there are 10,000 at most; whole MiB.

    >>> choose_part_size(50 * 1000**3) // MIB, choose_part_size(5 * 1024**4) // MIB
    (8, 525)
    """
    return max(PART_BYTES, -(-size // _MAX_PARTS // MIB) * MIB)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends files to one asset's folder.

    Attributes:
        bucket: Where to.
        folder: What keys begin with.
        content_types: By ending of the file's name; others are guessed.
        budget: Bounds what is in memory.
        workers: Where parts are sent.
        report: Takes events.
        is_over: Set where nothing is to be sent any more.
    """

    bucket: Bucket
    folder: str
    content_types: Mapping[str, str]
    budget: Budget
    workers: Executor
    report: Callable[[Event], object]
    is_over: threading.Event

    def send(self, row: FileRow, begun: Begun | None) -> None:
        """Send a file and report how that went; for a small one room was taken before."""
        try:
            event = self._send(row, begun)
        except FileNotFoundError:
            event = Gone(row)
        except OSError as error:
            why = f"{os.fsdecode(row.path)!r} cannot be read: {error.strerror}"
            event = Failed(row, UnsentError(why, hint="Make it readable; then --resume."))
        except Exception as error:  # the thread's: it is raised where the events are taken
            event = Failed(row, error)
        finally:
            if row.size <= PART_BYTES:
                self.budget.give_back(row.size)
        self.report(event)

    def _send(self, row: FileRow, begun: Begun | None) -> Event:
        if row.size <= PART_BYTES:
            return self._send_small(row)
        for _ in range(_TRIES):
            with open(row.path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                identity, size = FileIdentity.from_status(status), status.st_size
                if size <= PART_BYTES:  # it was larger when it was found
                    return self._send_small(row)
                earlier, begun = begun, None
                try:
                    digest = self._send_parts(row.key, file.fileno(), identity, earlier)
                except RefusedError as error:
                    if earlier is None or "NoSuchUpload" not in error.message:
                        raise
                    continue  # the server has forgotten it
                if (
                    digest is not None
                    and FileIdentity.from_status(os.fstat(file.fileno())) == identity
                ):
                    return Sent(row, identity, digest)
        raise _tell_change(row)

    def _send_small(self, row: FileRow) -> Event:
        for _ in range(_TRIES):
            with open(row.path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                identity = FileIdentity.from_status(status)
                data = _read(file.fileno(), min(status.st_size, PART_BYTES) + 1)
                after = FileIdentity.from_status(os.fstat(file.fileno()))
            if after == identity and len(data) == status.st_size:
                break
        else:
            raise _tell_change(row)
        digest = hashlib.sha256(data).digest()
        self._must_go_on()
        headers = self._build_headers(row.key)
        self.bucket.put(self.folder + row.key, data, digest=digest, headers=headers)
        return Sent(row, identity, digest, transferred=len(data))

    def _send_parts(
        self, key: str, fd: int, identity: FileIdentity, begun: Begun | None
    ) -> bytes | None:
        """Send a file in parts; its SHA-256, or None where it is not what it was."""
        self._must_go_on()
        path = self.folder + key
        size = identity.size
        part_size = choose_part_size(size)
        mine = Begun("", part_size, identity, self.bucket.checksum)
        if begun is not None and not begun.is_alike(mine):
            self.bucket.abort(path, begun.upload_id)
            begun = None
        if begun is None:
            upload_id = self.bucket.begin(path, self._build_headers(key))
            begun = dataclasses.replace(mine, upload_id=upload_id)
            self.report(PartsBegun(key, begun))
        upload_id = begun.upload_id
        have = {part.number: part for part in begun.parts}
        whole = hashlib.sha256()
        parts: list[Future[Part] | Part] = []
        failures: list[Exception] = []
        os.lseek(fd, 0, os.SEEK_SET)
        read = 0
        try:
            while read < size:
                if failures:
                    raise failures[0]
                self._must_go_on()
                self.budget.take(part_size)
                try:
                    data = _read(fd, min(part_size, size - read))
                except OSError:
                    self.budget.give_back(part_size)
                    raise
                if len(data) < min(part_size, size - read):  # it was cut meanwhile
                    self.budget.give_back(part_size)
                    self.bucket.abort(path, upload_id)
                    return None
                read += len(data)
                whole.update(data)
                number = len(parts) + 1
                known = have.get(number)
                if known is not None and known.sha256 == hashlib.sha256(data).digest():
                    self.budget.give_back(part_size)
                    self.report(PartSent(key, known, len(data)))
                    parts.append(known)
                    continue
                target = (key, upload_id, number)
                parts.append(
                    self.workers.submit(self._send_part, target, data, part_size, failures)
                )
                del data
        finally:
            whole_parts = [part for part in map(_wait, parts) if part is not None]
        if failures:
            raise failures[0]
        try:
            self.bucket.complete(path, upload_id, whole_parts)
        except RefusedError:
            # The answer of an earlier try may have been lost.
            if not any(held.key == path and held.size == size for held in self.bucket.list(path)):
                raise
        return whole.digest()

    def _send_part(
        self, target: tuple[str, str, int], data: bytes, taken: int, failures: list[Exception]
    ) -> Part:
        key, upload_id, number = target
        try:
            self._must_go_on()
            part = self.bucket.put_part(self.folder + key, upload_id, number, data)
            self.report(PartSent(key, part, len(data)))
        except Exception as error:  # the reader of the file raises it
            failures.append(error)
            raise
        else:
            return part
        finally:
            self.budget.give_back(taken)

    def _must_go_on(self) -> None:
        if self.is_over.is_set():
            raise UnsentError("the upload has ended")

    def _build_headers(self, key: str) -> dict[str, str]:
        name = key.rpartition("/")[2].lower()
        for ending, kind in self.content_types.items():
            if name.endswith(ending.lower()):
                return {"content-type": str(kind)}
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return {"content-type": kind}


def _wait(future: Future[Part] | Part) -> Part | None:
    if isinstance(future, Part):
        return future
    return None if future.exception() is not None else future.result()


def _read(fd: int, size: int) -> bytes:
    """So many bytes from where the descriptor is, or fewer at the file's end."""
    data = os.read(fd, size)
    if len(data) == size or not data:
        return data
    pieces, count = [data], len(data)
    while count < size and (data := os.read(fd, size - count)):
        pieces.append(data)
        count += len(data)
    return b"".join(pieces)


def _tell_change(row: FileRow) -> UnsentError:
    path = os.fsdecode(row.path)
    return UnsentError(
        f"{path!r} changes while it is read ({_TRIES} times)",
        hint="End what writes it; then capsule upload --resume.",
    )
