"""The first moments of `capsule run`: no stop is lost, and limits that are too small are a sentence."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Capsule, kill_quietly, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

#: Holds the start where the command line is imported, until there is a file `go`.
_HOLD = """
import os, shutil, sys, time

class Hold:
    def find_spec(self, name, path=None, target=None):
        if name == 'aind_capsule.cli':
            shutil.copy('/proc/self/status', 'status.next')
            os.rename('status.next', 'status')
            while not os.path.exists('go'):
                time.sleep(0.01)

sys.meta_path.insert(0, Hold())
"""
_can_be_process_1 = os.geteuid() == 0 and shutil.which("unshare") is not None


def _hold_start(capsule: Capsule) -> None:
    (capsule.code / "held").mkdir()
    (capsule.code / "held" / "sitecustomize.py").write_text(_HOLD)
    paths = [str(capsule.code / "held"), capsule.environ.get("PYTHONPATH", "")]
    capsule.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


@pytest.mark.parametrize(
    "starter",
    [
        (),
        pytest.param(
            ("unshare", "--pid", "--fork", "--mount-proc"),
            marks=pytest.mark.skipif(not _can_be_process_1, reason="needs root and unshare"),
        ),
    ],
)
def test_a_stop_before_anything_is_imported_is_not_lost(
    capsule: Capsule, starter: tuple[str, ...]
) -> None:
    """SIGTERM during the imports, as process 1 too: stopped, and the processing is never started."""
    _hold_start(capsule)
    command = capsule.get_command("touch", "started", options=("--console", "off"))
    process = subprocess.Popen(
        [*starter, *command], cwd=capsule.code, env=capsule.environ, stderr=subprocess.PIPE
    )
    wait_until((capsule.code / "status").exists)
    pid = process.pid
    if starter:  # only its first child is process 1
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
    try:
        os.kill(pid, signal.SIGTERM)
        (capsule.code / "go").touch()
        done = capsule.finish(process)
    finally:
        if starter and process.poll() is None:
            kill_quietly(pid)
    told = done.canonical
    assert (told["status"], told["exit_code"], told["signal"]) == ("stopped", 143, "SIGTERM")
    assert done.status == 143
    message = "Stopped by SIGTERM before the processing was started"
    assert message in [record["message"] for record in done.records]
    assert not (capsule.code / "started").exists()


def test_other_commands_have_streams_and_block_no_signals(capsule: Capsule) -> None:
    """Every command has something at 0, 1 and 2 before it opens files; a signal ends it at once."""
    _hold_start(capsule)
    process = subprocess.Popen(
        ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", sys.executable, "-m", "aind_capsule", "settings"],
        cwd=capsule.code, env=capsule.environ,
    )  # fmt: skip
    wait_until((capsule.code / "status").exists)
    streams = {os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)}
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == -signal.SIGTERM
    assert streams == {"/dev/null"}


def test_a_stop_of_a_nested_run_ends_it_as_its_command(capsule: Capsule) -> None:
    """Inside another run a signal during the imports reaches what the nested run becomes."""
    _hold_start(capsule)
    held = capsule.environ.pop("PYTHONPATH")
    inner = [f"PYTHONPATH={held}", *capsule.get_command("touch", "started")]
    process = capsule.start("env", *inner)
    status = capsule.code / "status"
    wait_until(status.exists)
    (pid,) = re.findall(r"^Pid:\s+(\d+)", status.read_text(), re.MULTILINE)
    os.kill(int(pid), signal.SIGINT)
    (capsule.code / "go").touch()
    told = capsule.finish(process).canonical
    assert (told["error_type"], told["signal"], told["exit_code"]) == ("Signal", "SIGINT", 130)
    assert not (capsule.code / "started").exists()


@pytest.mark.parametrize(
    ("limit", "name", "needed"),
    [
        ("-n 10", "RLIMIT_NOFILE (ulimit -n) is 10", "at least 32"),
        ("-v 80000", "RLIMIT_AS (ulimit -v) is 80000", "at least 98304"),
        ("-d 30000", "RLIMIT_DATA (ulimit -d) is 30000", "at least 49152"),
        ("-s 200", "RLIMIT_STACK (ulimit -s) is 200", "at least 256"),
    ],
)
def test_a_limit_that_is_too_small_is_a_sentence(
    capsule: Capsule, limit: str, name: str, needed: str
) -> None:
    """78 before anything is started: the limit, its value, and what is needed; no traceback."""
    done = _run_limited(capsule, limit, capsule.get_command("touch", "started"))
    assert done.returncode == 78
    assert f"{name}; needed: {needed}" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert not (capsule.code / "started").exists()


def test_the_least_limits_that_are_allowed_are_enough(capsule: Capsule) -> None:
    """With the least hard limits a run writes every file that it can, whatever the soft ones are."""
    capsule.environ["CAPSULE_RUN_FILES"] = "all"
    options = ("--console", "off", "--session", "--resources", "1s")
    command = capsule.get_command("echo", "hi", options=options)
    limits = "-n 32 -Sn 10 -v 98304 -d 49152 -Ss 200"
    done = _run_limited(capsule, limits, command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")
    assert sorted(path.suffix for path in capsule.results.iterdir()) == [
        ".json", ".json", ".jsonl", ".jsonl", ".txt",
    ]  # fmt: skip


def _run_limited(
    capsule: Capsule, limits: str, command: list[str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'ulimit {limits}; exec "$@"', "bash", *command],
        cwd=capsule.code, env=capsule.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)
def test_a_limit_of_processes_is_a_sentence_in_the_canonical_record(capsule: Capsule) -> None:
    """No process to be had: 78, the processing was never started, and the record names the limit."""
    # Root has no such limit; another user could not read this Python without the capabilities.
    allowed = "+dac_override,+dac_read_search"
    command = [
        "setpriv", "--reuid", "65530", "--clear-groups", "--inh-caps", allowed, "--ambient-caps", allowed,
        "bash", "-c", 'ulimit -u 1; exec "$@"', "bash", *capsule.get_command("touch", "started"),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=capsule.code, env=capsule.environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    done = capsule.finish(process)
    assert (done.status, done.canonical["error_type"]) == (78, "SettingsError")
    assert "RLIMIT_NPROC (ulimit -u) is 1; needed: " in done.canonical["error_message"]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (OSError(errno.EMFILE, "Too many open files"), ["RLIMIT_NOFILE"]),
        (
            BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
            ["Resource temporarily unavailable", "ulimit -u"],
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ["Cannot allocate memory"]),
        (MemoryError(), ["out of memory"]),
        (ImportError("x.so: failed to map segment from shared object"), ["out of memory"]),
        (ImportError("No module named 'x'"), None),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), None),
        (ValueError("failed to map"), None),
    ],
)
def test_errors_that_come_from_limits(error: BaseException, names: list[str] | None) -> None:
    """What comes from a limit names it; every other error is left to its traceback."""
    from aind_capsule.running.process.limits import explain

    explained = explain(error, "It failed")
    if names is None:
        assert explained is None
    else:
        assert explained is not None
        assert explained.exit_status == 78
        assert explained.message.startswith("It failed: ")
        shown = f"{explained.message} {explained.hint}"
        assert all(name in shown for name in names)


@pytest.mark.parametrize("command", [("run", "--", "true"), ("settings",)])
def test_a_working_directory_that_was_removed(capsule: Capsule, command: tuple[str, ...]) -> None:
    """A folder that is gone stops no command, as it stops none without us."""
    done = subprocess.run(
        ["bash", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "bash",
         sys.executable, "-m", "aind_capsule", *command],
        cwd=capsule.code, env=capsule.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_another_system_gets_a_sentence(capsule: Capsule) -> None:
    """Where signals cannot be blocked and there are no limits, `capsule run` says what it needs."""
    script = (
        "import _signal, sys\n"
        "del _signal.pthread_sigmask\n"
        "sys.modules['resource'] = None\n"
        "sys.platform, sys.argv = 'darwin', ['capsule', 'run', '--', 'true']\n"
        "from aind_capsule.__main__ import start\n"
        "start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=capsule.code,
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "capsule run needs Linux")
