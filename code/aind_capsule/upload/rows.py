"""What the journal of an upload tells of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aind_capsule.storage.objects import Part
from aind_capsule.upload.tree import FileIdentity


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of the asset.

    Attributes:
        key: Below the asset's folder.
    """

    key: str
    name: bytes
    path: bytes
    identity: FileIdentity

    @property
    def size(self) -> int:
        """Bytes, when it was found."""
        return self.identity.size


class SentRow(NamedTuple):
    """A file that the server has confirmed.

    Attributes:
        identity: Of what was read.
        is_doubtful: Whether it must be read once more before the manifest names it, because
            something may have written it meanwhile.
        has_parts: Whether it was sent in parts.
    """

    key: str
    identity: FileIdentity
    sha256: bytes
    is_doubtful: bool = False
    has_parts: bool = False


class KnownFile(NamedTuple):
    """A file of which an earlier manifest tells, and the server holds one of that size.

    Attributes:
        sha256: What the manifest tells.
    """

    row: FileRow
    sha256: bytes


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
