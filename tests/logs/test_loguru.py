"""loguru's log calls as records, from real processes."""

from __future__ import annotations

import json

import pytest

from tests.logs.conftest import Python
from tests.logs.record_server import RecordServer


def test_a_call_becomes_a_record(any_python: Python, server: RecordServer) -> None:
    """Time, level, message, place, process and thread of a call are in its record, as text."""
    script = """
        configure_logging("inner")
        def measure():
            logger.warning("careful {}", 1)
        measure()
        print(os.getpid(), threading.get_ident())
    """
    done = any_python.run(script, env=server.environ)
    pid, thread = done.stdout.split()
    server.settle()
    record = server.find("careful 1")
    timestamp = record.pop("timestamp")
    assert timestamp.endswith("Z")
    assert record == {
        "level": "WARNING", "message": "careful 1", "lineno": 7, "process": pid, "processName": "MainProcess",
        "thread": thread, "threadName": "MainThread", "logger": "__main__", "function": "measure",
    }  # fmt: skip


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Chatham", "America/St_Johns"])
def test_times_are_utc_with_microseconds(python: Python, server: RecordServer, zone: str) -> None:
    """Whatever the time zone, a record's time is loguru's own in UTC, to the microsecond."""
    script = """
        import datetime
        configure_logging()
        def add_time(record):
            utc = record["time"].astimezone(datetime.timezone.utc)
            record["extra"]["expected"] = utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for _ in range(20):
            logger.patch(add_time).info("now")
    """
    python.run(script, env={**server.environ, "TZ": zone})
    server.settle()
    assert len(server.records) == 20
    assert [r["timestamp"] for r in server.records] == [r["expected"] for r in server.records]


def test_levels_map_to_the_five(python: Python, server: RecordServer) -> None:
    """TRACE, SUCCESS, user's levels and bare numbers become the nearest standard level below."""
    script = """
        configure_logging(level=1)
        logger.level("LICK", no=33)
        for level in ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "LICK", "ERROR", "CRITICAL", 3, 47, 99):
            logger.log(level, str(level))
    """
    python.run(script, env=server.environ)
    server.settle()
    assert {r["message"]: r["level"] for r in server.records} == {
        "TRACE": "DEBUG", "DEBUG": "DEBUG", "INFO": "INFO", "SUCCESS": "INFO", "WARNING": "WARNING",
        "LICK": "WARNING", "ERROR": "ERROR", "CRITICAL": "CRITICAL", "3": "DEBUG", "47": "ERROR", "99": "CRITICAL",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ("level='WARNING'", ["w", "std w"]),
        ("level=25", ["s", "w", "std w"]),
        ("", ["d", "i", "s", "w", "std i", "std w"]),
        ("library_level='WARNING'", ["d", "i", "s", "w", "std w"]),
        ("level=5, library_level=5", ["t", "d", "i", "s", "w", "std d", "std i", "std w"]),
    ],
)
def test_levels_of_the_processing_and_of_libraries(
    python: Python, server: RecordServer, levels: str, expected: list[str]
) -> None:
    """`level` is the lowest that is logged; of the standard library's it is `library_level`."""
    script = f"""
        configure_logging({levels})
        logger.trace("t"); logger.debug("d"); logger.info("i"); logger.success("s"); logger.warning("w")
        logging.debug("std d"); logging.info("std i"); logging.warning("std w")
    """
    python.run(script, env=server.environ)
    server.settle()
    assert server.messages == expected


def test_fields_by_every_way(any_python: Python, server: RecordServer) -> None:
    """bind, contextualize, keyword arguments, patch and extra={…} all become fields."""
    script = """
        configure_logging(site="lab")
        with logger.contextualize(by_context=1):
            logger.bind(by_bind=2).patch(lambda r: r["extra"].update(by_patch=3)).info(
                "all {by_keyword}", by_keyword=4, extra={"by_extra": 5})
    """
    any_python.run(script, env=server.environ)
    server.settle()
    record = server.find("all 4")
    given = {name: value for name, value in record.items() if name.startswith("by_")}
    assert given == {"by_context": 1, "by_bind": 2, "by_patch": 3, "by_keyword": 4, "by_extra": 5}
    assert record["site"] == "lab"
    assert "extra" not in record


