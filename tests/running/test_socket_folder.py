"""Where the wrapper's socket is, who may reach it, and what a kill leaves of it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aind_capsule.running.process import socket_folder
from tests.conftest import Capsule, wait_until


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder as `XDG_RUNTIME_DIR` has it: its path is short, wherever the tests' own folders are."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def _leave(folder: Path, *, name: str = "records.sock", is_open: bool = False) -> socket.socket:
    """A socket's folder as a kill leaves it, or as a living wrapper has it."""
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / name))
    if is_open:
        listener.listen(1)
    else:
        listener.close()
    return listener


def test_the_folder_is_this_users_alone(capsule: Capsule, runtime: Path) -> None:
    """In XDG_RUNTIME_DIR, mode 0700 whatever the umask, and gone when the run has ended."""
    script = 'stat -c "%a %F" $(dirname $CAPSULE_SOCKET); echo $CAPSULE_SOCKET; umask'
    for mask in (0o000, 0o077):
        process = capsule.start(
            "bash", "-c", script, env={"XDG_RUNTIME_DIR": str(runtime)}, preexec_fn=lambda mask=mask: os.umask(mask))  # fmt: skip
        out, _ = process.communicate(timeout=60)
        mode, path, _ = out.decode().splitlines()
        assert mode == "700 directory"
        assert Path(path).parent.parent == runtime
        assert not list(runtime.iterdir())


@pytest.mark.parametrize("kind", ["relative", "missing", "link", "long", "file", "empty"])
def test_other_bases(tmp_path: Path, kind: str) -> None:
    """A runtime folder that is not ours, is none, or is too deep for a socket is passed over."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_text("")
    long = tmp_path / ("x" * 100)
    long.mkdir()
    given = {"relative": "real", "missing": f"{tmp_path}/none", "link": f"{tmp_path}/link",
             "long": str(long), "file": f"{tmp_path}/file", "empty": ""}[kind]  # fmt: skip
    os.chdir(tmp_path)
    bases = list(socket_folder.find_socket_bases({"XDG_RUNTIME_DIR": given}))
    assert bases[0] == "/tmp"
    assert given not in bases


def test_a_path_of_107_bytes(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest folder that a socket fits in is taken, and one byte more is not."""
    room = 107 - len("/capsule-0123456789ab/records.sock") - len(str(runtime)) - 1
    assert room > 0
    for more, is_taken in ((0, True), (1, False)):
        folder = runtime / ("y" * (room + more))
        folder.mkdir()
        listener, path = socket_folder.open_listener({"XDG_RUNTIME_DIR": str(folder)})
        assert path.startswith(str(folder)) is is_taken
        assert len(path) <= 107
        listener.close()
        socket_folder.remove_socket_folder(os.path.dirname(path))


@pytest.mark.parametrize(
    ("mode", "is_taken"),
    [(0o777, False), (0o770, False), (0o702, False), (0o1777, True), (0o755, True)],
)
def test_a_folder_that_others_can_write(runtime: Path, mode: int, is_taken: bool) -> None:
    """Whoever can rename our folder there could put another socket in its place: it is passed over, but where
    only the owner can (sticky)."""
    runtime.chmod(mode)
    bases = list(socket_folder.find_socket_bases({"XDG_RUNTIME_DIR": str(runtime)}))
    assert (str(runtime) in bases) is is_taken


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's folder needs root")
def test_another_users_folder(runtime: Path) -> None:
    """A runtime folder that sudo has handed on is another's: nothing is made there."""
    os.chown(runtime, 12345, 12345)
    assert str(runtime) not in socket_folder.find_socket_bases({"XDG_RUNTIME_DIR": str(runtime)})


def test_a_base_that_cannot_be_written(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is taken; nothing is left in one where a socket cannot be made."""
    monkeypatch.setattr(socket_folder, "_UNNAMED", "z" * 120)  # no socket has so long a path
    with pytest.raises(OSError, match="too long"):
        socket_folder.open_listener({"XDG_RUNTIME_DIR": str(runtime)})
    assert list(runtime.iterdir()) == []


def test_what_a_kill_has_left_is_removed(capsule: Capsule, runtime: Path) -> None:
    """By the next run, where nobody listens; a living run's folder stays, and so does what is not ours."""
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    process = capsule.start("sleep", "1000", env=environ)
    try:
        (killed,) = wait_until(lambda: list(runtime.glob("*/records.sock")))
        _leave(runtime / "capsule-0123456789ab")
        living = _leave(runtime / "capsule-ba9876543210", is_open=True)
        done = capsule.start("true", env=environ)
        done.communicate(timeout=60)
        assert not (runtime / "capsule-0123456789ab").exists()
        assert killed.exists()
        assert (runtime / "capsule-ba9876543210" / "records.sock").exists()
        living.close()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def run_again() -> bool:
        # The killed wrapper's helpers, which hold its socket too, live a moment longer.
        capsule.start("true", env=environ).communicate(timeout=60)
        return not list(runtime.iterdir())

    wait_until(run_again)


def test_what_is_not_ours_stays(runtime: Path) -> None:
    """Another name, more in it, a link, no socket, one that is being made: all that stays."""
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    _leave(runtime / "capsule-mine")
    _leave(runtime / "capsule-0000000000001")
    _leave(runtime / "capsule-000000000002")
    (runtime / "capsule-000000000002" / "more").write_text("")
    outside = runtime.parent / f"{runtime.name}-outside"
    _leave(outside)
    (runtime / "capsule-000000000003").symlink_to(outside)
    (runtime / "capsule-000000000004").mkdir()
    (runtime / "capsule-000000000004" / "records.sock").write_text("")
    (runtime / "capsule-000000000005").mkdir()
    _leave(runtime / "capsule-000000000006", name="new")
    (runtime / "capsule-000000000007").write_text("")
    before = sorted(runtime.rglob("*"))
    socket_folder.remove_abandoned_folders(environ, limit_s=10)
    assert sorted(runtime.rglob("*")) == before
    assert (outside / "records.sock").exists()
    for number in (5, 6):
        os.utime(runtime / f"capsule-00000000000{number}", (1, 1))
    socket_folder.remove_abandoned_folders(environ, limit_s=10)
    assert len(set(before) - set(runtime.rglob("*"))) == 3
    if os.geteuid() == 0:
        _leave(runtime / "capsule-000000000008")
        os.chown(runtime / "capsule-000000000008", 12345, 12345)
        socket_folder.remove_abandoned_folders(environ, limit_s=10)
        assert (runtime / "capsule-000000000008").exists()


def test_looking_takes_little_time(runtime: Path) -> None:
    """Where the time is over nothing more is looked at."""
    _leave(runtime / "capsule-0123456789ab")
    socket_folder.remove_abandoned_folders({"XDG_RUNTIME_DIR": str(runtime)}, limit_s=-1)
    assert list(runtime.iterdir())


def test_a_socket_is_named_when_it_listens(runtime: Path) -> None:
    """At its name somebody answers: no other run takes a new one for an abandoned one."""
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    listener, path = socket_folder.open_listener(environ)
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    socket_folder.remove_abandoned_folders(environ, limit_s=10)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    listener.close()
    assert subprocess.run(["ls", "-A", os.path.dirname(path)], capture_output=True, text=True, check=True).stdout == "records.sock\n"  # fmt: skip
