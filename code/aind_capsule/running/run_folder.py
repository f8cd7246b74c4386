"""The run's folder and the files in it, and their copies in results.

While the processing runs its results folder holds nothing of ours; the files are written here, and
copied there when all is over.
"""

from __future__ import annotations

import contextlib
import os

from aind_capsule.context.files import write_all
from aind_capsule.context.own_files import OpenFolder
from aind_capsule.frozen import frozen
from aind_capsule.logs.allocation import allocate
from aind_capsule.records.naming import RUN_FILE_SUFFIXES

#: Kept free on the disk for the last version of `run.json`.
_RUN_JSON_BYTES = 256 * 1024

SUFFIXES = RUN_FILE_SUFFIXES


@frozen
class RunFolder:
    """Where a run's files are: `<path>/<stem><suffix>`."""

    path: str
    stem: str

    def get_file(self, kind: str) -> str:
        """The path of one kind of run file."""
        return os.path.join(self.path, self.stem + SUFFIXES[kind])


class RunJson:
    """`….run.json`: the results log, written whole and atomically.

    Its last version has its space reserved from the start.

    Args:
        folder: The run's.
        name: The file's.
    """

    def __init__(self, folder: OpenFolder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._next = f"{name}.next"
        self._fd = -1

    def write(self, data: bytes, *, is_last: bool = False) -> None:
        """Replace the file.

        Raises:
            OSError: It cannot be written; the earlier version stays.
        """
        fd, self._fd = self._fd, -1
        if fd >= 0 and not self._folder.is_held(self._next, fd):  # the processing has removed it
            os.close(fd)
            fd = -1
        is_reserved = fd >= 0
        fd = fd if is_reserved else self._create_next()
        try:
            write_all(fd, data)
            if is_reserved:  # what is left of the space; this takes some ms
                os.ftruncate(fd, len(data))
        finally:
            os.close(fd)
        self._folder.replace(self._next, self._name)
        if not is_last:
            self._fd = self._create_next()
            with contextlib.suppress(OSError):
                allocate(self._fd, 0, _RUN_JSON_BYTES)

    def close(self) -> None:
        """Give up the space that is reserved."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._folder.remove_file(self._next)

    def _create_next(self) -> int:
        self._folder.remove_file(self._next)
        return self._folder.create_file(self._next)
