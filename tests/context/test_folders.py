"""Where data, results and scratch are."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aind_capsule.context.folders import (
    KINDS,
    Folder,
    build_variables,
    find_folder,
    is_code_folder,
)
from tests.context.trees import write_tree


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_goes_first(tmp_path: Path, kind: str) -> None:
    """A flag or variable names it, existing or not, and says that it does."""
    write_tree(tmp_path, {f"{kind}/": "", "code/run": ""})
    cwd = str(tmp_path / "code")
    given = find_folder(kind, "/given", f"--{kind}", cwd=cwd, fs_root=tmp_path)
    assert given == Folder("/given", f"--{kind}", is_explicit=True)
    relative = find_folder(kind, "sub", "CAPSULE_X", cwd=cwd, fs_root=tmp_path)
    assert relative == Folder(f"{cwd}/sub", "CAPSULE_X", is_explicit=True)


@pytest.mark.parametrize("given", [None, ""])
def test_the_platforms_folder_goes_second(tmp_path: Path, given: str | None) -> None:
    """Nothing given, or an empty value: /results where it exists, also as a link."""
    write_tree(tmp_path, {"elsewhere/": "", "work/code/run": "", "work/results/": ""})
    (tmp_path / "results").symlink_to(tmp_path / "elsewhere")
    cwd = str(tmp_path / "work/code")
    found = find_folder("results", given, "default", cwd=cwd, fs_root=tmp_path)
    assert found == Folder(f"{tmp_path}/results", "/results exists")


def test_beside_the_code_folder_goes_third(tmp_path: Path) -> None:
    """In a capsule's code folder it is the sibling, each folder for itself."""
    write_tree(tmp_path, {"data/": "", "task/capsule/code/": "", "task/capsule/results/": ""})
    cwd = str(tmp_path / "task/capsule/code")
    found = {kind: find_folder(kind, None, "", cwd=cwd, fs_root=tmp_path) for kind in KINDS}
    assert {kind: (folder.path, folder.source) for kind, folder in found.items()} == {
        "data": (f"{tmp_path}/data", "/data exists"),
        "results": (f"{tmp_path}/task/capsule/results", "beside the code folder"),
        "scratch": (f"{tmp_path}/task/capsule/scratch", "beside the code folder"),
    }
    assert not any(folder.is_explicit for folder in found.values())


def test_the_working_directory_goes_last(tmp_path: Path) -> None:
    """Anywhere else it is below the working directory; nothing is made."""
    found = find_folder("results", None, "", cwd=str(tmp_path), fs_root=tmp_path / "none")
    assert found == Folder(f"{tmp_path}/results", "working directory")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_platforms_name_is_none_of_its_folders(tmp_path: Path) -> None:
    """A file named /data is not the data folder."""
    write_tree(tmp_path, {"data": "a file", "work/": ""})
    cwd = str(tmp_path / "work")
    found = find_folder("data", None, "", cwd=cwd, fs_root=tmp_path)
    assert found.source == "working directory"


@pytest.mark.parametrize(
    ("files", "folder", "is_one"),
    [
        ({"code/run": ""}, "code", True),
        ({"code/run": ""}, "code/", True),
        ({"code/": "", "data/": ""}, "code", True),
        ({"code/": "", "scratch/": ""}, "code", True),
        ({"code/": ""}, "code", False),
        ({"code/run/": ""}, "code", False),
        ({"code/": "", "data": "a file"}, "code", False),
        ({"src/run": "", "data/": ""}, "src", False),
        ({"code/sub/": "", "data/": ""}, "code/sub", False),
        ({}, "code", False),
    ],
)
def test_code_folders(tmp_path: Path, files: dict[str, str], folder: str, is_one: bool) -> None:
    """Named `code`, with a file `run` in it or one of the three folders beside it."""
    write_tree(tmp_path, files)
    assert is_code_folder(f"{tmp_path}/{folder}") is is_one


