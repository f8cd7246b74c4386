"""What the threads that send tell the one that keeps the journal."""

from __future__ import annotations

from dataclasses import dataclass

from aind_capsule.storage.objects import Part
from aind_capsule.upload.rows import Begun, FileRow
from aind_capsule.upload.tree import FileIdentity


@dataclass(frozen=True, slots=True)
class Sent:
    """The server has a file; what it has may be newer than what was found.

    Attributes:
        transferred: Bytes that no event of a part has told.
    """

    row: FileRow
    identity: FileIdentity
    sha256: bytes
    transferred: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """A file is not there any more."""

    row: FileRow


@dataclass(frozen=True, slots=True)
class Failed:
    """A file could not be sent."""

    row: FileRow
    error: Exception


@dataclass(frozen=True, slots=True)
class PartSent:
    """The server has a part of a file."""

    key: str
    part: Part
    size: int


@dataclass(frozen=True, slots=True)
class PartsBegun:
    """An object in parts was begun."""

    key: str
    begun: Begun


Event = Sent | Gone | Failed | PartSent | PartsBegun
