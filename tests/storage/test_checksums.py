"""Checksums as S3 has them."""

from __future__ import annotations

import hashlib
import sys

import pytest

from aind_capsule.settings.s3_values import CHECKSUMS
from aind_capsule.storage.checksums import find_checksum
from aind_capsule.storage.errors import RefusedError

#: The check values of the catalogue of parametrised CRC algorithms, of the bytes `123456789`.
CHECK = b"123456789"
KNOWN = {"crc32": "cbf43926", "crc32c": "e3069283", "sha256": hashlib.sha256(CHECK).hexdigest()}


@pytest.mark.parametrize("kind", KNOWN)
def test_known_values(kind: str) -> None:
    """Each is computed as its standard says."""
    checksum = find_checksum(kind)
    assert checksum is not None
    assert checksum.compute(CHECK).hex() == KNOWN[kind]
    assert checksum.header == f"x-amz-checksum-{kind}"


def test_each_setting_is_known() -> None:
    """`none` alone has none."""
    assert [kind for kind in CHECKSUMS if find_checksum(kind) is None] == ["none"]


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with what to install."""
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    with pytest.raises(RefusedError, match="awscrt") as told:
        find_checksum("crc32c")
    assert "botocore[crt]" in told.value.hint
