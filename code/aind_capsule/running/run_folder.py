"""The run's folder and the files in it, and their copies in results.

While the processing runs its results folder holds nothing of ours; the files are written here, and
copied there when all is over.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.descriptors import spare_standard
from aind_capsule.logs.allocation import allocate
from aind_capsule.logs.writer import OPEN_FLAGS
from aind_capsule.records.encode import encode

#: Kept free on the disk for the last version of `run.json`.
_RUN_JSON_BYTES = 256 * 1024

#: The run files by kind, with what stands behind the stem.
SUFFIXES = {
    "log": ".log.jsonl",
    "run": ".run.json",
    "resources": ".resources.jsonl",
    "session": ".log.txt",
    "provenance": "_data_process.json",
}


@dataclass(frozen=True, slots=True)
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
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._next = f"{path}.next"
        self._fd = -1

    def write(self, content: Mapping[str, Any], *, is_last: bool = False) -> None:
        """Replace the file.

        Raises:
            OSError: It cannot be written; the earlier version stays.
        """
        data = encode(content) + b"\n"
        fd = self._fd if self._fd >= 0 else self._open_next()
        self._fd = -1
        try:
            os.lseek(fd, 0, os.SEEK_SET)
            done = 0
            while done < len(data):
                done += os.write(fd, data[done:])
            os.ftruncate(fd, len(data))
        finally:
            os.close(fd)
        os.replace(self._next, self.path)
        if not is_last:
            self._fd = self._open_next()

    def _open_next(self) -> int:
        with spare_standard():  # it stays open
            fd = os.open(self._next, os.O_RDWR | os.O_CREAT | OPEN_FLAGS, 0o666)
        with contextlib.suppress(OSError):
            allocate(fd, 0, _RUN_JSON_BYTES)
        return fd


def publish(folder: RunFolder, kinds: Collection[str], results: str) -> list[tuple[str, str]]:
    """Copy run files into results: under a temporary name, then renamed.

    Returns:
        For each file that could not be copied its path and why.
    """
    import shutil  # slow to import, and needed only here, after the processing

    failures = []
    for kind in SUFFIXES:
        source = folder.get_file(kind)
        if kind not in kinds or not os.path.exists(source):
            continue
        target = os.path.join(results, os.path.basename(source))
        hidden = os.path.join(results, f".{os.path.basename(source)}.part")
        try:
            shutil.copyfile(source, hidden)
            os.replace(hidden, target)
        except OSError as error:
            failures.append((source, error.strerror or str(error)))
            with contextlib.suppress(OSError):
                os.unlink(hidden)
    return failures
