"""The resource sampler as the wrapper has it: real processes are sampled by a real sampler."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.context.procfs import find_children
from aind_capsule.running.loop import Loop
from aind_capsule.running.resources import ResourceSampler
from tests.conftest import Capsule, is_alive, kill_quietly, wait_until

psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

MB = 1024 * 1024
#: A parent and three children, each holding 50 MB of touched memory; says so, then waits.
HOLDERS = (
    "import subprocess, sys\n"
    "held = 'x = b\"x\" * (50 << 20); print(1, flush=True); input()'\n"
    "children = [subprocess.Popen([sys.executable, '-c', held], stdin=subprocess.PIPE,"
    " stdout=subprocess.PIPE) for _ in range(3)]\n"
    "for child in children: child.stdout.readline()\n"
    "print('held', flush=True)\n"
    "input()\n"
    "for child in children: child.communicate(b'\\n')\n"
    "print('freed', flush=True)\n"
    "input()\n"
)
BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"


class Sampled:
    """A sampler over this test's children, its file, and what it has said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = Loop()
        self.troubles: list[str] = []
        self.foreign = tuple(find_children(os.getpid()))
        self._sampler: ResourceSampler | None = None

    def start(self, interval_s: float = 0.1, own_pids: tuple[int, ...] = ()) -> ResourceSampler:
        """Start sampling; children of the test session that others started are not counted."""
        own = (*self.foreign, *own_pids)
        self._sampler = ResourceSampler.start(
            str(self.path), interval_s, self.loop, own_pids=own, tell=self.troubles.append
        )
        return self._sampler

    @property
    def samples(self) -> list[dict[str, Any]]:
        """The samples in the file, each line whole."""
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        assert data.endswith(b"\n") or not data
        return [json.loads(line) for line in data.splitlines()]

    def wait(self, is_true: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        """Let the loop run until something holds."""
        deadline = time.monotonic() + timeout_s
        while not (value := is_true()):
            assert time.monotonic() < deadline, (self.troubles, self.samples[-3:])
            self.loop.run_once(0.02)
        return value

    def clean_up(self) -> None:
        if self._sampler is not None:
            self._sampler.finish(0.0)
            pid = self._sampler.pid
            wait_until(lambda: not is_alive(pid))


@pytest.fixture
def sampled(tmp_path: Path) -> Iterator[Sampled]:
    sampled = Sampled(tmp_path / "p-1.resources.jsonl")
    yield sampled
    sampled.clean_up()


def _start(*command: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def test_a_sample_is_taken_at_once_and_one_at_the_end(sampled: Sampled) -> None:
    """However long the interval: the first sample comes at once, and the last when all is over."""
    with _start("cat") as child:
        sampler = sampled.start(interval_s=3600)
        sampled.wait(lambda: sampler.peaks)
        child.stdin.close()
    peaks = sampler.finish(30)
    first, last = sampled.samples
    assert (first["processes"], last["processes"]) == (1, 0)
    assert (peaks["samples"], peaks["lost_samples"], peaks["peak_processes"]) == (2, 0, 1)
    assert sampled.troubles == []
    assert not is_alive(sampler.pid)


def test_a_sample_holds_what_is_promised(sampled: Sampled) -> None:
    """A sample's names, kinds and time; what cannot be known is left out and never null."""
    child = _start("cat")
    sampler = sampled.start()
    sampled.wait(lambda: sampler.peaks.get("samples", 0) > 3)
    sampler.finish(30)
    _end(child)
    for sample in sampled.samples[:-1]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", sample["timestamp"])
        assert {"processes", "threads", "cpu_s", "rss_bytes", "largest"} <= sample.keys()
        assert None not in sample.values()
        assert sample["largest"]["pid"] == child.pid
        assert sample["largest"]["name"] == os.path.basename(os.readlink("/proc/self/exe")) or (
            "cat" in sample["largest"]["name"] or "coreutils" in sample["largest"]["name"]
        )
        assert sample["largest"]["rss_bytes"] == sample["rss_bytes"] > 0
        assert sample["memory_available_bytes"] > 0
    times = [sample["timestamp"] for sample in sampled.samples]
    assert times == sorted(times)
    assert any("cpu_percent" in sample for sample in sampled.samples)


def test_the_whole_tree_is_seen_and_its_peaks_stay(sampled: Sampled) -> None:
    """Memory of children counts; when they have ended the samples fall and the peaks do not."""
    parent = _start(sys.executable, "-c", HOLDERS)
    sampler = sampled.start()
    assert parent.stdout.readline() == b"held\n"
    sampled.wait(
        lambda: (
            sampled.samples
            and sampled.samples[-1]["rss_bytes"] > 150 * MB
            and sampled.samples[-1]["processes"] == 4
            and sampled.samples[-1]["largest"]["rss_bytes"] > 50 * MB
        )
    )
    parent.stdin.write(b"\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == b"freed\n"
    sampled.wait(lambda: sampled.samples[-1]["processes"] == 1)
    assert sampled.samples[-1]["rss_bytes"] < 100 * MB
    parent.communicate(b"\n")
    peaks = sampler.finish(30)
    assert peaks["peak_rss_bytes"] == max(s["rss_bytes"] for s in sampled.samples) > 150 * MB
    assert peaks["peak_processes"] == 4
    assert peaks["samples"] == len(sampled.samples)


def test_cpu_of_ended_processes_is_kept(sampled: Sampled) -> None:
    """CPU of children that their parent waited for, and of those that we did: it never falls."""
    burn = BURN.format(seconds=0.5)  # of which the kernel's ticks may not show the last 0.02
    parent = _start(
        sys.executable,
        "-c",
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n"
        f"print('ended', flush=True)\ninput()\n",
    )
    sampler = sampled.start()
    assert parent.stdout.readline() == b"ended\n"
    sampled.wait(lambda: sampled.samples and sampled.samples[-1]["cpu_s"] >= 0.4)
    parent.communicate(b"\n")
    sampler.finish(30)
    used = [sample["cpu_s"] for sample in sampled.samples]
    assert used == sorted(used)
    assert sampled.samples[-1]["processes"] == 0
    assert used[-1] >= 0.4


def test_cpu_before_the_processing_is_not_its_own(sampled: Sampled) -> None:
    """What children used that had ended before the start is not counted."""
    subprocess.run([sys.executable, "-c", BURN.format(seconds=1.0)], check=True)
    sampler = sampled.start()
    sampler.finish(30)
    assert sampled.samples[-1]["cpu_s"] < 0.5


def test_busy_cores_show_as_percent(sampled: Sampled) -> None:
    """A process that computes all the time has a CPU percentage; 100 is one core."""
    child = _start(sys.executable, "-c", "while True: pass")
    sampler = sampled.start(interval_s=0.5)
    sampled.wait(lambda: sampler.peaks.get("peak_cpu_percent", 0) > 5)
    _end(child)
    peaks = sampler.finish(30)
    assert peaks["peak_cpu_percent"] == max(s.get("cpu_percent", 0) for s in sampled.samples)


def test_helpers_are_not_counted(sampled: Sampled) -> None:
    """Neither the wrapper's helpers, nor what is below them, nor the sampler itself."""
    helper = _start("sh", "-c", "cat; :")
    wait_until(lambda: find_children(helper.pid))
    child = _start("cat")
    sampler = sampled.start(own_pids=(helper.pid,))
    sampled.wait(lambda: sampler.peaks.get("samples", 0) >= 2)
    assert {sample["processes"] for sample in sampled.samples} == {1}
    helper.communicate()
    _end(child)
    sampler.finish(30)


def test_an_ended_process_that_nobody_waits_for_is_none(sampled: Sampled) -> None:
    """A zombie has no memory and is not counted, but its CPU is."""
    child = _start(sys.executable, "-c", BURN.format(seconds=0.4))
    wait_until(lambda: not is_alive(child.pid))
    sampler = sampled.start()
    sampled.wait(lambda: sampler.peaks)
    sample = sampled.samples[0]
    assert (sample["processes"], sample["rss_bytes"]) == (0, 0)
    assert "largest" not in sample
    assert sample["cpu_s"] >= 0.3
    child.communicate()


def test_a_tree_that_forks_like_mad(sampled: Sampled) -> None:
    """Processes that come and go under the sampler's eyes are no trouble to it."""
    storm = (
        "import os, sys\n"
        "print('on', flush=True)\n"
        "while True:\n"
        "    pids = [os.fork() for _ in range(4)] if os.getpid() == ROOT else []\n"
        "    if 0 in pids or os.getpid() != ROOT: os._exit(0)\n"
        "    for pid in pids: os.waitpid(pid, 0)\n"
    )
    children = [
        _start(sys.executable, "-c", "import os\nROOT = os.getpid()\n" + storm) for _ in range(3)
    ]
    sampler = sampled.start()
    sampled.wait(lambda: sampler.peaks.get("samples", 0) >= 5)
    for child in children:
        _end(child)
    peaks = sampler.finish(30)
    assert sampled.troubles == []
    assert peaks["peak_processes"] >= 3
    used = [sample["cpu_s"] for sample in sampled.samples]
    assert used == sorted(used)


def test_arguments_are_never_written(sampled: Sampled) -> None:
    """A process's arguments and the name that it gives itself may hold secrets."""
    script = (
        "import ctypes\n"
        "ctypes.CDLL(None).prctl(15, b'hunter2-name', 0, 0, 0)\n"
        "print('on', flush=True); input()\n"
    )
    child = _start(sys.executable, "-c", script, "--token=hunter2")
    assert child.stdout.readline() == b"on\n"
    sampler = sampled.start()
    sampled.wait(lambda: sampler.peaks)
    sampler.finish(30)
    _end(child)
    assert sampled.samples[0]["largest"]["name"].startswith("python")
    assert b"hunter2" not in sampled.path.read_bytes()


def test_a_killed_sampler_loses_nothing(sampled: Sampled) -> None:
    """SIGKILL to the sampler: it is said, its samples and peaks are there, and finish returns."""
    child = _start("cat")
    sampler = sampled.start()
    sampled.wait(lambda: sampler.peaks.get("samples", 0) >= 2)
    known = dict(sampler.peaks)
    os.kill(sampler.pid, signal.SIGKILL)
    sampled.wait(lambda: sampled.troubles)
    assert sampled.troubles == ["The sampler of resources ended too early (signal 9)"]
    peaks = sampler.finish(30)
    _end(child)
    assert peaks["samples"] >= known["samples"]
    assert len(sampled.samples) >= peaks["samples"]


def test_a_hanging_sampler_is_ended(sampled: Sampled) -> None:
    """A sampler that does not answer is not waited for longer than asked, and it is said."""
    sampler = sampled.start()
    sampled.wait(lambda: sampler.peaks)
    os.kill(sampler.pid, signal.SIGSTOP)
    peaks = sampler.finish(0.1)
    assert peaks["peak_processes"] == 0
    wait_until(lambda: not is_alive(sampler.pid))
    (trouble,) = sampled.troubles
    assert "did not end in time" in trouble
    assert sampler.finish(30)["samples"] == peaks["samples"]


def test_signals_do_not_reach_it(sampled: Sampled) -> None:
    """A Ctrl-C or a SIGTERM to everything, at any time, is not for the sampler."""
    sampler = sampled.start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
        os.kill(sampler.pid, number)
    seen = sampled.wait(lambda: sampler.peaks)["samples"]
    assert os.getsid(sampler.pid) == sampler.pid
    os.kill(sampler.pid, signal.SIGTERM)
    sampled.wait(lambda: sampler.peaks["samples"] > seen + 1)
    sampler.finish(30)
    assert sampled.troubles == []


def test_it_holds_no_descriptor_of_ours(sampled: Sampled) -> None:
    """A pipe that the wrapper has inherited ends although the sampler lives."""
    read_fd, write_fd = os.pipe()
    os.set_inheritable(write_fd, True)
    sampler = sampled.start(interval_s=3600)
    os.close(write_fd)
    sampled.wait(lambda: sampler.peaks)
    assert select.select([read_fd], [], [], 0)[0] == [read_fd]
    assert os.read(read_fd, 1) == b""
    os.close(read_fd)
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{sampler.pid}/fd/{fd}") == os.devnull


def test_it_ends_when_the_wrapper_dies(tmp_path: Path) -> None:
    """A wrapper that is killed leaves no sampler behind, whatever the interval."""
    script = (
        "import os, sys\n"
        "from aind_capsule.running.loop import Loop\n"
        "from aind_capsule.running.resources import ResourceSampler\n"
        "loop = Loop()\n"
        "sampler = ResourceSampler.start(sys.argv[1], 3600, loop, tell=print)\n"
        "while not sampler.peaks: loop.run_once()\n"
        "assert 'psutil' not in sys.modules\n"
        "print(sampler.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "r.jsonl"
    wrapper = subprocess.run(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, check=False
    )
    assert wrapper.returncode == -signal.SIGKILL
    pid = int(wrapper.stdout)
    try:
        wait_until(lambda: not is_alive(pid))
    finally:
        kill_quietly(pid)
    assert len(path.read_bytes().splitlines()) == 1


@pytest.mark.parametrize("closed", ["0", "1", "2", "0, 1, 2"])
def test_a_wrapper_without_streams(tmp_path: Path, closed: str) -> None:
    """Closed standard streams of the wrapper: its socket takes their number, and all works."""
    script = (
        "import os, sys\n"
        f"for fd in ({closed},): os.close(fd)\n"
        "from aind_capsule.running.loop import Loop\n"
        "from aind_capsule.running.resources import ResourceSampler\n"
        "loop = Loop()\n"
        "sampler = ResourceSampler.start(sys.argv[1], 3600, loop, tell=print)\n"
        "while not sampler.peaks: loop.run_once()\n"
        "os._exit(sampler.finish(30)['samples'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "r")], check=False, timeout=60
    )
    assert done.returncode == 2


def test_psutil_is_missing(
    sampled: Sampled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without psutil: one sentence that names the extra, no file, no peaks, and an end in peace."""
    (tmp_path / "psutil.py").write_text("raise ModuleNotFoundError('No module named psutil')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sampler = sampled.start()
    sampled.wait(lambda: not is_alive(sampler.pid))
    assert sampler.finish(30) == {}
    (trouble,) = sampled.troubles
    assert "install aind-capsule[resources]" in trouble
    assert not sampled.path.exists()


def test_a_broken_psutil_is_said(
    sampled: Sampled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A psutil that is none: what fails is said, once."""
    (tmp_path / "psutil.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    sampler = sampled.start()
    sampled.wait(lambda: not is_alive(sampler.pid))
    sampler.finish(30)
    (trouble,) = sampled.troubles
    assert "AttributeError" in trouble


def test_modules_of_the_working_folder_are_not_ours(
    sampled: Sampled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `psutil.py` or a `json.py` that lies where the processing runs is not imported."""
    for name in ("psutil", "json", "socket", "aind_capsule"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    sampler = sampled.start()
    assert sampler.finish(30)["samples"] >= 1
    assert sampled.troubles == []


@pytest.mark.parametrize(("path", "why"), [("/no/such/folder/r", "No such file"), ("/dev/full", "No space")])  # fmt: skip
def test_a_file_that_cannot_be_written(sampled: Sampled, path: str, why: str) -> None:
    """It is said once and counted; the sampling goes on for the peaks."""
    sampled.path = Path(path)
    child = _start("cat")
    sampler = sampled.start()
    sampled.wait(lambda: sampler.peaks.get("lost_samples", 0) >= 3)
    _end(child)
    peaks = sampler.finish(30)
    (trouble,) = sampled.troubles
    assert why in trouble
    assert path not in trouble  # an empty file is removed at the end
    assert peaks["samples"] == 0
    assert peaks["peak_rss_bytes"] > 0


def test_a_file_with_any_name(sampled: Sampled, tmp_path: Path) -> None:
    """A name that is no UTF-8, with spaces and line ends, is a name."""
    sampled.path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a b\n\xff.jsonl"))
    sampled.start().finish(30)
    assert len(sampled.samples) >= 1


def test_the_file_is_appended_to(sampled: Sampled) -> None:
    """What stands in the file stays."""
    sampled.path.write_text('{"earlier":1}\n')
    sampled.start().finish(30)
    assert sampled.samples[0] == {"earlier": 1}
    assert len(sampled.samples) >= 2


@pytest.mark.parametrize("interval_s", [0.0, 0.09, -1.0, float("nan"), float("inf")])
def test_an_interval_out_of_bounds(sampled: Sampled, interval_s: float) -> None:
    """An interval that cannot be kept is refused, with its value."""
    with pytest.raises(ValueError, match=f"{interval_s:g} s"):
        sampled.start(interval_s)


def test_no_process_is_to_be_had(sampled: Sampled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the sampler cannot be started the caller is told by an OSError, and nothing is left."""
    before = os.listdir("/proc/self/fd")
    for executable in ("/no/such/python", "", None):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(OSError):
            sampled.start()
    assert os.listdir("/proc/self/fd") == before


def test_a_run_with_resources(capsule: Capsule) -> None:
    """`capsule run --resources`: the file is a run file, and its peaks are in the canonical record and run.json."""
    script = "import time; block = bytearray(60_000_000); time.sleep(1)"
    done = capsule.run(sys.executable, "-c", script, options=("--resources", "0.1"))
    peaks = done.canonical["resources"]
    assert peaks["peak_rss_bytes"] > 60_000_000
    assert peaks["lost_samples"] == 0
    (file,) = capsule.results.glob("*.resources.jsonl")
    samples = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(samples) == peaks["samples"]
    assert max(sample["rss_bytes"] for sample in samples) == peaks["peak_rss_bytes"]
    run = capsule.run_json()
    assert (run["files"]["resources"], run["resources"]) == (file.name, peaks)


def test_a_run_without_psutil(capsule: Capsule, tmp_path: Path) -> None:
    """Without psutil the run goes on, and one WARNING names the extra."""
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "psutil.py").write_text("raise ImportError('not here')\n")
    env = {
        "PYTHONPATH": os.pathsep.join(
            [str(tmp_path / "block"), capsule.environ.get("PYTHONPATH", "")]
        )
    }
    done = capsule.run("sleep", "0.3", options=("--resources", "0.1"), env=env)
    told = [
        record["message"]
        for record in done.records
        if "aind-capsule[resources]" in record["message"]
    ]
    assert (done.status, len(told), "resources" in done.canonical) == (0, 1, False)


def test_a_stopped_run_with_resources(capsule: Capsule) -> None:
    """A run that is stopped has its peaks too, and the sampler is no leftover of the processing."""
    process = capsule.start("sh", "-c", "echo up; exec sleep 100", options=("--resources", "0.1"))
    assert process.stdout is not None
    process.stdout.readline()
    wait_until(
        lambda: any(path.stat().st_size for path in capsule.scratch.rglob("*.resources.jsonl"))
    )
    process.terminate()
    done = capsule.finish(process)
    assert (done.status, done.canonical["status"]) == (143, "stopped")
    assert done.canonical["resources"]["samples"] >= 1
    assert not any("left behind" in record["message"] for record in done.records)
