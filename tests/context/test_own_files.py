"""Files of ours in shared places: held by descriptors, written whole, never through a link."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.context.files import read_chunks, write_all, write_atomically
from aind_capsule.context.own_files import OpenFolder, make_own_folder, refuse_link


def test_a_folder_stays_the_same_one(tmp_path: Path) -> None:
    """Names are looked for in the folder that was opened, wherever its path leads now."""
    (tmp_path / "a").mkdir()
    folder = OpenFolder(str(tmp_path / "a"))
    assert folder.is_in_place
    (tmp_path / "a").rename(tmp_path / "b")
    assert not folder.is_in_place
    (tmp_path / "a").mkdir()
    assert not folder.is_in_place
    os.close(folder.create_file("x"))
    assert (tmp_path / "b" / "x").exists()
    fd = folder.open_file("x", os.O_RDONLY)
    assert folder.is_held("x", fd)
    folder.replace("x", "y")
    assert not folder.is_held("x", fd)
    assert folder.is_held("y", fd)
    (tmp_path / "b" / "x").write_text("another")
    assert not folder.is_held("x", fd)
    (tmp_path / "b" / "x").unlink()
    os.close(fd)
    folder.make_folder("below")
    below = folder.open_folder("below")
    assert folder.list_names() == below.path.split("/")[-1:] + ["y"] or set(
        folder.list_names()
    ) == {"below", "y"}
    below.close()
    folder.remove_folder("below")
    folder.remove_file("y")
    assert folder.list_names() == []
    folder.close()
    folder.close()
    assert not folder.is_in_place
    with pytest.raises(OSError, match="Bad file descriptor"):
        folder.create_file("z")
    assert not list((tmp_path / "a").iterdir())


def test_links_are_not_followed(tmp_path: Path) -> None:
    """At a name of ours a link is refused; for a folder that is not ours it may be followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError):
        OpenFolder(str(tmp_path / "link"))
    with pytest.raises(OSError):
        make_own_folder(str(tmp_path / "link"))
    with pytest.raises(OSError):
        OpenFolder(str(tmp_path / "file"))
    OpenFolder(str(tmp_path / "link"), follows_link=True).close()
    make_own_folder(str(tmp_path / "new" / "folder")).close()
    folder = OpenFolder(str(tmp_path / "real"))
    (tmp_path / "real" / "planted").symlink_to(tmp_path / "file")
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT):
        with pytest.raises(OSError):
            folder.open_file("planted", flags)
    with pytest.raises(FileExistsError):
        folder.create_file("planted")
    assert folder.find_file("planted").st_size != 4
    (tmp_path / "real" / "door").symlink_to(tmp_path)
    with pytest.raises(OSError):
        folder.open_folder("door")
    write_atomically(folder, "planted", lambda fd: write_all(fd, b"ours"))
    assert (tmp_path / "real" / "planted").read_text() == "ours"
    assert (tmp_path / "file").read_text() == "mine"
    folder.close()
    refuse_link(str(tmp_path / "file"))
    refuse_link(str(tmp_path / "none"))
    with pytest.raises(OSError):
        refuse_link(str(tmp_path / "link"))


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_durable: bool
) -> None:
    """What had the name stays until the new one is whole, and on the disk; nothing half-made is left."""
    folder = OpenFolder(str(tmp_path))
    synced: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.listdir(tmp_path)))

    def fail(fd: int) -> None:
        os.write(fd, b"half")
        raise KeyboardInterrupt

    write_atomically(folder, "n" * 250, lambda fd: os.write(fd, b"old"), is_durable=is_durable)
    assert len(synced) == is_durable
    assert ["n" * 250] not in synced
    with pytest.raises(KeyboardInterrupt):
        write_atomically(folder, "n" * 250, fail, is_durable=is_durable)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    with pytest.raises(OSError):
        write_atomically(folder, "n" * 250, lambda fd: os.write(fd, b""[:0]) or os.write(-1, b""))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    folder.close()


def test_chunks(tmp_path: Path) -> None:
    """A file is read up to a size or its end, and the descriptor's own place is left alone."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3_000_000)
    with path.open("rb") as file:
        file.seek(7)
        assert b"".join(read_chunks(file.fileno(), 2_500_000)) == b"x" * 2_500_000
        assert len(b"".join(read_chunks(file.fileno(), 9_000_000))) == 3_000_000
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 7


def test_without_descriptors_of_folders(tmp_path: Path) -> None:
    """Where a platform has none (Windows) paths serve, and links are refused as far as they are seen."""
    script = (
        "import os, sys; os.supports_dir_fd.clear(); del os.O_NOFOLLOW, os.O_DIRECTORY, os.pread\n"
        "from aind_capsule.context.own_files import OpenFolder, make_own_folder\n"
        "from aind_capsule.context.files import write_atomically, write_all, read_chunks\n"
        "folder = make_own_folder(os.path.join(sys.argv[1], 'a', 'b'))\n"
        "write_atomically(folder, 'x', lambda fd: write_all(fd, b'1' * 9))\n"
        "fd = folder.open_file('x', os.O_RDONLY)\n"
        "assert b''.join(read_chunks(fd, 99)) == b'1' * 9 and folder.is_held('x', fd)\n"
        "folder.make_folder('below'); folder.open_folder('below').close()\n"
        "folder.remove_folder('below'); assert folder.list_names() == ['x'] and folder.is_in_place\n"
        "folder.remove_file('x'); folder.close()\n"
        "os.symlink(folder.path, folder.path + 'link')\n"
        "try: OpenFolder(folder.path + 'link')\n"
        "except OSError: print('refused')\n"
        "OpenFolder(folder.path + 'link', follows_link=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")
