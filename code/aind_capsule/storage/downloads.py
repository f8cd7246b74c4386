"""Read an object piece by piece; a body that is cut goes on where it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aind_capsule.storage.answers import strip_quotes
from aind_capsule.storage.errors import RefusedError, SilentError, TakenError
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.storage.signed_requests import Request, SignedRequests

READ_PERMISSION = "s3:GetObject (and s3:ListBucket, without which what is absent looks forbidden)"
_REPLACED = "the object was replaced while it was read"
_HINT_REPLACED = "Try again once nobody writes there."


class _TakingEndedError(Exception):
    """What takes the pieces takes no more; it may have raised an error of its own."""


class Download:
    """The reading of one object.

    Args:
        requests: Sends requests to its bucket.
        retries: How long a request is tried.
        key: Its key.
        what: What is done, for messages, such as `Reading s3://bucket/key`.
    """

    def __init__(self, requests: SignedRequests, retries: RetryPolicy, key: str, what: str) -> None:
        self._requests = requests
        self._retries = retries
        self._key = key
        self._what = what
        self._etag = ""
        self._count = 0  # bytes that were taken
        self._skip = 0  # bytes of this answer that were taken of an earlier one
        self._error: Exception | None = None

    @property
    def etag(self) -> str:
        """The ETag of what was read, without quotes; empty where the server gives none."""
        return self._etag

    def read(self, take: Callable[[bytes], object]) -> None:
        """Have all of the object taken.

        Raises:
            AbsentError: There is none.
            StorageError: It cannot be read; some pieces may have been taken.
        """

        def take_new(piece: bytes) -> None:
            piece = piece[self._skip_of(piece) :]
            if not piece:
                return
            try:
                take(piece)
            except Exception as error:  # raised again: it is no error of the connection's
                self._error = error
                raise _TakingEndedError from error
            self._count += len(piece)
            self._retries.note_success()

        try:
            self._retries.call(lambda: self._read_once(take_new))
        except _TakingEndedError:
            assert self._error is not None
            raise self._error from None
        except TakenError as error:
            raise RefusedError(
                f"{self._what} failed: {_REPLACED}",
                hint=_HINT_REPLACED,
                code=error.code,
                status=error.status,
            ) from error

    def read_first(self, limit_bytes: int) -> bytes:
        """Return the object's bytes, up to a limit.

        Raises:
            AbsentError: There is none.
            StorageError: It cannot be read.
        """
        pieces: list[bytes] = []

        def take(piece: bytes) -> None:
            pieces.append(piece)
            if self._count + len(piece) >= limit_bytes:
                raise _EnoughError

        try:
            self.read(take)
        except _EnoughError:
            pass
        return b"".join(pieces)[:limit_bytes]

    def _read_once(self, take: Callable[[bytes], None]) -> None:
        headers: dict[str, str] = {}
        if self._count and self._etag:
            headers = {"range": f"bytes={self._count}-", "if-match": f'"{self._etag}"'}
        request = Request(self._what, "GET", self._key, headers=headers, permission=READ_PERMISSION)
        self._requests.stream(request, take, self._note_head)

    def _note_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Take note of what the answer's body is."""
        if status == 206:
            begin = headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
            self._skip = 0
            if begin != str(self._count):
                raise SilentError(f"{self._what} failed: the server answers with another range")
        elif status == 200:
            etag = strip_quotes(headers.get("etag"))
            if self._count and etag != self._etag:
                raise RefusedError(f"{self._what} failed: {_REPLACED}", hint=_HINT_REPLACED)
            self._skip, self._etag = self._count, etag

    def _skip_of(self, piece: bytes) -> int:
        skip = min(self._skip, len(piece))
        self._skip -= skip
        return skip


class _EnoughError(Exception):
    """No further pieces are wanted."""
