"""A stop reaches every process of the run, and waits for none that is not one."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import Capsule, Finished, is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

#: What each process does: it says that it is there, and notes which signals it is sent.
NOTE = """
import os, signal, sys, time
folder, name, ends_by = sys.argv[1], sys.argv[2], sys.argv[3:]
def note(number, _):
    with open(f"{folder}/{name}.got", "a") as file:
        file.write(signal.Signals(number).name + " ")
    if signal.Signals(number).name in ends_by:
        os._exit(0)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, note)
with open(f"{folder}/{name}.new", "w") as file:
    file.write(str(os.getpid()))
os.rename(f"{folder}/{name}.new", f"{folder}/{name}.pid")
for _ in range(12):  # where its test has failed nobody ends it
    time.sleep(10)
"""

#: Each way to leave the group of the processing, or its tree.
LEAVE = """
set -e
note() {{ {python} {note} {notes} "$@" & }}
note group {by}
setsid {python} {note} {notes} session SIGTERM &
(setsid setsid {python} {note} {notes} orphan SIGTERM &)
{python} -c 'import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True).wait()' \\
  {python} {note} {notes} popen SIGTERM &
(set -m; {python} {note} {notes} job SIGTERM & wait) &
setsid {python} {note} {notes} suspended SIGTERM &
for name in group session orphan popen job suspended; do
  while [ ! -e {notes}/$name.pid ]; do sleep 0.01; done
done
kill -STOP $(cat {notes}/suspended.pid)
echo ready
wait
"""


class Notes:
    """Processes that note the signals that they are sent."""

    def __init__(self, capsule: Capsule, folder: Path) -> None:
        self.folder = folder
        self.note = capsule.write("note.py", NOTE)
        self.capsule = capsule

    def write_script(self, script: str, **names: str) -> str:
        """A script in the code folder."""
        text = script.format(python=sys.executable, note=self.note, notes=self.folder, **names)
        return str(self.capsule.write("run.sh", text))

    def read(self) -> dict[str, str]:
        """The signals that each has got, by name."""
        return {path.stem: path.read_text().strip() for path in self.folder.glob("*.got")}

    def find_alive(self) -> list[str]:
        """Those that live."""
        pids = {path.stem: int(path.read_text()) for path in self.folder.glob("*.pid")}
        return [name for name, pid in pids.items() if is_alive(pid)]


@pytest.fixture
def notes(capsule: Capsule, tmp_path: Path) -> Notes:
    """A folder of notes."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return Notes(capsule, folder)


