"""On a terminal: Ctrl-C, Ctrl-Z, the foreground, and what the keyboard's end looks like in the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import Capsule, parse_strictly, wait_until
from tests.running.terminal import Terminal

PY = sys.executable


def _canonical(capsule: Capsule) -> dict:
    log = capsule.find_log()
    assert log is not None
    return [parse_strictly(line) for line in log.read_bytes().splitlines()][-1]


def test_ctrl_c_ends_the_processing_and_counts_as_stopped(capsule: Capsule) -> None:
    """Ctrl-C goes to the processing's group, which is in the foreground: stopped, 130."""
    terminal = Terminal(capsule, capsule.get_command("sh", "-c", "echo ready; exec sleep 1000"))
    terminal.read_until(b"ready")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    told = _canonical(capsule)
    assert (told["status"], told["exit_code"], told["signal"]) == ("stopped", 130, "SIGINT")


def test_a_python_that_handles_ctrl_c_leaves_with_130(capsule: Capsule) -> None:
    """A processing that leaves with 130 after Ctrl-C counts as stopped too."""
    script = "import sys,time\nprint('ready', flush=True)\ntry: time.sleep(1000)\nexcept KeyboardInterrupt: sys.exit(130)"
    terminal = Terminal(capsule, capsule.get_command(PY, "-c", script))
    terminal.read_until(b"ready")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert _canonical(capsule)["status"] == "stopped"


def test_the_processing_reads_the_terminal(capsule: Capsule) -> None:
    """The processing is in the foreground: it may read what is typed."""
    terminal = Terminal(
        capsule, capsule.get_command("sh", "-c", "echo ready; read word; echo got $word")
    )
    terminal.read_until(b"ready")
    terminal.type(b"hello\n")
    terminal.read_until(b"got hello")
    assert terminal.wait() == 0


def test_the_foreground_is_given_back(capsule: Capsule) -> None:
    """After the run its caller reads the terminal again; in a pipeline with others nobody is stopped."""
    command = " ".join(f"'{word}'" for word in capsule.get_command("sh", "-c", "echo inner"))
    terminal = Terminal(
        capsule, ["sh", "-c", f"{command} | cat; echo asking; read word; echo got $word"]
    )
    terminal.read_until(b"asking")
    terminal.type(b"back\n")
    terminal.read_until(b"got back")
    assert terminal.wait() == 0


def test_a_reader_in_a_shared_group_gets_the_terminal(capsule: Capsule) -> None:
    """`capsule run … | cat`: a processing that reads the terminal gets it when it asks."""
    command = " ".join(
        f"'{word}'" for word in capsule.get_command("sh", "-c", "read word; echo got $word")
    )
    terminal = Terminal(capsule, ["sh", "-c", f"{command} | cat; exit 0"])
    terminal.read_until(b"capsule run")
    terminal.type(b"late\n")
    terminal.read_until(b"got late")
    assert terminal.wait() == 0


def test_ctrl_z_suspends_the_run_and_fg_continues_it(capsule: Capsule) -> None:
    """Ctrl-Z in an interactive shell: the job is suspended, `fg` brings it back, and it ends well."""
    bash = ["bash", "--norc", "--noprofile", "-i"]
    capsule.environ["PS1"] = "prompt> "
    terminal = Terminal(capsule, bash)
    terminal.read_until(b"prompt> ")
    script = capsule.write("ask.py", (
        "import os\nprint('ready', os.getpid(), ';', flush=True)\nprint('got', input())\n"))  # fmt: skip
    terminal.type(" ".join(capsule.get_command(PY, str(script))).encode() + b"\n")
    terminal.read_until(b"ready")
    terminal.read_until(b" ;")
    pid = int(terminal.seen.rpartition(b"ready")[2].split()[0])
    terminal.type(b"\x1a")
    terminal.read_until(b"Stopped")
    terminal.type(b"fg\n")
    wait_until(lambda: os.tcgetpgrp(terminal.fd) == pid)
    terminal.seen = b""
    terminal.type(b"seven\n")
    terminal.read_until(b"got seven")
    terminal.read_until(b"prompt> ")
    terminal.type(b"exit\n")
    terminal.wait()
    assert _canonical(capsule)["status"] == "success"


@pytest.mark.parametrize("number", [signal.SIGQUIT])
def test_quit_from_the_keyboard(capsule: Capsule, number: signal.Signals) -> None:
    """Ctrl-\\ counts as stopped as well."""
    terminal = Terminal(
        capsule, capsule.get_command("sh", "-c", "ulimit -c 0; echo ready; exec sleep 1000")
    )
    terminal.read_until(b"ready")
    terminal.type(b"\x1c")
    assert terminal.wait() == 128 + number
    told = _canonical(capsule)
    assert (told["status"], told["signal"]) == ("stopped", number.name)


def test_a_terminal_that_goes_away_stops_the_run(capsule: Capsule) -> None:
    """The terminal hangs up: the processing gets SIGHUP, and the run has its canonical record."""
    terminal = Terminal(capsule, capsule.get_command("sh", "-c", "echo ready; exec sleep 1000"))
    terminal.read_until(b"ready")
    os.close(terminal.fd)
    status = os.waitpid(terminal.pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 129
    log = capsule.find_log()
    assert log is not None
    wait_until(lambda: b'"SIGHUP"' in log.read_bytes().splitlines()[-1])


def test_colours_only_on_a_terminal(capsule: Capsule) -> None:
    """Banners have colours on a terminal, none in a pipe, and none where it or NO_COLOR forbids them."""
    assert b"\x1b" not in capsule.run("true").stderr
    for name, value, is_coloured in (("TERM", "xterm", True), ("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)):  # fmt: skip
        capsule.environ[name] = value
        terminal = Terminal(capsule, capsule.get_command("true"))
        assert terminal.wait() == 0
        assert (b"\x1b" in terminal.seen) == (b"\x1b[1m" in terminal.seen) == is_coloured, name


def test_nohup_survives_the_end_of_its_shell(capsule: Capsule) -> None:
    """In the background with nohup the run goes on when SIGHUP comes."""
    command = " ".join(
        f"'{word}'" for word in capsule.get_command("sh", "-c", "echo up; sleep 0.3; exit 3")
    )
    done = subprocess.run(["sh", "-c", f"nohup {command} & pid=$!; sleep 0.15; kill -HUP $pid; wait $pid; exit $?"],
                          cwd=capsule.code, env=capsule.environ, capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 3


def test_ctrl_z_in_a_pipeline_suspends_all_of_it(capsule: Capsule) -> None:
    """`capsule run … | cat`, Ctrl-Z, fg: the whole job is suspended and continued."""
    capsule.environ["PS1"] = "prompt> "
    terminal = Terminal(capsule, ["bash", "--norc", "--noprofile", "-i"])
    terminal.read_until(b"prompt> ")
    # Not a shell script: a shell that is just in vfork cannot be suspended.
    script = capsule.write("wait.py", (
        "import pathlib, time\nprint('ready', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)\nprint('gone')\n"))  # fmt: skip
    terminal.type(" ".join(capsule.get_command(PY, str(script))).encode() + b" | cat\n")
    terminal.read_until(b"ready\r\n")
    terminal.type(b"\x1a")
    terminal.read_until(b"Stopped")
    (capsule.code / "go").touch()
    terminal.type(b"fg\n")
    terminal.read_until(b"gone\r\n")
    terminal.read_until(b"status    success")
    terminal.type(b"exit\n")
    terminal.wait()
    assert _canonical(capsule)["status"] == "success"
