"""How a run ends: each row of the table of endings, and each sentence around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aind_capsule.cli.runs import format_reason
from aind_capsule.context.cgroup import find_cgroup
from aind_capsule.history.runs import RunSummary, find_runs
from tests.conftest import Capsule, is_alive, wait_until

PY = sys.executable
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")


def test_exit_0_is_success(capsule: Capsule) -> None:
    """Exit 0: status success, INFO, stage_complete, and the wrapper ends with 0.

    A time limit of any length changes nothing of it.
    """
    run = capsule.run("sleep", "0.1", options=("--timeout", "30d", "--grace", "1e300"))
    told = run.canonical
    assert run.status == 0
    assert (told["status"], told["level"], told["event_type"]) == (
        "success",
        "INFO",
        "stage_complete",
    )
    assert told["exit_code"] == 0
    assert "error_type" not in told
    assert told["records"] == {"INFO": 1}


@pytest.mark.parametrize("code", [1, 3, 7, 74, 78, 124, 255])
def test_exit_n_is_the_wrappers(capsule: Capsule, code: int) -> None:
    """Exit n: status fail, ERROR, stage_failure, ExitStatus, and the wrapper ends with n."""
    run = capsule.run("sh", "-c", f"exit {code}")
    told = run.canonical
    assert run.status == code
    assert (told["status"], told["level"], told["event_type"]) == ("fail", "ERROR", "stage_failure")
    assert (told["exit_code"], told["error_type"]) == (code, "ExitStatus")


def test_uncaught_exception_names_its_type(capsule: Capsule) -> None:
    """A Python traceback before exit 1: error_type is its type, error_message its message."""
    run = capsule.run(sys.executable, "-c", "raise LookupError('no such unit: 7')")
    told = run.canonical
    assert (run.status, told["error_type"], told["error_message"]) == (
        1,
        "LookupError",
        "no such unit: 7",
    )
    (record,) = [r for r in run.records if "exception" in r]
    assert record["level"] == "ERROR"
    assert record["exception"]["traceback"].startswith("Traceback (most recent call last):")


REASONS = {
    "text": ("sys.exit('no video: /x.mp4')", "ExitStatus", "no video: /x.mp4", "no video: /x.mp4"),
    "exception": ("{}['trials']", "KeyError", "'trials'", "KeyError: 'trials'"),
    "record": (
        "from aind_capsule import configure_logging as c; c()\nfrom loguru import logger as l\n"
        "l.error('no units')\nclass A:\n  def __del__(self): raise OSError('ignored')\na = A(); del a\n"
        "print('bye', file=sys.stderr); sys.exit(1)", "ExitStatus", "no units", "no units",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("script", "kind", "message", "reason"), REASONS.values(), ids=list(REASONS)
)
def test_the_reason_is_the_same_everywhere(
    capsule: Capsule, script: str, kind: str, message: str, reason: str
) -> None:
    """Canonical record, banner, `…_data_process.json`, `capsule runs`, and a task's last line: one reason."""
    env = {"NXF_TASK_WORKDIR": str(capsule.root), "CAPSULE_RUN_FILES": "log,provenance"}
    run = capsule.run(PY, "-c", f"import sys\n{script}", env=env)
    told = run.canonical
    assert (told["exit_code"], told["error_type"], told["error_message"]) == (1, kind, message)
    assert told["message"] == f"{told['process_name']} failed with exit status 1: {reason}"
    assert f"   error     {reason}\n".encode() in run.stderr
    assert json.loads(run.stderr.splitlines()[-1])["message"] == told["message"]
    (provenance,) = capsule.results.glob("*_data_process.json")
    notes = json.loads(provenance.read_text())["notes"]
    assert notes == f"The run failed (exit status 1): {reason}"
    (listed,) = find_runs([str(capsule.results)])
    assert format_reason(listed) == f"exit status 1: {reason}"


