"""Files are read to the end that they had when they were opened, by few calls."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aind_capsule.upload.reading import FolderReader


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_pieces(tmp_path: Path, size: int) -> None:
    """However it is read, all of a file is returned, and nothing more at its end."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456")
    with FolderReader(os.fsencode(tmp_path)) as reader, reader.open_file(bytes(path)) as file:
        pieces = list(iter(lambda: file.read(size), b""))
        assert b"".join(pieces) == b"0123456"
        assert all(len(piece) == size for piece in pieces[:-1])
        assert file.read(size) == b""
        assert file.is_as_opened()


def test_a_file_that_grows(tmp_path: Path) -> None:
    """What is appended meanwhile shows as one further byte: the reading ends, and is no good."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with FolderReader(os.fsencode(tmp_path)) as reader, reader.open_file(bytes(path)) as file:
        with path.open("ab") as longer:
            longer.write(b"d" * 100)
        assert file.read(2) == b"ab"
        assert file.read(1000) == b"cd"
        assert file.read(1000) == b""
        assert not file.is_as_opened()


def test_a_file_that_is_cut(tmp_path: Path) -> None:
    """What is cut off meanwhile is missing: the reading ends there, and is no good."""
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    with FolderReader(os.fsencode(tmp_path)) as reader, reader.open_file(bytes(path)) as file:
        os.truncate(path, 2)
        assert file.read(1000) == b"ab"
        assert file.read(1000) == b""
        assert not file.is_as_opened()


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="no such file system")
def test_a_size_that_is_not_true(tmp_path: Path) -> None:
    """A file that says it is empty, and is not, is not taken for empty."""
    with FolderReader(None) as reader, reader.open_file(b"/proc/version") as file:
        assert file.identity.size == 0
        assert len(file.read(1)) == 1
