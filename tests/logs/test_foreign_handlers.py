"""Handlers of the program's own beside ours: what writes elsewhere stays, what prints is silent."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from aind_capsule.logs.python.console_handlers import find_console_handlers, is_console
from aind_capsule.logs.python.stdlib_bridge import StdlibBridge
from tests.logs.conftest import Python
from tests.logs.record_server import RecordServer


def _count(server: RecordServer, message: str) -> int:
    return server.messages.count(message)


def test_handlers_that_write_elsewhere_stay(python: Python, server: RecordServer) -> None:
    """Files, memory, queues and classes of the user's get what they would without us, and no more."""
    script = """
        import io, logging.handlers, queue
        class Own(logging.Handler):
            def emit(self, record): seen.append(record.getMessage())
        seen, memory, waiting = [], io.StringIO(), queue.Queue()
        handlers = [
            logging.FileHandler("a.txt"), logging.handlers.RotatingFileHandler("b.txt"), Own(),
            logging.StreamHandler(memory), logging.handlers.QueueHandler(waiting), logging.StreamHandler(),
        ]
        logging.basicConfig(handlers=handlers, format="%(message)s")
        configure_logging()
        log = logging.getLogger("lib")
        log.warning("seen by all"); log.info("below the level of before")
        print(seen, memory.getvalue().split(), waiting.qsize())
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages[1:] == ["seen by all", "below the level of before"]
    assert server.messages[0].startswith("<StreamHandler <stderr> (NOTSET)> of the logger root")
    assert done.stdout == "['seen by all'] ['seen', 'by', 'all'] 1\n"
    assert done.stderr == ""
    for name in ("a.txt", "b.txt"):
        assert (python.cwd / name).read_text() == "seen by all\n"


def test_levels_that_are_set_afterwards(python: Python, server: RecordServer) -> None:
    """A level of the root logger's that is set after us holds for all, also where it is the same."""
    script = """
        logging.basicConfig(filename="a.txt", level=logging.DEBUG, format="%(message)s")
        configure_logging()
        log = logging.getLogger("lib")
        log.debug("1: the file's alone"); log.info("2: both")
        logging.getLogger("own").setLevel(logging.DEBUG); logging.getLogger("own").debug("3: both")
        logging.getLogger().setLevel(logging.WARNING); log.info("4: nobody's")
        configure_logging()
        log.info("5: ours"); logging.getLogger().setLevel(logging.INFO); log.info("6: both")
        logging.getLogger().setLevel(logging.DEBUG); log.debug("7: both")
    """
    python.run(script, env=server.environ)
    server.settle()
    assert [message[0] for message in server.messages] == ["2", "3", "5", "6", "7"]
    file = (python.cwd / "a.txt").read_text().splitlines()
    assert [line[0] for line in file] == ["1", "2", "3", "6", "7"]


@pytest.mark.parametrize(
    "again",
    [
        "logging.basicConfig(force=True, level=logging.INFO)",
        "logging.basicConfig(filename='a.txt', force=True, level=logging.INFO)",
        "logging.getLogger().handlers.clear(); logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))",
        "import logging.config; logging.config.dictConfig({'version': 1, 'handlers': {'c': {'class':"
        " 'logging.StreamHandler'}}, 'root': {'level': 'INFO', 'handlers': ['c']}, 'disable_existing_loggers': False})",
    ],
)  # fmt: skip
def test_the_program_configures_logging_afterwards(
    python: Python, server: RecordServer, again: str
) -> None:
    """Records go on reaching the log once each, and nothing is printed a second time."""
    script = f"""
        configure_logging()
        logging.getLogger("lib").info("before")
        {again}
        logging.getLogger("lib").info("after")
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages == ["before", "after"]
    assert (done.stdout, done.stderr) == ("", "")
    if "a.txt" in again:
        assert (python.cwd / "a.txt").read_text() == "INFO:lib:after\n"


def test_loggers_that_do_not_propagate(python: Python, server: RecordServer) -> None:
    """What a logger of its own would print comes to us; what it writes to a file alone does not."""
    script = """
        def make(name, *handlers):
            log = logging.getLogger(name)
            log.propagate = False
            for handler in handlers: log.addHandler(handler)
            return log
        configure_logging()
        quiet = logging.StreamHandler(sys.stdout); quiet.setLevel(logging.ERROR)
        make("printed", logging.StreamHandler(sys.stdout)).info("printed")
        make("both", logging.StreamHandler(), logging.FileHandler("both.txt")).warning("both")
        make("quiet", quiet).info("below its level")
        make("file", logging.FileHandler("file.txt")).warning("a file's alone")
        make("nobody").warning("nobody's, which Python prints"); make("nobody").info("nobody's, which it does not")
        make("silent", logging.NullHandler()).error("silent")
        twice = logging.getLogger("twice"); twice.addHandler(logging.StreamHandler()); twice.info("once")
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages == ["printed", "both", "nobody's, which Python prints", "once"]
    assert (done.stdout, done.stderr) == ("", "")
    assert (python.cwd / "both.txt").read_text() == "both\n"
    assert (python.cwd / "file.txt").read_text() == "a file's alone\n"


