"""Read files of the uploaded folder, and say of each whether it was at rest meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, final

from aind_capsule.upload.opening import FolderOpener
from aind_capsule.upload.tree import FileIdentity
from aind_capsule.upload.writers import (
    WriterProbe,
    Writers,
    flush_mapped_pages,
    is_too_fresh,
)

_PIECE_BYTES = 1024 * 1024


class FileDigest(NamedTuple):
    """What a file held when it was read to its end.

    Attributes:
        is_doubtful: Whether something may have written it meanwhile, unseen.
    """

    identity: FileIdentity
    sha256: bytes
    is_doubtful: bool


@final
class FolderReader:
    """Opens files of one folder for reading. May be used by many threads; to be closed.

    Args:
        folder: The folder; None where only files elsewhere are read.

    Raises:
        OSError: The folder cannot be opened.
    """

    def __init__(self, folder: bytes | None) -> None:
        self._opener = FolderOpener(folder)
        self._probe = WriterProbe()

    def __enter__(self) -> FolderReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder."""
        self._opener.close()

    def open_file(self, path: bytes) -> OpenFile:
        """Open a file at the place where the walk has found it.

        Raises:
            FileNotFoundError: It is not there any more.
            OSError: It cannot be opened, or is no regular file any more.
        """
        return OpenFile(self._opener.open_file(path), self._probe)

    def hash_file(
        self, path: bytes, must_stop: Callable[[], bool] = lambda: False
    ) -> FileDigest | None:
        """Read a file; returns None where it changed meanwhile, or it is time to stop.

        Raises:
            FileNotFoundError: It is not there any more.
            OSError: It cannot be read.
        """
        with self.open_file(path) as file:
            digest = hashlib.sha256()
            while data := file.read(_PIECE_BYTES):
                digest.update(data)
                if must_stop():
                    return None
            if not file.is_as_opened():
                return None
            return FileDigest(file.identity, digest.digest(), file.is_doubtful)


@final
class OpenFile:
    """A file that is read from its beginning. To be closed.

    Args:
        fd: Its descriptor, which is closed where this fails.
        probe: Finds its writers.

    Attributes:
        identity: What it was when it was opened.
        is_doubtful: Whether something may be writing it so that no time shows it.

    Raises:
        OSError: It is no regular file.
    """

    __slots__ = ("_fd", "_left", "_probe", "identity", "is_doubtful")

    def __init__(self, fd: int, probe: WriterProbe) -> None:
        self._fd = fd
        self._probe = probe
        try:
            status = _look_at(fd)
            self.is_doubtful = probe.find_writers(fd, status.st_dev) is not Writers.NONE
            if self.is_doubtful:
                flush_mapped_pages(fd)
                status = os.fstat(fd)
        except BaseException:  # raised again
            os.close(fd)
            raise
        self.identity = FileIdentity.from_status(status)
        self._left = status.st_size + 1
        self.is_doubtful = self.is_doubtful or is_too_fresh(status.st_ctime_ns)

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the file's end.

        Of a file that grows meanwhile one byte more is returned than it had, and no other: then it
        is not as it was opened.
        """
        pieces: list[bytes] = []
        while (size := min(size, self._left)) > 0:
            data = os.read(self._fd, size)
            pieces.append(data)
            self._left -= len(data)
            if not data or (len(data) < size and self._left == 1):
                self._left = 0  # all that it had: that nothing follows needs no further call
            size -= len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def look_for_writers(self) -> None:
        """Note in `is_doubtful` whether something may write the file just now."""
        if not self.is_doubtful:
            device = self.identity.device
            writers = self._probe.find_writers(self._fd, device, is_asked_again=True)
            self.is_doubtful = writers is not Writers.NONE

    def is_as_opened(self) -> bool:
        """Return whether the file has the identity of its opening; notes writers too."""
        self.look_for_writers()
        return FileIdentity.from_status(os.fstat(self._fd)) == self.identity


def _look_at(fd: int) -> os.stat_result:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file any more")
    return status
