"""One bucket on S3: objects written in parts or at once, read, listed and removed.

What there are many of (objects and parts that are written) goes the short way, `signed_requests`;
all else is botocore's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage import connect
from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.checksums import find_checksum
from aind_capsule.storage.errors import (
    AbsentError,
    SilentError,
    StorageError,
    TakenError,
    UnableError,
    explain,
)
from aind_capsule.storage.patience import Patience
from aind_capsule.storage.signed_requests import Answer, SignedRequests

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """An object that the server holds.

    Attributes:
        size: Bytes.
        etag: The server's name for this content, without quotes; empty where it gives none.
    """

    key: str
    size: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the server has taken.

    Attributes:
        number: From 1.
        etag: The server's name for it, without quotes.
        sha256: Digest of its bytes.
        checksum: What it was sent with, as its header has it; empty where that was none.
    """

    number: int
    etag: str
    sha256: bytes
    checksum: str


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part of an upload that the server holds, as the server lists it.

    Attributes:
        number: From 1.
        size: Bytes.
        etag: The server's name for it, without quotes.
        checksum: As its header has it, of the kind that is sent here; empty where there is none.
    """

    number: int
    size: int
    etag: str
    checksum: str


class Bucket:
    """The objects of one bucket; may be used by many threads.

    Args:
        name: The bucket.
        settings: How objects are written.
        patience: How long a request is tried.

    Attributes:
        origin: Scheme, host, port and path of the bucket: two buckets are one where these agree.
        checksum: What objects are sent with, as `s3.checksum` says it.

    Raises:
        StorageError: There are no credentials, or the settings cannot be used.
    """

    def __init__(self, name: str, settings: S3Settings, patience: Patience | None = None) -> None:
        self.name = name
        self.checksum = settings.checksum
        self._settings = settings
        self._patience = patience or Patience()
        self._connection = connect.Connection(name, settings)
        self.origin = self._connection.origin + self._connection.path
        self._requests = SignedRequests(self._connection, settings)
        self._headers = connect.build_object_headers(settings)
        self._checksum = find_checksum(settings.checksum)
        self._is_auto = settings.checksum == "auto"
        self._is_proven = False  # that this server takes it

    def check(self, folder: str) -> None:
        """Find out whether objects can be written, without writing one.

        A multipart upload is begun and aborted: that needs the rights that writing needs.

        Raises:
            StorageError: They cannot, or nobody answers.
        """
        key = f"{folder}.capsule-check"
        upload_id = self.begin(key, {})
        self.abort(key, upload_id)

    def put(
        self,
        key: str,
        body: bytes,
        *,
        digest: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        only_if_absent: bool = False,
        only_if_etag: str | None = None,
    ) -> str:
        """Write an object at once.

        Args:
            key: Its key.
            body: Its bytes.
            digest: Their SHA-256, where it is known.
            headers: Further ones, such as `content-type`.
            only_if_absent: Whether an object of that key stays.
            only_if_etag: The ETag of the object that is replaced; any other stays.

        Returns:
            The new object's ETag, without quotes; empty where the server gives none.

        Raises:
            TakenError: There is one, and it was to stay.
            AbsentError: There is none, and one was to be replaced.
            UnableError: The server does not know conditional requests, or else.
            StorageError: It cannot be written.
        """
        given = {**self._headers, **(headers or {})}
        if only_if_absent:
            given["if-none-match"] = "*"
        if only_if_etag is not None:
            given["if-match"] = f'"{_strip_quotes(only_if_etag)}"'
        digest = digest or hashlib.sha256(body).digest()
        answer, _ = self._write(f"Writing {self._name(key)}", key, "", body, digest, given)
        return _strip_quotes(answer.headers.get("etag", ""))

    def head(self, key: str) -> Held | None:
        """Return what the server holds under a key, or None where there is nothing.

        Without `s3:ListBucket` S3 answers 403 for a key that is not there: that is an error here.

        Raises:
            StorageError: The server does not say.
        """
        try:
            answer = self._call(f"Looking for {self._name(key)}", "head_object", Key=key)
        except AbsentError:
            return None
        return Held(key, int(answer["ContentLength"]), _strip_quotes(answer.get("ETag")))

    def begin(self, key: str, headers: Mapping[str, str]) -> str:
        """Begin an object that comes in parts; returns the upload's id.

        Raises:
            StorageError: It cannot be begun.
        """
        given: dict[str, Any] = {**connect.build_object_arguments(self._settings)}
        if "content-type" in headers:
            given["ContentType"] = headers["content-type"]
        if self._checksum is not None:
            given["ChecksumAlgorithm"] = self._checksum.name
        what = f"Writing {self._name(key)}"

        def create(**more: Any) -> str:
            answer = self._call(what, "create_multipart_upload", Key=key, **more)
            return str(answer["UploadId"])

        try:
            return create(**given)
        except UnableError:
            if given.pop("ChecksumAlgorithm", None) is None or not self._is_auto:
                raise
            upload_id = create(**given)
            self._checksum = None
            return upload_id

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> Part:
        """Write one part.

        Raises:
            StorageError: It cannot be written.
        """
        digest = hashlib.sha256(body).digest()
        query = f"partNumber={number}&uploadId={quote(upload_id, safe='')}"
        what = f"Writing part {number} of {self._name(key)}"
        payer = {"x-amz-request-payer": self._settings.request_payer or ""}
        headers = payer if self._settings.request_payer else {}
        answer, checksum = self._write(what, key, query, body, digest, headers)
        return Part(number, _strip_quotes(answer.headers.get("etag")), digest, checksum)

    def complete(
        self, key: str, upload_id: str, parts: Sequence[Part], *, only_if_absent: bool = False
    ) -> None:
        """Make one object of the parts.

        The answer may be lost, or say nothing (Ceph: an empty ETag): whoever must know lists.

        Args:
            key: The object's key.
            upload_id: The upload's.
            parts: All of them, by number.
            only_if_absent: Whether an object of that key stays.

        Raises:
            TakenError: There is one, and it was to stay.
            UnableError: The server does not know conditional requests, or else.
            StorageError: It cannot be done.
        """
        rows = [
            {"PartNumber": part.number, "ETag": f'"{_strip_quotes(part.etag)}"'} for part in parts
        ]
        checksum = self._checksum if all(part.checksum for part in parts) else None
        if checksum is not None:
            rows = [
                {**row, checksum.argument: part.checksum}
                for row, part in zip(rows, parts, strict=True)
            ]
        what = f"Completing {self._name(key)}"
        more = {"UploadId": upload_id, "MultipartUpload": {"Parts": rows}}
        if only_if_absent:
            more["IfNoneMatch"] = "*"
        answer = self._call(what, "complete_multipart_upload", Key=key, **more)
        if checksum is None:
            return
        told, _, count = answer.get(checksum.argument, "").partition("-")
        if count and told != checksum.encode_whole(part.checksum for part in parts):
            raise SilentError(f"{what}: the server's checksum {told} is not that of what was sent")

    def abort(self, key: str, upload_id: str) -> None:
        """Have the server forget an upload and its parts; one that it does not know is no error.

        Raises:
            StorageError: It does not.
        """
        try:
            what = f"Aborting an upload of {self._name(key)}"
            self._call(what, "abort_multipart_upload", Key=key, UploadId=upload_id)
        except StorageError as error:
            if error.code != "NoSuchUpload":
                raise

    def list(self, folder: str) -> Iterator[Held]:
        """The objects whose keys begin so, by key.

        Raises:
            StorageError: They cannot be listed.
        """
        for page in self._pages("list_objects_v2", self._name(folder), Prefix=folder):
            for row in page.get("Contents", ()):
                yield Held(row["Key"], int(row["Size"]), _strip_quotes(row.get("ETag")))

    def list_uploads(self, folder: str) -> Iterator[tuple[str, str]]:
        """Keys and ids of uploads below a prefix that were begun and not ended.

        Raises:
            StorageError: They cannot be listed.
        """
        for page in self._pages("list_multipart_uploads", self._name(folder), Prefix=folder):
            for row in page.get("Uploads", ()):
                if row["Key"].startswith(folder):
                    yield row["Key"], row["UploadId"]

    def list_parts(self, key: str, upload_id: str) -> Iterator[HeldPart]:
        """Yield the parts that the server holds of an upload, by number.

        Raises:
            StorageError: They cannot be listed; its code is `NoSuchUpload` where there is no such
                upload (any more).
        """
        name = "" if self._checksum is None else self._checksum.argument
        for page in self._pages("list_parts", self._name(key), Key=key, UploadId=upload_id):
            for row in page.get("Parts", ()):
                yield HeldPart(
                    row["PartNumber"],
                    int(row["Size"]),
                    _strip_quotes(row.get("ETag")),
                    row.get(name) or "",
                )

    def read(self, key: str, take: Callable[[bytes], object]) -> None:
        """Read an object, piece by piece, from its beginning.

        Raises:
            AbsentError: There is none.
            StorageError: It cannot be read; some pieces may have been taken.
        """
        what = f"Reading {self._name(key)}"
        answer = self._call(what, "get_object", Key=key)
        with self._connection.explaining(what):
            for piece in answer["Body"].iter_chunks(_MIB):
                take(piece)

    def read_small(self, key: str, limit_bytes: int = _MIB) -> bytes:
        """The bytes of an object that is known to be small, up to a limit.

        Raises:
            AbsentError: There is none.
            StorageError: It cannot be read.
        """
        what = f"Reading {self._name(key)}"
        answer = self._call(what, "get_object", Key=key)
        with self._connection.explaining(what):
            return bytes(answer["Body"].read(limit_bytes))

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error.

        Raises:
            StorageError: It cannot be removed.
        """
        self._call(f"Removing {self._name(key)}", "delete_object", Key=key)

    def _name(self, key: str) -> str:
        return str(S3Url(self.name, key))

    def _pages(self, operation: str, name: str, **arguments: str) -> Iterator[dict[str, Any]]:
        what = f"Listing {name}"
        with self._connection.explaining(what):
            payer = connect.build_payer(self._settings)
            pages = self._connection.client.get_paginator(operation).paginate(
                Bucket=self.name, **payer, **arguments
            )
            yield from pages

    def _call(self, what: str, operation: str, **arguments: Any) -> dict[str, Any]:
        payer = connect.build_payer(self._settings)
        with self._connection.explaining(what):
            call = getattr(self._connection.client, operation)
            answer: dict[str, Any] = call(Bucket=self.name, **payer, **arguments)
            return answer

    def _write(
        self,
        what: str,
        key: str,
        query: str,
        body: bytes,
        digest: bytes,
        headers: Mapping[str, str],
    ) -> tuple[Answer, str]:
        """Write an object or a part; the answer, and the checksum that it was sent with."""
        checksum = self._checksum
        mine = "" if checksum is None else checksum.encode(body, digest)
        header = "" if checksum is None else checksum.header

        def send(more: Mapping[str, str]) -> Answer:
            def once() -> Answer:
                answer = self._requests.put(key, query, body, digest, more)
                if answer.status not in (200, 201, 204):
                    raise explain(what, answer.status, answer.code, answer.message)
                told = answer.headers.get(header)
                if told and told != mine:
                    raise SilentError(f"{what}: the server's checksum is not that of what was sent")
                return answer

            return self._patience.keep_trying(once)

        if checksum is None:
            return send(headers), ""
        try:
            answer = send({**headers, header: mine})
        except TakenError:
            raise
        except StorageError as error:
            if not self._is_auto or self._is_proven or isinstance(error, SilentError):
                raise
            # It may have been the checksum, which not every server knows.
            try:
                answer = send(headers)
            except StorageError as second:
                raise second from error
            if not self._is_proven:  # by another thread, meanwhile
                self._checksum = None
            return answer, ""
        self._is_proven = True
        return answer, mine


def _strip_quotes(etag: str | None) -> str:
    """Return an ETag without its quotes, which not every server writes.

    >>> _strip_quotes('"9f86d0"'), _strip_quotes(None)
    ('9f86d0', '')
    """
    return (etag or "").strip().removeprefix("W/").strip('"')
