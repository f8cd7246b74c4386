"""Claim an asset's name on S3, so that no two uploads write into one folder.

The claim is the object `.claim`, written on condition that there is none. Where a server does not
know conditions (501, or it ignores them) two that claim in the same moment may both believe that
they have it. Whoever wrote last has, and the other finds that when it looks again.
"""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import (
    AbsentError,
    RefusedError,
    StorageError,
    TakenError,
    UnableError,
)
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.keys import CLAIM

_HEADERS = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Claim:
    """What stands in `.claim`.

    Attributes:
        run_id: Of the run, or of the upload, that has the name.
        claimed_at: When, ISO 8601.
        upload_id: Another one in each claim. Claims of older versions have the run's id here.
    """

    run_id: str
    claimed_at: str
    upload_id: str

    def encode(self) -> bytes:
        """Return the object's bytes."""
        content = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(content).encode() + b"\n"

    def compute_etag(self) -> str:
        """Return the ETag that S3 gives the object: its MD5."""
        return hashlib.md5(self.encode(), usedforsecurity=False).hexdigest()


class ClaimState(enum.Enum):
    """What is known of a name."""

    FREE = "free"
    CLAIMED = "claimed"
    #: There is an object of that name which this toolkit has not written.
    FOREIGN = "foreign"
    #: Without the rights to read or to list nobody says whether there is one.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FoundClaim:
    """What was found at a name.

    Attributes:
        claim: The claim, where there is one.
        refusal: The server's answer, where the state is unknown.
        etag: The object's, where there is one and the server gives it.
    """

    state: ClaimState
    claim: Claim | None = None
    refusal: StorageError | None = None
    etag: str = ""


def find_claim(bucket: Bucket, asset: S3Url) -> FoundClaim:
    """Look who has a name.

    Raises:
        StorageError: There is no answer, or it does not concern rights.
    """
    try:
        data, etag = bucket.read_small(asset.folder + CLAIM)
    except AbsentError:
        return FoundClaim(ClaimState.FREE)
    except RefusedError as error:
        if not is_forbidden(error):
            raise
        return FoundClaim(ClaimState.UNKNOWN, refusal=error)
    claim = _decode(data)
    state = ClaimState.FOREIGN if claim is None else ClaimState.CLAIMED
    return FoundClaim(state, claim, etag=etag)


def put_claim(
    bucket: Bucket, asset: S3Url, claim: Claim, *, replaced: FoundClaim | None = None
) -> str:
    """Write a claim and return the object's ETag.

    Args:
        bucket: The bucket.
        asset: The asset's folder.
        claim: Ours.
        replaced: What was found at the name, where that is to go; None where any claim stays.

    Raises:
        TakenError: There is a claim already, and it was to stay; or it is not the one that was
            found, because another upload has replaced that meanwhile.
        StorageError: It cannot be written.
    """
    key, body = asset.folder + CLAIM, claim.encode()
    condition: dict[str, Any] = {}
    if replaced is None:
        condition = {"only_if_absent": True}
    elif replaced.etag:
        condition = {"only_if_etag": replaced.etag}
    try:
        return bucket.put(key, body, headers=_HEADERS, **condition)
    except UnableError:
        if not condition:
            raise
    except AbsentError as error:
        raise TakenError(f"The claim of {asset} was removed meanwhile", hint=error.hint) from error
    except TakenError:  # by another; or by us, and the answer was lost
        found = find_claim(bucket, asset)
        if found.claim != claim:
            raise
        return found.etag
    return bucket.put(key, body, headers=_HEADERS)


def confirm_claim(bucket: Bucket, asset: S3Url, claim: Claim, etag: str) -> bool | None:
    """Find out without reading whether a claim is still the one that was written here.

    The same bytes are written again on condition that the object is still that one.

    Returns:
        Whether it is; None where the server does not say.
    """
    etag = etag or claim.compute_etag()  # its answer was lost
    try:
        bucket.put(asset.folder + CLAIM, claim.encode(), headers=_HEADERS, only_if_etag=etag)
    except (TakenError, AbsentError):
        return False
    except (UnableError, RefusedError):
        return None
    return True


def is_forbidden(error: StorageError) -> bool:
    """Return whether a right is missing, and nothing else."""
    return error.status in (401, 403) and error.code in ("AccessDenied", "Forbidden", "")


def _decode(data: bytes) -> Claim | None:
    try:
        content = json.loads(data)
        run_id, claimed_at = content["run_id"], content["claimed_at"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(run_id, str) or not isinstance(claimed_at, str):
        return None
    return Claim(run_id, claimed_at, str(content.get("upload_id", run_id)))