def test_bridges_of_the_users(python: Python, server: RecordServer) -> None:
    """The recipes of loguru's documentation, to and from the standard library: each record comes once."""
    script = """
        import warnings
        class InterceptHandler(logging.Handler):
            def emit(self, record):
                logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())
                logger.info("said by the handler")
        class PropagateHandler(logging.Handler):
            def emit(self, record): logging.getLogger(record.name).handle(record)
        def forward(message, *args, **kwargs): logger.warning(message)
        logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)
        warnings.showwarning = forward
        configure_logging()
        logging.getLogger("lib").warning("from the standard library")
        logging.getLogger("lib").debug("below our level")
        warnings.warn("a warning")
        logging.getLogger().handlers.clear(); logging.basicConfig(filename="a.txt", format="%(message)s", level=0)
        logger.add(PropagateHandler(), format="{message}")
        logger.info("from loguru")
        logging.getLogger("lib").warning("odd", extra={"extra": {"a": 1}})
    """
    done = python.run(script, env=server.environ)
    server.settle()
    for message in ("from the standard library", "a warning", "from loguru", "odd"):
        assert _count(server, message) == 1, message
    assert _count(server, "said by the handler") == 2
    assert _count(server, "below our level") == 0
    assert (python.cwd / "a.txt").read_text().splitlines() == ["from loguru", "odd"]
    assert done.stderr == ""


def test_warnings_go_on_where_they_went(python: Python, server: RecordServer) -> None:
    """`logging.captureWarnings` with a file, before and after us: the file has each, and so have we, once."""
    script = """
        import warnings
        logging.basicConfig(filename="a.txt")
        logging.captureWarnings(True)
        configure_logging()
        warnings.warn("first")
        logging.captureWarnings(False); logging.captureWarnings(True)
        warnings.warn("second")
    """
    python.run(script, env=server.environ)
    server.settle()
    assert _count(server, "first") == 1
    assert sum("second" in message for message in server.messages) == 1
    text = (python.cwd / "a.txt").read_text()
    assert (text.count("UserWarning: first"), text.count("UserWarning: second")) == (1, 1)


def test_loguru_sinks_that_print(python: Python, server: RecordServer) -> None:
    """They are silent and named, but for loguru's own; functions stay; all print again in the end."""
    script = """
        from rich.console import Console
        from rich.logging import RichHandler
        from aind_capsule.logs.configure import reset_logging
        seen = []
        logger.add(sys.stdout, format="OUT {message}"); logger.add(sys.stderr.write, format="WRITE {message}")
        logger.add(RichHandler(console=Console(stderr=True)), format="{message}"); logger.add(seen.append, format="{message}")
        configure_logging()
        logger.info("while")
        reset_logging()
        logger.info("afterwards")
        print([str(one).strip() for one in seen])
    """
    pytest.importorskip("rich")
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages[-1] == "while"
    said = [message for message in server.messages if message.startswith("The loguru sink")]
    assert len(said) == len(server.messages) - 1 == 3
    assert "sink=<stdout>" in said[0]
    assert done.stdout == "OUT afterwards\n['while', 'afterwards']\n"
    assert done.stderr.count("afterwards") == 3
    assert "while" not in done.stderr


