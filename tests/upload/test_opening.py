"""Files are opened where the walk has found them: no link, pipe or device that came since is read."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aind_capsule.upload.opening import FolderOpener


@pytest.fixture(params=[None, False], ids=["openat2", "steps"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FolderOpener]:
    """Opens files of a folder, by one call where the system has it, or step by step."""
    (tmp_path / "tree").mkdir()
    opener = FolderOpener(os.fsencode(tmp_path / "tree"), has_openat2=request.param)
    yield opener
    opener.close()


def _write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _read(opener: FolderOpener, path: Path) -> str:
    fd = opener.open_file(os.fsencode(path))
    with os.fdopen(fd) as file:
        assert not os.get_inheritable(fd)
        return file.read()


@pytest.mark.parametrize("name", ["a", "b/c", "b/d/e/f", "ü ü/\n"])
def test_files_inside(opener: FolderOpener, tmp_path: Path, name: str) -> None:
    """A file at any depth is opened."""
    assert _read(opener, _write(tmp_path / "tree" / name, name)) == name


def test_a_file_elsewhere(opener: FolderOpener, tmp_path: Path) -> None:
    """So is one that the walk has found outside, also beside a folder with the same beginning."""
    assert _read(opener, _write(tmp_path / "tree-2/b/c", "c")) == "c"


@pytest.mark.parametrize("place", ["tree", "elsewhere"])
@pytest.mark.parametrize("target", ["secret", "tree/other", "nowhere"])
def test_a_file_that_becomes_a_link(
    opener: FolderOpener, tmp_path: Path, place: str, target: str
) -> None:
    """It is refused, wherever it leads."""
    _write(tmp_path / "secret")
    _write(tmp_path / "tree/other")
    for name in ("a", "b/c"):
        path = _write(tmp_path / place / name)
        path.unlink()
        path.symlink_to(tmp_path / target)
        with pytest.raises(OSError, match="a link has taken its place"):
            _read(opener, path)


@pytest.mark.parametrize("place", ["tree", "elsewhere"])
@pytest.mark.parametrize("target", ["secret", "tree/other"])
@pytest.mark.parametrize("name", ["b/c", "b/d/e"])
def test_a_folder_that_becomes_a_link(
    opener: FolderOpener, tmp_path: Path, place: str, target: str, name: str
) -> None:
    """What is below it is refused."""
    path = _write(tmp_path / place / name)
    _write(tmp_path / target / Path(name).relative_to("b"))
    (tmp_path / place / "b").rename(tmp_path / "moved")
    (tmp_path / place / "b").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="a link has taken its place"):
        _read(opener, path)


def test_the_folder_itself_becomes_a_link(opener: FolderOpener, tmp_path: Path) -> None:
    """What was opened stays the folder: its files are read, and not those of another."""
    path = _write(tmp_path / "tree/a", "mine")
    _write(tmp_path / "other/a", "another's")
    (tmp_path / "tree").rename(tmp_path / "moved")
    (tmp_path / "tree").symlink_to(tmp_path / "other")
    assert _read(opener, path) == "mine"


def test_what_is_gone(opener: FolderOpener, tmp_path: Path) -> None:
    """A file, or a folder above it, that is not there any more, or is a file now."""
    _write(tmp_path / "tree/file")
    for name in ("a", "b/c", "file/c", "file/c/d"):
        with pytest.raises(FileNotFoundError):
            _read(opener, tmp_path / "tree" / name)


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes with names")
def test_pipes_and_sockets(opener: FolderOpener, tmp_path: Path) -> None:
    """Nobody waits for them: a pipe is opened at once, a socket cannot be."""
    os.mkfifo(tmp_path / "tree/pipe")
    os.close(opener.open_file(os.fsencode(tmp_path / "tree/pipe")))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "tree/s"))
        with pytest.raises(OSError, match="No such device"):
            opener.open_file(os.fsencode(tmp_path / "tree/s"))


def test_no_descriptor_stays_open(opener: FolderOpener, tmp_path: Path) -> None:
    """Neither after a success nor after a refusal."""
    path = _write(tmp_path / "tree/b/c/d")
    (tmp_path / "tree/b/link").symlink_to("c")
    before = set(os.listdir("/dev/fd"))
    _read(opener, path)
    for name in ("b/link/d", "b/c/none", "b/c/d/e"):
        with pytest.raises(OSError, match="."):
            _read(opener, tmp_path / "tree" / name)
    assert set(os.listdir("/dev/fd")) == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is an error at once."""
    with pytest.raises(FileNotFoundError):
        FolderOpener(os.fsencode(tmp_path / "none"))
