"""Why a command cannot be started: each kind of obstacle has a true sentence with its value."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aind_capsule.running.process.program_file import find_program_file, is_binary
from aind_capsule.running.process.start_failure import (
    find_reason,
    find_script_fault,
)
from tests.conftest import Capsule

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")
TRUE = shutil.which("true") or "/bin/true"


def _elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, machine, 1) + bytes(40)


FILES: dict[str, bytes] = {
    "crlf": b"#!/bin/bash\r\necho hi\r\n",
    "orphan": b"#!/no/such/interpreter -x\n",
    "second": b"#!orphan\n",
    "in-folder": b"#!/tmp\n",
    "by-plain": b"#!plain\n",
    "arm": _elf(40), "aarch64": _elf(183), "x86": _elf(62), "odd": _elf(999),
    "torn": b"\x7fELF",
    "windows.exe": b"MZ\x90\0\x03\0",
    "mac": b"\xcf\xfa\xed\xfe\x07\0\0\x01",
    "noise": b"\0\1\2\3",
}  # fmt: skip
OWN, OTHER = ("x86", "aarch64") if os.uname().machine == "x86_64" else ("aarch64", "x86")
OTHER_NAME = {"x86": "x86_64"}.get(OTHER, OTHER)

#: Command, exit status, and what is said.
ROWS = [
    ("nope", 127, "'nope' was not found in PATH; check the name"),
    ("crlf", 127, "'crlf' was not found in PATH; one is here: ./crlf"),
    ("", 127, "The command is an empty text; name a program after --"),
    ("./nope", 127, "'./nope' was not found; check the name"),
    ("./no/such/run", 127, "'./no/such/run' was not found: there is no folder './no'"),
    ("folder/x/run", 127, "'folder/x/run' was not found: there is no folder 'folder/x'"),
    ("./plain/x", 127, "'./plain/x' was not found: './plain' is not a directory"),
    ("./dangling", 127, "'./dangling' is a link to '/no/such/target', which does not exist"),
    ("./folder", 126, "'./folder' is a directory; name a program in it"),
    ("/", 126, "'/' is a directory; name a program in it"),
    ("./plain", 126, "'./plain' is not executable; try: chmod +x ./plain"),
    ("./pl ain", 126, "'./pl ain' is not executable; try: chmod +x './pl ain'"),
    ("/dev/null", 126, "'/dev/null' is not a regular file"),
    ("./crlf", 126, r"'./crlf' has a first line that ends in a Windows line end (\r); convert the file: sed -i 's/\r$//' ./crlf"),
    ("./orphan", 126, "'./orphan' is there, but its interpreter '/no/such/interpreter' is not; correct its first line"),
    ("./second", 126, "'./second' names an interpreter that does not run: 'orphan' is there, but its interpreter '/no/such/interpreter' is not; correct its first line"),
    ("./in-folder", 126, "'./in-folder' names an interpreter that does not run: '/tmp' is a directory; name a program in it"),
    ("./by-plain", 126, "'./by-plain' names an interpreter that does not run: 'plain' is not executable; try: chmod +x plain"),
    ("./itself", 126, "'./itself' names an interpreter that is a script itself, and so on; correct its first line"),
    ("./loop", 126, "'./loop' leads through links that lead to each other; see: ls -l ./loop"),
    ("./arm", 126, f"'./arm' is a program for arm, and this machine is {os.uname().machine}"),
    (f"./{OTHER}", 126, f"'./{OTHER}' is a program for {OTHER_NAME}, and this machine is {os.uname().machine}"),
    ("./odd", 126, f"'./odd' is a program for another machine (999), and this machine is {os.uname().machine}"),
    ("./torn", 126, "'./torn' is a program that is damaged, or for another system"),
    ("./windows.exe", 126, "'./windows.exe' is a program for Windows"),
    ("./mac", 126, "'./mac' is a program for macOS"),
    ("./noise", 126, "'./noise' is neither a program nor a script of text"),
    ("./lost-loader", 126, "'./lost-loader' was built for another system: the loader that it names is not there (ldd shows it)"),
    ("./open", 126, "'./open' is being written by another process; start again when that has closed it"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that cannot be started, each for its own reason."""
    root = tmp_path_factory.mktemp("commands")
    for name, content in FILES.items():
        (root / name).write_bytes(content)
        (root / name).chmod(0o755)
    for name in ("plain", "pl ain"):
        (root / name).write_text("x")
        (root / name).chmod(0o644)
    (root / "folder").mkdir()
    (root / "dangling").symlink_to("/no/such/target")
    (root / "loop").symlink_to("loop")
    (root / "itself").write_text("#!itself\n")
    loader = Path(TRUE).read_bytes()
    start = loader.find(b"/lib")
    end = loader.find(b"\0", start)
    gone = b"/gone".ljust(end - start, b"/")
    (root / "lost-loader").write_bytes(loader[:start] + gone + loader[end:])
    shutil.copy(TRUE, root / "open")
    for name in ("itself", "lost-loader", "open"):
        (root / name).chmod(0o755)
    return root