def test_the_processings_variables() -> None:
    """The folders as CAPSULE_DATA and its kin."""
    folders = {"data": Folder("/d", "x"), "results": Folder("/r", "y")}
    assert build_variables(folders) == {"CAPSULE_DATA": "/d", "CAPSULE_RESULTS": "/r"}


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("here", None),
        ("link", None),
        ("gone", "there is no such folder"),
        ("dangling", "it is a link to nowhere, where nothing is"),
        ("file/below", "there is no such folder"),
        ("file", "it is not a folder"),
        ("circle", "it cannot be reached (Too many levels of symbolic links)"),
        ("n" * 300, "it cannot be reached (File name too long)"),
        ("nul\0", "that is no path"),
    ],
)
@pytest.mark.parametrize("to_write", [False, True])
@pytest.mark.skipif(os.name == "nt", reason="the system's own words differ")
def test_faults(tmp_path: Path, path: str, fault: str | None, to_write: bool) -> None:
    """Missing, no folder, out of reach, no path: each has its words, and nothing is made."""
    write_tree(tmp_path, {"here/": "", "file": ""})
    for link, target in (("link", "here"), ("dangling", "nowhere"), ("circle", "circle")):
        (tmp_path / link).symlink_to(target)
    before = sorted(tmp_path.iterdir())
    assert Folder(f"{tmp_path}/{path}", "x").find_fault(to_write=to_write) == fault
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="capsule-test-"))
    path.chmod(0o755)
    yield path
    (path / "x").chmod(0o755)
    shutil.rmtree(path)


@contextlib.contextmanager
def _as_a_plain_user() -> Iterator[None]:
    # Root may do everything, whatever its real id is: what counts is the effective one.
    if os.getuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


_DENIED = " (Permission denied)"


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs users as Linux has them")
@pytest.mark.parametrize(
    ("mode", "fault_to_read", "fault_to_write"),
    [
        (0o777, None, None),
        (0o555, None, f"it cannot be written{_DENIED}"),
        (0o666, f"it cannot be entered{_DENIED}", f"it cannot be written{_DENIED}"),
        (0o000, f"it cannot be entered{_DENIED}", f"it cannot be written{_DENIED}"),
    ],
)
def test_permissions(
    reachable: Path, mode: int, fault_to_read: str | None, fault_to_write: str | None
) -> None:
    """A folder that may not be written is fine to read; one that may not be entered is not."""
    path = reachable / "x"
    path.mkdir()
    path.chmod(mode)
    folder = Folder(str(path), "x")
    with _as_a_plain_user():
        assert folder.find_fault(to_write=False) == fault_to_read
        assert folder.find_fault(to_write=True) == fault_to_write


_needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root"
)


@_needs_root
def test_a_real_id_that_may_do_nothing_does_not_count(reachable: Path) -> None:
    """What a process may do is its effective id's affair: with a real id of nobody root still writes."""
    path = reachable / "x"
    path.mkdir()
    path.chmod(0o700)
    os.setresuid(65534, 0, 0)
    try:
        assert Folder(str(path), "x").find_fault(to_write=True) is None
    finally:
        os.setresuid(0, 0, 0)


@_needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_mount_that_is_read_only_is_not_writable(reachable: Path) -> None:
    """A read-only mount is named as such, for root too."""
    path = reachable / "x"
    path.mkdir()
    script = f"mount -t tmpfs -o ro none {path} && exec {sys.executable} -c '{_PRINT_FAULT}' {path}"
    told = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    assert told.stdout == "it cannot be written (Read-only file system)\n"


_PRINT_FAULT = (
    "import sys; from aind_capsule.context.folders import Folder;"
    ' print(Folder(sys.argv[1], "x").find_fault(to_write=True))'
)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc knows no files without a name")
@_needs_root
def test_a_file_system_without_nameless_files_can_be_writable() -> None:
    """Where the kernel knows no files without a name, that is no fault of the folder's."""
    assert Folder("/proc", "x").find_fault(to_write=True) is None


@_needs_root
def test_without_nameless_files_the_effective_id_decides(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On systems that have none, permissions are asked for as the effective id has them."""
    path = reachable / "x"
    path.mkdir(0o700)
    monkeypatch.delattr(os, "O_TMPFILE")
    assert Folder(str(path), "x").find_fault(to_write=True) is None
    with _as_a_plain_user():
        assert Folder(str(path), "x").find_fault(to_write=True) == f"it cannot be written{_DENIED}"
