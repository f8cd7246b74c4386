"""`configure_logging` without a wrapper, called again, and with variables that are stale or wrong."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.logs.check import check_log
from aind_capsule.logs.own_log import OwnLog
from aind_capsule.logs.place import find_bases, make_run_folder
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.settings.groups import ConsoleSettings
from aind_capsule.settings.model import Settings
from tests.logs.conftest import Python, read_records
from tests.logs.record_server import RecordServer

RUN_ID = re.compile(r"^\d{8}T\d{6}-[0-9a-f]{8}$")


def test_alone_it_keeps_a_log_of_its_own(any_python: Python) -> None:
    """Without a wrapper: a log in a run folder below scratch, no run, no canonical record."""
    script = """
        configure_logging("qc (v2)", subject_id="123456")
        logger.bind(trials=3).info("read"); logging.warning("standard")
    """
    done = any_python.run(
        script,
        env={"PIPELINE_NAME": "foraging", "CO_CAPSULE_ID": "c-1", "CAPSULE_FIELDS": "site=lab"},
    )
    (log,) = any_python.find_logs()
    records = read_records(log)
    run_id = records[0]["run_id"]
    assert RUN_ID.match(run_id)
    assert log == any_python.scratch / ".capsule" / run_id / f"qc_v2_-{run_id}.log.jsonl"
    assert records[0]["shipping"]["labels"]["process_name"] == "qc (v2)"
    assert [record["message"] for record in records[1:]] == ["read", "standard"]
    for record in records:
        assert (record["process_name"], record["pipeline_name"], record["site"]) == (
            "qc (v2)",
            "foraging",
            "lab",
        )
        assert record["capsule_id"] == "c-1"
        assert "status" not in record
    assert records[1]["subject_id"] == records[2]["subject_id"] == "123456"
    assert list(any_python.cwd.iterdir()) == [any_python.cwd / "script.py"]
    assert str(log) in done.stderr
    assert "INFO     __main__:6 - read" in done.stderr
    with log.open("rb") as file:
        assert check_log(file).is_good
    assert os.stat(log).st_blocks * 512 < 1_000_000


@pytest.mark.parametrize(
    ("argument", "env", "name"),
    [
        ("'argument'", {"CAPSULE_PROCESS_NAME": "variable"}, "argument"),
        ("", {"CAPSULE_PROCESS_NAME": "variable", "PROCESS_NAME": "other"}, "variable"),
        ("", {"CAPSULE_PROCESS_NAME": "", "PROCESS_NAME": "platform"}, "platform"),
        ("", {}, "script"),
    ],
)
def test_the_process_is_named(
    python: Python, argument: str, env: dict[str, str], name: str
) -> None:
    """Its name is the argument, else the variable (empty ones do not count), else the script's."""
    python.run(f"configure_logging({argument}); logger.info('x')", env=env)
    (record,) = python.read_log()
    assert record["process_name"] == name


def test_the_wrapper_names_the_process(python: Python, server: RecordServer) -> None:
    """Under a wrapper the run's name holds: the record carries none, the wrapper adds its own."""
    python.run(
        "configure_logging('mine'); logger.info('x')",
        env={**server.environ, "PROCESS_NAME": "other"},
    )
    server.settle()
    assert server.messages == ["x"]  # the server refuses records that carry a name of its own
    assert python.find_logs() == []


def test_called_again(python: Python, server: RecordServer) -> None:
    """No record is written twice; fields are added or replaced; the last level holds; one connection."""
    script = """
        configure_logging(site="lab", batch=1)
        logger.debug("first")
        configure_logging(batch=2, level="INFO")
        configure_logging(more=3, level="INFO")
        logger.debug("not wanted"); logger.info("second"); logging.info("standard")
        import warnings
        warnings.warn("a warning")
    """
    python.run(script, env=server.environ)
    server.settle()
    assert server.messages == ["first", "second", "standard", "a warning"]
    given = [
        {name: record.get(name) for name in ("site", "batch", "more")} for record in server.records
    ]
    assert given == [
        {"site": "lab", "batch": 1, "more": None},
        *[{"site": "lab", "batch": 2, "more": 3}] * 3,
    ]
    assert len(server.pids) == 1


