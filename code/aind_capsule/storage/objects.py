"""One bucket on S3: objects written in parts or at once, read, listed and removed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.answers import Answer, strip_quotes
from aind_capsule.storage.connect import Connection
from aind_capsule.storage.downloads import READ_PERMISSION, Download
from aind_capsule.storage.errors import AbsentError, StorageError
from aind_capsule.storage.held import Held, HeldPart, Part
from aind_capsule.storage.listings import Listings
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.storage.signed_requests import Request, SignedRequests
from aind_capsule.storage.signing import build_query
from aind_capsule.storage.writing import Writing

__all__ = ["Bucket", "Held", "HeldPart", "Part"]

_MIB = 1024 * 1024
#: How long a server is waited for before anything is to be sent to it.
_CHECK_FOR_S = 5.0


class Bucket:
    """The objects of one bucket; may be used by many threads.

    Args:
        name: The bucket.
        settings: How objects are written.
        retries: How long a request is tried; by default as `s3.retry_for` has it.

    Attributes:
        checksum: What objects are sent with, as `s3.checksum` says it.

    Raises:
        StorageError: There are no credentials, or the settings cannot be used.
    """

    def __init__(self, name: str, settings: S3Settings, retries: RetryPolicy | None = None) -> None:
        self.name = name
        self.checksum = settings.checksum
        self._retries = retries or RetryPolicy(settings.retry_for)
        self._requests = SignedRequests(Connection(name, settings), settings)
        if settings.region_name is None:
            self._requests.find_region()
        self._writing = Writing(self._requests, self._retries, settings)
        self._listings = Listings(self._requests, self._retries)

    @property
    def origin(self) -> str:
        """Scheme, host, port and path of the bucket: two buckets are one where these agree."""
        return self._requests.origin

    def check(self, folder: str) -> None:
        """Find out whether objects can be written, without writing one.

        A multipart upload is begun and aborted: that needs the rights that writing needs. A server
        that does not answer is not waited for as long as otherwise.

        Raises:
            StorageError: They cannot, or nobody answers.
        """
        key = f"{folder}.capsule-check"
        retries = RetryPolicy(_CHECK_FOR_S)
        upload_id = self._writing.begin(self._name(key), key, {}, retries)
        self._abort(key, upload_id, retries)

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
            TakenError: There is one, and it was to stay. One of just these bytes is taken for
                ours where the answer to an earlier try was lost.
            AbsentError: There is none, and one was to be replaced.
            UnableError: The server does not know conditional requests, or else.
            StorageError: It cannot be written.
        """
        given = dict(headers or {})
        if only_if_absent:
            given["if-none-match"] = "*"
        if only_if_etag is not None:
            given["if-match"] = f'"{strip_quotes(only_if_etag)}"'
        digest = digest or hashlib.sha256(body).digest()
        return self._writing.put(self._name(key), key, body, digest, given).etag

    def head(self, key: str) -> Held | None:
        """Return what the server holds under a key, or None where there is nothing.

        Without `s3:ListBucket` S3 answers 403 for a key that is not there: that is an error here.

        Raises:
            StorageError: The server does not say.
        """
        what = f"Looking for {self._name(key)}"
        request = Request(what, "HEAD", key, permission=READ_PERMISSION)
        try:
            answer = self._ask_head(request)
        except AbsentError:
            return None
        whole = answer.headers.get("content-range", "").rpartition("/")[2]
        return Held(key, int(whole or answer.headers.get("content-length", "0")), answer.etag)

    def begin(self, key: str, headers: Mapping[str, str]) -> str:
        """Begin an object that comes in parts; returns the upload's id.

        Raises:
            StorageError: It cannot be begun.
        """
        return self._writing.begin(self._name(key), key, headers, self._retries)

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> Part:
        """Write one part.

        Raises:
            StorageError: It cannot be written.
        """
        return self._writing.put_part(self._name(key), key, upload_id, number, body)

    def complete(
        self, key: str, upload_id: str, parts: Sequence[Part], *, only_if_absent: bool = False
    ) -> None:
        """Make one object of the parts.

        The answer may be lost, or say nothing: then the object is looked at, and one that is known
        to be made of just these parts is taken for the answer.

        Args:
            key: The object's key.
            upload_id: The upload's.
            parts: All of them, by number.
            only_if_absent: Whether an object of that key stays.

        Raises:
            TakenError: There is one, and it was to stay.
            UnableError: The server does not know conditional requests, or else.
            StorageError: It cannot be done. Its code is `NoSuchUpload` where the server knows
                neither the upload nor such an object: begin anew, with all parts.
        """
        self._writing.complete(
            self._name(key), key, upload_id, parts, only_if_absent=only_if_absent
        )

    def abort(self, key: str, upload_id: str) -> None:
        """Have the server forget an upload and its parts; one that it does not know is no error.

        Raises:
            StorageError: It does not.
        """
        self._abort(key, upload_id, self._retries)

    def list(self, folder: str) -> Iterator[Held]:
        """Yield the objects whose keys begin so, as the server orders them.

        Raises:
            StorageError: They cannot be listed.
        """
        return self._listings.list_objects(self._name(folder), folder)

    def list_uploads(self, folder: str) -> Iterator[tuple[str, str]]:
        """Yield keys and ids of uploads below a prefix that were begun and not ended.

        Raises:
            StorageError: They cannot be listed.
        """
        return self._listings.list_uploads(self._name(folder), folder)

    def list_parts(self, key: str, upload_id: str) -> Iterator[HeldPart]:
        """Yield the parts that the server holds of an upload, by number.

        Raises:
            StorageError: They cannot be listed; its code is `NoSuchUpload` where there is no such
                upload (any more).
        """
        checksum = self._writing.checksum
        element = "" if checksum is None else checksum.argument
        return self._listings.list_parts(self._name(key), key, upload_id, element)

    def read(self, key: str, take: Callable[[bytes], object]) -> None:
        """Read an object, piece by piece, from its beginning.

        What is cut goes on where it ended, as long as the object is the same.

        Raises:
            AbsentError: There is none.
            StorageError: It cannot be read; some pieces may have been taken.
        """
        self._make_download(key).read(take)

    def read_small(self, key: str, limit_bytes: int = _MIB) -> tuple[bytes, str]:
        """Return an object that is known to be small: its bytes, up to a limit, and its ETag.

        The ETag is without quotes, and empty where the server gives none.

        Raises:
            AbsentError: There is none.
            StorageError: It cannot be read.
        """
        download = self._make_download(key)
        return download.read_first(limit_bytes), download.etag

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error.

        Raises:
            StorageError: It cannot be removed.
        """
        what = f"Removing {self._name(key)}"
        request = Request(what, "DELETE", key, permission="s3:DeleteObject")
        with contextlib.suppress(AbsentError):
            self._retries.call(lambda: self._requests.send(request))

    def _name(self, key: str) -> str:
        return str(S3Url(self.name, key))

    def _make_download(self, key: str) -> Download:
        return Download(self._requests, self._retries, key, f"Reading {self._name(key)}")

    def _abort(self, key: str, upload_id: str, retries: RetryPolicy) -> None:
        what = f"Aborting an upload of {self._name(key)}"
        query = build_query({"uploadId": upload_id})
        request = Request(what, "DELETE", key, query, permission="s3:AbortMultipartUpload")
        try:
            retries.call(lambda: self._requests.send(request))
        except StorageError as error:
            if error.status != 404 or error.code == "NoSuchBucket":
                raise

    def _ask_head(self, head: Request) -> Answer:
        """Send a HEAD request; where it is refused, ask by GET, whose answer says why."""
        try:
            return self._retries.call(lambda: self._requests.send(head))
        except StorageError as error:
            if error.status not in (400, 403, 405, 501):
                raise
        get = Request(
            head.what, "GET", head.key, headers={"range": "bytes=0-0"}, permission=head.permission
        )
        return self._retries.call(lambda: self._requests.send(get))
