"""An object of two parts, as small as S3 takes them."""

from __future__ import annotations

import os

from aind_capsule.storage.objects import Bucket, Part

_MIB = 1024 * 1024


def put_in_parts(bucket: Bucket, key: str) -> tuple[bytes, list[Part]]:
    """Write random bytes in two parts, the first of 5 MiB; returns both."""
    data = os.urandom(5 * _MIB) + b"the end"
    upload_id = bucket.begin(key, {})
    pieces = (data[: 5 * _MIB], data[5 * _MIB :])
    parts = [bucket.put_part(key, upload_id, n, piece) for n, piece in enumerate(pieces, 1)]
    bucket.complete(key, upload_id, parts)
    return data, parts
