"""Claim an asset's name on S3, so that no two uploads write into one folder.

The claim is the object `.claim`, written on condition that there is none. Where a server does not
know conditions (501, or it takes no notice) two that claim in the same moment may both believe that
they have it: whoever wrote last has, and the other finds that when it looks again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.errors import AbsentError, RefusedError, TakenError, UnableError
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.keys import CLAIM


@dataclass(frozen=True, slots=True)
class Claim:
    """What stands in `.claim`.

    Attributes:
        run_id: Of the run, or of the upload, whose the name is.
        claimed_at: When, ISO 8601.
    """

    run_id: str
    claimed_at: str

    def encode(self) -> bytes:
        """As the object has it."""
        return json.dumps({"run_id": self.run_id, "claimed_at": self.claimed_at}).encode() + b"\n"


def read_claim(bucket: Bucket, asset: S3Url) -> Claim | None:
    """Whose a name is; None where nobody has claimed it, or where that may not be known."""
    try:
        told = _decode(bucket.read_small(asset.folder + CLAIM))
    except AbsentError:
        return None
    except RefusedError:  # without the right to list, S3 says so of what is not there
        return None
    return Claim(str(told.get("run_id", "unknown")), str(told.get("claimed_at", "unknown")))


def claim(bucket: Bucket, asset: S3Url, mine: Claim, *, by_force: bool = False) -> Claim:
    """Claim a name; returns whose it is now, which may be another's.

    Args:
        bucket: Where.
        asset: The asset's folder.
        mine: Our claim.
        by_force: Whether another's claim is replaced.

    Raises:
        StorageError: It cannot be written.
    """
    key = asset.folder + CLAIM
    there = read_claim(bucket, asset)
    if there is not None and not by_force:
        return there
    headers = {"content-type": "application/json"}
    try:
        bucket.put(key, mine.encode(), headers=headers, only_if_absent=not by_force)
    except TakenError:
        # An answer that was lost, and our own second try; or another was faster.
        return read_claim(bucket, asset) or Claim("unknown", "unknown")
    except UnableError:
        bucket.put(key, mine.encode(), headers=headers)
    return read_claim(bucket, asset) or mine


def _decode(data: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(data)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
