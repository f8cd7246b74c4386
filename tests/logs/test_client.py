"""The connection to the wrapper: what it sends, and what it does when nobody takes it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aind_capsule.logs.client import WrapperConnection
from aind_capsule.records.encode import encode
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from tests.conftest import wait_until
from tests.logs.conftest import Python
from tests.logs.record_server import FIELDS, RecordServer

NO_SECRETS = Redactor(SecretNames())
RECORD = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO", "message": "m"}


def test_the_welcome_is_understood(make_server: Callable[..., RecordServer]) -> None:
    """The run's fields and whether records are shown come from the welcome."""
    shown, hidden = make_server(echo=True), make_server(echo=False)
    for server, is_echoed in ((shown, True), (hidden, False)):
        connection = WrapperConnection(server.path, NO_SECRETS)
        assert connection.fields == FIELDS
        assert connection.is_echoed is is_echoed
        connection.send(encode(RECORD))
        connection.close()
        server.settle()
        assert server.records == [RECORD]


@pytest.mark.parametrize("wants", [(), ("name",)])
def test_the_processs_name(
    python: Python, make_server: Callable[..., RecordServer], wants: tuple[str, ...]
) -> None:
    """The name is stated before the records that bear it, once, and again by a forked child; only where
    the wrapper wants it."""
    server = make_server(wants=wants)
    python.run(
        "configure_logging(); logger.info('before')\n"
        "configure_logging('qc'); configure_logging('qc', site='x'); configure_logging()\n"
        "import os\n"
        "if os.fork() == 0: logger.info('child'); os._exit(0)\n"
        "os.wait()\n"
        "if os.fork() == 0: configure_logging('kid'); logger.info('kid'); os._exit(0)\n"
        "os.wait(); configure_logging('other'); logger.info('after')",
        env=server.environ,
    )
    server.settle()
    assert sorted(server.messages) == ["after", "before", "child", "kid"]
    stated = [message["process_name"] for message in server.names]
    # Each process has a connection of its own: between these there is no order.
    assert sorted(stated) == (["kid", "other", "qc", "qc"] if wants else [])


@pytest.mark.parametrize("wants", [(), ("environment",)])
def test_the_environment_is_told_when_it_is_asked_for(
    python: Python, make_server: Callable[..., RecordServer], wants: tuple[str, ...]
) -> None:
    """Interpreter and packages are told once a process, and only where the wrapper wants them."""
    server = make_server(wants=wants)
    python.run("configure_logging(); logger.info('x')", env=server.environ)
    server.settle()
    assert len(server.environments) == len(wants)
    for told in server.environments:
        assert told["python"] == ".".join(map(str, sys.version_info[:3]))
        assert (told["implementation"], told["executable"]) == (
            sys.implementation.name,
            sys.executable,
        )
        assert "loguru" in told["packages"]
        assert all(isinstance(version, str) for version in told["packages"].values())


def test_nobody_at_the_socket(tmp_path: Path) -> None:
    """A missing socket, a file that is none, and a socket without a listener are errors at once."""
    file = tmp_path / "file"
    file.write_text("")
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(left))
    for path in (tmp_path / "missing", file, left, tmp_path / ("long" * 50)):
        with pytest.raises(OSError):
            WrapperConnection(str(path), NO_SECRETS)


def test_a_wrapper_that_does_not_answer(make_server: Callable[..., RecordServer]) -> None:
    """A hello that nobody answers is an error after its time, not a wait for ever."""
    server = make_server(is_mute=True)
    with pytest.raises(OSError, match="time"):
        WrapperConnection(server.path, NO_SECRETS, hello_wait_s=0.2)