def test_an_extra_that_is_no_table_stays(python: Python, server: RecordServer) -> None:
    """A field that is only called `extra` is a field."""
    python.run("configure_logging(); logger.bind(extra=3).info('x')", env=server.environ)
    server.settle()
    assert server.find("x")["extra"] == 3


def test_names_that_are_taken(any_python: Python, server: RecordServer) -> None:
    """A user's field overwrites nothing of the machinery's or the wrapper's; it gets a `_`.

    What says the same is left out, an identifier becomes text, and what the standard does not have
    for its field does not stand in its place.
    """
    script = """
        configure_logging("inner", batch=1, subject_id=7)
        logger.bind(level="high", seq=9, run_id="mine", hostname="host-1", timestamp=0).info("taken")
        logger.bind(batch=2, subject_id="8").info("the call wins")
        logger.bind(specimen_id=57, event_type="lick", user_id="", rig_id=None, metrics=0.5).info("forms")
    """
    any_python.run(script, env=server.environ)
    server.settle()
    taken = server.find("taken")
    assert (taken["level"], taken["level_"], taken["seq_"], taken["run_id_"]) == (
        "INFO",
        "high",
        9,
        "mine",
    )
    assert taken["timestamp_"] == 0
    assert "hostname_" not in taken
    assert (taken["batch"], taken["subject_id"]) == (1, "7")
    wins = server.find("the call wins")
    assert (wins["batch"], wins["subject_id"]) == (2, "8")
    forms = server.find("forms")
    assert (forms["specimen_id"], forms["event_type_"], forms["metrics_"]) == ("57", "lick", 0.5)
    assert not {"user_id", "rig_id", "event_type", "metrics"} & forms.keys()


VALUES = """
    import datetime, decimal, enum, pathlib, uuid
    import numpy as np
    import pydantic

    class Colour(enum.Enum):
        RED = "red"
    class Side(enum.IntEnum):
        LEFT = 1
    class Model(pydantic.BaseModel):
        name: str = "m"
        when: datetime.date = datetime.date(2026, 1, 2)
        colour: Colour = Colour.RED
    class Broken:
        def __repr__(self):
            raise ValueError("no")
        __str__ = __repr__
    class Liar:
        @property
        def __class__(self):
            raise RuntimeError("out of context")
    class BrokenModel:
        def model_dump(self, mode):
            raise RuntimeError("no")
        def __repr__(self):
            return "a broken model"

    loop = {"n": 1}
    loop["self"] = loop
    twice = []
    twice += [twice, twice]
    deep = "bottom"
    for _ in range(5000):
        deep = [deep]
    values = {
        "np_float": np.float32(1.5), "np_int": np.int64(-3), "np_bool": np.bool_(True), "np_text": np.str_("t"),
        "np_nan": np.float64("nan"), "np_array": np.arange(3), "np_time": np.datetime64("2026-01-02"),
        "np_large": np.zeros((500, 500)), "np_zero_d": np.array(7),
        "aware": datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.timezone.utc),
        "date": datetime.date(2026, 1, 2), "path": pathlib.Path("/data/x"), "enum": Colour.RED, "int_enum": Side.LEFT,
        "model": Model(), "nan": float("nan"), "infinity": float("-inf"), "surrogate": "a\\ud800z",
        "huge": 2**70, "very_huge": -(10**5000), "keys": {1: "a", None: "b", (1, 2): "c", "1": "d", "\\udfff": "e"},
        "loop": loop, "twice": twice, "deep": deep, "broken": Broken(), "liar": Liar(), "broken_model": BrokenModel(),
        "in_list": [Broken(), 1], "bytes": b"ok\\xff", "set": {"one"}, "error": ValueError("x"), "uuid": uuid.UUID(int=5),
        "decimal": decimal.Decimal("1.50"), "nothing": None, "true": True, "nul": "a\\0b\\nc",
    }
"""


