"""What a run was started with: the processing finds it as it would without us, and nothing hangs."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys

import pytest

from aind_capsule.running.helper import fork_helper
from tests.conftest import Capsule
from tests.running.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

#: Copies what the kernel says of the copying process itself, and prints nothing.
_LOOK = ["cp", "-dR", "/proc/self/status", "/proc/self/limits", "/proc/self/fd"]
_CLOSED = [
    " ".join(redirections)
    for count in range(4)
    for redirections in itertools.combinations(("<&-", ">&-", "2>&-"), count)
]
#: Limits and signals before the start, one set for each row of closed descriptors, and how many
#: wrappers there are around the processing.
_SURROUNDINGS = [
    ("", "env --block-signal=CHLD", 1),
    ("ulimit -Sn 100", "env --ignore-signal=CHLD,HUP", 2),
    ("ulimit -Sf 4000 -Sn 64", "env --block-signal=TERM,INT,ALRM", 1),
    ("ulimit -n 400", "env --block-signal --ignore-signal=CHLD", 2),
    ("ulimit -Ss 1024", "env --ignore-signal=INT,QUIT,USR1", 1),
    ("ulimit -Sc 0 -Sv 4000000", "env --block-signal=CHLD,USR2", 1),
    ("ulimit -Sd 1000000 -f 4000", "env", 2),
    ("ulimit -St 1000 -Su 1000", "env --block-signal=HUP", 1),
]


def _find(
    capsule: Capsule, name: str, wrap: list[str], before: str, env: str, closed: str
) -> tuple:
    """Run the look in some surroundings; returns its status, and what it has found."""
    folder = capsule.root / name
    folder.mkdir()
    command = f'{before}\nexec {env} "$@" {closed}'
    done = subprocess.run(
        ["bash", "-c", command, "bash", *wrap, *_LOOK, str(folder)],
        cwd=capsule.code, env=capsule.environ, capture_output=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    status = re.findall(
        r"^(?:Sig(?!Q)|Shd)\w+:.*|^Umask:.*", (folder / "status").read_text(), re.MULTILINE
    )
    descriptors = {
        link.name: re.sub(r"\[\d+\]", "", os.readlink(link)).replace(str(folder), "")
        for link in (folder / "fd").iterdir()
        if int(link.name) < 10  # the others are those of the tests' own starter
    }
    return done.returncode, status, (folder / "limits").read_text(), descriptors


@pytest.mark.parametrize(("closed", "surroundings"), [*zip(_CLOSED, _SURROUNDINGS, strict=True)])
def test_the_processing_finds_what_it_would_find_without_us(
    capsule: Capsule, closed: str, surroundings: tuple[str, str, int]
) -> None:
    """Closed descriptors, blocked and ignored signals and all limits: bare equals wrapped, and nested."""
    before, env, depth = surroundings
    wrapper = capsule.get_command(options=("--console", "off"))
    bare = _find(capsule, "bare", [], before, env, closed)
    assert _find(capsule, "wrapped", wrapper * depth, before, env, closed) == bare


@pytest.mark.parametrize("option", ["--merge-streams", "--tty"])
def test_a_stream_that_is_open_is_captured_beside_one_that_is_closed(
    capsule: Capsule, option: str
) -> None:
    """With stdout closed stderr still arrives, merged or left alone; what is closed has no records."""
    command = capsule.get_command(
        "sh", "-c", "echo lost; echo kept >&2", options=("--console", "off", option)
    )
    done = subprocess.run(
        ["bash", "-c", '"$@" >&-', "bash", *command],
        cwd=capsule.code, env=capsule.environ, stderr=subprocess.PIPE, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (0, [b"kept"])
    log = capsule.find_log()
    assert log is not None
    assert b'"message":"lost"' not in log.read_bytes()
    assert (b'"message":"kept"' in log.read_bytes()) == (option == "--merge-streams")


def test_a_timeout_and_a_stop_end_what_was_started_with_blocked_signals(capsule: Capsule) -> None:
    """All signals blocked at the start: the time limit ends the run all the same."""
    command = capsule.get_command("sleep", "100", options=("--timeout", "0.2", "--grace", "0.2"))
    done = subprocess.run(
        ["env", "--block-signal", *command],
        cwd=capsule.code, env=capsule.environ, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 124


_SCRIPT = """
import os, subprocess, sys
from loguru import logger
from aind_capsule import capsule_run

def find_standard():
    found = {}
    for fd in range(3):
        try: found[fd] = os.readlink(f'/proc/self/fd/{fd}')
        except OSError: pass
    return found

before = find_standard()
with capsule_run('alone'):
    logger.info('hello')
    during = find_standard()
with open(sys.argv[1], 'w') as file:
    file.write(f'{before} {during}')
"""


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_nothing_of_ours_is_a_standard_descriptor_of_the_processing(
    capsule: Capsule, is_wrapped: bool
) -> None:
    """A process that was started without 0, 1 and 2 has none of our sockets and files there."""
    capsule.environ |= {
        "CAPSULE_LOKI__URL": "http://127.0.0.1:9",
        "CAPSULE_SHIPPING__DEADLINE": "0",
    }
    capsule.environ["CAPSULE_SESSION__ENABLED"] = "true"
    script, told = capsule.write("log.py", _SCRIPT), capsule.root / "told"
    start = f"{sys.executable} {script} {told} <&- >&- 2>&-"
    command = ["sh", "-c", start]
    if is_wrapped:
        command = capsule.get_command(*command, options=("--console", "off"))
    subprocess.run(command, cwd=capsule.code, env=capsule.environ, check=True, timeout=60)
    assert told.read_text() == "{} {}"
    log = capsule.find_log()
    assert log is not None
    assert log.read_bytes().count(b'"message":"hello"') == 1


def test_stdout_closed_on_a_terminal(capsule: Capsule) -> None:
    """With a terminal as stdin and no stdout the run ends, and its stderr is shown."""
    command = capsule.get_command("sh", "-c", "read word; echo got $word >&2; exit 3")
    terminal = Terminal(capsule, ["bash", "-c", 'exec "$@" >&-', "bash", *command])
    terminal.type(b"hello\n")
    assert terminal.wait() == 3
    assert b"got hello" in terminal.seen


def test_a_helper_has_the_null_device_as_its_streams() -> None:
    """What a helper of ours opens is none of its standard descriptors."""

    def work(fd: int) -> None:
        os.write(fd, " ".join(os.readlink(f"/proc/self/fd/{n}") for n in range(3)).encode())

    helper = fork_helper(work, is_reader=False)
    with open(helper.pipe_fd, "rb") as pipe:
        assert pipe.read() == b"/dev/null /dev/null /dev/null"
    os.waitpid(helper.pid, 0)


@pytest.mark.parametrize("command", [("settings",), ("no-such-command",), ("run",)])
def test_every_command_ends_without_any_stream(capsule: Capsule, command: tuple[str, ...]) -> None:
    """Without 0, 1 and 2 a command ends with its own status, also where it has an error to print."""
    done = subprocess.run(
        ["bash", "-c", '"$@" <&- >&- 2>&-', "bash", sys.executable, "-m", "aind_capsule", *command],
        cwd=capsule.code, env=capsule.environ, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == (0 if command == ("settings",) else 2)
