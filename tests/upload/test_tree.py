"""What is found in a folder: files, empty folders, and what is left out and why."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from aind_capsule.upload.tree import EmptyFolder, FoundFile, LeftOut, walk


def _walk(folder: Path) -> tuple[dict[str, str], list[str], dict[str, tuple[str, bool]]]:
    files, empty, left_out = {}, [], {}
    for found in walk(os.fsencode(folder)):
        name = os.fsdecode(found.name)
        if isinstance(found, FoundFile):
            assert name not in files
            files[name] = Path(os.fsdecode(found.path)).read_text()
        elif isinstance(found, EmptyFolder):
            empty.append(name)
        else:
            assert isinstance(found, LeftOut)
            left_out[name] = (found.why, found.is_failure)
    return files, sorted(empty), left_out


def _write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_files_and_folders(tmp_path: Path) -> None:
    """Every file once, with its path; empty folders are told of."""
    for name in ("a", "b/c", "b/d/e", ".hidden/f", "g h/ü\n"):
        _write(tmp_path / name, name)
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    files, empty, left_out = _walk(tmp_path)
    assert files == {name: name for name in ("a", "b/c", "b/d/e", ".hidden/f", "g h/ü\n")}
    assert (empty, left_out) == (["empty/deeper"], {})


def test_links_inside(tmp_path: Path) -> None:
    """Links to files and folders of the same tree are followed, also when it is named by a link."""
    _write(tmp_path / "tree/a/b", "b")
    (tmp_path / "tree/c").symlink_to("a/b")
    (tmp_path / "tree/d").symlink_to(tmp_path / "tree/a")
    (tmp_path / "link").symlink_to("tree")
    expected = {"a/b": "b", "c": "b", "d/b": "b"}
    assert _walk(tmp_path / "tree") == (expected, [], {})
    assert _walk(tmp_path / "link") == (expected, [], {})


def test_links_into_other_tasks(tmp_path: Path) -> None:
    """What another task of the pipeline made is taken: the results link to it."""
    task = tmp_path / "work/3f" / ("0a" * 15)
    _write(task / "capsule/results/x/y", "y")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/x").symlink_to(task / "capsule/results/x")
    assert _walk(tmp_path / "tree") == ({"x/y": "y"}, [], {})


def test_links_that_leave_or_loop(tmp_path: Path) -> None:
    """They are left out, and that is no failure; also a link to a folder beside with the same start."""
    _write(tmp_path / "tree/a")
    _write(tmp_path / "tree-2/b")
    (tmp_path / "tree/out").symlink_to(tmp_path / "tree-2")
    (tmp_path / "tree/file").symlink_to("/etc/hostname")
    (tmp_path / "tree/gone").symlink_to("nowhere")
    (tmp_path / "tree/self").symlink_to("self")
    (tmp_path / "tree/sub").mkdir()
    (tmp_path / "tree/sub/up").symlink_to("..")
    (tmp_path / "tree/sub/one").symlink_to("../other")
    (tmp_path / "tree/other").mkdir()
    (tmp_path / "tree/other/two").symlink_to("../sub")
    files, _, left_out = _walk(tmp_path / "tree")
    assert set(files) == {"a"}
    assert {name.split("/")[-1] for name in left_out} >= {"out", "file", "gone", "self", "up"}
    assert not any(is_failure for _, is_failure in left_out.values())
    assert "outside" in left_out["out"][0]


def test_what_holds_no_data(tmp_path: Path) -> None:
    """Sockets and pipes are left out, and nobody waits for them."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        _, _, left_out = _walk(tmp_path)
    assert left_out == {
        "pipe": ("a pipe, which holds no data", False),
        "s": ("a socket, which holds no data", False),
    }


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is no empty asset."""
    with pytest.raises(OSError, match="nowhere"):
        list(walk(os.fsencode(tmp_path / "nowhere")))