def _check_values(record: dict) -> None:
    deep = record["deep"]
    while isinstance(deep, list):
        (deep,) = deep
    assert deep == "<list>"
    keys = record["keys"]
    assert sorted(keys.values()) == ["a", "b", "c", "d", "e"]
    assert {"None", "[1, 2]", "\\udfff"} < keys.keys()
    assert record["very_huge"].startswith("-")
    expected = {
        "np_float": 1.5, "np_int": -3, "np_bool": True, "np_text": "t", "np_nan": None, "np_array": [0, 1, 2],
        "np_time": "2026-01-02", "np_large": "array(shape=(500, 500), dtype=float64)", "np_zero_d": 7,
        "aware": "2026-01-02T03:04:05.000006+00:00", "date": "2026-01-02", "path": "/data/x", "enum": "red", "int_enum": 1,
        "model": {"name": "m", "when": "2026-01-02", "colour": "red"}, "nan": None, "infinity": None,
        "surrogate": "a\\ud800z", "huge": "1180591620717411303424",
        "loop": {"n": 1, "self": "<dict that contains itself>"}, "twice": ["<list that contains itself>"] * 2,
        "broken": "<Broken whose repr() fails>", "broken_model": "a broken model",
        "in_list": ["<Broken whose repr() fails>", 1], "bytes": "ok\\xff", "set": ["one"], "error": "ValueError: x",
        "uuid": "00000000-0000-0000-0000-000000000005", "decimal": "1.50", "nothing": None, "true": True, "nul": "a\0b\nc",
    }  # fmt: skip
    assert "Liar" in record["liar"]
    assert {name: record[name] for name in expected} == expected


def test_values_of_all_kinds(any_python: Python, server: RecordServer) -> None:
    """Whatever value a user logs, the call goes through and the line says what can be said of it.

    Through loguru by bind, by keyword and by `extra`, through the standard library by `extra`; all
    at once, and each alone.
    """
    pytest.importorskip("numpy")
    pytest.importorskip("pydantic")
    script = (
        VALUES
        + """
    configure_logging()
    logger.bind(**values).info("by bind")
    logger.info("by keyword", **values)
    logger.info("by extra", extra=values)
    logging.getLogger("std").info("by the standard library", extra=values)
    for name, value in values.items():
        logger.bind(**{name: value}).info("alone: " + name)
    logger.info("last \\ud800")
    """
    )
    done = any_python.run(script, env=server.environ)
    server.settle()
    assert done.stderr == ""
    together = {}
    for way in ("by bind", "by keyword", "by extra", "by the standard library"):
        record = server.find(way)
        _check_values(record)
        together[way] = record
    for name, value in together["by bind"].items():
        if f"alone: {name}" in server.messages and name != "deep":
            assert server.find(f"alone: {name}")[name] == value
    assert server.messages[-1] == "last \\ud800"


def test_names_that_are_no_names(any_python: Python, server: RecordServer) -> None:
    """Keys of `extra` that are no text, or no UTF-8, neither break the line nor overwrite a field."""
    script = r"""
        class Level:
            def __str__(self): return "level"
            __repr__ = __str__
        configure_logging(batch=1)
        logger.info("odd", extra={1: "one", None: "none", b"run_id": "mine", "\ud800": "half", "\\ud800": "text",
                                  "": "empty", Level(): "high", b"batch": 2})
    """
    any_python.run(script, env=server.environ)
    server.settle()
    record = server.find("odd")
    odd = {
        name: value
        for name, value in record.items()
        if value in ("one", "none", "mine", "half", "text", "empty", "high", 2)
    }
    assert odd == {
        "1": "one", "None": "none", "run_id_": "mine", "\\ud800": "half", "\\ud800_": "text", "": "empty",
        "level_": "high", "batch": 2,
    }  # fmt: skip


def test_an_exception_is_one_field(any_python: Python, server: RecordServer) -> None:
    """The traceback is one text, the interpreter's own, with causes, notes and groups."""
    script = """
        configure_logging()
        def read():
            try:
                {}["key"]
            except KeyError as error:
                raise LookupError("no such unit: 7") from error
        try:
            read()
        except LookupError:
            logger.exception("failed")
        if sys.version_info >= (3, 11):
            group = ExceptionGroup("two", [ValueError("first"), OSError("second")])
            group.add_note("a note of the user's")
            try:
                raise group
            except ExceptionGroup:
                logger.opt(exception=True).error("a group")
        logger.opt(exception=True).info("none")
    """
    any_python.run(script, env=server.environ)
    server.settle()
    exception = server.find("failed")["exception"]
    assert (exception["type"], exception["message"]) == ("LookupError", "no such unit: 7")
    traceback = exception["traceback"]
    assert traceback.startswith("Traceback (most recent call last):")
    assert "KeyError: 'key'" in traceback
    assert "The above exception was the direct cause of the following exception:" in traceback
    assert 'raise LookupError("no such unit: 7") from error' in traceback
    assert traceback.endswith("LookupError: no such unit: 7\n")
    assert "exception" not in server.find("none")
    for record in server.records:
        if record["message"] == "a group":
            assert record["exception"]["type"] == "ExceptionGroup"
            for part in ("ValueError: first", "OSError: second", "a note of the user's"):
                assert part in record["exception"]["traceback"]


