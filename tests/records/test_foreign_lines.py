"""Lines, times and records of other programs, understood one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aind_capsule.records.foreign import describe_traceback, read_object
from aind_capsule.records.foreign_lines import Continuation, read_line
from aind_capsule.records.foreign_times import ForeignTimes, find_zone

TIMES = ForeignTimes()
START = 1_753_880_711  # 2025-07-30 13:05:11 UTC
MOMENT = "2025-07-30 13:05:11"
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n'


@pytest.mark.parametrize(("line", "level", "message", "fields"), [
    (f"{MOMENT} [INFO] hello", "INFO", "hello", {}),
    (f"[{MOMENT}] [error] hello", "ERROR", "hello", {}),
    (f"[{MOMENT}][WARN] hello", "WARNING", "hello", {}),
    (f"({MOMENT}) DEBUG - hello", "DEBUG", "hello", {}),
    (f"{MOMENT} WARNING: hello", "WARNING", "hello", {}),
    (f"{MOMENT} | CRITICAL | hello", "CRITICAL", "hello", {}),
    (f"{MOMENT}.123 | INFO     | a.b:main:12 - hello", "INFO", "hello",
     {"logger": "a.b", "function": "main", "lineno": 12}),
    (f"{MOMENT}.123 | SUCCESS  | a:<module>:1 - x - y", "INFO", "x - y",
     {"logger": "a", "function": "<module>", "lineno": 1, "level_": "SUCCESS"}),
    (f"{MOMENT},123 - a.b - ERROR - hello", "ERROR", "hello", {"logger": "a.b"}),
    (f"{MOMENT},123 [a.b] [WARNING] hello", "WARNING", "hello", {"logger": "a.b"}),
    (f"{MOMENT},123 a.b INFO hello", "INFO", "hello", {"logger": "a.b"}),
    (f"{MOMENT} hello", "INFO", "hello", {}),
    (f"{MOMENT} - hello: WARNING inside", "INFO", "hello: WARNING inside", {}),
    (f"{MOMENT} INFORMED people", "INFO", "INFORMED people", {}),
    (f"{MOMENT} INFO", "INFO", "", {}),
    (f"{MOMENT}", "INFO", "", {}),
    ("hello", "INFO", "hello", {}),
    ("  [ERROR] hello", "ERROR", "  [ERROR] hello", {}),
    (f"at {MOMENT} hello", "INFO", f"at {MOMENT} hello", {}),
    (f"\x1b[31m{MOMENT}\x1b[0m [\x1b[1mERROR\x1b[0m] \x1b[4mhello\x1b[0m", "ERROR", "hello", {}),
])  # fmt: skip
def test_forms_of_lines(line: str, level: str, message: str, fields: dict[str, Any]) -> None:
    """Each form that programs write before their message is taken off it; what is left is whole."""
    read = read_line(line, TIMES)
    assert (read.level, read.message, read.fields) == (level, message, fields)
    begins = line.lstrip("[(\x1b31m").startswith(MOMENT)
    assert (None if read.time_us is None else read.time_us // 1_000_000) == (
        START if begins else None
    )


@pytest.mark.parametrize(("message", "fields"), [
    ("EpochEnd: epoch=1, loss=0.2", {"event": "EpochEnd", "epoch": 1, "loss": 0.2}),
    ("EpochEnd: epoch=1 , accuracy=63.0%", {"event": "EpochEnd", "epoch": 1, "accuracy": 63.0}),
    ("[INFO] E: n=-1e-4, p=5%, q=+2", {"event": "E", "n": -0.0001, "p": 5, "q": 2}),
    ("E: id=007, version=1.2.3, ip=10.0.0.1", {"event": "E", "id": "007", "version": "1.2.3", "ip": "10.0.0.1"}),
    ("E: name='a, b', path=\"c=d\", shape=(3, 4), rest=[1, 2]",
     {"event": "E", "name": "a, b", "path": "c=d", "shape": "(3, 4)", "rest": "[1, 2]"}),
    ("E: n=1, n=2, event=x", {"event": "E", "n": 1, "n_": 2, "event_": "x"}),
    ("E: n=, m=1", {"event": "E", "n": "", "m": 1}),
    ("E: when=nan, big=123456789012345678901", {"event": "E", "when": "nan", "big": "123456789012345678901"}),
    ("E: on=True, off=None", {"event": "E", "on": "True", "off": "None"}),
])  # fmt: skip
def test_events_and_their_values(message: str, fields: dict[str, Any]) -> None:
    """`Event: name=value, …` is taken apart; the message stays as it is."""
    read = read_line(f"{MOMENT} {message}", TIMES)
    assert read.fields == fields
    assert [type(value) for value in read.fields.values()] == list(map(type, fields.values()))
    assert read_line(message, TIMES).message == message


@pytest.mark.parametrize("message", [
    "loss=0.2", "EpochEnd:", "EpochEnd: it ended, n=1", "EpochEnd: n=1, and more", "two words: n=1", "http://x?n=1",
    "E: n=1 m=2", "E: =1", "Command: run.py --rate=3", "E: " + ", ".join(f"n{n}=1" for n in range(5000)),
])  # fmt: skip
def test_messages_that_are_no_events(message: str) -> None:
    """A sentence with `=` in it is a sentence: either all of it is an event or nothing."""
    assert read_line(message, TIMES).fields == {}


@pytest.mark.parametrize(("text", "us"), [
    (MOMENT, 0),
    ("2025-07-30T13:05:11Z", 0),
    ("2025/07/30 13:05:11", 0),
    ("2025.07.30 13:05:11", 0),
    ("2025-07-30_13:05:11", 0),
    ("30-Jul-2025 13:05:11", 0),
    ("2025-07-30 13:05:11,123", 123_000),
    ("2025-07-30 13:05:11.123456789", 123_456),
    ("2025-07-30 13:05:11 UTC", 0),
    ("2025-07-30T15:05:11+02:00", 0),
    ("2025-07-30T15:05:11+0200", 0),
    ("2025-07-30T15:05:11+02", 0),
    ("2025-07-30 05:05:11 -0800", 0),
    ("2025-07-30T13:05:11.5-00:00", 500_000),
    (START, 0),
    (START + 0.25, 250_000),
    (START * 1000 + 1, 1000),
    (START * 1_000_000 + 1, 1),
    (START * 1_000_000_000 + 1999, 1),
    (str(START), 0),
    (f"{START}.5", 500_000),
])  # fmt: skip
def test_values_that_are_times(text: Any, us: int) -> None:
    """Every spelling of one moment is that moment."""
    assert TIMES.read(text) == START * 1_000_000 + us


@pytest.mark.parametrize("value", [
    "", "noon", "2025-13-30 13:05:11", "2025-02-30 13:05:11", "2025-07-30 25:05:11", "2025-07-30", "13:05:11", "2025/07-30 13:05:11",
    "2025-07-30 13:05:11 and more", "2025-07-30 13:05:11+99:00", "1900-01-01 00:00:00", "9999-12-31 23:59:59", 12.5, 0, -1,
    True, None, [], {}, float("nan"), float("inf"), 10**30, "1" * 25, "１７５３８８０７１１",
])  # fmt: skip
def test_values_that_are_no_times(value: Any) -> None:
    """What counts something else, or cannot be, is no time."""
    assert TIMES.read(value) is None


def test_seconds_that_leap() -> None:
    """A leap second is the second behind 59, as everywhere in UNIX time."""
    assert TIMES.read("2016-12-31 23:59:60") == TIMES.read("2017-01-01 00:00:00")


def test_minutes_without_seconds() -> None:
    """A time may leave its seconds out; what follows is the line's."""
    read = read_line("2025-07-30 13:05 hello", TIMES)
    assert (read.time_us, read.message) == ((START - 11) * 1_000_000, "hello")


