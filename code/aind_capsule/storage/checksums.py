"""Checksums that objects are sent and kept with, by S3's names.

Amazon S3 User Guide, "Checking object integrity": the checksum of an object that came in parts is
that of its parts' checksums, one after the other, and `-` and their number.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aind_capsule.storage.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Checksum:
    """One kind.

    Attributes:
        name: S3's, such as `SHA256`.
        compute: Of bytes.
    """

    name: str
    compute: Callable[[bytes], bytes]

    @property
    def header(self) -> str:
        """The header that bears it."""
        return f"x-amz-checksum-{self.name.lower()}"

    @property
    def argument(self) -> str:
        """What boto3 calls it."""
        return f"Checksum{self.name}"

    def encode(self, body: bytes, sha256: bytes) -> str:
        """The header's value.

        Args:
            body: What is sent.
            sha256: Its SHA-256, which is known.
        """
        digest = sha256 if self.name == "SHA256" else self.compute(body)
        return base64.b64encode(digest).decode()

    def encode_whole(self, parts: Iterable[str]) -> str:
        """That of an object, from those of its parts; without their number."""
        joined = b"".join(map(base64.b64decode, parts))
        return base64.b64encode(self.compute(joined)).decode()


def find_checksum(setting: str) -> Checksum | None:
    """The checksum that `s3.checksum` names, or None.

    Raises:
        RefusedError: It needs a package that is not installed.
    """
    if setting == "crc32":
        return Checksum("CRC32", lambda body: zlib.crc32(body).to_bytes(4, "big"))
    if setting == "crc32c":
        try:
            from awscrt.checksums import crc32c
        except ImportError as error:
            raise RefusedError(
                "s3.checksum = crc32c needs awscrt, which is not installed",
                hint="pip install 'botocore[crt]' where capsule is installed, or set crc32.",
            ) from error
        return Checksum("CRC32C", lambda body: crc32c(body).to_bytes(4, "big"))
    if setting in ("auto", "sha256"):
        return Checksum("SHA256", lambda body: hashlib.sha256(body).digest())
    return None
