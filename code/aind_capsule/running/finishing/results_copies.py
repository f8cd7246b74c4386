"""Copies of run files in the results folder, made when the run is over.

Each is written under a name that nobody can guess, and renamed when it is whole. What is copied is
held open: the file's own name may be gone. Called by `files`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping

from aind_capsule.context.files import read_chunks, write_all, write_atomically
from aind_capsule.context.own_files import OpenFolder

#: Writes the content of a run file to a descriptor.
Write = Callable[[int], object]


class ResultsCopies:
    """The copies of one run's files.

    Args:
        results: The folder; on the platform a link.
    """

    def __init__(self, results: str) -> None:
        self._results = results
        self._paths: dict[str, str] = {}

    def add(self, sources: Mapping[str, Write]) -> dict[str, list[str]]:
        """Copy files; what has a name already is replaced.

        Args:
            sources: What writes each file, by its name.

        Returns:
            The files that could not be copied, by why.
        """
        failed: dict[str, list[str]] = {}
        if not sources:
            return failed
        try:
            folder = OpenFolder(self._results, follows_link=True)
        except OSError as error:
            return {_explain(error): list(sources)}
        with contextlib.closing(folder):
            for name, write in sources.items():
                try:
                    write_atomically(folder, name, write)
                except OSError as error:
                    failed.setdefault(_explain(error), []).append(name)
                else:
                    self._paths[name] = os.path.join(self._results, name)
        return failed

    def find(self, name: str) -> str | None:
        """Return the path of a copy that was made and is still there."""
        path = self._paths.get(name)
        return path if path is not None and os.path.exists(path) else None


def copy_open_file(source_fd: int, fd: int) -> None:
    """Copy all that an open file holds.

    Raises:
        OSError: It cannot be read or written.
    """
    for chunk in read_chunks(source_fd, os.fstat(source_fd).st_size):
        write_all(fd, chunk)


def copy_file(folder: OpenFolder, name: str, fd: int) -> None:
    """Copy a file below a folder.

    Raises:
        OSError: It cannot be read or written.
    """
    source_fd = folder.open_file(name, os.O_RDONLY)
    try:
        copy_open_file(source_fd, fd)
    finally:
        os.close(source_fd)


def _explain(error: OSError) -> str:
    return error.strerror or str(error)
