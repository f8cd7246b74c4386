"""What is in a folder that is to be uploaded: files, empty folders, and what is left out and why.

Entries come one by one, however many there are. Names are bytes: Linux keeps any.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

#: A Nextflow task's folder in its work folder: what a link of a pipeline's leads to.
_TASK_FOLDER = re.compile(rb"/[0-9a-f]{2}/[0-9a-f]{30}(?=/)")
#: In results where scratch is inside of them: the journal of this very upload may be in it.
_RUN_FOLDER = re.compile(rb"(?:^|/)\.capsule/\d{8}T\d{6}-[0-9a-f]{8}$")
_MAX_DEPTH = 200


class FileIdentity(NamedTuple):
    """Size, times and place of a file: another version of it has another identity."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def from_status(cls, status: os.stat_result) -> FileIdentity:
        """Return the identity of a file that was looked at."""
        return cls(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
        )

    @classmethod
    def decode(cls, text: str) -> FileIdentity:
        """Return the identity that a text was made of.

        >>> FileIdentity.decode("5:17:18:12:3").ctime_ns
        18
        """
        return cls(*map(int, text.split(":")))

    def encode(self) -> str:
        """Return a text for the journal.

        >>> FileIdentity(size=5, mtime_ns=17, ctime_ns=18, inode=12, device=3).encode()
        '5:17:18:12:3'
        """
        return f"{self.size}:{self.mtime_ns}:{self.ctime_ns}:{self.inode}:{self.device}"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file.

    Attributes:
        name: Its path below the folder.
        path: Where it really is: no link is on the way.
    """

    name: bytes
    path: bytes
    identity: FileIdentity


@dataclass(frozen=True, slots=True)
class EmptyFolder:
    """A folder with nothing in it: S3 has none, and the manifest tells of it."""

    name: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not uploaded.

    Attributes:
        name: Its path below the folder.
        why: The reason.
        is_failure: Whether the asset is not whole without it: there is data that cannot be read.
    """

    name: bytes
    why: str
    is_failure: bool = False


Found = FoundFile | EmptyFolder | LeftOut


def find_file(path: bytes) -> FoundFile:
    """Return one file, under its own name.

    Raises:
        OSError: It is not there.
    """
    place = os.path.realpath(path, strict=True)
    identity = FileIdentity.from_status(os.stat(place))
    return FoundFile(os.path.basename(path), place, identity)


def walk(folder: bytes) -> Iterator[Found]:
    """Everything below a folder.

    Links are followed where they lead to something inside of it, or into a folder of another
    pipeline task; a link that leads elsewhere, or back to where it is, is left out.

    Raises:
        OSError: The folder itself cannot be read.
    """
    root = os.path.realpath(folder)
    with os.scandir(root):
        pass  # unreadable: an error, and not an empty asset
    yield from _walk(root, b"", root, (_get_identity(os.stat(root)),))


def _walk(
    root: bytes, name: bytes, folder: bytes, above: tuple[tuple[int, int], ...]
) -> Iterator[Found]:
    if len(above) > _MAX_DEPTH:
        yield LeftOut(name, f"folders are nested more than {_MAX_DEPTH} deep", is_failure=True)
        return
    try:
        entries = os.scandir(folder)
    except OSError as error:
        yield LeftOut(name, f"the folder cannot be read: {error.strerror}", is_failure=True)
        return
    is_empty = True
    folders: list[tuple[bytes, bytes]] = []
    with entries:
        for entry in entries:
            is_empty = False
            below = name + b"/" + entry.name if name else entry.name
            found = _look_at(root, below, entry)
            if isinstance(found, bytes):
                folders.append((below, found))
            else:
                yield found
    # Folders wait, so that only as many are open as are nested: none.
    for below, path in folders:
        try:
            identity = _get_identity(os.stat(path))
        except OSError as error:
            yield LeftOut(below, f"the folder cannot be read: {error.strerror}", is_failure=True)
            continue
        if identity in above:
            yield LeftOut(below, "a link that leads back to a folder that it is in")
            continue
        yield from _walk(root, below, path, (*above, identity))
    if is_empty and name:
        yield EmptyFolder(name)


def _look_at(root: bytes, name: bytes, entry: os.DirEntry[bytes]) -> FoundFile | LeftOut | bytes:
    """What an entry is; the path of one that is a folder."""
    path = entry.path
    if _RUN_FOLDER.search(name):
        return LeftOut(name, "the folder of a run, which the toolkit writes itself")
    try:
        if entry.is_symlink():
            path = os.path.realpath(path, strict=True)
            if not _may_follow(root, path):
                return LeftOut(name, f"a link to {os.fsdecode(path)!r}, outside of the results")
            status = os.stat(path)
        else:
            status = entry.stat(follow_symlinks=False)
    except OSError as error:
        if entry.is_symlink():
            return LeftOut(name, f"a link that leads nowhere: {error.strerror}")
        return LeftOut(name, f"it cannot be read: {error.strerror}", is_failure=True)
    if stat.S_ISDIR(status.st_mode):
        return path
    if stat.S_ISREG(status.st_mode):
        return FoundFile(name, path, FileIdentity.from_status(status))
    return LeftOut(name, f"a {_describe(status.st_mode)}, which holds no data")


def _may_follow(root: bytes, target: bytes) -> bool:
    return target == root or target.startswith(root + b"/") or bool(_TASK_FOLDER.search(target))


def _get_identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _describe(mode: int) -> str:
    kinds = ((stat.S_ISSOCK, "socket"), (stat.S_ISFIFO, "pipe"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "device")
