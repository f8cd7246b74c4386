"""Another process that has a file mapped, and writes it when it is asked to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
mapped = mmap.mmap(fd, 0)
if sys.argv[2] == "closed":
    os.close(fd)
mapped[:] = mapped[:]  # each page is dirty: no further write moves a time
print("ready", flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == "fill":
        mapped[:] = rest[0].encode() * len(mapped)
    elif word == "put":
        mapped[int(rest[0])] = ord(rest[1])
    print("done", flush=True)
"""

#: Where a mapped write moves a file's times (the disk), and where it does not (tmpfs).
FILE_SYSTEMS = [
    "disk",
    pytest.param(
        "shm", marks=pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no tmpfs here")
    ),
]


class MappingProcess:
    """A process that maps a file for writing, with each of its pages written once.

    Args:
        path: The file.
        is_closed: Whether its descriptor is closed and only the mapping left.
    """

    def __init__(self, path: Path, *, is_closed: bool = True) -> None:
        words = [sys.executable, "-c", _PROGRAM, str(path), "closed" if is_closed else "open"]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._expect("ready")

    def __enter__(self) -> MappingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(30)
        self._process.stdout.close()  # type: ignore[union-attr]

    def fill(self, char: str) -> None:
        """Write a character everywhere."""
        self._ask(f"fill {char}")

    def put(self, place: int, char: str) -> None:
        """Write one character."""
        self._ask(f"put {place} {char}")

    def _ask(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        self._expect("done")

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"
