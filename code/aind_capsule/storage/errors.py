"""What an S3 server's answer, or its silence, means to us: refused, absent, taken, unable, silent.

Codes: the S3 API reference, "Error responses", and what other servers were seen to answer.
"""

from __future__ import annotations

from aind_capsule.errors import CapsuleError


class StorageError(CapsuleError):
    """Something on S3 failed.

    Args:
        message: What failed, and with which value.
        hint: What the reader can do about it.
        code: S3's code of the error, such as `NoSuchKey`; empty where the answer has none.
        status: The answer's HTTP status; 0 where no answer came.
    """

    exit_status = 74

    def __init__(self, message: str, *, hint: str = "", code: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status


class RefusedError(StorageError):
    """The server said no, and will say so again: rights, names, settings."""


class SilentError(StorageError):
    """No answer, or only such that asks for another try.

    Attributes:
        may_have_arrived: Whether the server may have done what was asked all the same.
        retry_after_s: How long the server asks to be left alone, seconds.
    """

    may_have_arrived = True
    retry_after_s: float | None = None

    @property
    def is_throttled(self) -> bool:
        """Return whether the server asks for fewer requests."""
        return self.status in (429, 503) or self.code in _THROTTLING_CODES


class DamagedError(SilentError):
    """The server received other bytes than were sent, by its checksum or ours."""


class AbsentError(StorageError):
    """There is no such object."""


class TakenError(StorageError):
    """There is an object already, and it was to be written only if there was none."""


class UnableError(StorageError):
    """The server does not know this kind of request, or one of its headers."""


_THROTTLING_CODES = frozenset(
    {
        "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
        "RequestThrottled", "RequestThrottledException", "RequestLimitExceeded",
    }
)  # fmt: skip
#: Answers that pass: the same request is sent again.
_PASSING_CODES = _THROTTLING_CODES | {
    "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeoutException",
    "PriorRequestNotComplete", "ConditionalRequestConflict",
}  # fmt: skip
_DAMAGE_CODES = frozenset(
    {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
)
#: Statuses above 500 that do not pass: not implemented, HTTP version, no room.
_LASTING_STATUSES = frozenset({501, 505, 507})
#: Credentials that do not hold (any more): there may be others by now.
CREDENTIAL_CODES = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken",
        "InvalidAccessKeyId", "RequestExpired",
    }
)  # fmt: skip
_UNABLE_CODES = frozenset({"NotImplemented", "MethodNotAllowed", "MissingContentLength"})

_HINTS = {
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID, AWS_PROFILE, or the role.",
    "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.",
    "InvalidToken": "Check AWS_SESSION_TOKEN.",
    "NoSuchBucket": "Check the bucket's name, and s3.endpoint_url where it is not on AWS.",
    "RequestTimeTooSkewed": "Set this machine's clock: it differs from the server's.",
    "InvalidStorageClass": "Correct s3.storage_class.",
    "PermanentRedirect": "Set s3.region_name to the bucket's region.",
    "AuthorizationHeaderMalformed": "Set s3.region_name to the bucket's region.",
    "InvalidTag": "Correct s3.tagging: name=value pairs, with & between them.",
    "AccessControlListNotSupported": "Remove s3.acl: this bucket takes none.",
    "NoSuchUpload": "Start the upload again.",
    "XMinioStorageFull": "Free space on the server.",
    "QuotaExceeded": "Free space on the server, or ask for a larger quota.",
}  # fmt: skip
HINT_SILENT = "Check s3.endpoint_url and the network; then capsule upload --resume."
_OF_EXPIRED = "Give fresh credentials; `capsule upload --resume` goes on where this ended."
_OF_OTHERS = "Correct the s3 settings, such as s3.acl, or ask who runs the server."
_OF_KMS = "Check s3.sse_kms_key_id, and the right to use that key (kms:GenerateDataKey)."


def explain(
    what: str, status: int, code: str, message: str, permission: str = "s3:PutObject"
) -> StorageError:
    """Return the error that an answer means.

    Args:
        what: What was tried, such as `Writing s3://bucket/key`.
        status: The answer's status.
        code: Its S3 code, empty where it has none.
        message: The server's message.
        permission: What the credentials need for it, such as `s3:PutObject`.

    >>> explain("Reading s3://b/k", 404, "NoSuchKey", "not there")
    AbsentError('Reading s3://b/k failed: NoSuchKey: not there')
    """
    said = ": ".join(part for part in (code or f"status {status}", message.strip()) if part)
    kind, hint = _classify(status, code)
    if not hint and status in (401, 403):
        hint = f"Grant these credentials {permission} there, or name another place."
    return kind(f"{what} failed: {said}", hint=hint or _OF_OTHERS, code=code, status=status)


def _classify(status: int, code: str) -> tuple[type[StorageError], str]:
    """Return the class of an answer's error, and its hint; empty where the status decides."""
    if status == 412 or code == "PreconditionFailed":
        return TakenError, "Name another place."
    if code in _UNABLE_CODES or status in (405, 411, 501):
        return UnableError, "Set s3.checksum = none, or use another server."
    if code in ("NoSuchKey", "NotFound") or (status == 404 and not code):
        return AbsentError, "Check the address, and s3.endpoint_url."
    if code in CREDENTIAL_CODES and code not in _HINTS:
        return RefusedError, _OF_EXPIRED
    if code in _DAMAGE_CODES:
        return DamagedError, "Check the network and this machine's memory; then --resume."
    is_broken = status >= 500 and status not in _LASTING_STATUSES and code not in _HINTS
    if is_broken or status in (408, 429) or code in _PASSING_CODES:
        return SilentError, "Try again later: capsule upload --resume"
    return RefusedError, _OF_KMS if code.startswith("KMS.") else _HINTS.get(code, "")