@pytest.mark.parametrize(("line", "message"), [
    (f"{MOMENT} -10 dB", "-10 dB"),
    (f"{MOMENT} 3 of 5", "3 of 5"),
    (f"{MOMENT}: hello", "hello"),
])  # fmt: skip
def test_numbers_behind_a_time(line: str, message: str) -> None:
    """A number behind the time is the message's, no offset."""
    read = read_line(line, TIMES)
    assert (read.time_us, read.message) == (START * 1_000_000, message)


@pytest.mark.parametrize("name", ["UTC", "z", "+00:00", "-00", "Etc/UTC", " GMT "])
def test_zones(name: str) -> None:
    """A zone's name or an offset."""
    assert ForeignTimes(name).read(MOMENT) == START * 1_000_000


@pytest.mark.parametrize(
    "name", ["", "Mars/Crater", "+24:00", "/etc/passwd", "../UTC", "a\0b", "PST8PDT8"]
)
def test_zones_that_are_none(name: str) -> None:
    """Each is refused by its name."""
    with pytest.raises(ValueError, match="no time zone"):
        find_zone(name)


def _read(given: dict[str, Any]) -> tuple[Any, ...]:
    read = read_object(json.loads(json.dumps(given)), TIMES.read)
    return read.time_us, read.level, read.message, read.fields


