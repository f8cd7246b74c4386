"""What an S3 server's answer, or its silence, means to us: refused, absent, taken, unable, silent.

Codes: the S3 API reference, "Error responses", and what other servers were seen to answer.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    """No answer, or only such that asks for another try."""


class AbsentError(StorageError):
    """There is no such object."""


class TakenError(StorageError):
    """There is an object already, and it was to be written only if there was none."""


class UnableError(StorageError):
    """The server does not know this kind of request, or one of its headers."""


#: Answers that pass: the same request is sent again.
PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
PASSING_CODES = frozenset(
    {
        "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeoutException",
        "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
        "PriorRequestNotComplete", "ConditionalRequestConflict", "BadDigest", "IncompleteBody",
        "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
    }
)  # fmt: skip
#: Credentials that held once and hold no more.
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
UNABLE_CODES = frozenset({"NotImplemented", "MethodNotAllowed", "MissingContentLength"})

_HINTS = {
    "AccessDenied": "Have these credentials allowed to write there (s3:PutObject,"
    " s3:AbortMultipartUpload), or name another place.",
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID, AWS_PROFILE, or the role.",
    "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.",
    "InvalidToken": "Check AWS_SESSION_TOKEN.",
    "NoSuchBucket": "Check the bucket's name, and s3.endpoint_url where it is not on AWS.",
    "RequestTimeTooSkewed": "Set this machine's clock: the server's tells another time.",
    "InvalidStorageClass": "Correct s3.storage_class.",
    "PermanentRedirect": "Set s3.region_name to the bucket's region.",
    "AuthorizationHeaderMalformed": "Set s3.region_name to the bucket's region.",
    "InvalidTag": "Correct s3.tagging: name=value pairs, with & between them.",
    "AccessControlListNotSupported": "Remove s3.acl: this bucket takes none.",
    "NoSuchUpload": "Start the upload again.",
}  # fmt: skip
_OF_EXPIRED = "Give fresh credentials; `capsule upload --resume` goes on where this ended."
_OF_OTHERS = "Correct the s3 settings, such as s3.acl, or ask who runs the server."
_OF_KMS = "Check s3.sse_kms_key_id, and the rights to use that key."


def explain(what: str, status: int, code: str, message: str) -> StorageError:
    """The error that an answer means.

    Args:
        what: What was tried, such as `Writing s3://bucket/key`.
        status: The answer's status.
        code: Its S3 code, empty where it has none.
        message: The server's words.
    """
    if code == str(status):  # botocore's name for an answer without a body, such as HEAD's
        code = ""
    said = ": ".join(part for part in (code or f"status {status}", message.strip()) if part)
    kind, hint = _classify(status, code)
    return kind(f"{what} failed: {said}", hint=hint, code=code, status=status)


def _classify(status: int, code: str) -> tuple[type[StorageError], str]:
    """Return the class of an answer's error, and its hint."""
    if status == 412 or code == "PreconditionFailed":
        return TakenError, ""
    if code in UNABLE_CODES or status in (405, 411, 501):
        return UnableError, "Set s3.checksum = none, or use another server."
    if code in ("NoSuchKey", "NotFound") or (status == 404 and not code):
        return AbsentError, "Check the address, and s3.endpoint_url."
    if code in EXPIRED_CODES:
        return RefusedError, _OF_EXPIRED
    if status in PASSING_STATUSES or code in PASSING_CODES:
        return SilentError, "Try again later: capsule upload --resume"
    hint = _OF_KMS if code.startswith("KMS.") else _HINTS.get(code, "")
    if not hint:
        hint = _HINTS["AccessDenied"] if status in (401, 403) else _OF_OTHERS
    return RefusedError, hint


def find_region(headers: Mapping[str, str]) -> str | None:
    """The bucket's region, where an answer tells it."""
    return headers.get("x-amz-bucket-region")
