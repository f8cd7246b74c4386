"""What a server holds, as it says so itself, and parts that it has taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from aind_capsule.storage.checksums import find_checksum


@dataclass(frozen=True, slots=True)
class Held:
    """An object that the server holds.

    Attributes:
        size: Bytes.
        etag: The server's name for this content, without quotes. Where a listing has none it is
            `~` and the time of the last change, else empty.
    """

    key: str
    size: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the server has taken.

    Attributes:
        number: From 1.
        etag: The server's name for it, without quotes.
        sha256: Digest of its bytes; empty where the checksum alone is known.
        checksum: What it was sent with, as its header has it; empty where that was none.
    """

    number: int
    etag: str
    sha256: bytes
    checksum: str

    def is_of(self, body: bytes, setting: str) -> bool:
        """Return whether these bytes are the part's.

        Args:
            body: The bytes.
            setting: What `s3.checksum` was when it was sent.
        """
        if self.sha256:
            return self.sha256 == hashlib.sha256(body).digest()
        checksum = find_checksum(setting)
        return checksum is not None and self.checksum == checksum.encode(body, b"")


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part of an upload that the server holds, as the server lists it.

    Attributes:
        number: From 1.
        size: Bytes.
        etag: The server's name for it, without quotes.
        checksum: As its header has it, of the kind that is sent here; empty where there is none.
    """

    number: int
    size: int
    etag: str
    checksum: str