def test_called_again_alone(python: Python) -> None:
    """One process, one log: a second call goes on in it, unless it gives the process another name."""
    python.run("configure_logging('a'); logger.info('1'); configure_logging(); logger.info('2')")
    assert [record["message"] for record in python.read_log()] == ["1", "2"]
    python.run("configure_logging('b'); logger.info('1'); configure_logging('c'); logger.info('2')")
    names = {
        log.name.partition("-")[0]: read_records(log)[1]["message"] for log in python.find_logs()
    }
    assert names == {"a": "1", "b": "1", "c": "2"}


def test_taken_out_again(python: Python) -> None:
    """After `reset_logging` hooks and handlers are those of before, and a new set-up starts afresh."""
    script = """
        from aind_capsule.logs.configure import reset_logging
        before = sys.excepthook, logging.getLogger().handlers[:], logging.getLogger().level
        configure_logging("first", site="lab")
        reset_logging(); reset_logging()
        assert (sys.excepthook, logging.getLogger().handlers[:], logging.getLogger().level) == before
        logger.info("nowhere"); logging.info("nowhere")
        configure_logging("first")
        logger.info("again")
    """
    python.run(script)
    records = [record for log in python.find_logs() for record in read_records(log)[1:]]
    assert [record["message"] for record in records] == ["again"]
    assert "site" not in records[0]


def test_called_from_many_threads_at_once(python: Python, server: RecordServer) -> None:
    """Threads that all set it up while they log: nothing is lost, nothing comes twice."""
    script = """
        configure_logging()
        def work(t):
            for i in range(20):
                configure_logging(site="lab")
                logger.bind(t=t, i=i).info("x")
        threads = [threading.Thread(target=work, args=(t,)) for t in range(6)]
        [t.start() for t in threads]; [t.join() for t in threads]
    """
    python.run(script, env=server.environ)
    server.settle()
    assert sorted((r["t"], r["i"]) for r in server.records) == [
        (t, i) for t in range(6) for i in range(20)
    ]


def test_loguru_sinks_that_write_elsewhere_stay(python: Python, server: RecordServer) -> None:
    """loguru's own lines on stderr are gone; sinks of files stay, be they added before or after."""
    script = """
        logger.add("before.txt", format="{message}")
        configure_logging()
        logger.add("after.txt", format="{message}")
        logger.info("x")
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages == ["x"]
    assert done.stderr == ""
    assert (python.cwd / "before.txt").read_text() == "x\n"
    assert (python.cwd / "after.txt").read_text() == "x\n"


def test_a_level_that_there_is_not(python: Python, server: RecordServer) -> None:
    """A wrong level is a ValueError, and what was set up before still holds."""
    script = """
        configure_logging()
        for level in ("LOUD", -1):
            try:
                configure_logging(level=level)
            except ValueError as error:
                print(error)
        logger.info("still")
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert "LOUD" in done.stdout
    assert len(done.stdout.splitlines()) == 2
    assert server.messages == ["still"]


@pytest.mark.slow
def test_stale_variables(
    python: Python, tmp_path: Path, make_server: Callable[..., RecordServer]
) -> None:
    """Variables of a wrapper that is gone or hangs: a log of its own, and it is said once."""
    left = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(left)
    for number, path in enumerate(
        (str(tmp_path / "missing"), left, make_server(is_mute=True).path), 1
    ):
        env = {
            "CAPSULE_SOCKET": path,
            "CAPSULE_RUN_ID": "20260101T000000-0123abcd",
            "CAPSULE_WRAPPER_PID": "1",
        }
        done = python.run("configure_logging(); logger.info('x'); logger.info('y')", env=env)
        logs = python.find_logs()
        assert len(logs) == number
        assert all(read_records(log)[0]["run_id"] != env["CAPSULE_RUN_ID"] for log in logs)
        assert done.stderr.count("does not answer") == 1