@pytest.mark.parametrize(
    ("kind", "message", "code", "listed"),
    [
        ("ExitStatus", "Ended with exit status 3", 3, "Ended with exit status 3"),
        ("ExitStatus", "no video", 3, "exit status 3: no video"),
        ("ValueError", "no\n  \x1b[31munits", 1, "exit status 1: ValueError: no \\x1b[31munits"),
        ("KeyError", "KeyError", 1, "exit status 1: KeyError"),
        ("UploadError", "AccessDenied", None, "UploadError: AccessDenied"),
        ("ExitStatus", "x" * 146, 1, "exit status 1: " + "x" * 144 + "…"),
        ("ExitStatus", "x" * 145, 1, "exit status 1: " + "x" * 145),
    ],
)
def test_the_reason_in_a_list_of_runs(
    kind: str, message: str, code: int | None, listed: str
) -> None:
    """`capsule runs` shows a reason on one line, with its exit status, and no control characters."""
    run = RunSummary("r", "qc", "fail", None, None, None, code, kind, message, "/x.log.jsonl")
    assert format_reason(run) == listed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT])
def test_signal_to_the_child(capsule: Capsule, number: signal.Signals) -> None:
    """A signal n to the child: fail, 128+n, Signal, the signal's name."""
    run = capsule.run("sh", "-c", f"kill -{number.value} $$")
    told = run.canonical
    assert run.status == 128 + number
    assert told["exit_code"] == 128 + number
    assert (told["status"], told["error_type"], told["signal"]) == ("fail", "Signal", number.name)


