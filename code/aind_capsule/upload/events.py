"""What the threads that send report to the one that keeps the journal."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from aind_capsule.storage.objects import Part
from aind_capsule.upload.rows import Begun, FileRow
from aind_capsule.upload.tree import FileIdentity


@dataclass(frozen=True, slots=True)
class Sent:
    """The server has a file. What it has may be newer than what was found.

    Attributes:
        etag: The server's name for it; empty where it gives none.
        is_doubtful: Whether something may have written it meanwhile, unseen.
        transferred: Bytes that no event of a part has reported.
    """

    row: FileRow
    identity: FileIdentity
    sha256: bytes
    etag: str
    is_doubtful: bool
    transferred: int = 0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A file that was in doubt still holds what was sent."""

    row: FileRow
    identity: FileIdentity
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Outgrown:
    """A file is too large now to be sent at once.

    Attributes:
        row: The file as it was found.
        identity: What it is now.
    """

    row: FileRow
    identity: FileIdentity


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
    """The server has a part of a file.

    Attributes:
        is_new: Whether it was sent just now, and not by an earlier process.
    """

    key: str
    part: Part
    size: int
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class PartsBegun:
    """An object in parts was begun.

    Attributes:
        kept: Set once the journal has it. No part is sent before: what was begun is known then.
    """

    key: str
    begun: Begun
    kept: threading.Event = field(default_factory=threading.Event)


Event = Sent | Confirmed | Outgrown | Gone | Failed | PartSent | PartsBegun