def _stop(capsule: Capsule, script: str, number: int, *options: str) -> Finished:
    process = capsule.start("bash", script, options=options)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    return capsule.finish(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_are_asked_once(capsule: Capsule, notes: Notes, number: signal.Signals) -> None:
    """The group gets the stop's own signal, all others SIGTERM, once each; the wait ends with the last."""
    script = notes.write_script(LEAVE, by=number.name)
    run = _stop(capsule, script, number, "--grace", "1h")
    assert run.canonical["status"] == "stopped"
    others = dict.fromkeys(("session", "orphan", "popen", "job", "suspended"), "SIGTERM")
    assert notes.read() == {"group": number.name, **others}
    assert notes.find_alive() == []
    assert not any("killing" in record["message"] for record in run.records)


def test_a_timeout_asks_all(capsule: Capsule, notes: Notes) -> None:
    """As a stop does: in a session of its own too, and the wait ends with the last; our helpers stay."""
    script = notes.write_script(
        'setsid bash -c \'trap "echo -n SIGTERM > {notes}/session.got; exit" TERM\n'
        "while :; do sleep 0.01; done' &\nwait"
    )
    options = ("--timeout", "0.7", "--grace", "1h", "--resources", "0.1")
    run = capsule.run("bash", script, options=options)
    assert (run.status, run.canonical["error_type"]) == (124, "Timeout")
    assert notes.read() == {"session": "SIGTERM"}
    assert run.canonical["resources"]["samples"] > 0


def test_what_does_not_end_is_killed_after_the_grace(capsule: Capsule, notes: Notes) -> None:
    """Also in sessions of their own, and where the processing itself ends at once."""
    script = notes.write_script(
        "trap 'exit 0' TERM\n"
        "setsid {python} {note} {notes} session > /dev/null 2>&1 &\n"
        "(setsid setsid {python} {note} {notes} orphan > /dev/null 2>&1 &)\n"
        "for name in session orphan; do\n"
        "  while [ ! -e {notes}/$name.pid ]; do sleep 0.01; done\n"
        "done\n"
        "echo ready; wait"
    )
    run = _stop(capsule, script, signal.SIGTERM, "--grace", "0.5")
    assert (run.status, run.canonical["exit_code"], run.canonical["status"]) == (0, 0, "stopped")
    assert notes.read() == {"session": "SIGTERM", "orphan": "SIGTERM"}
    assert notes.find_alive() == []
    assert sum("ended within 0.5 s" in record["message"] for record in run.records) == 1


def test_forks_during_the_grace(capsule: Capsule, notes: Notes) -> None:
    """A newcomer that has lost its parent is asked too; what a handler runs to clean up is left to it."""
    capsule.write("newcomer.sh", (
        "trap 'echo -n SIGTERM > $1/newcomer.got; exit' TERM\n"
        "touch $1/newcomer; while :; do sleep 0.01; done"
    ))  # fmt: skip
    capsule.write("parent.sh", (
        "trap 'setsid bash newcomer.sh $1 & until [ -e $1/newcomer ]; do sleep 0.01; done; exit' TERM\n"
        "touch $1/parent; while :; do sleep 0.01; done"
    ))  # fmt: skip
    script = notes.write_script(
        "trap '{python} {note} {notes} cleanup SIGINT &"
        " until [ -e {notes}/newcomer.got -a -e {notes}/cleanup.pid ]; do sleep 0.01; done;"
        " kill -INT $!; wait $!' TERM\n"
        "setsid bash parent.sh {notes} &\n"
        "until [ -e {notes}/parent ]; do sleep 0.01; done\n"
        "echo ready; wait"
    )
    _stop(capsule, script, signal.SIGTERM, "--grace", "8")
    assert notes.read() == {"newcomer": "SIGTERM", "cleanup": "SIGINT"}
    assert notes.find_alive() == []


@pytest.mark.slow
def test_leftovers_of_a_normal_end(capsule: Capsule, notes: Notes) -> None:
    """What appears after the end is asked, and killed 2 s later; what ends at once is not waited for."""
    script = notes.write_script(
        "setsid {python} {note} {notes} session SIGTERM > /dev/null 2>&1 &\n"
        "setsid {python} {note} {notes} deaf > /dev/null 2>&1 &\n"
        "setsid bash -c 'trap \"\" TERM; {python} {note} {notes} below SIGTERM & wait'"
        " > /dev/null 2>&1 &\n"
        'setsid bash -c \'trap "sleep 0.5; echo -n SIGTERM > {notes}/slow.got; exit" TERM;'
        " echo $$ > {notes}/slow.pid; while :; do sleep 0.01; done' > /dev/null 2>&1 &\n"
        "for name in session deaf below slow; do\n"
        "  while [ ! -e {notes}/$name.pid ]; do sleep 0.01; done\n"
        "done\n"
    )
    run = capsule.run("bash", script)
    assert (run.status, run.canonical["status"]) == (0, "success")
    assert notes.read() == dict.fromkeys(("session", "deaf", "below", "slow"), "SIGTERM")
    assert notes.find_alive() == []


def test_our_own_helpers_are_let_be(capsule: Capsule) -> None:
    """What the grace's end kills is of the processing: not what works on the run's end."""
    run = capsule.run(
        "sleep", "100", options=("--timeout", "0.1", "--grace", "0.1"),
        env={"CAPSULE_RUN_FILES": "all"},
    )  # fmt: skip
    assert run.status == 124
    assert list(capsule.results.glob("*_data_process.json"))
    assert b"killing" not in run.stderr