def test_sigkill_to_a_grandchild_under_bash(capsule: Capsule) -> None:
    """A killed grandchild shows as bash shows it: exit status 137, and the message says why."""
    run = capsule.run("bash", "-c", "bash -c 'kill -9 $$'; exit $?")
    told = run.canonical
    assert (run.status, told["exit_code"], told["error_type"]) == (137, 137, "ExitStatus")
    assert "SIGKILL" in told["error_message"]


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 96 MB below our own, for those who may make one."""
    cgroup = find_cgroup()
    name = f"aind-capsule-test-{os.getpid()}"
    limit = "memory.limit_in_bytes" if cgroup.memory else "memory.max"
    for folder in (*cgroup.memory[:1], *cgroup.unified[:1]):
        group = Path(folder, name)
        try:
            group.mkdir()
            (group / limit).write_text(f"{96 << 20}\n")
        except OSError:
            group.rmdir() if group.exists() else None
            continue
        yield group
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
        return
    pytest.skip("no control group can be made here")


EATS = "import itertools\nheld = [b'x' * (4 << 20) for _ in itertools.count()]"
RUNS = (
    "import subprocess, sys, concurrent.futures as f\neat = [sys.executable, '-c', sys.argv[1]]\n"
)
POOL = "with f.ProcessPoolExecutor(1) as pool: pool.submit(exec, sys.argv[1]).result()"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "status", "error_type"),
    [
        ("exec(sys.argv[1])", 137, "OutOfMemory"),
        ("sys.exit(subprocess.call(eat) and 3)", 3, "OutOfMemory"),
        ("subprocess.run(eat, check=True)", 1, "OutOfMemory"),
        (POOL, 1, "OutOfMemory"),
        ("subprocess.call(eat)\nraise ValueError('no units')", 1, "ValueError"),
    ],
    ids=["itself", "no exception", "sub-process", "pool", "another reason"],
)
def test_out_of_memory_only_when_it_was(
    capsule: Capsule, small_group: Path, script: str, status: int, error_type: str
) -> None:
    """The kernel kills a process of the run: that is the reason, unless an exception gives another; it is counted."""
    join = f'echo $$ > {small_group}/cgroup.procs; exec "$@"'
    command = capsule.get_command(PY, "-c", RUNS + script, EATS)
    process = subprocess.Popen(
        ["sh", "-c", join, "sh", *command], cwd=capsule.code, env=capsule.environ,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    run = capsule.finish(process)
    told = run.canonical
    assert (run.status, told["error_type"], told["oom_kills"]) == (status, error_type, 1)
    assert ("Memory ran out" in told["error_message"]) == (error_type == "OutOfMemory")
    warned = [r for r in run.records if r["level"] == "WARNING" and "ran out" in r["message"]]
    assert len(warned) == (error_type != "OutOfMemory")


def test_timeout(capsule: Capsule) -> None:
    """--timeout: fail, 124, Timeout; the processing is ended."""
    run = capsule.run("sleep", "1000", options=("--timeout", "0.3"))
    told = run.canonical
    assert run.status == 124
    assert (told["status"], told["exit_code"], told["error_type"]) == ("fail", 124, "Timeout")


def test_timeout_kills_what_ignores_the_end(capsule: Capsule) -> None:
    """A processing that ignores SIGTERM at its timeout is killed after the grace; still Timeout."""
    run = capsule.run(
        "bash", "-c", "trap '' TERM; while :; do sleep 0.05; done",
        options=("--timeout", "0.3", "--grace", "0.3"),
    )  # fmt: skip
    assert (run.status, run.canonical["error_type"]) == (124, "Timeout")


def test_command_not_found(capsule: Capsule) -> None:
    """Not found: 127, NotFound, the name in the message."""
    run = capsule.run("no-such-program-anywhere")
    told = run.canonical
    assert (run.status, told["exit_code"], told["error_type"]) == (127, 127, "NotFound")
    assert "no-such-program-anywhere" in told["error_message"]


def test_command_not_executable(capsule: Capsule) -> None:
    """Not executable, or its interpreter is missing: 126, NotExecutable."""
    script = capsule.write("plain.txt", "hello")
    script.chmod(0o644)
    run = capsule.run(str(script))
    assert (run.status, run.canonical["error_type"]) == (126, "NotExecutable")
    script = capsule.write("orphan.sh", "#!/no/such/interpreter\n")
    run = capsule.run(str(script))
    assert (run.status, run.canonical["error_type"]) == (126, "NotExecutable")
    assert "interpreter" in run.canonical["error_message"]


def _stop(
    capsule: Capsule, command: tuple[str, ...], number: int, *options: str
) -> tuple[object, dict]:
    process = capsule.start(*command, options=options)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    run = capsule.finish(process)
    return run.status, run.canonical


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stop_that_the_child_dies_of(capsule: Capsule, number: signal.Signals) -> None:
    """A signal to the wrapper that ends the child: stopped, WARNING, 128+n."""
    status, told = _stop(capsule, ("sh", "-c", "echo ready; exec sleep 1000"), number)
    assert status == 128 + number
    assert (told["status"], told["level"], told["event_type"]) == (
        "stopped",
        "WARNING",
        "stage_failure",
    )
    assert (told["exit_code"], told["error_type"], told["signal"]) == (
        128 + number,
        "Signal",
        number.name,
    )


def test_stop_that_the_child_leaves_with_0(capsule: Capsule) -> None:
    """A child that ends by itself in the grace keeps its own exit status; the run was stopped."""
    script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    status, told = _stop(capsule, ("bash", "-c", script), signal.SIGTERM)
    assert (status, told["status"], told["exit_code"], told["signal"]) == (
        0,
        "stopped",
        0,
        "SIGTERM",
    )


def test_stop_that_the_child_ignores(capsule: Capsule) -> None:
    """A child that ignores the stop is killed after the grace; 128+n of the stop."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.02; done"
    status, told = _stop(capsule, ("bash", "-c", script), signal.SIGTERM, "--grace", "0.3")
    assert (status, told["status"], told["exit_code"]) == (143, "stopped", 143)


def test_second_signal_kills_now(capsule: Capsule) -> None:
    """A second signal does not wait for the grace."""
    script = "trap 'echo got >&2' TERM; echo ready; while :; do sleep 0.02; done"
    process = capsule.start("bash", "-c", script, options=("--grace", "1h"))
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert any(b"got" in line for line in iter(process.stderr.readline, b""))
    process.send_signal(signal.SIGTERM)
    run = capsule.finish(process)
    assert (run.status, run.canonical["status"]) == (143, "stopped")