def test_no_variables_in_tracebacks(python: Python, server: RecordServer) -> None:
    """loguru's `diagnose` is off: the value of a variable is in no record, though it is in the frame."""
    script = """
        configure_logging()
        def connect(password):
            return 1 / int(password[0])
        word = "0" + "hunter2"
        try:
            connect(word)
        except ZeroDivisionError:
            logger.exception("failed")
        @logger.catch
        def caught():
            connect(word)
        caught()
        threading.Thread(target=connect, args=(word,)).start()
        connect(word)
    """
    done = python.run(script, env=server.environ, status=1)
    server.settle()
    said = [record["message"] for record in server.records if "exception" in record]
    assert len(said) == 4
    assert "0hunter2" not in json.dumps(server.records) + done.stderr


def test_an_endless_traceback_is_cut(python: Python, server: RecordServer) -> None:
    """A traceback of megabytes keeps its beginning and its end, and says what is left out."""
    script = r"""
        configure_logging()
        try:
            raise ValueError("begins " + "x" * 2_000_000 + " ends")
        except ValueError:
            logger.exception("long")
    """
    python.run(script, env=server.environ)
    server.settle()
    traceback = server.find("long")["exception"]["traceback"]
    assert len(traceback) < 200_000
    assert traceback.startswith("Traceback (most recent call last):")
    assert "characters left out" in traceback
    assert traceback.endswith(" ends\n")


def test_a_record_beyond_the_limit_is_cut(any_python: Python, server: RecordServer) -> None:
    """What is longer than the socket takes is cut, and the record says what of it."""
    script = """
        configure_logging()
        logger.bind(table={str(n): "x" * 100 for n in range(20_000)}, n=3).info("large field")
        logger.bind(**{f"f{n}": "x" * 20 for n in range(40_000)}).info("many fields")
        logger.info("m" * 3_000_000)
        logger.info("after")
    """
    any_python.run(script, env=server.environ)
    server.settle()
    assert (server.find("large field")["truncated"], server.find("large field")["n"]) == (
        ["table"],
        3,
    )
    assert "truncated" in server.find("many fields")
    long = server.records[2]
    assert long["truncated"] == ["message"]
    assert long["message"].startswith("mmmm")
    assert server.messages[-1] == "after"


def test_a_processing_without_loguru(python: Python) -> None:
    """Without loguru an ImportError says what to install; whoever only imports us is not disturbed."""
    script = python.cwd / "bare.py"
    script.write_text(
        "import sys; sys.modules['loguru'] = None\n"
        "import aind_capsule\n"
        "try:\n"
        "    from aind_capsule import configure_logging\n"
        "    configure_logging('x')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, str(script)],
        env=python.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install loguru" in done.stdout
    assert done.stderr == ""


def test_lines_are_encoded_the_same_by_both(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the compiled encoder and without it a log says the same."""
    script = (
        VALUES
        + """
    configure_logging("same")
    values.pop("liar")
    for name, value in values.items():
        logger.bind(**{name: value}).info(name)
    """
    )
    pytest.importorskip("numpy")
    pytest.importorskip("pydantic")
    logs = []
    for is_plain in (False, True):
        python = Python(
            tmp_path_factory.mktemp("plain" if is_plain else "compiled"), is_plain=is_plain
        )
        python.run(script)
        own = ("timestamp", "run_id", "process", "thread")
        logs.append(
            [{k: v for k, v in record.items() if k not in own} for record in python.read_log()]
        )
    assert logs[0] == logs[1]
    assert len(logs[0]) > 30
