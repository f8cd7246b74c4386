"""Send one large file in parts; go on with those of an earlier process."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from aind_capsule.storage.errors import RefusedError, StorageError, TakenError
from aind_capsule.storage.objects import Part
from aind_capsule.upload.budget import Budget
from aind_capsule.upload.events import Event, PartsBegun, PartSent
from aind_capsule.upload.reading import OpenFile
from aind_capsule.upload.rows import Begun, FileRow
from aind_capsule.upload.workers import Workers
from aind_capsule.upload.writing import ForeignObjectError, ObjectWriter

#: What a server answers that has lost an upload, or a part of it.
FORGOTTEN_CODES = frozenset({"NoSuchUpload", "InvalidPart"})

_LOOK_EVERY_S = 0.1


@dataclass(slots=True)
class PartsSender:
    """Sends one file.

    Attributes:
        writer: Writes objects, and replaces none of others.
        row: The file.
        file: It, at its beginning.
        budget: Bounds what is in memory.
        workers: Where parts are sent.
        report: Takes events.
        must_go_on: Raises where nothing is to be sent any more.
    """

    writer: ObjectWriter
    row: FileRow
    file: OpenFile
    budget: Budget
    workers: Workers
    report: Callable[[Event], object]
    must_go_on: Callable[[], None]
    _failures: list[Exception] = field(default_factory=list)

    def send(
        self, part_size: int, headers: Mapping[str, str], begun: Begun | None
    ) -> tuple[bytes, str] | None:
        """Send the file; returns its SHA-256 and ETag, or None where it changed meanwhile.

        Raises:
            OSError: It cannot be read.
            StorageError: It cannot be sent. The code is one of `FORGOTTEN_CODES` where the server
                has lost what was begun, or a part of it.
        """
        self.must_go_on()
        path, size = self.writer.name(self.row), self.file.identity.size
        begun = self._begin(part_size, headers, begun)
        whole = hashlib.sha256()
        uploaded_parts = {part.number: part for part in begun.parts}
        parts: list[Future[Part] | Part] = []
        read = 0
        try:
            while read < size:
                if self._failures:
                    raise self._failures[0]
                self.must_go_on()
                data = self._read(part_size, min(part_size, size - read))
                if data is None:
                    break
                read += len(data)
                whole.update(data)
                known = uploaded_parts.get(len(parts) + 1)
                if known is not None and known.is_of(data, begun.checksum):
                    self.budget.give_back(part_size)
                    self.report(PartSent(self.row.key, known, len(data), is_new=False))
                    parts.append(known)
                    continue
                target = (begun.upload_id, len(parts) + 1)
                parts.append(self.workers.submit(self._send_part, target, data, part_size))
                del data  # the thread that sends it has it
        finally:
            done = [part for part in map(_wait, parts) if part is not None]
        if self._failures:
            raise self._failures[0]
        if read < size or not self.file.is_as_opened():
            # What is of two states of the file becomes no object.
            self._abort(path, begun)
            return None
        etag = _combine_etags(done)
        try:
            self.writer.check_absent(self.row, size, etag)
            self.writer.complete(self.row, begun.upload_id, done)
        except ForeignObjectError:
            self._abort(path, begun)
            raise
        except TakenError as error:
            if not self._is_there(path, size, etag):
                self._abort(path, begun)
                raise self.writer.refuse(self.row) from error
        except StorageError as error:
            if not self._is_there(path, size, etag):
                if error.code == "InvalidPart":
                    self._abort(path, begun)
                raise
        return whole.digest(), self.writer.find_etag(self.row, size)

    def _begin(self, part_size: int, headers: Mapping[str, str], begun: Begun | None) -> Begun:
        """Begin the object, or go on with one that has parts of the same kind."""
        path = self.writer.name(self.row)
        mine = Begun("", part_size, self.file.identity, self.writer.bucket.checksum)
        if begun is not None:
            if begun.is_alike(mine):
                return begun
            self._abort(path, begun)
        upload_id = self.writer.bucket.begin(path, headers)
        begun = dataclasses.replace(mine, upload_id=upload_id)
        event = PartsBegun(self.row.key, begun)
        self.report(event)
        while not event.kept.wait(_LOOK_EVERY_S):
            self.must_go_on()
        return begun

    def _abort(self, path: str, begun: Begun) -> None:
        with contextlib.suppress(RefusedError):  # no right to do so: the leftovers are reported
            self.writer.bucket.abort(path, begun.upload_id)

    def _read(self, part_size: int, size: int) -> bytes | None:
        """Return the next part; room stays taken for it. None: the file was cut meanwhile."""
        self.budget.take(part_size)
        try:
            data = self.file.read(size)
        except OSError:
            self.budget.give_back(part_size)
            raise
        # A program that maps the file for a moment moves no time on tmpfs.
        self.file.look_for_writers()
        if len(data) < size:
            self.budget.give_back(part_size)
            return None
        return data

    def _send_part(self, target: tuple[str, int], data: bytes, taken: int) -> Part:
        upload_id, number = target
        try:
            self.must_go_on()
            part = self.writer.bucket.put_part(self.writer.name(self.row), upload_id, number, data)
            self.report(PartSent(self.row.key, part, len(data)))
        except Exception as error:  # the reader of the file raises it
            self._failures.append(error)
            raise
        else:
            return part
        finally:
            self.budget.give_back(taken)

    def _is_there(self, path: str, size: int, etag: str | None) -> bool:
        """Return whether the object is there, made of just these parts: an answer was lost."""
        with contextlib.suppress(StorageError):
            held = self.writer.bucket.head(path)
            return held is not None and (held.size, held.etag) == (size, etag)
        return False


def _combine_etags(parts: Sequence[Part]) -> str | None:
    """Return the ETag that S3 gives an object of these parts, None where they tell none.

    >>> _combine_etags([Part(1, "d41d8cd98f00b204e9800998ecf8427e", b"", "")])
    '59adb24ef3cdbe0297f05b395827453f-1'
    """
    try:
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    except ValueError:
        return None
    if len(digests) != 16 * len(parts):
        return None
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _wait(future: Future[Part] | Part) -> Part | None:
    if isinstance(future, Part):
        return future
    return None if future.exception() is not None else future.result()