def test_stop_reaches_the_whole_group(capsule: Capsule, tmp_path: Path) -> None:
    """A stop ends grandchildren too, also those that ignore it and hold the streams open."""
    pids = tmp_path / "pids"
    script = (
        f"(trap '' TERM; echo $BASHPID > {pids}; while :; do sleep 0.02; done) &"
        f" while [ ! -s {pids} ]; do sleep 0.01; done; echo ready; wait"
    )
    status, told = _stop(capsule, ("bash", "-c", script), signal.SIGTERM, "--grace", "0.4")
    assert told["status"] == "stopped"
    assert status == 143
    assert not is_alive(int(pids.read_text()))


def test_orphans_are_ended(capsule: Capsule, tmp_path: Path) -> None:
    """A daemon of its own session that the processing left behind is ended, and that is said."""
    pid_file = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 1000' > /dev/null 2>&1 < /dev/null &"
    run = capsule.run("bash", "-c", f"{script} while [ ! -s {pid_file} ]; do sleep 0.01; done")
    assert run.status == 0
    assert not is_alive(int(pid_file.read_text()))
    assert any("left behind" in record["message"] for record in run.records)


def test_orphans_are_reaped_while_it_runs(capsule: Capsule) -> None:
    """Orphans that end become no zombies below the wrapper (process 1 duties)."""
    script = (
        "for i in 1 2 3 4 5; do (sleep 0.01 &) ; done; sleep 0.3;"
        " ps -o stat= --ppid $PPID | grep -c Z || true"
    )
    run = capsule.run("bash", "-c", script)
    assert run.stdout == b"0\n"


def test_streams_that_others_hold_open_are_not_waited_for_for_ever(capsule: Capsule) -> None:
    """What a background process writes shortly after the child's end is still captured; no timeout counts it."""
    script = "(sleep 1.2; echo late) & echo early"
    run = capsule.run("bash", "-c", script, options=("--timeout", "1"))
    assert (run.status, run.canonical["status"]) == (0, "success")
    assert run.stdout == b"early\nlate\n"
    assert run.messages == ["early", "late"]


def test_forwarded_signals(capsule: Capsule) -> None:
    """USR1, USR2 and WINCH to the wrapper arrive at the command and do not end the run; a child of it that knows no USR1 lives on."""
    script = (
        "sleep 100 >/dev/null 2>&1 & trap 'echo usr1' USR1; trap 'echo usr2' USR2;"
        " trap 'echo winch; kill $! && exit 5; exit 6' WINCH;"
        " echo ready; while :; do sleep 0.02; done"
    )
    process = capsule.start("bash", "-c", script)
    assert process.stdout is not None
    for expected, number in [(b"ready\n", signal.SIGUSR1), (b"usr1\n", signal.SIGUSR2),
                             (b"usr2\n", signal.SIGWINCH)]:  # fmt: skip
        assert process.stdout.readline() == expected
        process.send_signal(number)
    run = capsule.finish(process)
    assert (run.status, run.canonical["status"]) == (5, "fail")


def test_ignored_signals_stay_ignored(capsule: Capsule) -> None:
    """Under nohup SIGHUP stays ignored, by us and by the processing."""
    process = capsule.start(
        "sh", "-c", "grep SigIgn /proc/self/status; echo ready; sleep 0.5; exit 4",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    assert process.stdout is not None
    ignored = int(process.stdout.readline().split()[1], 16)
    assert ignored & 1 << (signal.SIGHUP - 1)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGHUP)
    run = capsule.finish(process)
    assert (run.status, run.canonical["status"]) == (4, "fail")


