"""The parts of the sampler's process: its file, its end of the socket, its figures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aind_capsule.context.cgroup import Cgroup

if sys.platform != "linux":
    pytest.skip("capsule run needs Linux", allow_module_level=True)

from aind_capsule.running.resources import Link, Order
from aind_capsule.running.sampling import (
    ContainerMemory,
    CpuRate,
    SampleFile,
    read_memory_usage_bytes,
)


@pytest.mark.parametrize("own", [(), (7,), (7, 8)])
def test_an_order_arrives_as_it_was_given(own: tuple[int, ...]) -> None:
    """What is asked for passes a command line unchanged."""
    order = Order("/a b/\n,", 0.1, 5, 1, own, 1.25)
    assert Order.from_words(order.to_words()) == order


def test_a_line_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    """A write that the file system takes only in part is undone and counted."""
    script = (
        "import resource, sys\n"
        "from aind_capsule.running.sampling import SampleFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "file = SampleFile(sys.argv[1])\n"
        "told = [file.append(b'x' * 59 + b'\\n') for _ in range(3)]\n"
        "print(told[0], [bool(why) for why in told], file.written, file.lost)\n"
    )
    path = tmp_path / "r"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"None [False, True, True] 1 2\n"
    assert path.read_bytes() == b"x" * 59 + b"\n"


def test_a_file_that_can_be_written_later(tmp_path: Path) -> None:
    """A folder that is there only later is no reason to lose more than what came before."""
    file = SampleFile(str(tmp_path / "later" / "r"))
    assert file.append(b"1\n") == "No such file or directory"
    (tmp_path / "later").mkdir()
    assert file.append(b"2\n") is None
    assert (file.written, file.lost) == (1, 1)
    assert (tmp_path / "later" / "r").read_bytes() == b"2\n"


def test_a_wrapper_that_does_not_read_holds_nothing_up() -> None:
    """A suspended wrapper: sending never waits, and what it reads at last holds all troubles."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = Link(theirs.detach())
    for number in range(2000):
        link.add_peaks({"rss_bytes": number})
        link.send()
    link.say("file", "the disk is full")
    link.say("file", "the disk is full again")
    link.say("failure", "x" * 5000)
    link.send()
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            json.loads(ours.recv(65536))
    link.send_last()
    assert not link.is_cut
    ours.shutdown(socket.SHUT_WR)
    assert link.wait_until(time.monotonic() + 60)
    assert not link.is_cut
    message = json.loads(ours.recv(65536))
    assert message["peaks"] == {"peak_rss_bytes": 1999}
    assert message["troubles"] == ["the disk is full", "x" * 1000]
    ours.close()
    link.send()  # nobody is there
    assert link.wait_until(time.monotonic() + 60)
    assert link.is_cut
    link._socket.close()


def test_percent_is_of_one_core() -> None:
    """Half a second of CPU in a second is 50; over too short a time nothing is said."""
    rate = CpuRate(0.5)
    assert rate.read(10.0, 3.0) == {}
    assert rate.read(11.0, 3.5) == {"cpu_percent": 50.0}
    assert rate.read(11.1, 3.6) == {}
    assert rate.read(12.1, 7.6) == {"cpu_percent": 400.0}


def _write_group(folder: Path, **files: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")
    return str(folder)


def test_usage_is_that_of_the_group_whose_limit_is_met_first(tmp_path: Path) -> None:
    """Version 2: usage and limit are one group's; without limits it is the nearest group's."""
    inner = _write_group(tmp_path / "job/step", memory_current="10", memory_max="max")
    job = _write_group(tmp_path / "job", memory_current="30", memory_max="100")
    root = _write_group(tmp_path, memory_max="max")
    assert read_memory_usage_bytes(Cgroup(unified=(inner, job, root))) == 30
    assert read_memory_usage_bytes(Cgroup(unified=(inner, root))) == 10
    assert read_memory_usage_bytes(Cgroup(unified=(root,))) is None
    assert read_memory_usage_bytes(Cgroup()) is None


def test_usage_of_version_1(tmp_path: Path) -> None:
    """Version 1 has other names, and its `no limit` is a huge number."""
    inner, outer = tmp_path / "a" / "b", tmp_path / "a"
    for folder, usage, limit in ((inner, "7", str(0x7FFFFFFFFFFFF000)), (outer, "9", "50")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.usage_in_bytes").write_text(usage + "\n")
        (folder / "memory.limit_in_bytes").write_text(limit + "\n")
    assert read_memory_usage_bytes(Cgroup(memory=(str(inner), str(outer)))) == 9
    assert read_memory_usage_bytes(Cgroup(memory=(str(inner),))) == 7


def test_kills_are_counted_from_the_start(tmp_path: Path) -> None:
    """Kills of earlier runs in the same container are not this one's."""
    pytest.importorskip("psutil")
    group = _write_group(tmp_path, memory_current="30", memory_max="100")
    events = tmp_path / "memory.events"
    events.write_text("oom 3\noom_kill 3\n")
    memory = ContainerMemory(Cgroup(unified=(group,)))
    assert memory.read()["oom_kills"] == 0
    events.write_text("oom 5\noom_kill 5\n")
    found = memory.read()
    assert (found["oom_kills"], found["memory_limit_bytes"], found["memory_usage_bytes"]) == (
        2,
        100,
        30,
    )
    events.unlink()
    assert "oom_kills" not in memory.read()


def test_importing_it_does_not_import_psutil() -> None:
    """psutil is imported when sampling begins, by the sampler's process alone."""
    script = "import sys, aind_capsule.running.sampling\nassert 'psutil' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", script], check=True, env=dict(os.environ))
