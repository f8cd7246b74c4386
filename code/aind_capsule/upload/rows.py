"""What the journal of an upload tells of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aind_capsule.storage.objects import Part
from aind_capsule.upload.tree import FileIdentity


class FileRow(NamedTuple):
    """A file of the asset.

    Attributes:
        key: Below the asset's folder.
        may_replace: Whether the object that has its key now is proven to be of this toolkit, or
            may be replaced because somebody said so.
        was_handed: Whether an earlier process was about to send it, and may have.
    """

    key: str
    name: bytes
    path: bytes
    identity: FileIdentity
    may_replace: bool = False
    was_handed: bool = False

    @property
    def size(self) -> int:
        """Bytes, when it was found."""
        return self.identity.size


class SentRow(NamedTuple):
    """A file that the server has confirmed.

    Attributes:
        identity: Of what was read.
        etag: The server's name for it; None where the one that is known stays.
        is_doubtful: Whether it must be read once more before the manifest names it, because
            something may have written it meanwhile.
        has_parts: Whether it was sent in parts.
    """

    key: str
    identity: FileIdentity
    sha256: bytes
    etag: str | None = None
    is_doubtful: bool = False
    has_parts: bool = False


class KnownFile(NamedTuple):
    """A file that the server may hold as it is.

    Attributes:
        sha256: Of what is held, as the journal or a manifest says; None where neither knows it.
        etag: The server's name for what it holds.
        is_certain: Whether the server still names it as it did then: it has not been replaced.
    """

    row: FileRow
    sha256: bytes | None
    etag: str
    is_certain: bool

    @property
    def is_timed(self) -> bool:
        """Return whether the server has no ETag for it, and says when it was changed."""
        return self.etag.startswith("~")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes, and the claim that it has there.

    Attributes:
        origin: Of endpoint and bucket.
        folder: What keys begin with.
        upload_id: In the claim.
        claim_etag: The server's name for the claim; empty where it gives none.
    """

    origin: str
    folder: str
    upload_id: str
    claim_etag: str = ""

    def is_same_place(self, other: Target) -> bool:
        """Return whether both are one folder of one bucket of one server."""
        return (self.origin, self.folder) == (other.origin, other.folder)


@dataclass(frozen=True, slots=True)
class Begun:
    """An object in parts that was begun.

    Attributes:
        identity: The file's, of then.
        checksum: Which its parts are sent with.
        parts: Those that the server has.
    """

    upload_id: str
    part_size: int
    identity: FileIdentity
    checksum: str
    parts: tuple[Part, ...] = ()

    def is_alike(self, other: Begun) -> bool:
        """Whether its parts would be those of another one."""
        mine = (self.part_size, self.identity, self.checksum)
        return mine == (other.part_size, other.identity, other.checksum)


@dataclass(frozen=True, slots=True)
class Total:
    """How much there is, and how much of it the server has."""

    files: int
    size: int
    done_files: int
    done_size: int