def test_the_child_starts_as_it_would_without_us(capsule: Capsule) -> None:
    """Signal dispositions and mask, umask, working directory, limits and stdin are the caller's."""
    script = (
        "import os,signal,resource,sys;"
        "print(signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN, oct(os.umask(0)), os.getcwd(),"
        " resource.getrlimit(resource.RLIMIT_NOFILE)[0], sys.stdin.read(),"
        " signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    )
    plain = subprocess.run(
        [sys.executable, "-c", script], cwd=capsule.code, env=capsule.environ, input=b"in", umask=0o027,
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    run = capsule.run(sys.executable, "-c", script, input=b"in", umask=0o027)
    assert run.stdout == plain.stdout
    ignored = capsule.run("grep", "SigIgn", "/proc/self/status").stdout
    assert int(ignored.split()[1], 16) & 1 << (signal.SIGPIPE - 1) == 0


def test_environment_is_the_callers_and_documented_variables(capsule: Capsule) -> None:
    """The processing's environment is the caller's plus CAPSULE_* variables."""
    for name in [name for name in capsule.environ if name == "LANG" or name.startswith("LC_")]:
        del capsule.environ[name]  # Python itself would add LC_CTYPE here
    run = capsule.run("env", "-0", env={"ODD": "a\nb"})
    seen = dict(item.split("=", 1) for item in os.fsdecode(run.stdout).split("\0") if item)
    added = {name for name in seen if capsule.environ.get(name) != seen[name]} - {"ODD", "_"}
    assert seen["ODD"] == "a\nb"
    assert added == {
        "CAPSULE_DATA", "CAPSULE_RESULTS", "CAPSULE_SCRATCH", "CAPSULE_SOCKET", "CAPSULE_RUN_ID",
        "CAPSULE_WRAPPER_PID", "CAPSULE_RUN_FOLDERS",
    }  # fmt: skip
    assert capsule.environ.keys() <= seen.keys()


def test_closed_stdout_is_the_childs(capsule: Capsule) -> None:
    """`| head`: when our stdout is closed, so is the child's, and it dies of SIGPIPE."""
    command = " ".join(capsule.get_command("yes", options=("--console", "off")))
    run = subprocess.run(
        ["bash", "-c", f"{command} | head -n 2; echo ${{PIPESTATUS[0]}}"],
        cwd=capsule.code, env=capsule.environ, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert run.stdout == b"y\ny\n141\n"
    log = capsule.find_log()
    assert log is not None
    assert b'"signal":"SIGPIPE"' in log.read_bytes().splitlines()[-1]


def test_suspending_and_continuing_reach_the_processing(capsule: Capsule, tmp_path: Path) -> None:
    """SIGTSTP to the wrapper suspends the processing, SIGCONT continues it; the run ends well."""
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}; echo ready; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    process = capsule.start("bash", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    child = int(pid_file.read_text())

    def get_state() -> str:
        return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]

    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: get_state() == "T")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: get_state() != "T")
    (tmp_path / "go").touch()
    assert capsule.finish(process).canonical["status"] == "success"


def test_a_stop_ends_a_suspended_processing(capsule: Capsule, tmp_path: Path) -> None:
    """A processing that is suspended takes the stop all the same, and does not wait for its kill."""
    process = capsule.start("bash", "-c", "echo ready; kill -STOP $$", options=("--grace", "1h"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    run = capsule.finish(process)
    assert (run.status, run.canonical["status"]) == (143, "stopped")


def test_a_stop_at_any_moment_of_the_start(capsule: Capsule) -> None:
    """From the run folder's first moment on a stop has its canonical record, also before the processing is started; a second one ends nothing but the processing."""
    for attempt in range(8):
        known = set(capsule.root.rglob(".capsule/*"))
        process = capsule.start(
            "sleep", "100", options=("--console", "off"), start_new_session=True
        )
        wait_until(lambda known=known: set(capsule.root.rglob(".capsule/*")) - known)
        process.terminate()
        if attempt % 2:
            process.send_signal(signal.SIGINT)
        done = capsule.finish(process)
        # Where both are there before we look, the lower number comes first.
        assert done.status in ((143, 130) if attempt % 2 else (143,))
        assert done.canonical["status"] == "stopped"