@pytest.mark.parametrize(
    "answer", [b"", b"hello\n", b"{}\n", b'{"capsule":"else"}\n', b"x" * 3_000_000]
)
def test_an_answer_that_is_no_welcome(tmp_path: Path, answer: bytes) -> None:
    """Whoever else answers at the socket is not taken for a wrapper."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                try:
                    client.sendall(answer)
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError):
            WrapperConnection(path, NO_SECRETS)
        thread.join()


def test_the_wrapper_dies(any_python: Python, server: RecordServer) -> None:
    """The processing goes on to its end; its records are on stderr, readable, and that is said once."""
    script = """
        configure_logging()
        logger.info("before")
        sys.stdin.readline()
        for n in range(5):
            logger.bind(n=n).warning("after {}", n)
        logging.info("standard")
        thread = threading.Thread(target=logger.info, args=("in a thread",)); thread.start(); thread.join()
        print("done")
    """
    process = any_python.start(script, env=server.environ, stdin=subprocess.PIPE)
    server.wait_for_records(1)
    server.die()
    out, err = process.communicate("\n", timeout=60)
    assert (process.returncode, out) == (0, "done\n")
    assert err.count("does not take records any more") == 1
    lines = [line.split(" - ", 1)[1].split("  ")[0] for line in err.splitlines() if " - " in line]
    assert lines == [*(f"after {n}" for n in range(5)), "standard", "in a thread"]
    assert "WARNING" in err
    assert any_python.find_logs() == []


def test_set_up_again_after_the_wrapper_died(python: Python, server: RecordServer) -> None:
    """A second call when the wrapper is gone: a log of its own takes the place of bare stderr."""
    script = """
        configure_logging(site="lab"); logger.info("before")
        sys.stdin.readline()
        logger.info("lost its wrapper")
        configure_logging()
        logger.info("found a place")
    """
    process = python.start(script, env=server.environ, stdin=subprocess.PIPE)
    server.wait_for_records(1)
    server.die()
    _, err = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert "lost its wrapper" in err
    (record,) = python.read_log()
    assert (record["message"], record["site"]) == ("found a place", "lab")


def test_an_uncaught_exception_after_the_wrapper_died(python: Python, server: RecordServer) -> None:
    """Its traceback is on stderr once: as the record that the wrapper did not take."""
    process = python.start(
        "configure_logging(); logger.info('x'); sys.stdin.readline(); 1 / 0",
        env=server.environ,
        stdin=subprocess.PIPE,
    )
    server.wait_for_records(1)
    server.die()
    _, err = process.communicate("\n", timeout=60)
    assert process.returncode == 1
    assert (
        err.count("ZeroDivisionError: division by zero") == 2
    )  # the record's message, its traceback
    assert err.count("Traceback (most recent call last):") == 1


def test_sigpipe_at_its_default(python: Python, server: RecordServer) -> None:
    """A processing that dies of SIGPIPE at its pipes does not die of a dead wrapper."""
    script = """
        import signal
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        configure_logging(); logger.info("before")
        sys.stdin.readline()
        logger.info("one"); logger.info("two"); print("done")
    """
    process = python.start(script, env=server.environ, stdin=subprocess.PIPE)
    server.wait_for_records(1)
    server.die()
    out, err = process.communicate("\n", timeout=60)
    assert (process.returncode, out) == (0, "done\n")
    assert "one" in err


def test_stderr_is_gone_too(python: Python, server: RecordServer) -> None:
    """With neither wrapper nor stderr a log call still returns."""
    script = """
        configure_logging(); logger.info("before")
        sys.stdin.readline()
        os.close(2)
        logger.info("nowhere"); logging.info("nowhere"); print("done")
    """
    process = python.start(script, env=server.environ, stdin=subprocess.PIPE)
    server.wait_for_records(1)
    server.die()
    out, _ = process.communicate("\n", timeout=60)
    assert (process.returncode, out) == (0, "done\n")


def test_started_without_stderr(python: Python, server: RecordServer) -> None:
    """Where descriptor 2 was closed at the start, a file of the user's that got it stays clean."""
    script = """
        file = os.open("data.bin", os.O_CREAT | os.O_RDWR)
        os.dup2(file, 2)
        configure_logging()
        logger.info("alone"); logging.info("alone")
    """
    path = python.write(script)
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, str(path)]
    done = subprocess.run(command, cwd=python.cwd, env=python.environ, check=False)
    assert done.returncode == 0
    assert (python.cwd / "data.bin").read_bytes() == b""
    assert len(python.read_log()) == 2


