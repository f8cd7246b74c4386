"""Which processes belong to a run, and which of them are signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from aind_capsule.context.procfs import Stat
from aind_capsule.running.process import process_group
from aind_capsule.running.process.process_group import ProcessGroup, find_children_of_ours
from tests.conftest import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours in a group of its own."""
    process = subprocess.Popen(["sleep", "100"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_belongs_to_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group wherever it hangs, all below the roots; not what has ended or is gone, and not our helpers with theirs."""
    processes = {
        1: Stat("S", 0, 1, 1),
        2: Stat("S", 0, 0, 1),  # a thread of the kernel's
        10: Stat("S", 1, 10, 5),  # the wrapper
        11: Stat("S", 10, 11, 6),  # a helper
        12: Stat("S", 11, 11, 7),
        20: Stat("S", 10, 20, 9),  # the command
        21: Stat("S", 1, 20, 8),
        22: Stat("Z", 20, 20, 9),
        23: Stat("S", 22, 23, 9),
        24: Stat("T", 20, 24, 9),
        30: Stat("S", 1, 30, 9),
    }
    monkeypatch.setattr(process_group, "read_processes", lambda: processes)
    group = ProcessGroup(
        lambda found: [99, *(pid for pid, stat in found.items() if stat.parent == 10)], [11]
    )
    assert group.find() == {}
    group.leader = 20
    assert list(group.find()) == [21, 20, 23, 24]


def test_who_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at first: the group by the stop's signal, others by SIGTERM. Later the orphans only, once each."""
    processes = {
        20: Stat("S", 10, 20, 1),
        21: Stat("S", 20, 20, 1),
        30: Stat("T", 20, 30, 1),
    }
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(process_group, "read_processes", lambda: processes)
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append((-group, number)))
    group = ProcessGroup(lambda _: [20, 40, 50], leader=20)
    group.ask(signal.SIGINT)
    asked = [
        (-20, signal.SIGINT),
        (-20, signal.SIGCONT),
        (30, signal.SIGTERM),
        (30, signal.SIGCONT),
    ]
    assert sent == asked
    processes |= {40: Stat("S", 10, 40, 2), 31: Stat("S", 30, 31, 2), 41: Stat("S", 40, 41, 2)}
    assert group.ask_newcomers()
    assert group.ask_newcomers()
    assert sent[4:] == [(40, signal.SIGTERM), (40, signal.SIGCONT)]
    processes[40] = Stat("Z", 10, 40, 2)
    group.ask_newcomers()
    assert sent[6:] == [(41, signal.SIGTERM), (41, signal.SIGCONT)]
    sent.clear()
    group.kill()
    assert sent == [(-20, 9), *((pid, 9) for pid in (20, 21, 30, 31, 41))]
    processes.clear()
    assert not group.ask_newcomers()


def test_without_a_leader_nobody_is_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    """Group 0 would be our own group."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        group = ProcessGroup(find_children_of_ours)
        group.forward(signal.SIGKILL)
        group.ask(signal.SIGTERM)
        group.kill()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert sleeper.poll() is None


def test_a_pid_that_is_given_out_anew(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was asked stays the run's when its parents are gone; another with its pid is not."""
    group = ProcessGroup(lambda _: (), leader=sleeper.pid)
    processes = {5: Stat("S", 1, 5, 100), 6: Stat("S", 5, sleeper.pid, 101)}
    monkeypatch.setattr(process_group, "read_processes", lambda: processes)
    monkeypatch.setattr(os, "kill", lambda *_: None)
    group.ask(signal.SIGWINCH)
    assert list(group.find()) == [6]
    processes[6] = Stat("S", 1, 5, 101)
    assert list(group.find()) == [6]
    processes[6] = Stat("S", 1, 5, 102)
    assert list(group.find()) == []


def test_processes_that_cannot_be_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    """One that ends meanwhile keeps none of the others from their signal."""
    other = subprocess.Popen(["sleep", "100"])
    other.kill()
    wait_until(lambda: other.poll() is not None)
    process_group._signal_all([other.pid, sleeper.pid], signal.SIGTERM)
    assert sleeper.wait(20) == -signal.SIGTERM


def test_whether_any_is_left(sleeper: subprocess.Popen[bytes]) -> None:
    """Until nothing lives; a zombie does not."""
    group = ProcessGroup(lambda _: (), leader=sleeper.pid)
    group.ask(signal.SIGWINCH)
    assert group.ask_newcomers()
    group.kill()
    deadline = time.monotonic() + 20
    while group.ask_newcomers():
        assert time.monotonic() < deadline
    assert sleeper.poll() == -signal.SIGKILL