def test_loguru_sinks_that_are_all_removed(python: Python, server: RecordServer) -> None:
    """`logger.remove()` takes ours out too, and that is a WARNING; a new set-up takes records again."""
    script = """
        configure_logging()
        logger.remove(); logger.add(sys.stdout, format="OUT {message}")
        logger.info("printed")
        configure_logging()
        logger.info("taken")
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages[0].startswith("logger.remove() has removed the AIND log's sink too")
    assert server.records[0]["level"] == "WARNING"
    assert "taken" in server.messages
    assert len(server.messages) == 3
    assert done.stdout == "OUT printed\n"


TESTS = """
import contextlib, logging, sys, warnings
import pytest
from loguru import logger
from aind_capsule import capsule_run, configure_logging
log = logging.getLogger("lib")

@pytest.fixture
def loguru_caplog(caplog):
    number = logger.add(caplog.handler, format="{message}", level=0)
    yield caplog
    logger.remove(number)

@pytest.mark.parametrize("way", ["configure", "run", "twice"])
def test_caplog(caplog, way):
    configure_logging("t")
    if way == "twice": configure_logging("t")
    log.info("not without a level"); log.warning("first")
    with capsule_run("t") if way == "run" else contextlib.nullcontext():
        caplog.set_level(logging.INFO)
        log.info("second")
        log.debug("debug")
    assert [record.message for record in caplog.records] == ["first", "second"]

def test_caplog_of_loguru(loguru_caplog):
    configure_logging("t")
    logger.bind(a=1).debug("by loguru")
    assert loguru_caplog.messages == ["by loguru"]