def test_empty_variables_do_not_matter(python: Python) -> None:
    """A variable that is set to nothing is one that is not set."""
    names = (
        "CAPSULE_SOCKET",
        "CAPSULE_RUN_ID",
        "CAPSULE_SCRATCH",
        "PROCESS_NAME",
        "XDG_STATE_HOME",
        "CAPSULE_CONSOLE__MODE",
    )
    (python.cwd / "scratch").mkdir()
    done = python.run("configure_logging(); logger.info('x')", env=dict.fromkeys(names, ""))
    (log,) = python.find_logs()
    assert log.is_relative_to(python.cwd / "scratch" / ".capsule") or Path("/scratch").is_dir()
    assert "does not answer" not in done.stderr


def test_a_scratch_folder_that_cannot_be_used(python: Python) -> None:
    """The log is in the user's state folder, that is said, and the folder is not made."""
    missing = python.folder / "no-scratch"
    for number, scratch in enumerate((missing, python.write("", "a_file.py")), 1):
        done = python.run(
            "configure_logging(); logger.info('x')", env={"CAPSULE_SCRATCH": str(scratch)}
        )
        logs = python.find_logs()
        assert len(logs) == number
        assert all(
            log.is_relative_to(python.home / ".local" / "state" / "aind-capsule") for log in logs
        )
        assert str(scratch) in done.stderr
    assert not missing.exists()


def test_a_working_folder_that_is_gone(python: Python) -> None:
    """A process whose working folder was removed can log."""
    script = """
        import shutil, tempfile
        folder = tempfile.mkdtemp(); os.chdir(folder); shutil.rmtree(folder)
        configure_logging(); logger.info("x")
    """
    python.run(script)
    assert [record["message"] for record in python.read_log()] == ["x"]


@pytest.mark.parametrize(
    "content", ["process_name = [", "process_name = 7\nscratch = 7\n", "\udcff"]
)
def test_a_broken_capsule_toml_stops_nothing(python: Python, content: str) -> None:
    """Without a wrapper, settings that are wrong are said on stderr and otherwise left aside."""
    (python.cwd / "capsule.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    done = python.run("configure_logging(); logger.info('x')")
    assert [record["message"] for record in python.read_log()] == ["x"]
    if "scratch" not in content:
        assert "capsule.toml" in done.stderr


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"CAPSULE_CONSOLE__MODE": "off"}, []),
        ({"CAPSULE_CONSOLE__MODE": "plain", "CAPSULE_CONSOLE__LEVEL": "ERROR"}, ["error"]),
        ({"CAPSULE_CONSOLE__LEVEL": "DEBUG"}, ["logs to", "debug", "info", "error"]),
        ({}, ["logs to", "info", "error"]),
    ],
)
def test_the_console_alone(python: Python, env: dict[str, str], expected: list[str]) -> None:
    """The console's settings hold without a wrapper too; the log has everything."""
    done = python.run(
        "configure_logging(); logger.debug('debug'); logger.info('info'); logger.error('error')",
        env=env,
    )
    lines = done.stderr.splitlines()
    assert len(lines) == len(expected)
    assert all(word in line for word, line in zip(expected, lines, strict=True))
    assert [record["message"] for record in python.read_log()] == ["debug", "info", "error"]


