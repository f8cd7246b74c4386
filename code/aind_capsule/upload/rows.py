"""What the journal of an upload tells of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aind_capsule.storage.objects import Part


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of the asset.

    Attributes:
        key: Below the asset's folder.
    """

    key: str
    name: bytes
    path: bytes
    size: int
    stamp: str


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
        stamp: The file's, of then.
        checksum: Which its parts are sent with.
        parts: Those that the server has.
    """

    upload_id: str
    part_size: int
    stamp: str
    checksum: str
    parts: tuple[Part, ...] = ()

    def is_alike(self, other: Begun) -> bool:
        """Whether its parts would be those of another one."""
        mine = (self.part_size, self.stamp, self.checksum)
        return mine == (other.part_size, other.stamp, other.checksum)


@dataclass(frozen=True, slots=True)
class Total:
    """How much there is, and how much of it the server has."""

    files: int
    size: int
    done_files: int
    done_size: int
