"""Standard logging, warnings and the hooks of uncaught exceptions, from real processes."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable

import pytest

from aind_capsule.logs.interception import Interception
from aind_capsule.logs.sink import RecordBuilder
from aind_capsule.logs.target import MAX_DEPTH, SerialTarget
from tests.logs.conftest import Python
from tests.logs.record_server import RecordServer, parse_json


def test_standard_logging_keeps_its_own_place(any_python: Python, server: RecordServer) -> None:
    """A standard record has its own logger, line, function, thread, time and fields."""
    script = """
        configure_logging()
        log = logging.getLogger("lib.part")
        record_of = {}
        class Keep(logging.Filter):
            def filter(self, record):
                record_of["created"] = record.created
                return True
        log.addFilter(Keep())
        def work():
            log.warning("read %d of %s", 3, "x", extra={"trials": 7, "level": "high"})
        thread = threading.Thread(target=work, name="reader")
        thread.start(); thread.join()
        import datetime
        made = datetime.datetime.fromtimestamp(record_of["created"], datetime.timezone.utc)
        print(made.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), thread.ident, os.getpid())
    """
    done = any_python.run(script, env=server.environ)
    timestamp, thread, pid = done.stdout.split()
    server.settle()
    assert server.records == [
        {
            "timestamp": timestamp, "level": "WARNING", "message": "read 3 of x", "lineno": 14, "process": pid,
            "processName": "MainProcess", "thread": thread, "threadName": "reader", "logger": "lib.part",
            "function": "work", "trials": 7, "level_": "high",
        }
    ]  # fmt: skip
    assert done.stderr == ""


def test_standard_logging_takes_over(python: Python, server: RecordServer) -> None:
    """Handlers that print are silent and named, loggers that there are go on to us, and no noise is made."""
    script = """
        early = logging.getLogger("early")
        early.setLevel(logging.INFO)
        logging.basicConfig(format="ROOT HANDLER %(message)s")
        configure_logging()
        early.debug("not wanted"); early.info("early")
        logging.info("does not fit %d", "text")
        class Broken:
            def __str__(self): raise ValueError("no")
            __repr__ = __str__
        logging.info("broken %s", Broken())
        logging.info(Broken())
        try:
            1 / 0
        except ZeroDivisionError:
            logging.exception("divided")
        logging.log(5, "trace-like"); logging.info("stack", stack_info=True)
        logging.getLogger().handle(logging.makeLogRecord({"msg": "from afar", "levelno": 20, "process": 4, "threadName": "t"}))
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert done.stderr == ""
    assert server.messages[0].startswith("<StreamHandler <stderr> (NOTSET)> of the logger root")
    assert server.messages[1:3] == ["early", "does not fit %d ('text',)"]
    assert server.messages[3].startswith("broken %s <")
    assert "Broken" in server.messages[4]
    divided = server.find("divided")
    assert (divided["level"], divided["exception"]["type"]) == ("ERROR", "ZeroDivisionError")
    assert "trace-like" not in server.messages
    assert server.find("stack")["stack"].startswith("Stack (most recent call last):")
    assert server.find("from afar")["process"] == "4"


def test_standard_logging_can_be_left_alone(python: Python, server: RecordServer) -> None:
    """With capture_stdlib=False the root logger's handlers stay as they are."""
    script = """
        logging.basicConfig(format="OWN %(message)s")
        configure_logging(capture_stdlib=False)
        logging.warning("standard"); logger.info("ours")
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages == ["ours"]
    assert done.stderr == "OWN standard\n"


def test_warnings(any_python: Python, server: RecordServer) -> None:
    """A warning is a WARNING with its category and its own place; one for a file goes to that file."""
    script = """
        import io, warnings
        configure_logging()
        warnings.warn("old name", FutureWarning)
        file = io.StringIO()
        warnings.showwarning("aside", UserWarning, "x.py", 1, file)
        print(file.getvalue())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("caught by the user")
        print(len(caught))
    """
    done = any_python.run(script, env=server.environ)
    server.settle()
    (record,) = server.records
    assert (record["level"], record["message"], record["category"]) == (
        "WARNING",
        "old name",
        "FutureWarning",
    )
    assert (record["lineno"], record["filename"]) == (7, str(any_python.cwd / "script.py"))
    assert "UserWarning: aside" in done.stdout
    assert done.stdout.endswith("1\n")
    assert done.stderr == ""


CRASH = """
    configure_logging()
    def fail():
        raise LookupError("no such unit: 7")
    fail()