@pytest.mark.parametrize(("given", "expected"), [
    pytest.param(
        {"asctime": f"{MOMENT},500", "levelname": "WARNING", "name": "a.b", "funcName": "f", "message": "hi", "taskName": None},
        (500_000, "WARNING", "hi", {"logger": "a.b", "function": "f", "taskName": None}), id="python-json-logger"),
    pytest.param(
        {"event": "lick", "level": "info", "timestamp": f"{MOMENT}Z", "logger": "rig", "side": "left"},
        (0, "INFO", "lick", {"logger": "rig", "side": "left"}), id="structlog"),
    pytest.param(
        {"name": "app", "hostname": "h", "pid": 1, "level": 50, "msg": "m", "time": "2025-07-30T13:05:11.000Z", "v": 0},
        (0, "ERROR", "m", {"hostname": "h", "v": 0, "logger": "app", "process": 1}), id="bunyan"),
    pytest.param(
        {"level": 30, "time": START * 1000, "pid": 9, "msg": "m", "err": {"type": "E", "message": "x", "stack": "E: x\n at y"}},
        (0, "INFO", "m", {"process": 9, "exception": {"type": "E", "message": "x", "traceback": "E: x\n at y"}}), id="pino"),
    pytest.param(
        {"@timestamp": "2025-07-30T13:05:11Z", "log.level": "error", "message": "m", "process": {"pid": 3},
         "log": {"logger": "l", "origin": {"function": "f", "file": {"line": 3, "name": "a.py"}}},
         "error": {"type": "E", "message": "x", "stack_trace": "t"}, "ecs": {"version": "1"}},
        (0, "ERROR", "m", {"logger": "l", "function": "f", "lineno": 3, "log.origin.file.name": "a.py", "process": 3,
                           "ecs.version": "1", "exception": {"type": "E", "message": "x", "traceback": "t"}}), id="ECS"),
    pytest.param(
        {"level": 30, "message": "numbers of the standard library", "time": START},
        (0, "WARNING", "numbers of the standard library", {}), id="numeric level"),
    pytest.param(
        {"ts": START, "lvl": "notice", "msg": {"a": 1}},
        (0, "INFO", '{"a":1}', {"level_": "notice"}), id="odd level and message"),
    pytest.param(
        {"time": "noon", "level": "loud", "n": 1},
        (None, None, None, {"time": "noon", "level": "loud", "n": 1}), id="nothing understood"),
    pytest.param(
        {"subject_id": "undefined", "rig_id": "null", "user_id": "unknown", "hostname": {"a": 1}, "x": "undefined"},
        (None, None, None, {"user_id": "unknown", "hostname_": {"a": 1}, "x": "undefined"}), id="unknown values"),
    pytest.param(
        {"msg": "m", "exc_info": f"{TRACEBACK}pkg.OwnError: no"},
        (None, None, "m", {"exception": {"type": "OwnError", "message": "no", "traceback": f"{TRACEBACK}pkg.OwnError: no"}}),
        id="exc_info"),
    pytest.param({"text": "t", "record": 3}, (None, None, None, {"text": "t", "record": 3}), id="not loguru's"),
])  # fmt: skip
def test_records_of_other_libraries(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Time, level, message and fields of each library's form; nothing is left out that says something."""
    us, *others = expected
    assert _read(given) == (None if us is None else START * 1_000_000 + us, *others)


def test_loguru_beside_its_extras() -> None:
    """What was bound stays beside the record's own; `extra={…}` of the standard library is unfolded."""
    record = {
        "level": {"name": "LICK", "no": 33}, "time": {"repr": f"{MOMENT}+00:00", "timestamp": START + 1},
        "message": "m", "extra": {"message": "x", "a": 1, "extra": {"b": 2}}, "exception": None, "line": 3,
    }  # fmt: skip
    assert _read({"text": "m\n", "record": record}) == (
        START * 1_000_000, "WARNING", "m", {"level_": "LICK", "lineno": 3, "message_": "x", "a": 1, "b": 2},
    )  # fmt: skip


@pytest.mark.parametrize(("end", "type_", "message"), [
    ("ValueError: a: b", "ValueError", "a: b"),
    ("pkg.mod.OwnError", "OwnError", ""),
    ("KeyError: 'x'\nand its second line", "KeyError", "'x'"),
    ("  File torn", "Exception", "File torn"),
    ("", "Exception", 'File "a.py", line 1, in <module>'),
])  # fmt: skip
def test_what_a_traceback_says(end: str, type_: str, message: str) -> None:
    """Type and message of the exception; where it is torn, its last line."""
    text = TRACEBACK + end
    assert describe_traceback(text) == {"type": type_, "message": message, "traceback": text}


@pytest.mark.parametrize(("lines", "taken"), [
    (["head", "  more", "\tmore", "next"], [True, True, False]),
    (["config {", "  a", "}", "}"], [True, True, True]),
    (["head", "}", "  more"], [False, True]),
    (["head", *TRACEBACK.splitlines(), "E: x", "next"], [True, True, True, False]),
    (["head", *TRACEBACK.splitlines(), "E: x", "", "next"], [True, True, True, True, False]),
    (["head", *TRACEBACK.splitlines(), "not the end", "next"], [True, True, False, False]),
    (["Uncaught: " + TRACEBACK.splitlines()[0], "  File", "", "> File", "E"], [True, True, True, True]),
    (["head", "  + Exception Group Traceback (most recent call last):", "  | File", "+---", "E: x"], [True] * 4),
])  # fmt: skip
def test_which_lines_go_on(lines: list[str], taken: list[bool]) -> None:
    """Indented lines, closing brackets behind them, tracebacks to their end."""
    continuation = Continuation()
    continuation.begin(lines[0])
    assert [continuation.takes(line) for line in lines[1:]] == taken