def test_a_full_disk_alone(python: Python) -> None:
    """Records that find no place are on stderr whatever their level, and counted at the end."""
    script = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        configure_logging()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for n in range(100):
            logger.bind(text="x" * 500).debug("record {}", n)
    """
    done = python.run(script)
    kept = python.read_log()
    assert 10 < len(kept) < 100
    assert [record["message"] for record in kept] == [f"record {n}" for n in range(len(kept))]
    shown = [line for line in done.stderr.splitlines() if "- record" in line]
    assert len(shown) == 100 - len(kept)
    assert f"{100 - len(kept)} records are not in" in done.stderr


def test_an_interrupt_in_the_middle_of_a_write(python: Python) -> None:
    """Ctrl-C in the middle of log calls leaves whole lines and numbers without a gap."""
    script = """
        import signal
        configure_logging()
        def stop(*_): raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, stop)
        stopped = n = 0
        while stopped < 200:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.00001 * (stopped % 50))
                while True:
                    logger.bind(text="x" * (n * 37 % 3000)).info("call")
                    n += 1
            except KeyboardInterrupt:
                stopped += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        logger.info("last")
        print(n)
    """
    done = python.run(script, env={"CAPSULE_CONSOLE__MODE": "off"})
    records = python.read_log()
    assert records[-1]["message"] == "last"
    assert len(records) > int(done.stdout)


def test_an_interrupt_at_every_line_of_a_write(tmp_path: Path) -> None:
    """Wherever in the writer a signal handler raises: the next record follows whole ones only."""
    environ = {"HOME": str(tmp_path), "CAPSULE_CONSOLE__MODE": "off"}
    quiet = Settings(scratch=str(tmp_path), console=ConsoleSettings(mode="off"))
    record = b'{"timestamp":"2026-01-02T03:04:05.000006Z","level":"INFO","message":"%b"}'
    line = 0
    is_interrupted = True
    while is_interrupted:
        log = OwnLog("p", quiet, environ, str(tmp_path), Redactor(SecretNames()))
        assert log.path is not None
        log.send(record % b"before")
        is_interrupted, line = False, line + 1
        sys.settrace(_Interrupt(line))
        try:
            log.send(record % (b"interrupted" * 100))
        except KeyboardInterrupt:
            is_interrupted = True
        finally:
            sys.settrace(None)
        log.send(record % b"after")
        messages = [made["message"] for made in read_records(Path(log.path))[1:]]
        assert (messages[0], messages[-1]) == ("before", "after")
        assert len(messages) == 3 or is_interrupted
        log.close()
    assert line > 10


class _Interrupt:
    """Raises as a signal handler may: before a certain line of what writes the log.

    The lines that undo an interrupted write are left out: there is no end to interrupts of those.
    """

    def __init__(self, line: int) -> None:
        self._left = line

    def __call__(self, frame: Any, event: str, _argument: object) -> Any:
        name = os.path.basename(frame.f_code.co_filename)
        if name not in ("writer.py", "own_log.py") or frame.f_code.co_name == "forget":
            return None
        if frame.f_code.co_name == "append_one" and sys.exc_info()[0] is KeyboardInterrupt:
            return self
        if event == "line":
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt
        return self


def test_run_folders_fall_back(tmp_path: Path) -> None:
    """Scratch, the user's state folder, a temporary folder: the first that can be written."""
    scratch, home, temporary = tmp_path / "scratch", tmp_path / "home", tmp_path / "tmp"
    for folder in (scratch, home, temporary):
        folder.mkdir()
    environ = {"HOME": str(home), "TMPDIR": str(temporary)}
    first = make_run_folder("id-1", str(scratch), environ)
    assert first is not None
    assert (first.path, first.why_not_scratch) == (str(scratch / ".capsule" / "id-1"), None)
    (tmp_path / "file").write_text("")
    second = make_run_folder("id-2", str(tmp_path / "file"), environ)
    assert second is not None
    assert second.path == str(home / ".local" / "state" / "aind-capsule" / "id-2")
    assert second.why_not_scratch is not None
    third = make_run_folder("id-3", None, {**environ, "HOME": str(tmp_path / "file")})
    assert third is not None
    assert third.path == str(temporary / f"aind-capsule-{os.getuid()}" / "id-3")
    state = list(find_bases(None, {**environ, "XDG_STATE_HOME": str(tmp_path)}))[0]
    assert state == str(tmp_path / "aind-capsule")


def test_an_unwritable_scratch_folder(tmp_path: Path) -> None:
    """A scratch folder that exists and cannot be written to is passed over, and it is said why."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / ".capsule").write_text("a file is in the way")
    place = make_run_folder("id", str(scratch), {"HOME": str(tmp_path)})
    assert place is not None
    assert place.path == str(tmp_path / ".local" / "state" / "aind-capsule" / "id")
    assert "cannot be written" in str(place.why_not_scratch)