"""


def test_an_uncaught_exception(any_python: Python, server: RecordServer) -> None:
    """It is one CRITICAL record; where the wrapper shows it, stderr has no second traceback."""
    done = any_python.run(CRASH, env=server.environ, status=1)
    server.settle()
    (record,) = server.records
    assert (record["level"], record["message"], record["lineno"]) == (
        "CRITICAL",
        "LookupError: no such unit: 7",
        7,
    )
    assert record["exception"]["traceback"].endswith("LookupError: no such unit: 7\n")
    assert done.stderr == ""


def test_an_uncaught_exception_that_nobody_shows(
    python: Python, make_server: Callable[..., RecordServer]
) -> None:
    """Where the wrapper shows nothing, Python's own tracebacks are on stderr as ever."""
    server = make_server(echo=False)
    script = """
        configure_logging()
        class Bad:
            def __del__(self): raise ValueError("in del")
        bad = Bad(); del bad
        thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()
        raise LookupError("no such unit: 7")
    """
    done = python.run(script, env=server.environ, status=1)
    server.settle()
    assert [record["level"] for record in server.records] == ["WARNING", "ERROR", "CRITICAL"]
    for line in (
        "ValueError: in del",
        "ZeroDivisionError: division by zero",
        "LookupError: no such unit: 7",
    ):
        assert done.stderr.count(line) == 1


def test_an_uncaught_exception_alone(python: Python) -> None:
    """Without a wrapper it is in the log, and once on stderr."""
    done = python.run(CRASH, status=1)
    (record,) = python.read_log()
    assert (record["level"], record["exception"]["type"]) == ("CRITICAL", "LookupError")
    assert done.stderr.count("Traceback (most recent call last):") == 1


def test_hooks_of_others_are_called(python: Python, server: RecordServer) -> None:
    """A hook that somebody has put in place before us (MPI's abort, say) is called as well."""
    script = """
        sys.excepthook = lambda kind, value, trace: print("their hook", kind.__name__)
        threading.excepthook = lambda given: print("their thread hook", given.exc_type.__name__)
        sys.unraisablehook = lambda given: print("their unraisable hook", given.exc_type.__name__)
        configure_logging(); configure_logging()
        class Bad:
            def __del__(self): raise ValueError("in del")
        bad = Bad(); del bad
        thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()
        raise LookupError("x")
    """
    done = python.run(script, env=server.environ, status=1)
    server.settle()
    assert len(server.records) == 3
    assert done.stdout.splitlines() == [
        "their unraisable hook ValueError", "their thread hook ZeroDivisionError", "their hook LookupError",
    ]  # fmt: skip


def test_an_interrupt_is_left_to_python(python: Python, server: RecordServer) -> None:
    """Ctrl-C is no error of the processing: Python's own hook has it, and no record is made."""
    done = python.run("configure_logging(); raise KeyboardInterrupt", env=server.environ, status=-2)
    server.settle()
    assert server.records == []
    assert done.stderr.endswith("KeyboardInterrupt\n")


def test_threads_unraisable_and_asyncio(any_python: Python, server: RecordServer) -> None:
    """Exceptions that end a thread or that a task forgot are ERRORs; what Python ignores is a WARNING."""
    script = """
        import asyncio
        configure_logging()
        thread = threading.Thread(target=lambda: {}["key"], name="reader"); thread.start(); thread.join()
        quiet = threading.Thread(target=sys.exit); quiet.start(); quiet.join()
        class Bad:
            def __del__(self): raise ValueError("in del")
            def __repr__(self): raise RuntimeError("no")
        bad = Bad(); del bad
        async def lost():
            raise OSError("nobody waits")
        async def main():
            task = asyncio.ensure_future(lost())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            del task
            import gc; gc.collect()
        asyncio.run(main())
    """
    done = any_python.run(script, env=server.environ)
    server.settle()
    assert [(record["level"], record["exception"]["type"]) for record in server.records] == [
        ("ERROR", "KeyError"),
        ("WARNING", "ValueError"),
        ("ERROR", "OSError"),
    ]
    thread, unraisable, task = server.records
    assert thread["message"] == "Thread reader ended by KeyError: 'key'"
    assert thread["threadName"] == "reader"
    assert "__del__" in unraisable["message"]
    assert unraisable["message"].endswith("ValueError: in del")
    assert task["logger"] == "asyncio"
    assert task["exception"]["traceback"].endswith("OSError: nobody waits\n")
    assert done.stderr == ""