def _start(command: list[str]) -> OSError:
    with pytest.raises(OSError) as raised:
        os.posix_spawnp(command[0], command, os.environ) if command[0] else subprocess.run(command)
    return raised.value


@pytest.mark.parametrize(("name", "status", "reason"), ROWS, ids=[row[0] for row in ROWS])
def test_why_a_command_does_not_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: int, reason: str
) -> None:
    """What the kernel says of a real file becomes one sentence, and 126 or 127."""
    monkeypatch.chdir(folder)
    if name == "./open":
        with open("open", "r+b"):
            error = _start([name])
    else:
        error = _start([name])
    kind = {126: "NotExecutable", 127: "NotFound"}[status]
    assert find_reason([name], error, os.environ) == (status, kind, reason)


def _start_anything(number: int, *command: str) -> str:
    return find_reason(command, OSError(number, os.strerror(number)), os.environ)[2]


def test_what_is_not_the_files_fault() -> None:
    """Limits of the system are named as such; what is not known is said by the system's own words."""
    assert "ulimit -s" in find_reason(["/bin/true"], _start(["/bin/true", "x" * 3_000_000]), {})[2]
    assert "ulimit -u" in _start_anything(errno.EAGAIN, TRUE)
    assert "not enough memory" in _start_anything(errno.ENOMEM, TRUE)
    assert _start_anything(errno.EIO, TRUE) == f"{TRUE!r} cannot be executed: Input/output error"
    assert _start_anything(errno.EACCES, TRUE) == f"{TRUE!r} cannot be executed: Permission denied"
    long = "/" + "a" * 5000
    told = _start_anything(errno.ENAMETOOLONG, long)
    assert "is too long for a path (5001 bytes)" in told
    assert len(told) < 300


