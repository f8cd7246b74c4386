"""What the watcher does when the wrapper is killed, and that nothing else ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.context.procfs import find_children, read_processes
from tests.conftest import Capsule, is_alive, wait_until
from tests.running.test_stops import Notes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

SCRIPT = """
note() {{ {python} {note} {notes} "$@"; }}
note group SIGTERM &
note deaf &
setsid {python} {note} {notes} session SIGTERM &
(setsid setsid {python} {note} {notes} orphan SIGTERM &)
(setsid setsid {python} {note} {notes} deaf-orphan &)
setsid env -i {python} {note} {notes} nameless SIGTERM &
for name in group deaf session orphan deaf-orphan nameless; do
  while [ ! -e {notes}/$name.pid ]; do sleep 0.01; done
done
for i in $(seq 50); do echo line $i; done
echo $CAPSULE_SOCKET
wait
"""


def test_the_wrapper_is_killed(capsule: Capsule, tmp_path: Path) -> None:
    """All processes of the run get SIGTERM and, after the grace, SIGKILL; the socket's folder goes; the log stays and the run is lost."""
    folder = tmp_path / "notes"
    folder.mkdir()
    notes = Notes(capsule, folder)
    script = notes.write_script(SCRIPT)
    stranger = subprocess.Popen(["sleep", "100"], start_new_session=True)
    process = capsule.start("bash", script, options=("--grace", "0.7"))
    assert process.stdout is not None
    socket_path = b""
    while not socket_path.endswith(b".sock\n"):
        socket_path = process.stdout.readline()
        assert socket_path
    socket_folder = Path(os.fsdecode(socket_path.strip())).parent
    assert socket_folder.is_dir()
    log = wait_until(
        lambda: (found := capsule.find_log()) and b".sock" in found.read_bytes() and found
    )
    wait_until(lambda: len(_find_watchers(process.pid)) == 1)  # the reader of the inputs ends
    (watcher,) = _find_watchers(process.pid)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(watcher, number)
    process.kill()
    process.communicate()
    wait_until(lambda: not notes.find_alive())
    assert notes.read() == dict.fromkeys(
        ("group", "deaf", "session", "orphan", "deaf-orphan", "nameless"), "SIGTERM"
    )
    wait_until(lambda: not is_alive(watcher))
    assert not socket_folder.exists()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    lines = log.read_bytes().split(b"\n")
    assert lines[-1] == b""
    assert sum(b'"line ' in line for line in lines) == 50
    listed = subprocess.run(
        [sys.executable, "-m", "aind_capsule", "runs", str(capsule.scratch)],
        env=capsule.environ, capture_output=True, check=True, cwd=capsule.code,
    )  # fmt: skip
    assert listed.stdout.splitlines()[1].startswith(b"lost")


def _find_watchers(wrapper: int) -> list[int]:
    """Children that hold one pipe and nothing else: no terminal, no stream, no log."""
    return [pid for pid in find_children(wrapper) if _holds_one_pipe(pid)]


def _holds_one_pipe(pid: int) -> bool:
    folder = Path(f"/proc/{pid}/fd")
    try:
        held = [os.readlink(folder / name) for name in os.listdir(folder)]
    except FileNotFoundError:  # it has ended, or closed one, while we look
        return False
    opened = [target for target in held if target != "/dev/null"]
    return len(opened) == 1 and opened[0].startswith("pipe:")


def test_the_watcher_holds_nothing(capsule: Capsule) -> None:
    """It is in a session of its own, without a terminal, ignores every signal, and ends with the run."""
    process = capsule.start("bash", "-c", "echo ready; read line", stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    wait_until(lambda: len(_find_watchers(process.pid)) == 1)  # the reader of the inputs ends
    (watcher,) = _find_watchers(process.pid)
    words = Path(f"/proc/{watcher}/stat").read_text().rpartition(")")[2].split()
    _, _, group, session, terminal = words[:5]
    assert (int(group), int(session), terminal) == (watcher, watcher, "0")
    ignored = next(
        int(line.split()[1], 16)
        for line in Path(f"/proc/{watcher}/status").read_text().splitlines()
        if line.startswith("SigIgn")
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU):
        assert ignored & 1 << (number - 1)
    run = capsule.finish(process, data=b"\n")
    assert run.status == 0
    assert watcher not in read_processes()