def test_what_values_do_while_they_are_logged(any_python: Python, server: RecordServer) -> None:
    """A value that logs, warns or logs itself while it is printed neither loops nor breaks the call."""
    script = """
        import warnings
        warnings.simplefilter("always")
        configure_logging()
        class Chatty:
            def __repr__(self):
                logging.info("from a repr"); warnings.warn("from a repr too")
                return "chatty"
        class Narcissus:
            def __repr__(self):
                logger.bind(value=self).info("me")
                return "narcissus"
        logger.bind(value=Chatty()).info("chatty")
        logger.bind(value=Narcissus()).info("narcissus")
        logger.info("after")
    """
    done = any_python.run(script, env=server.environ)
    server.settle()
    assert server.find("chatty")["value"] == "chatty"
    assert {"from a repr", "from a repr too"} <= set(server.messages)
    assert server.find("narcissus")["value"] == "narcissus"
    assert 1 <= server.messages.count("me") <= MAX_DEPTH
    assert server.messages[-1] == "after"
    assert done.stderr.count("logs itself") == 1


def test_late_records_still_arrive(any_python: Python, server: RecordServer) -> None:
    """What is logged by exit functions and finalizers while the interpreter ends is in the log."""
    script = """
        import atexit
        atexit.register(lambda: logger.info("registered before"))
        configure_logging()
        atexit.register(lambda: logger.info("registered after"))
        class Late:
            def __del__(self): logger.info("a finalizer")
        sys.modules["keeps_it"] = Late()
    """
    any_python.run(script, env=server.environ)
    server.settle()
    assert server.messages[:2] == ["registered after", "registered before"]


def test_late_records_alone(python: Python) -> None:
    """The same in a log of the process's own."""
    script = """
        import atexit
        atexit.register(lambda: logger.info("registered before"))
        configure_logging()
    """
    python.run(script)
    assert [record["message"] for record in python.read_log()] == ["registered before"]


class _Kept:
    """A target that keeps records."""

    def __init__(self) -> None:
        self.fields: dict[str, object] = {}
        self.redactor = None
        self.is_echoed = True
        self.records: list[dict] = []

    def send(self, record: bytes) -> None:
        self.records.append(parse_json(record))

    def forget(self) -> None:
        pass

    finish = close = forget


def _get_hooks() -> list[object]:
    return [
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning,
        logging.Logger.callHandlers, logging.root.level, logging.lastResort.filters[:],
    ]  # fmt: skip


def test_restore_puts_everything_back() -> None:
    """After `restore` every hook is the one of before, and nothing comes to us any more."""
    before = _get_hooks()
    kept = _Kept()
    interception = Interception(RecordBuilder({}, {}), SerialTarget(kept), level=10)
    interception.install()
    try:
        assert all(new != old for new, old in zip(_get_hooks(), before, strict=True))
        logging.getLogger("x").info("taken")
    finally:
        interception.restore()
    logging.getLogger("x").info("not taken")
    assert _get_hooks() == before
    assert [record["message"] for record in kept.records] == ["taken"]


def test_restore_leaves_what_others_changed() -> None:
    """A hook that somebody has put in place after us stays when ours are taken out."""
    before = sys.excepthook
    interception = Interception(RecordBuilder({}, {}), SerialTarget(_Kept()), level=None)
    interception.install()

    def theirs(*_given: object) -> None:
        """Be a hook."""

    try:
        sys.excepthook = theirs
        interception.restore()
        assert sys.excepthook is theirs
    finally:
        sys.excepthook = before


def test_a_builder_that_fails_is_no_error() -> None:
    """Whatever goes wrong while a record is made: the call returns, and the log says so once each."""
    kept = _Kept()
    target = SerialTarget(kept)

    def build() -> bytes:
        raise RuntimeError("a fault of ours")

    assert [target.take(build), target.take(build)] == [False, False]
    assert target.failures == 2
    assert [record["message"] for record in kept.records] == [
        "A record could not be made: RuntimeError: a fault of ours"
    ] * 2
    assert all(record["level"] == "ERROR" for record in kept.records)


@pytest.mark.parametrize(
    "given",
    [
        {"lineno": "x"},
        {"created": "now"},
        {"levelno": None},
        {"exc_info": True},
        {"args": object()},
    ],
)
def test_strange_standard_records(given: dict) -> None:
    """A record that somebody made by hand, whatever it holds, is a record or a word about it."""
    kept = _Kept()
    target, builder = SerialTarget(kept), RecordBuilder({}, {})
    record = logging.makeLogRecord({"msg": "by hand", **given})
    target.take(builder.build_from_stdlib, record)
    (made,) = kept.records
    assert "by hand" in made["message"] or made["level"] == "ERROR"