def test_a_program_of_path(tmp_path: Path) -> None:
    """Of PATH the first program counts, then the first file: its own path is in the sentence."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "b" / "tool").write_text("x")
    environ = {"PATH": ":".join(str(tmp_path / name) for name in ("a", "b", "c"))}
    found = str(tmp_path / "b" / "tool")
    assert find_program_file("tool", environ) == found
    refused = find_reason(["tool"], PermissionError(errno.EACCES, "x"), environ)
    assert refused == (126, "NotExecutable", f"{found!r} is not executable; try: chmod +x {found}")
    (tmp_path / "c" / "tool").write_text("x")
    (tmp_path / "c" / "tool").chmod(0o755)
    (tmp_path / "a" / "tool").mkdir()
    assert find_program_file("tool", environ) == str(tmp_path / "c" / "tool")
    assert find_program_file("./tool", environ) == "./tool"
    assert find_reason(["gone"], PermissionError(errno.EACCES, "x"), environ)[0] == 127


def _as_nobody(look: Callable[[], str]) -> str:
    if os.geteuid() != 0:
        return look()
    os.seteuid(65534)
    try:
        return look()
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    """No permission on a folder above: that folder is named, not the file."""
    closed = tmp_path / "closed"
    closed.mkdir()
    shutil.copy(TRUE, closed / "tool")
    closed.chmod(0)
    try:
        told = _as_nobody(lambda: _start_anything(errno.EACCES, str(closed / "tool")))
    finally:
        closed.chmod(0o755)
    assert "may not be entered" in told
    assert str(closed / "tool").startswith(told.split("the folder '")[1].split("'")[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_without_programs(tmp_path: Path) -> None:
    """A mount with noexec: the mount is the reason, whatever the file's mode says."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", tmp_path], check=True)
    try:
        for mode in (0o755, 0o644):
            shutil.copy(TRUE, tmp_path / "tool")
            (tmp_path / "tool").chmod(mode)
            error = _start([str(tmp_path / "tool")])
            told = find_reason([str(tmp_path / "tool")], error, os.environ)[2]
            assert "is on a file system that is mounted noexec" in told
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_what_is_text_for_a_shell(folder: Path, tmp_path: Path) -> None:
    """A file that is no text is not given to a shell; a NUL behind the first line is bash's affair."""
    binaries = {name for name in FILES if is_binary(str(folder / name))}
    assert binaries == {"arm", "aarch64", "x86", "odd", "torn", "windows.exe", "mac", "noise"}
    (tmp_path / "archive").write_bytes(b"exec tail -n +2 $0\n\0\0")
    assert not is_binary(str(tmp_path / "archive"))
    assert not is_binary(str(tmp_path / "gone"))


def test_faults_of_scripts_that_were_started(folder: Path, tmp_path: Path) -> None:
    """A carriage return that the interpreter got, and an empty file; of others nothing is said."""
    fault = find_script_fault([str(folder / "crlf")], {})
    assert fault is not None
    assert "Windows line end" in fault
    assert find_script_fault([str(folder / "orphan")], {}) is None
    assert find_script_fault(["/dev/null"], {}) is None
    (tmp_path / "empty").touch()
    assert find_script_fault([str(tmp_path / "empty")], {}) == f"{str(tmp_path / 'empty')!r} is an empty file: nothing was run"  # fmt: skip
    (tmp_path / "late").write_bytes(b"#!/bin/sh\necho a\r\n")
    assert find_script_fault([str(tmp_path / "late")], {}) is None


def test_runs_of_files_that_are_no_programs(capsule: Capsule) -> None:
    """A binary of another machine is 126 and no shell's syntax error; a script without a first line is a shell's."""
    arm, script = capsule.code / OTHER, capsule.write("script", "echo plain $1\n")
    arm.write_bytes(FILES[OTHER])
    arm.chmod(0o755)
    run = capsule.run(str(arm))
    assert (run.status, run.canonical["error_type"]) == (126, "NotExecutable")
    assert f"is a program for {OTHER_NAME}" in run.canonical["error_message"]
    run = capsule.run(str(script), "a b")
    assert (run.status, run.stdout) == (0, b"plain a b\n")
    assert run.canonical["records"] == {"INFO": 2}


def test_runs_of_scripts_from_windows(capsule: Capsule) -> None:
    r"""`#!/usr/bin/env sh\r` is started and fails: the reason has the carriage return; an empty file is a warning."""
    script = capsule.write("script", "#!/usr/bin/env sh\r\necho hi\r\n")
    run = capsule.run(str(script))
    assert run.status == 127
    assert run.canonical["error_message"].startswith("Ended with exit status 127: ")
    assert "Windows line end" in run.canonical["error_message"]
    run = capsule.run(str(capsule.write("empty", "")))
    assert run.status == 0
    assert [r["message"] for r in run.records if r["level"] == "WARNING"] == [f"{str(capsule.code / 'empty')!r} is an empty file: nothing was run"]  # fmt: skip