def test_recorded_warnings(capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        configure_logging("t")
        warnings.warn("recorded")
    assert [str(one.message) for one in caught] == ["recorded"]
    with pytest.warns(UserWarning, match="expected"):
        warnings.warn("expected")

def test_once_on_stderr(capfd):
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    configure_logging("t")
    log.warning("shown"); logger.info("by loguru")
    logging.getLogger().removeHandler(handler)
    err = capfd.readouterr().err
    assert (err.count("shown"), err.count("by loguru")) == (1, 1)

def test_that_fails():
    configure_logging("t")
    log.warning("in the report of the failure")
    assert False
"""


def test_under_pytest(python: Python) -> None:
    """In tests of the user's `caplog`, `capfd`, `pytest.warns` and the report work as without us."""
    (python.cwd / "test_own.py").write_text(TESTS)
    script = """
        import pytest
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_own.py"]))
    """
    done = python.run(script, status=1)
    assert "1 failed, 6 passed" in done.stdout, done.stdout
    assert "Captured log call" in done.stdout
    assert done.stdout.count("in the report of the failure") >= 2


def test_which_streams_are_the_console(tmp_path: Path) -> None:
    """What ends on stdout or stderr is the console; files, memory and redirected streams are none."""
    with open(tmp_path / "x", "w") as file, os.fdopen(os.dup(2), "w") as copy:
        assert [is_console(one) for one in (sys.__stderr__, copy, file, io.StringIO(), None)] == [
            True, True, False, False, False,
        ]  # fmt: skip
        before = sys.stdout
        try:
            for stream in (file, io.StringIO(), io.TextIOWrapper(io.BytesIO())):
                sys.stdout = stream
                assert not is_console(sys.stdout)
            sys.stdout = _Notebook()
            assert is_console(sys.stdout)
        finally:
            sys.stdout = before


class _Notebook(io.TextIOBase):
    """A notebook's stdout, which has no descriptor."""

    def write(self, text: str) -> int:
        return len(text)


def test_handlers_behind_handlers() -> None:
    """A handler that hands on to one that prints prints by that; a stream that is changed counts anew."""
    printer = logging.StreamHandler(sys.__stderr__)
    memory = logging.handlers.MemoryHandler(10, target=printer)
    assert find_console_handlers(memory) == [printer]
    printer.setStream(io.StringIO())
    assert find_console_handlers(memory) == []
    memory.close()


def _make_bridge(taken: list[str]) -> StdlibBridge:
    return StdlibBridge(lambda record: taken.append(record.getMessage()), taken.append, 20)


def test_a_hook_that_others_put_around_ours() -> None:
    """One that patches the same method (sentry does) works before, while and after ours is there."""
    calls: list[str] = []

    def wrap(name: str) -> Callable[[logging.Logger, logging.LogRecord], None]:
        previous = logging.Logger.callHandlers

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            calls.append(name)
            previous(logger, record)

        return call_handlers

    original, taken = logging.Logger.callHandlers, list[str]()
    bridge = _make_bridge(taken)
    try:
        logging.Logger.callHandlers = wrap("before")  # type: ignore[method-assign]
        bridge.install()
        logging.Logger.callHandlers = wrap("after")  # type: ignore[method-assign]
        logging.getLogger("x").warning("1")
        bridge.restore()
        logging.getLogger("x").warning("2")
    finally:
        logging.Logger.callHandlers = original  # type: ignore[method-assign]
        bridge.restore()
    assert calls == ["after", "before"] * 2
    assert taken == ["1"]


def test_handlers_that_cannot_be_looked_at() -> None:
    """A handler whose stream cannot be read never breaks a log call, and gets its records."""

    class Broken(logging.Handler):
        @property
        def stream(self) -> None:
            raise RuntimeError("no")

        def emit(self, record: logging.LogRecord) -> None:
            taken.append("handed on")

    taken: list[str] = []
    logger = logging.getLogger("odd")
    bridge = _make_bridge(taken)
    logger.handlers = [Broken()]
    bridge.install()
    try:
        logger.warning("1")
    finally:
        bridge.restore()
        logger.handlers = []
    assert taken == ["1", "handed on"]


def test_records_that_are_handed_on(python: Python, server: RecordServer) -> None:
    """A record that was made elsewhere comes to all, whatever its level; one that a handler hands to
    another logger comes once; what a hook for warnings logs beside comes too."""
    script = """
        import warnings
        class Forward(logging.Handler):
            def emit(self, record): logging.getLogger("other").handle(record)
        def show(message, *args, **kwargs): logging.warning("a warning was shown"); logger.warning(str(message))
        logging.basicConfig(filename="a.txt", format="%(message)s")
        warnings.showwarning = show
        configure_logging()
        logging.getLogger("remote").handle(logging.makeLogRecord({"msg": "from afar", "levelno": 10}))
        logging.getLogger("first").addHandler(Forward())
        logging.getLogger("first").propagate = False
        logging.getLogger("first").addHandler(logging.StreamHandler())
        logging.getLogger("first").warning("forwarded")
        warnings.warn("a warning")
    """
    python.run(script, env=server.environ)
    server.settle()
    assert server.messages == ["from afar", "forwarded", "a warning", "a warning was shown"]
    file = (python.cwd / "a.txt").read_text().splitlines()
    assert file == ["from afar", "forwarded", "a warning was shown"]


def test_a_handler_is_named_once_and_may_change(python: Python, server: RecordServer) -> None:
    """A set-up that is repeated says nothing twice; a handler that is given a file writes to that."""
    script = """
        handler = logging.StreamHandler(sys.stdout)
        logging.basicConfig(handlers=[handler], format="OWN %(message)s")
        for _ in range(2):
            configure_logging()
            logging.warning("silent")
        handler.setStream(open("a.txt", "w"))
        logging.warning("in the file")
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert server.messages[1:] == ["silent", "silent", "in the file"]
    assert server.messages[0].startswith("<StreamHandler <stdout>")
    assert done.stdout == ""
    assert (python.cwd / "a.txt").read_text() == "OWN in the file\n"


def test_events_of_structlog(python: Python, server: RecordServer) -> None:
    """An event that structlog hands to the standard library as a dict is a message with its fields."""
    script = """
        configure_logging()
        event = {"event": "fitted", "unit": 7, "level": "warning", "logger": "fit"}
        logging.getLogger("fit").warning(event, extra={"_logger": object(), "_name": "warning"})
        logging.getLogger("fit").warning({"event": 3})
    """
    python.run(script, env=server.environ)
    server.settle()
    first, second = server.records
    assert (first["message"], first["unit"], first["level"]) == ("fitted", 7, "WARNING")
    assert not {"_logger", "_name", "level_", "event"} & first.keys()
    assert second["message"] == "{'event': 3}"


def test_a_run_alone_leaves_a_file_of_basic_config_alone(python: Python) -> None:
    """A file of `basicConfig` goes on through a run of `capsule_run`, and after it."""
    script = textwrap.dedent("""
        from aind_capsule import capsule_run
        logging.basicConfig(filename="a.txt", format="%(message)s", level=logging.INFO)
        logging.info("before")
        with capsule_run("qc"):
            logging.info("inside")
        logging.info("after")
    """)
    python.run(script)
    assert (python.cwd / "a.txt").read_text() == "before\ninside\nafter\n"
