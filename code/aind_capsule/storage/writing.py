"""Write objects, at once or in parts: checksums, conditions, and answers that are lost.

What a server may have done although it did not say so is looked at before it counts as failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.answers import Answer, strip_quotes
from aind_capsule.storage.checksums import Checksum, find_checksum
from aind_capsule.storage.connect import build_object_headers
from aind_capsule.storage.downloads import READ_PERMISSION
from aind_capsule.storage.errors import (
    CREDENTIAL_CODES,
    HINT_SILENT,
    DamagedError,
    SilentError,
    StorageError,
    TakenError,
)
from aind_capsule.storage.held import Part
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.storage.signed_requests import Request, SignedRequests
from aind_capsule.storage.signing import UNSIGNED_PAYLOAD, build_query

#: Statuses of servers that do not know a checksum's header.
_CHECKSUM_STATUSES = frozenset({400, 405, 411, 501})
_SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Writing:
    """Writes to one bucket; may be used by many threads.

    Args:
        requests: Sends requests to it.
        retries: How long a request is tried.
        settings: How objects are written.
    """

    def __init__(
        self, requests: SignedRequests, retries: RetryPolicy, settings: S3Settings
    ) -> None:
        self._requests = requests
        self._retries = retries
        self._headers = build_object_headers(settings)
        self._checksum = find_checksum(settings.checksum)
        self._is_auto = settings.checksum == "auto"
        self._is_proven = False  # that this server takes it
        self._permission = "s3:PutObject"
        self._permission += ", s3:PutObjectTagging" if settings.tagging else ""
        self._permission += ", s3:PutObjectAcl" if settings.acl else ""

    @property
    def checksum(self) -> Checksum | None:
        """What objects are sent with now."""
        return self._checksum

    def put(
        self, name: str, key: str, body: bytes, sha256: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """Write an object at once.

        Args:
            name: Its address, for messages.
            key: Its key.
            body: Its bytes.
            sha256: Their digest.
            headers: Headers beside those of the settings; with a condition there is one object for
                which it holds, so that an answer that was lost is found out.

        Raises:
            StorageError: It cannot be written.
        """
        is_conditional = "if-match" in headers or "if-none-match" in headers
        request = Request(
            f"Writing {name}",
            "PUT",
            key,
            headers={**self._headers, **headers},
            body=body,
            permission=self._permission,
            # The second of two equal requests would meet the object of the first.
            is_repeatable=not is_conditional,
        )
        is_unknown = False  # whether an earlier try has written it

        def once(signed: Request) -> Answer:
            nonlocal is_unknown
            try:
                return self._requests.send(signed)
            except SilentError as error:
                is_unknown = is_unknown or error.may_have_arrived
                raise

        try:
            return self._write(request, sha256, once)[0]
        except TakenError as error:
            if is_unknown and (written := self._find_written(name, key, body)) is not None:
                return written
            error.may_be_ours = is_unknown
            raise

    def begin(self, name: str, key: str, headers: Mapping[str, str], retries: RetryPolicy) -> str:
        """Begin an object that comes in parts; returns the upload's id.

        Raises:
            StorageError: It cannot be begun.
        """
        request = Request(
            f"Writing {name}",
            "POST",
            key,
            "uploads=",
            headers={**self._headers, **headers},
            permission=self._permission,
            roots=("InitiateMultipartUpload", "CreateMultipartUpload"),
        )

        def ask(headers: Mapping[str, str]) -> str:
            asked = request._replace(headers={**request.headers, **headers})
            return retries.call(lambda: self._requests.ask(asked)).get("UploadId")

        checksum = self._checksum
        if checksum is None:
            return ask({})
        try:
            return ask({"x-amz-checksum-algorithm": checksum.name})
        except StorageError as error:
            if not self._may_be_checksum(error):
                raise
        upload_id = ask({})
        self._checksum = None
        return upload_id

    def put_part(self, name: str, key: str, upload_id: str, number: int, body: bytes) -> Part:
        """Write one part.

        Raises:
            StorageError: It cannot be written.
        """
        # TLS and another checksum protect the bytes: a digest besides would only cost time.
        kind = None if self._checksum is None else self._checksum.name
        is_covered = self._requests.is_https and kind not in (None, "SHA256")
        digest = b"" if is_covered else hashlib.sha256(body).digest()
        request = Request(
            f"Writing part {number} of {name}",
            "PUT",
            key,
            build_query({"partNumber": str(number), "uploadId": upload_id}),
            body=body,
            permission=self._permission,
        )
        answer, checksum = self._write(request, digest, self._requests.send)
        return Part(number, answer.etag, digest, checksum)

    def complete(
        self,
        name: str,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        only_if_absent: bool = False,
    ) -> None:
        """Make one object of the parts.

        Raises:
            TakenError: There is one, and it was to stay.
            UnableError: The server does not know conditional requests, or else.
            StorageError: It cannot be done.
        """
        checksum = self._checksum if all(part.checksum for part in parts) else None
        body = _build_parts(parts, checksum)
        request = Request(
            f"Completing {name}",
            "POST",
            key,
            build_query({"uploadId": upload_id}),
            headers={"if-none-match": "*"} if only_if_absent else {},
            body=body,
            sha256=hashlib.sha256(body).hexdigest(),
            permission=self._permission,
            roots=("CompleteMultipartUpload",),
        )

        is_unknown = False  # whether an earlier try has made it

        def once() -> None:
            nonlocal is_unknown
            try:
                answer = self._requests.ask(request)
            except StorageError as error:
                if isinstance(error, TakenError) and not is_unknown:
                    raise
                if self._is_made_of(name, key, parts, checksum, error):
                    return
                # With status 200 the server began, and failed: that may pass.
                has_begun = error.status == 200 and error.code != ""
                is_unknown = is_unknown or has_begun or isinstance(error, SilentError)
                if has_begun:
                    raise SilentError(error.message, hint=HINT_SILENT, code=error.code) from error
                raise
            if checksum is None:
                return
            said, _, count = answer.get(checksum.argument).partition("-")
            if count and said != checksum.encode_whole(part.checksum for part in parts):
                text = f"{request.what}: the server's checksum {said} is not that of what was sent"
                raise DamagedError(text, hint=HINT_SILENT)

        self._retries.call(once)

    def _find_written(self, name: str, key: str, body: bytes) -> Answer | None:
        """Return the answer to a look at an object of just these bytes, or None."""
        request = Request(f"Reading {name}", "GET", key, permission=READ_PERMISSION)
        try:
            answer = self._retries.call(lambda: self._requests.send(request))
        except StorageError:
            return None
        return answer if answer.body == body else None

    def _is_made_of(
        self,
        name: str,
        key: str,
        parts: Sequence[Part],
        checksum: Checksum | None,
        error: StorageError,
    ) -> bool:
        """Return whether the object is known to be made of these parts, although that failed."""
        given = {"x-amz-checksum-mode": "ENABLED"}
        request = Request(
            f"Looking for {name}", "HEAD", key, headers=given, permission=READ_PERMISSION
        )

        def look() -> Answer:
            return self._requests.send(request)

        try:
            if isinstance(error, SilentError) or error.status == 200:
                if isinstance(error, SilentError) and not error.may_have_arrived:
                    return False
                answer = look()  # the request itself is tried again, and this with it
            else:
                answer = self._retries.call(look)
        except StorageError:
            return False
        if checksum is not None:
            said, _, count = answer.headers.get(checksum.header, "").partition("-")
            if count:
                whole = checksum.encode_whole(part.checksum for part in parts)
                return (said, count) == (whole, str(len(parts)))
        try:
            digests = b"".join(bytes.fromhex(part.etag) for part in parts)
        except ValueError:
            return False
        return answer.etag == f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"

    def _write(
        self, request: Request, digest: bytes, once: Callable[[Request], Answer]
    ) -> tuple[Answer, str]:
        """Write an object or a part; the answer, and the checksum that it was sent with.

        Args:
            request: It, without headers for the checksum.
            digest: The body's SHA-256; empty where it is not to be signed along with a checksum.
            once: Sends it once.
        """

        def send(request: Request, header: str, mine: str) -> Answer:
            answer = once(request)
            said = answer.headers.get(header)
            if said and said != mine:
                text = f"{request.what} failed: the server's checksum is not that of what was sent"
                raise DamagedError(text, hint=HINT_SILENT)
            return answer

        checksum = self._checksum
        if checksum is None:
            return self._retries.call(lambda: once(_sign_body(request, digest))), ""
        mine = checksum.encode(request.body, digest)
        given = {**request.headers, checksum.header: mine}
        sha256 = digest.hex() or UNSIGNED_PAYLOAD
        checked = request._replace(headers=given, sha256=sha256)
        try:
            answer = self._retries.call(lambda: send(checked, checksum.header, mine))
        except StorageError as error:
            if not self._may_be_checksum(error):
                raise
            try:
                answer = self._retries.call(lambda: once(_sign_body(request, digest)))
            except StorageError as second:
                raise second from error
            if not self._is_proven:  # by another thread, meanwhile
                self._checksum = None
            return answer, ""
        self._is_proven = True
        return answer, mine

    def _may_be_checksum(self, error: StorageError) -> bool:
        """Return whether an error may be about the checksum, which not every server knows."""
        if not self._is_auto or self._is_proven or isinstance(error, (SilentError, TakenError)):
            return False
        return error.status in _CHECKSUM_STATUSES and error.code not in CREDENTIAL_CODES


def _escape(text: str) -> str:
    """Return a text as XML has it; `html` takes 10 ms to import, for names of characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _sign_body(request: Request, digest: bytes) -> Request:
    """Return a request whose signature covers its body."""
    digest = digest or hashlib.sha256(request.body).digest()
    return request._replace(sha256=digest.hex())


def _build_parts(parts: Sequence[Part], checksum: Checksum | None) -> bytes:
    """Return the body that completes an upload."""
    rows = []
    for part in parts:
        row = f"<PartNumber>{part.number}</PartNumber>"
        row += f"<ETag>&quot;{_escape(strip_quotes(part.etag))}&quot;</ETag>"
        if checksum is not None:
            row += f"<{checksum.argument}>{part.checksum}</{checksum.argument}>"
        rows.append(f"<Part>{row}</Part>")
    name = "CompleteMultipartUpload"
    return f'<{name} xmlns="{_SPACE}">{"".join(rows)}</{name}>'.encode()