def test_a_wrapper_that_hangs(
    make_server: Callable[..., RecordServer], capfd: pytest.CaptureFixture[str]
) -> None:
    """A send gives up after its time; that record and all later ones are on stderr at once."""
    server = make_server(is_deaf=True, echo=False)
    connection = WrapperConnection(server.path, NO_SECRETS, send_wait_s=0.2)
    large = encode({**RECORD, "message": "x" * 900_000})
    assert not connection.is_echoed
    for _ in range(3):
        connection.send(large)
    connection.send(encode({**RECORD, "message": "later"}))
    err = capfd.readouterr().err
    assert err.count("does not take records any more (timed out)") == 1
    assert "later" in err
    assert connection.is_echoed
    connection.close()


def test_an_interrupted_send_tears_nothing(python: Python, server: RecordServer) -> None:
    """A signal handler that raises in the middle of a send: the next record begins a line of its own.

    The server finds no line that is torn in the middle; what was cut off at the end of a connection
    is all that may be missing.
    """
    script = """
        import signal
        configure_logging()
        def stop(*_): raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, stop)
        text = "x" * 400_000
        stopped = done = 0
        while stopped < 20:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0007 + 0.0001 * (stopped % 5))
                while True:
                    logger.bind(text=text).info("large")
                    done += 1
            except KeyboardInterrupt:
                stopped += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        logger.info("last")
        print(done)
    """
    done = python.run(script, env=server.environ)
    server.settle()
    server.faults[:] = [fault for fault in server.faults if "a torn or too long line" not in fault]
    assert server.faults == []
    assert server.messages.count("last") == 1, (done.stderr[-300:], len(server.pids), done.stdout)
    assert len(server.records) > int(done.stdout)


@pytest.mark.parametrize("where", ["socket", "alone"])
def test_signal_handlers_that_log(python: Python, server: RecordServer, where: str) -> None:
    """Handlers that log in the middle of log calls lose nothing, tear nothing and never wait."""
    script = """
        import signal
        configure_logging()
        count = 0
        def tick(*_):
            global count
            logger.bind(n=count).info("tick"); logging.getLogger("tick").info("tock")
            count += 1
            signal.setitimer(signal.ITIMER_REAL, 0.0003)
        signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        n = 0
        while count < 300:
            logger.bind(n=n).info("call"); logging.info("standard")
            n += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(n, count)
    """
    env = server.environ if where == "socket" else {"CAPSULE_CONSOLE__MODE": "off"}
    done = python.run(script, env=env)
    calls, ticks = map(int, done.stdout.split())
    server.settle()
    records = server.records if where == "socket" else python.read_log()
    said = [record["message"] for record in records]
    expected = {"call": calls, "standard": calls, "tick": ticks, "tock": ticks}
    assert {word: said.count(word) for word in expected} == expected
    assert done.stderr == ""


def test_threads_share_one_connection(any_python: Python, server: RecordServer) -> None:
    """Eight threads of one process: every record whole, each thread's in its order, one hello."""
    script = """
        configure_logging()
        def work(t):
            for i in range(200):
                logger.bind(t=t, i=i).info("x" * (i * 50))
        threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
        [t.start() for t in threads]; [t.join() for t in threads]
    """
    any_python.run(script, env=server.environ)
    server.settle()
    assert len(server.pids) == 1
    for t in range(8):
        assert [record["i"] for record in server.records if record["t"] == t] == list(range(200))


def test_a_process_killed_at_once(python: Python, server: RecordServer) -> None:
    """What a log call has returned for arrives, also when the process is killed right after it."""
    script = "configure_logging()\nfor n in range(50): logger.info(str(n))\nos.kill(os.getpid(), 9)"
    python.run(script, env=server.environ, status=-signal.SIGKILL)
    server.settle()
    assert server.messages == [str(n) for n in range(50)]


def test_daemon_threads_at_the_end(python: Python, server: RecordServer) -> None:
    """Daemon threads that log while the interpreter goes down neither hang it nor tear a line."""
    script = """
        configure_logging()
        def work():
            while True:
                logger.info("busy")
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        logger.info("end")
    """
    for _ in range(5):
        python.run(script, env=server.environ)
    server.settle()
    assert server.messages.count("end") == 5


def test_descriptors_are_not_inherited(python: Python, server: RecordServer) -> None:
    """A program that the processing starts does not hold its connection open."""
    script = """
        import subprocess
        configure_logging(); logger.info("x")
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
        print(child.pid)
    """
    process = python.start(script, env=server.environ)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        process.wait(60)
        wait_until(lambda: not server._open)
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()
    assert server.messages == ["x"]
