"""Other programs' logs made into logs of ours: nothing is lost, and the same file is the same log."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aind_capsule.errors import LogFileError, UsageError
from aind_capsule.logs.check import check_log
from aind_capsule.logs.convert import Converted, convert_log, is_own_log
from aind_capsule.logs.foreign_file import ForeignFile
from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.canonical import is_canonical
from aind_capsule.records.merge import RESERVED_FIELDS
from aind_capsule.records.naming import is_run_id
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.shrink import MAX_LINE_BYTES
from tests.conftest import Capsule, parse_strictly, wait_until

SECRET = "kn0wn-5ecret-va1ue"
REDACTOR = Redactor(SecretNames(), known=[SECRET])
#: The time of files whose records have none.
FILE_TIME_S = 1_700_000_000
#: The seed's sample of a running log.
SEED = """\
2025-07-30 13:00:00 [INFO] ExperimentStarted: experiment_id=exp042
2025-07-30 13:00:05 [INFO] ConfigLoaded: learning_rate=0.001, batch_size=128, epochs=20
2025-07-30 13:05:11 [INFO] EpochEnd: epoch=1, train_loss=1.12, train_accuracy=63.0%
2025-07-30 13:10:56 [WARNING] DataWarning: Detected 25 missing labels, using placeholder values
2025-07-30 13:21:40 [DEBUG] BatchProcessed: epoch=5, batch=42, loss=0.94, accuracy=77.0%
2025-07-30 13:44:59 [ERROR] CheckpointError: Failed to save checkpoint at epoch 10 due to IO error
2025-07-30 14:00:00 [INFO] ExperimentCompleted: experiment_id=exp042, status=COMPLETED
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "run.py", line 3, in <module>
    main()
ValueError: bad value"""

Convert = Callable[..., "Log"]


class Log:
    """A converted log: what `convert_log` returned, and what is in the file, which was judged."""

    def __init__(self, converted: Converted) -> None:
        self.converted = converted
        self.data = Path(converted.path).read_bytes()
        verdict = check_log(io.BytesIO(self.data))
        # What another program says of acquisition and specimen stays, also where it is no such name.
        assert not verdict.errors.keys() - {"acquisition", "subject"}, verdict.examples
        assert max(map(len, self.data.splitlines(keepends=True))) <= MAX_LINE_BYTES
        self.records = [parse_strictly(line) for line in self.data.split(b"\n")[:-1]]
        assert len(self.records) == converted.records
        assert [record["seq"] for record in self.records] == list(range(converted.records))
        assert "shipping" in self.records[0]
        assert {record["run_id"] for record in self.records} == {converted.run_id}
        assert is_own_log(converted.path)

    @property
    def messages(self) -> list[str]:
        """The records' messages."""
        return [record["message"] for record in self.records]

    @property
    def told(self) -> list[dict[str, Any]]:
        """The records without what every converted log adds."""
        added = ("seq", "shipping", "run_id")
        return [
            {name: value for name, value in record.items() if name not in added}
            for record in self.records
        ]

    @property
    def times(self) -> list[str]:
        """The records' times."""
        return [record["timestamp"] for record in self.records]


def convert_bytes(
    folder: Path,
    data: bytes | str,
    fields: Mapping[str, Any] | None = None,
    *,
    name: str = "old.log",
    redactor: Redactor = REDACTOR,
    **more: Any,
) -> Log:
    """Write another program's log and convert it; the result keeps to the standard."""
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, (FILE_TIME_S, FILE_TIME_S))
    return Log(convert_log(path, folder / "base", fields or {}, redactor, **more))


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Convert a text or bytes."""
    return lambda data, fields=None, **more: convert_bytes(tmp_path, data, fields, **more)


def list_files(folder: Path) -> list[str]:
    """The names of all files below a folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# Dialects


def test_the_seeds_running_log(convert: Convert) -> None:
    """Time, level, message, event and its values of every line of the seed's sample."""
    assert convert(SEED).told == [
        {
            "timestamp": "2025-07-30T13:00:00.000000Z", "level": "INFO",
            "message": "ExperimentStarted: experiment_id=exp042",
            "event": "ExperimentStarted", "experiment_id": "exp042",
        }, {
            "timestamp": "2025-07-30T13:00:05.000000Z", "level": "INFO",
            "message": "ConfigLoaded: learning_rate=0.001, batch_size=128, epochs=20",
            "event": "ConfigLoaded", "learning_rate": 0.001, "batch_size": 128, "epochs": 20,
        }, {
            "timestamp": "2025-07-30T13:05:11.000000Z", "level": "INFO",
            "message": "EpochEnd: epoch=1, train_loss=1.12, train_accuracy=63.0%",
            "event": "EpochEnd", "epoch": 1, "train_loss": 1.12, "train_accuracy": 63.0,
        }, {
            "timestamp": "2025-07-30T13:10:56.000000Z", "level": "WARNING",
            "message": "DataWarning: Detected 25 missing labels, using placeholder values",
        }, {
            "timestamp": "2025-07-30T13:21:40.000000Z", "level": "DEBUG",
            "message": "BatchProcessed: epoch=5, batch=42, loss=0.94, accuracy=77.0%",
            "event": "BatchProcessed", "epoch": 5, "batch": 42, "loss": 0.94, "accuracy": 77.0,
        }, {
            "timestamp": "2025-07-30T13:44:59.000000Z", "level": "ERROR",
            "message": "CheckpointError: Failed to save checkpoint at epoch 10 due to IO error",
        }, {
            "timestamp": "2025-07-30T14:00:00.000000Z", "level": "INFO",
            "message": "ExperimentCompleted: experiment_id=exp042, status=COMPLETED",
            "event": "ExperimentCompleted", "experiment_id": "exp042", "status_": "COMPLETED",
        },
    ]  # fmt: skip


def test_records_of_aind_log_utils(convert: Convert) -> None:
    """All attributes of a record of the standard library, by our names where we have one."""
    given = {
        "name": "root", "msg": "Processing %s", "args": None, "levelname": "WARNING", "levelno": 30,
        "pathname": "/code/run.py", "lineno": 12, "funcName": "main", "created": 1753880711.25,
        "asctime": "2025-07-30 06:05:11,250", "thread": 1402, "threadName": "MainThread",
        "processName": "MainProcess", "process": 7, "message": "Processing x", "exc_info": None,
        "hostname": "ip-10-0-0-1", "comp_id": "c0ffee", "version": "cap-1", "log_session": "abcdef0",
        "user_name": "undefined", "subject_id": "undefined", "asset_name": "ecephys_1",
        "process_name": "sorting", "CO_MEMORY": "64", "CO_CPUS": "16",
    }  # fmt: skip
    assert convert(json.dumps(given) + "\n").told == [{
        "timestamp": "2025-07-30T13:05:11.250000Z", "level": "WARNING", "message": "Processing x",
        "logger": "root", "function": "main", "lineno": 12, "thread": "1402", "threadName": "MainThread",
        "process": "7", "processName": "MainProcess", "hostname": "ip-10-0-0-1",
        "computation_id": "c0ffee", "capsule_id": "cap-1", "process_name": "sorting",
        "log_session": "abcdef0", "user_name": "undefined", "asset_name": "ecephys_1",
        "CO_MEMORY": "64", "CO_CPUS": "16", "msg": "Processing %s", "args": None, "levelno": 30,
        "pathname": "/code/run.py", "asctime": "2025-07-30 06:05:11,250", "exc_info": None,
    }]  # fmt: skip


def test_records_of_the_standard_go_through_as_they_are(convert: Convert) -> None:
    """A log by the standard (aind-log-utils's later form) keeps every field, whatever its type."""
    given = {
        "timestamp": "2026-02-09T21:19:24.061270Z", "level": "ERROR", "message": "m", "lineno": 3,
        "process": "7", "rig_id": "447", "acquisition_name": "1_2026-01-01_00-00-00",
        "subject_id": "1", "event_type": "stage_error", "own": {"list": [1, None, {"x": 2.5}]},
    }  # fmt: skip
    assert convert(json.dumps(given) + "\n").told == [given]


LOGURU = """\
import sys
from loguru import logger

def measure():
    logger.bind(batch=3, process="mine").warning("slow")
    logger.success("EpochEnd: epoch=1, loss=0.2")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logger.exception("broken {}", 1)
    logger.trace("later")

logger.remove()
logger.add(sys.argv[1], level="TRACE", serialize=sys.argv[2] == "json")
measure()
"""


def _log_with_loguru(folder: Path, form: str) -> str:
    """What real loguru writes of some calls."""
    script, log = folder / "script.py", folder / "loguru.log"
    script.write_text(LOGURU)
    subprocess.run([sys.executable, script, log, form], check=True)
    return log.read_text()


def test_logurus_serialised_records(convert: Convert, tmp_path: Path) -> None:
    """`serialize=True` of real loguru: place, process, thread, bound values, the traceback."""
    text = _log_with_loguru(tmp_path, "json")
    originals = [json.loads(row)["record"] for row in text.splitlines()]
    slow, success, broken, later = convert(text).told
    moments = [datetime.fromisoformat(original["time"]["repr"]) for original in originals]
    for record, moment in zip((slow, success, broken, later), moments, strict=True):
        utc = moment.astimezone(timezone.utc)
        assert record.pop("timestamp") == f"{utc:%Y-%m-%dT%H:%M:%S.%f}Z"
    common = {
        "process": str(originals[0]["process"]["id"]), "processName": "MainProcess",
        "thread": str(originals[0]["thread"]["id"]), "threadName": "MainThread",
        "logger": "__main__", "function": "measure",
    }  # fmt: skip
    assert slow == {
        "level": "WARNING", "message": "slow", "lineno": 5, "batch": 3, "process_": "mine", **common,
    }  # fmt: skip
    assert success == {
        "level": "INFO", "level_": "SUCCESS", "message": "EpochEnd: epoch=1, loss=0.2", "lineno": 6, **common,
    }  # fmt: skip
    assert later == {
        "level": "DEBUG", "level_": "TRACE", "message": "later", "lineno": 11, **common,
    }  # fmt: skip
    exception = broken.pop("exception")
    assert broken == {"level": "ERROR", "message": "broken 1", "lineno": 10, **common}
    assert (exception["type"], exception["message"]) == ("ZeroDivisionError", "division by zero")
    assert exception["traceback"].startswith("Traceback (most recent call last):\n")
    assert "_ = 1 / 0" in exception["traceback"]
    assert exception["traceback"].endswith("ZeroDivisionError: division by zero")


def test_logurus_text(convert: Convert, tmp_path: Path) -> None:
    """The default format of real loguru, and the traceback below the record that is its own."""
    text = _log_with_loguru(tmp_path, "text")
    heads = [row for row in text.splitlines() if row[:2] == "20"]
    local = f"{datetime.fromisoformat(heads[0][:23]).astimezone():%z}"
    slow, success, broken, later = convert(text, timezone=local).told
    for record, head in zip((slow, success, broken, later), heads, strict=True):
        utc = datetime.fromisoformat(head[:23]).astimezone(timezone.utc)
        assert record.pop("timestamp") == f"{utc:%Y-%m-%dT%H:%M:%S.%f}Z"
    place = {"logger": "__main__", "function": "measure"}
    assert slow == {"level": "WARNING", "message": "slow", "lineno": 5, **place}
    assert success == {
        "level": "INFO", "level_": "SUCCESS", "message": "EpochEnd: epoch=1, loss=0.2", "lineno": 6, **place,
        "event": "EpochEnd", "epoch": 1, "loss": 0.2,
    }  # fmt: skip
    trace = text[text.index("Traceback") : text.index(heads[-1])].rstrip()
    assert broken == {
        "level": "ERROR", "message": "broken 1", "lineno": 10, **place,
        "exception": {"type": "ZeroDivisionError", "message": "division by zero", "traceback": trace},
    }  # fmt: skip
    assert later == {"level": "DEBUG", "level_": "TRACE", "message": "later", "lineno": 11, **place}


@pytest.mark.parametrize(("form", "message", "fields"), [
    (None, "hello", {"level": "INFO"}),
    (logging.BASIC_FORMAT, "WARNING:my.mod:hello", {}),
    ("%(asctime)s - %(name)s - %(levelname)s - %(message)s", "hello", {"logger": "my.mod"}),
    ("%(asctime)s %(name)s %(levelname)s %(message)s", "hello", {"logger": "my.mod"}),
    ("%(asctime)s [%(name)s] [%(levelname)s] %(message)s", "hello", {"logger": "my.mod"}),
    ("%(asctime)s %(levelname)s %(message)s", "hello", {}),
    ("%(asctime)s [%(levelname)s] %(message)s", "hello", {}),
    ("%(asctime)s - %(levelname)s - %(message)s", "hello", {}),
    ("[%(asctime)s] %(levelname)s: %(message)s", "hello", {}),
    ("%(asctime)s %(levelname)-8s %(name)s: %(message)s", "my.mod: hello", {}),
    ("%(asctime)s %(message)s", "hello", {"level": "INFO"}),
])  # fmt: skip
def test_formats_of_the_standard_library(
    convert: Convert, form: str | None, message: str, fields: dict[str, Any]
) -> None:
    """What `logging` itself writes in its usual formats; with an exception below a grave record."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter(form))
    warning = logging.LogRecord("my.mod", logging.WARNING, "x.py", 1, "hello", None, None)
    warning.created, warning.msecs = 1753880711.25, 250.0
    handler.handle(warning)
    try:
        raise ValueError("bad value")
    except ValueError:
        error = logging.LogRecord("my.mod", logging.ERROR, "x.py", 1, "worse", None, sys.exc_info())
    error.created, error.msecs = 1753880712.5, 500.0
    handler.handle(error)
    local = time.strftime("%z", time.localtime(1753880711))
    told = convert(out.getvalue(), timezone=f"{local[:3]}:{local[3:]}").told
    dated = form is not None and "asctime" in form
    expected = "2025-07-30T13:05:11.250000Z" if dated else "2023-11-14T22:13:20.000000Z"
    assert told[0] == {"timestamp": expected, "level": "WARNING", "message": message, **fields}
    # Without a level the traceback's record is one of its own.
    assert len(told) == (2 if form is not None and "levelname" in form else 3)
    assert told[-1]["level"] == "ERROR"
    assert told[-1]["exception"]["type"] == "ValueError"
    assert told[-1]["exception"]["message"] == "bad value"
    assert told[1]["message"] == message.replace("hello", "worse").replace("WARNING", "ERROR")


def test_json_of_several_shapes(convert: Convert) -> None:
    """An array of records, records over several lines, and commas behind lines: the same records."""
    rows = [{"ts": 1753880711 + n, "severity": "warn", "msg": f"m{n}", "n": n} for n in range(3)]
    lines = convert("".join(json.dumps(row) + "\n" for row in rows), {"process_name": "x"})
    assert lines.told[1] == {
        "timestamp": "2025-07-30T13:05:12.000000Z", "level": "WARNING", "message": "m1", "n": 1,
        "process_name": "x",
    }  # fmt: skip
    for number, text in enumerate([
        json.dumps(rows),
        json.dumps(rows, indent=2),
        "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n",
        "\n".join(json.dumps(row, indent=2) for row in rows),
        "\r\n".join(json.dumps(row) for row in rows),
    ]):  # fmt: skip
        assert (
            convert(text, {"process_name": "x"}, name=f"{number}.json").told == lines.told
        ), text  # fmt: skip


def test_json_that_is_no_json(convert: Convert) -> None:
    """NaN, bytes that are not UTF-8, torn lines, lists, empty and bottomless objects: all are kept."""
    deep = '{"a":' * 500 + "1" + "}" * 500
    log = convert(
        b'{"msg":"one","loss":NaN}\n{"msg":"t\xffwo"}\n{"msg":"thr\n[1, 2]\n{}\n' + deep.encode()
    )
    assert log.messages == ["one", "t\ufffdwo", '{"msg":"thr', "[1, 2]", "{}", deep]
    assert log.records[0]["loss"] == "NaN"


def test_several_dialects_in_one_file(convert: Convert) -> None:
    """A file that programs with different loggers wrote: each line by its own form."""
    log = convert(
        "starting\n"
        '{"time": "2025-07-30T13:00:00Z", "level": "error", "msg": "json"}\n'
        "2025-07-30 13:00:01 [INFO] text\n"
        "30-Jul-2025 13:00:02 matlab\n"
        "\x1b[32m2025-07-30 13:00:03.000\x1b[0m | \x1b[1mINFO    \x1b[0m | m:f:3 - \x1b[1mcoloured\x1b[0m\n"
    )  # fmt: skip
    assert log.messages == ["starting", "json", "text", "matlab", "coloured"]
    assert [time[17:19] for time in log.times] == ["00", "00", "01", "02", "03"]


# Text


def test_plain_text(convert: Convert) -> None:
    """Lines without a time: a record each, in their order, a microsecond apart, levels as stated."""
    log = convert("one\n\nERROR: two\nloss=0.3\nEpochEnd: epoch=2\n")
    first = "2023-11-14T22:13:20."
    assert log.told == [
        {"timestamp": f"{first}000000Z", "level": "INFO", "message": "one"},
        {"timestamp": f"{first}000001Z", "level": "ERROR", "message": "ERROR: two"},
        {"timestamp": f"{first}000002Z", "level": "INFO", "message": "loss=0.3"},
        {"timestamp": f"{first}000003Z", "level": "INFO", "message": "EpochEnd: epoch=2",
         "event": "EpochEnd", "epoch": 2},
    ]  # fmt: skip


def test_lines_that_go_on(convert: Convert) -> None:
    """Indented lines and closing brackets belong to the record before them; others do not."""
    log = convert(
        "2025-07-30 13:00:00 INFO config {\n  a: 1\n\tb: 2\n}\nnext\n"
        "2025-07-30 13:00:01 INFO last\n  2025-07-30 13:00:02 INFO with a time of its own\n"
    )
    assert log.messages == ["config {\n  a: 1\n\tb: 2\n}", "next", "last", "with a time of its own"]


def test_more_indented_text_than_a_record_holds(convert: Convert) -> None:
    """Megabytes of indented lines: in several records, nothing is lost."""
    lines = [f"  row {number:06d}" for number in range(20_000)]
    log = convert("\n".join(["head", *lines]))
    assert "\n".join(log.messages).split("\n") == ["head", *lines]
    assert len(log.records) > 1


def test_tracebacks(convert: Convert) -> None:
    """A traceback is the exception of a grave record above it, else a record of its own."""
    exception = {"type": "ValueError", "message": "bad value", "traceback": TRACEBACK}
    grave = convert(f"2025-07-30 13:00:00 [CRITICAL] failed\n{TRACEBACK}\nnext\n", name="a")
    assert grave.told[0] == {
        "timestamp": "2025-07-30T13:00:00.000000Z", "level": "CRITICAL", "message": "failed", "exception": exception,
    }  # fmt: skip
    assert grave.messages == ["failed", "next"]
    light = convert(f"2025-07-30 13:00:00 [INFO] working\n{TRACEBACK}\n", name="b")
    assert light.told == [
        {"timestamp": "2025-07-30T13:00:00.000000Z", "level": "INFO", "message": "working"},
        {"timestamp": "2025-07-30T13:00:00.000001Z", "level": "ERROR", "message": "ValueError: bad value",
         "exception": exception},
    ]  # fmt: skip
    alone = convert(TRACEBACK, name="c")
    assert [record["exception"] for record in alone.records] == [exception]
    torn = convert(TRACEBACK.partition("\n")[0], name="d")
    assert [record["level"] for record in torn.records] == ["ERROR"]


def test_a_traceback_below_a_record_that_has_one(convert: Convert) -> None:
    """The record keeps its own exception; the text is a record behind it."""
    row = {"level": "error", "msg": "m", "exception": {"type": "Own", "message": "x"}}
    log = convert(f'{{"msg":"a"}}\n{json.dumps(row)}\n{TRACEBACK}\n')
    assert log.messages == ["a", "m", "ValueError: bad value"]
    assert [record["exception"]["type"] for record in log.records[1:]] == ["Own", "ValueError"]


def test_chained_tracebacks(convert: Convert) -> None:
    """Exceptions that are chained are one exception: its type is the last one's."""
    link = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    text = TRACEBACK + link + TRACEBACK.replace("ValueError: bad value", "pkg.mod.OwnError")
    log = convert(f"ERROR: failed\n{text}\n\nnext\n")
    assert log.messages == ["ERROR: failed", "next"]
    assert log.records[0]["exception"] == {"type": "OwnError", "message": "", "traceback": text}


# Files


@pytest.mark.parametrize("wrap", [
    pytest.param(lambda data: data, id="plain"),
    pytest.param(lambda data: b"\xef\xbb\xbf" + data, id="utf-8 mark"),
    pytest.param(lambda data: data.decode().encode("utf-16"), id="utf-16"),
    pytest.param(lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"), id="utf-16-be"),
    pytest.param(lambda data: data.replace(b"\n", b"\r\n"), id="crlf"),
    pytest.param(lambda data: data.replace(b"\n", b"\n\0\0\0"), id="holes"),
    pytest.param(lambda data: bytes(3 << 20) + data, id="a large hole"),
    pytest.param(lambda data: data.rstrip(b"\n"), id="no final newline"),
])  # fmt: skip
@pytest.mark.parametrize("form", ["text", "json"])
def test_encodings(convert: Convert, wrap: Callable[[bytes], bytes], form: str) -> None:
    """The same records from every encoding and line end, and from behind gzip."""
    moments = [f"2025-07-30 13:00:0{n}" for n in range(3)]
    text = "".join(
        f"{moment} [INFO] é€\U0001f600\n"
        if form == "text"
        else f'{{"time": "{moment}", "msg": "é€\U0001f600"}}\n'
        for moment in moments
    )
    data = wrap(text.encode())
    for log in (convert(data), convert(gzip.compress(data), name="old.log.gz")):
        assert log.told == [
            {"timestamp": f"{m.replace(' ', 'T')}.000000Z", "level": "INFO", "message": "é€\U0001f600"} for m in moments
        ]  # fmt: skip


def test_gzip_is_known_by_its_bytes_too(convert: Convert) -> None:
    """A file that was unpacked and kept its name is read as what it is; an archive of two as both."""
    assert convert("one\n", name="a.log.gz").messages == ["one"]
    both = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    assert convert(both, name="b.log.gz").messages == ["one", "two"]


def test_bytes_that_are_no_text(convert: Convert) -> None:
    """Bytes that are not UTF-8 are shown; no other program's garbage stops a conversion."""
    assert convert(b"caf\xe9 \xff\n").messages == ["caf\\xe9 \\xff"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\0" * 5000, b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_log_says_so(convert: Convert, data: bytes) -> None:
    """A file of nothing becomes a log of one record, at the file's time, with all fields."""
    log = convert(data, {"process_name": "qc"})
    assert log.told == [
        {"timestamp": "2023-11-14T22:13:20.000000Z", "level": "INFO", "message": "The log is empty", "process_name": "qc"}
    ]  # fmt: skip


@pytest.mark.parametrize("size", [60_000, MAX_LINE_BYTES + 1, 300_000, 1_200_000, 3_000_000])
@pytest.mark.parametrize("unit", ["x", "é€", '"\\', "\x01"])
@pytest.mark.parametrize("start", ["", "2025-07-30 13:00:00 [ERROR] "])
def test_long_lines_come_in_parts(convert: Convert, size: int, unit: str, start: str) -> None:
    """However long a line is and whatever is in it: its parts joined are its text."""
    text = unit * (size // len(unit.encode()))
    log = convert(f"before\n{start}{text}\nafter\n")
    assert (log.messages[0], log.messages[-1]) == ("before", "after")
    parts = log.records[1:-1]
    assert "".join(part["message"] for part in parts) == text
    if start:
        assert (parts[0]["level"], parts[0]["timestamp"]) == ("ERROR", "2025-07-30T13:00:00.000000Z")  # fmt: skip
    if len(parts) == 1:
        assert "split_part" not in parts[0]
    else:
        assert [part["split_part"] for part in parts] == list(range(1, len(parts) + 1))
        assert [part["split_last"] for part in parts] == [False] * (len(parts) - 1) + [True]


def test_long_lines_are_not_torn_to_shreds(convert: Convert) -> None:
    """A line of 3 MB is in about as many records as it must be."""
    assert len(convert("x" * 3_000_000).records) <= 20


@pytest.mark.parametrize("size", [300_000, 900_000])
def test_long_json_records(convert: Convert, size: int) -> None:
    """A record that is too long is cut and says where; its parts joined are all of it."""
    given = {"time": "2025-07-30T13:00:00Z", "level": "error", "msg": "é" * (size // 2), "rows": ["x"] * 1000}  # fmt: skip
    log = convert('{"msg":"a"}\n' + json.dumps(given, ensure_ascii=False) + '\n{"msg":"b"}\n')
    cut = log.records[1]
    assert (cut["level"], cut["timestamp"]) == ("ERROR", "2025-07-30T13:00:00.000000Z")
    assert "message" in cut["truncated"]
    parts = log.records[2:-1]
    assert [part["split_part"] for part in parts] == list(range(1, len(parts) + 1))
    whole = json.loads("".join(part["message"] for part in parts))
    assert (whole["message"], whole["rows"]) == (given["msg"], given["rows"])
    assert {part["level"] for part in parts} == {"INFO"}


def test_json_lines_beyond_a_megabyte(convert: Convert) -> None:
    """Too long to be taken apart, they are text, in parts."""
    line = json.dumps({"msg": "€" * 400_000})
    log = convert(f'{{"msg":"a"}}\n{line}\n{{"msg":"b"}}\n')
    assert (log.messages[0], log.messages[-1]) == ("a", "b")
    assert "".join(log.messages[1:-1]) == line


# Times


@pytest.mark.parametrize(("text", "zone", "expected"), [
    ("2025-07-30 13:05:11", "UTC", "2025-07-30T13:05:11.000000Z"),
    ("2025-07-30 13:05:11", "-08:00", "2025-07-30T21:05:11.000000Z"),
    ("2025-07-30 13:05:11", "US/Pacific", "2025-07-30T20:05:11.000000Z"),
    ("2025-01-30 13:05:11", "US/Pacific", "2025-01-30T21:05:11.000000Z"),
    ("2025-07-30T13:05:11Z", "US/Pacific", "2025-07-30T13:05:11.000000Z"),
    ("2025-07-30 13:05:11,5+02:00", "US/Pacific", "2025-07-30T11:05:11.500000Z"),
    ("2025-07-30 13:05:11.123456789 -0730", "UTC", "2025-07-30T20:35:11.123456Z"),
])  # fmt: skip
def test_times(convert: Convert, text: str, zone: str, expected: str) -> None:
    """A time with a zone is what it is; one without is of the zone that is given."""
    assert convert(f"{text} hello\n", timezone=zone, name="a").times == [expected]
    line = json.dumps({"time": text, "msg": "hello"})
    assert convert(f"{line}\n", timezone=zone, name="b").times == [expected]


def test_the_time_zone_makes_another_log(convert: Convert) -> None:
    """Converted again with the right zone, the log is another one."""
    one, other = (convert(SEED, timezone=zone) for zone in ("UTC", "+02:00"))
    assert one.converted.run_id != other.converted.run_id


def test_lines_without_a_time_follow_those_with_one(convert: Convert) -> None:
    """Such a line is a microsecond behind the one before it; before the first time, at that time."""
    log = convert("one\n2025-07-30 13:00:00 two\nthree\nfour\n2025-07-30 13:00:09 five\nsix\n")
    assert [moment[17:] for moment in log.times] == [
        "00.000000Z", "00.000000Z", "00.000001Z", "00.000002Z", "09.000000Z", "09.000001Z",
    ]  # fmt: skip


def test_times_that_go_back_are_kept(convert: Convert) -> None:
    """Records stay in the file's order with the times that they have."""
    log = convert("2025-07-30 13:00:00 a\n2025-07-30 12:00:00 b\n2025-07-30 12:30:00 c\n")
    assert log.messages == ["a", "b", "c"]
    assert [moment[11:16] for moment in log.times] == ["13:00", "12:00", "12:30"]


def test_the_run_id_begins_with_the_first_time(convert: Convert) -> None:
    """A run's id is of the form of all run ids, and in UTC."""
    run_id = convert("one\n2025-07-30 13:00:00 two\n", timezone="+02:00").converted.run_id
    assert is_run_id(run_id)
    assert run_id.startswith("20250730T110000-")


# Fields


def test_given_fields_win(convert: Convert) -> None:
    """What is given is on every record; what a record says otherwise is kept beside it with a `_`."""
    row = {"msg": "m", "process_name": "theirs", "subject_id": 7, "rig_id": "1", "note": "a", "note_": "b"}  # fmt: skip
    (told,) = convert(
        json.dumps(row) + "\n", {"process_name": "ours", "subject_id": "7", "note": "mine"}
    ).told
    del told["timestamp"]
    assert told == {
        "level": "INFO", "message": "m", "process_name": "ours", "subject_id": "7", "note": "mine",
        "process_name_": "theirs", "rig_id": "1", "note_": "a", "note__": "b",
    }  # fmt: skip


def test_usual_fields_yield_to_the_file(convert: Convert) -> None:
    """What is usual holds where the first record knows nothing of it; given fields win over both."""
    usual = {"process_name": "old", "pipeline_name": "usual"}
    row = '{"msg":"m","process_name":"%s"}\n'
    known = convert(row % "theirs", usual=usual, name="a")
    assert known.records[0]["process_name"] == "theirs"
    assert known.records[0]["pipeline_name"] == "usual"
    assert Path(known.converted.path).name.startswith("theirs-")
    assert known.records[0]["shipping"]["labels"]["service_name"] == "theirs"
    unknown = convert(row % "unknown", usual=usual, name="b")
    assert unknown.records[0]["process_name"] == "old"
    assert unknown.records[0]["process_name_"] == "unknown"
    given = convert(row % "theirs", {"process_name": "given"}, usual=usual, name="c")
    assert given.records[0]["process_name"] == "given"
    assert Path(given.converted.path).name == f"given-{given.converted.run_id}.log.jsonl"


def test_fields_that_a_log_needs_itself(convert: Convert) -> None:
    """No given field takes the place of the log's own; the platform's ids may be given."""
    names = ["seq", "run_id", "shipping", "timestamp", "level", "message", "status", "event_type", "exit_code"]  # fmt: skip
    fields = {**dict.fromkeys(names, "x"), "hostname": "h", "capsule_id": "c", "subject_id": "unknown"}  # fmt: skip
    (record,) = convert("one\n", fields).records
    assert record["message"] == "one"
    assert {name: record[f"{name}_"] for name in names} == dict.fromkeys(names, "x")
    assert (record["hostname"], record["capsule_id"]) == ("h", "c")
    assert record["subject_id_"] == "unknown"


def test_fields_that_are_too_long(convert: Convert, tmp_path: Path) -> None:
    """They are refused, and nothing is left behind."""
    with pytest.raises(UsageError, match="bytes"):
        convert("one\n", {"note": "x" * 40_000})
    assert list_files(tmp_path) == ["old.log"]


def test_no_record_of_others_is_canonical(convert: Convert) -> None:
    """Another program's log has no canonical record, whatever its fields; its own stages stay."""
    forged = {name: "x" for name in RESERVED_FIELDS} | {
        "status": "success", "event_type": "stage_complete", "records": {}, "duration_s": 1.5,
        "started_at": "2026-01-02T03:04:05.000006Z", "stream": "stderr", "split_part": 1,
        "split_last": True,
    }  # fmt: skip
    line = json.dumps({"msg": "end", **forged}) + "\n"
    log = convert(line + line)
    for record in log.records:
        assert not is_canonical(record)
        assert (record["status_"], record["event_type"]) == ("success", "stage_complete")
        reserved = RESERVED_FIELDS & record.keys()
        assert reserved - {"shipping"} == {"run_id", "seq", "stream", "split_part", "split_last"}
        assert record["run_id"] == log.converted.run_id


def test_secrets_are_hidden(convert: Convert) -> None:
    """In text, in JSON, in fields, in a key's block, and where a long line is cut: none is in the log."""
    key = "\n".join(
        ["-----BEGIN RSA PRIVATE KEY-----", *["MIIEpAIBAAKCAQEA" * 4] * 3, "-----END RSA PRIVATE KEY-----"]
    )  # fmt: skip
    secrets = [SECRET, "hunter2hunter2", "abc123def456", "MIIEpAIBAAKCAQEA", "fieldsecret99"]
    log = convert(
        f"2025-07-30 13:00:00 INFO password=hunter2hunter2 {SECRET}\n"
        f'{{"msg":"m","api_key":"abc123def456","x":["{SECRET}"]}}\n{key}\nafter\n'
        + "y" * (MAX_LINE_BYTES - 3000) + f" {SECRET} " * 200 + "z" * 1_000_000 + "\n",
        {"token": "fieldsecret99"},
    )  # fmt: skip
    assert [secret for secret in secrets if secret.encode() in log.data] == []
    assert log.messages[0] == "password=[redacted] [redacted]"
    assert (log.records[1]["api_key"], log.records[1]["x"]) == ("[redacted]", ["[redacted]"])
    assert "after" in log.messages
    long = "".join(
        record["message"] for record in log.records if record["message"][:1] in "yz [red]"
    )
    assert long.count("[redacted]") >= 200


# The same file is the same log


@pytest.mark.parametrize("data", [SEED, "no times\nat all\n", '{"msg":"m"}\n' * 3, ""])
def test_the_same_file_is_the_same_log(tmp_path: Path, data: str) -> None:
    """In another folder and at another hour: the same name and bytes; other fields, another run."""
    path = tmp_path / "old.log"
    path.write_text(data)
    os.utime(path, (FILE_TIME_S, FILE_TIME_S + 0.75))
    logs = [
        Log(convert_log(path, tmp_path / base, {"process_name": "x", "n": 1}, REDACTOR))
        for base in ("one", "other")
    ]
    assert logs[0].data == logs[1].data
    assert os.path.relpath(logs[0].converted.path, tmp_path / "one") == os.path.relpath(
        logs[1].converted.path, tmp_path / "other"
    )
    other = convert_log(path, tmp_path / "one", {"process_name": "x", "n": 2}, REDACTOR)
    assert other.run_id != logs[0].converted.run_id
    path.write_text(f"{data}one line more\n")
    os.utime(path, (FILE_TIME_S, FILE_TIME_S))
    grown = convert_log(path, tmp_path / "one", {"process_name": "x", "n": 1}, REDACTOR)
    assert grown.run_id not in (logs[0].converted.run_id, other.run_id)


def test_converted_again_the_log_is_found(tmp_path: Path) -> None:
    """The second time nothing is written; a copy of the file under another name is the same run."""
    path = tmp_path / "old.log"
    path.write_text(SEED)
    first = convert_log(path, tmp_path / "base", {"process_name": "x"}, REDACTOR)
    before = os.stat(first.path)
    again = convert_log(path, tmp_path / "base", {"process_name": "x"}, REDACTOR)
    after = os.stat(first.path)
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.path, again.run_id, again.records) == (first.path, first.run_id, 7)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    (tmp_path / "copy.log").write_text(SEED)
    copy = convert_log(tmp_path / "copy.log", tmp_path / "base", {"process_name": "x"}, REDACTOR)
    assert (copy.run_id, copy.is_new) == (first.run_id, False)


def test_a_converted_log_is_named_for_its_file(tmp_path: Path) -> None:
    """Without a process name the file's own stands in the log's name."""
    path = tmp_path / "session 1.old.log"
    path.write_text("one\n")
    converted = convert_log(path, tmp_path / "base", {}, REDACTOR)
    assert Path(converted.path) == (
        tmp_path / "base" / converted.run_id / f"session_1-{converted.run_id}.log.jsonl"
    )


# Files that change, and files that cannot be read


class _MeddlingRedactor(Redactor):
    """Does something to the file between its two readings: then the fields are redacted."""

    meddle: Callable[[], object]

    def redact_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        self.meddle()
        return super().redact_fields(fields)


def _convert_meanwhile(tmp_path: Path, meddle: Callable[[Path], object], name: str) -> Log:
    path = tmp_path / name
    redactor = _MeddlingRedactor(SecretNames())
    redactor.meddle = lambda: meddle(path)
    return convert_bytes(tmp_path, gzip.compress(SEED.encode()) if name.endswith(".gz") else SEED,
                         {"process_name": "x"}, name=name, redactor=redactor)  # fmt: skip


@pytest.mark.parametrize("name", ["old.log", "old.log.gz"])
def test_a_file_that_grows(tmp_path: Path, name: str) -> None:
    """What was there when it was first read is converted; the rest makes another log, later."""
    more = b"2025-07-30 15:00:00 [INFO] more\n"
    more = gzip.compress(more) if name.endswith(".gz") else more

    def grow(path: Path) -> None:
        path.write_bytes(path.read_bytes() + more)

    log = _convert_meanwhile(tmp_path, grow, name)
    assert len(log.records) == 7
    later = Log(convert_log(tmp_path / name, tmp_path / "base", {"process_name": "x"}, REDACTOR))
    assert later.messages[-1] == "more"
    assert later.converted.run_id != log.converted.run_id


def test_a_file_that_grows_all_the_time(tmp_path: Path) -> None:
    """While another process appends: no line is lost or twice, only the last may be torn."""
    path = tmp_path / "old.log"
    script = "import sys\nf = open(sys.argv[1], 'a', buffering=1)\nfor n in range(10**6): print('line', n, file=f)"
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)])
    try:
        wait_until(lambda: path.exists() and path.stat().st_size > 100_000)
        messages = Log(convert_log(path, tmp_path / "base", {}, REDACTOR)).messages
    finally:
        writer.kill()
        writer.wait()
    assert messages[:-1] == [f"line {n}" for n in range(len(messages) - 1)]
    assert f"line {len(messages) - 1}".startswith(messages[-1])


@pytest.mark.parametrize("meddle", [
    pytest.param(lambda path: path.write_text("another log\n"), id="rewritten"),
    pytest.param(lambda path: os.truncate(path, 100), id="cut"),
    pytest.param(lambda path: path.write_text(SEED.replace("exp042", "exp043")), id="same size"),
    pytest.param(lambda path: path.unlink(), id="removed"),
])  # fmt: skip
def test_a_file_that_changes(tmp_path: Path, meddle: Callable[[Path], object]) -> None:
    """It is refused by its name, and no log is left that is neither the one nor the other."""
    with pytest.raises(LogFileError) as caught:
        _convert_meanwhile(tmp_path, meddle, "old.log")
    assert str(tmp_path / "old.log") in caught.value.message
    assert caught.value.hint
    assert list_files(tmp_path / "base") == []


def _make_unreadable(kind: str, tmp_path: Path) -> Path:
    path = tmp_path / "odd.log.gz"
    packed = gzip.compress(os.urandom(100_000))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "torn gzip":
        path.write_bytes(packed[:50_000])
    elif kind == "wrong gzip":
        path.write_bytes(packed[:-8] + bytes(8))
    elif kind == "broken gzip":
        path.write_bytes(packed[:10] + b"\xff" * 100)
    elif kind == "forbidden":
        path.write_bytes(packed)
        path.chmod(0)
    return path


@pytest.mark.parametrize("kind", [
    "missing", "folder", "pipe", "loop", "torn gzip", "wrong gzip", "broken gzip", "forbidden",
])  # fmt: skip
def test_files_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """Each is refused by its name, with a hint, and nothing is written."""
    path = _make_unreadable(kind, tmp_path)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(LogFileError) as caught:
            convert_log(path, tmp_path / "base", {}, REDACTOR)
        assert not is_own_log(path)
    finally:
        os.seteuid(user)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("zone", ["Mars/Crater", "", "../../etc/passwd", "+25:00", "nowhere\0"])
def test_an_unknown_time_zone(tmp_path: Path, zone: str) -> None:
    """It is a mistake of the caller's, named before the file is looked at."""
    with pytest.raises(UsageError) as caught:
        convert_log(tmp_path / "none", tmp_path / "base", {}, REDACTOR, timezone=zone)
    assert repr(zone) in caught.value.message
    assert caught.value.hint


def test_a_base_that_cannot_be_written(tmp_path: Path) -> None:
    """The log that could not be written is named."""
    (tmp_path / "base").write_text("a file")
    with pytest.raises(LogFileError, match="base") as caught:
        convert_bytes(tmp_path, SEED)
    assert caught.value.hint


_CONVERT = """
import resource, signal, sys
from aind_capsule.errors import LogFileError
from aind_capsule.logs.convert import convert_log
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
path, base, limit = sys.argv[1:]
if limit != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    convert_log(path, base, {"process_name": "x"}, Redactor(SecretNames()))
except LogFileError as error:
    sys.exit(error.message)
"""


def _start(path: Path, base: Path, limit: int = 0) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", _CONVERT, str(path), str(base), str(limit)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def test_no_room(tmp_path: Path) -> None:
    """A disk that fills up: it is said, and no part of a log is left."""
    path = tmp_path / "old.log"
    path.write_text(SEED * 1000)
    process = _start(path, tmp_path / "base", 1_000_000)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written (disk_full)" in told
    assert str(tmp_path / "base") in told
    assert list_files(tmp_path / "base") == []


@pytest.mark.slow
def test_killed_in_the_middle(tmp_path: Path) -> None:
    """Nothing bears a log's name before it is whole; the next conversion succeeds and cleans up."""
    path, base = tmp_path / "old.log", tmp_path / "base"
    path.write_text(SEED * 10_000)
    process = _start(path, base)
    assert process.stderr is not None
    try:
        (partial,) = wait_until(lambda: [p for p in base.rglob("*.partial") if p.stat().st_size])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    assert list_files(base) == [partial.name]
    os.utime(partial, (1, 1))  # an hour later
    converted = convert_log(path, base, {"process_name": "x"}, REDACTOR)
    assert (converted.is_new, converted.records) == (True, 70_000)
    assert list_files(base) == [Path(converted.path).name]
    assert Path(converted.path).parent == partial.parent


def test_what_another_conversion_writes_stays(tmp_path: Path) -> None:
    """A partial log goes when it is old, unless a process still writes it."""
    first = convert_bytes(tmp_path, SEED)
    folder = Path(first.converted.path).parent
    os.unlink(first.converted.path)
    for name in ("old.partial", "written.partial", "young.partial"):
        (folder / name).touch()
    writer = LogWriter(folder / "written.partial", reserves=False)
    for name in ("old.partial", "written.partial"):
        os.utime(folder / name, (1, 1))
    again = convert_bytes(tmp_path, SEED)
    writer.close()
    assert (again.converted.is_new, again.data) == (True, first.data)
    names = {"written.partial", "young.partial", Path(again.converted.path).name}
    assert set(list_files(folder)) == names


def test_a_torn_log_is_made_again(convert: Convert) -> None:
    """A log that is there but holds nothing whole (a crash of the machine) is written anew."""
    log = convert(SEED)
    Path(log.converted.path).write_bytes(b"")
    again = convert(SEED)
    assert (again.converted.is_new, again.data) == (True, log.data)


# Ours or theirs


def test_own_logs_are_known(tmp_path: Path, capsule: Capsule) -> None:
    """A run's log and a converted one, by name or, renamed, by what is in them; no others."""
    run = capsule.run("echo", "x")
    assert run.log is not None
    renamed = tmp_path / "renamed.jsonl"
    renamed.write_bytes(run.log.read_bytes())
    tail = tmp_path / "tail.jsonl"  # without the first record, which says the most
    tail.write_bytes(b"\n".join(run.log.read_bytes().split(b"\n")[1:]))
    converted = convert_bytes(tmp_path, SEED).converted.path
    copied = tmp_path / "copied"
    copied.write_bytes(Path(converted).read_bytes())
    assert [is_own_log(path) for path in (run.log, renamed, tail, converted, copied)] == [True] * 5


@pytest.mark.parametrize("data", [
    b"", b"\n", b"\0\0", SEED.encode(), b'{"msg":"m"}\n', b'{"shipping":"by boat"}\n', b'{"run_id":"7","seq":1}\n',
    b'{"run_id":"20260101T000000-0123abcd"}\n', b"[1]\n", b'{"run_id":"20260101T000000-0123abcd","seq":1}',
])  # fmt: skip
def test_other_files_are_not_ours(tmp_path: Path, data: bytes) -> None:
    """Empty, torn and other programs' files, and those that only use a word of ours."""
    path = tmp_path / "old.jsonl"
    path.write_bytes(data)
    assert not is_own_log(path)
    assert not is_own_log(tmp_path / "none")
    assert not is_own_log(tmp_path)


# Whatever is in a file


def _convert_anything(data: bytes, name: str = "old.log") -> Log:
    with tempfile.TemporaryDirectory() as folder:
        return convert_bytes(Path(folder), data, {"process_name": "x", "note": 1}, name=name)


ANYTHING = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
    | st.sampled_from(["info", "stage_complete", "success", "", "null", "2025-07-30 13:00:00", TRACEBACK, 1753880711, 30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
JSON_NAMES = st.one_of(
    st.sampled_from(sorted(BY_NAME)),
    st.sampled_from(["time", "ts", "msg", "event", "text", "record", "levelname", "severity", "created", "CO_CPUS",
                     "@timestamp", "log", "error", "process", "err", "pid", "v", "exc_info", "note", "level_", "name"]),
    st.text(max_size=5),
)  # fmt: skip
OBJECTS = st.dictionaries(JSON_NAMES, JSON_VALUES, min_size=1, max_size=6)
OWN_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map(
    lambda name: f"{name}.own"
)
PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(OWN_NAMES, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["2025-07-30 13:00:00", "[INFO]", " | ERROR | ", "a:b:3 - ", "Event: a=1, b='x'", "  ", "\t", "}", "{",
                     *TRACEBACK.split("\n"), '{"a": 1}', "9999-12-31 23:59:59 -1500", "0001-01-01 00:00:00+14:00", "=", "\0"]),
)  # fmt: skip


@ANYTHING
@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"[{", b"{"]))  # fmt: skip
def test_any_bytes(data: bytes, start: bytes) -> None:
    """Whatever bytes a file holds, they become a log that keeps to the standard."""
    _convert_anything(start + data)


@settings(ANYTHING, max_examples=50)
@given(data=st.binary(max_size=100), cut=st.integers(0, 60), flip=st.integers(0, 60))
def test_any_gzip(data: bytes, cut: int, flip: int) -> None:
    """A damaged archive is refused, or what it holds is converted; nothing else happens."""
    packed = bytearray(gzip.compress(data, mtime=0)[: -cut or None])
    if flip < len(packed):
        packed[flip] ^= 0x55
    try:
        _convert_anything(bytes(packed), "old.log.gz")
    except LogFileError as error:
        assert "old.log.gz" in error.message  # noqa: PT017


@ANYTHING
@given(lines=st.lists(st.tuples(WORDS, WORDS, st.booleans(), WORDS), max_size=8))
def test_any_text(lines: list[tuple[str, str, bool, str]]) -> None:
    """Whatever lines are in a file: what is on them is in the log, and in their order."""
    rows = [
        f"{before}{more}{f'<{number}>' * marked}{after}"
        for number, (before, more, marked, after) in enumerate(lines)
    ]
    log = _convert_anything("\n".join(rows).encode())
    told = [json.dumps(record) for record in log.records]
    places = [
        next(place for place, record in enumerate(told) if f"<{number}>" in record)
        for number, line in enumerate(lines)
        if line[2]
    ]
    assert places == sorted(places)


@ANYTHING
@given(objects=st.lists(OBJECTS, min_size=1, max_size=5), is_ascii=st.booleans())
def test_any_json_lines(objects: list[dict[str, Any]], is_ascii: bool) -> None:
    """Whatever objects are in a file, they are one record each, also where they look like a dialect."""
    text = "".join(json.dumps(item, ensure_ascii=is_ascii) + "\n" for item in objects)
    log = _convert_anything(text.encode("utf-8", "surrogatepass"))
    assert len(log.records) == len(objects)


@ANYTHING
@given(
    rows=st.lists(
        st.dictionaries(OWN_NAMES, PLAIN_VALUES, min_size=1, max_size=5), min_size=1, max_size=5
    )
)
def test_any_fields_of_json_lines(rows: list[dict[str, Any]]) -> None:
    """Fields that are the other program's own are in its records as they were."""
    log = _convert_anything("".join(json.dumps(row) + "\n" for row in rows).encode())
    for record, row in zip(log.records, rows, strict=True):
        assert {name: record[name] for name in row} == row


@ANYTHING
@given(fields=st.dictionaries(JSON_NAMES, JSON_VALUES, max_size=5))
def test_any_fields(fields: dict[str, Any]) -> None:
    """Whatever fields are given, alone or as usual ones: the log keeps to the standard."""
    with tempfile.TemporaryDirectory() as folder:
        log = convert_bytes(Path(folder), SEED, fields, usual=fields)
        assert log.messages[0] == "ExperimentStarted: experiment_id=exp042"


def test_equal_lines_are_records_each(convert: Convert) -> None:
    """5,000 equal lines are 5,000 records, of JSON and of text."""
    assert len(convert('{"msg":"m"}\n' * 5000, name="a").records) == 5000
    assert len(convert("the same\n" * 5000, name="b").records) == 5000


def test_a_file_is_read_as_far_as_before(tmp_path: Path) -> None:
    """`ForeignFile` with a limit reads just what it read without one, however the file is packed."""
    for name, pack in (("a", bytes), ("b.gz", gzip.compress)):
        path = tmp_path / name
        data = os.urandom(3_000_000)
        path.write_bytes(pack(data))
        first = ForeignFile(str(path))
        assert b"".join(first.read_chunks()) == data
        path.write_bytes(pack(data + b"more"))
        again = ForeignFile(str(path), first.size_bytes)
        assert b"".join(again.read_chunks()) == data
        assert (again.size_bytes, again.digest) == (3_000_000, first.digest)


def test_a_file_that_grows_faster_than_it_is_read(tmp_path: Path) -> None:
    """It is read as far as it went when it was opened, not for as long as it grows."""
    path = tmp_path / "old.log"
    path.write_bytes(b"x" * 3_000_000)
    file = ForeignFile(str(path))
    for number, _ in enumerate(file.read_chunks()):
        assert number < 10, "it is read without an end"
        with path.open("ab") as growing:
            growing.write(b"y" * 2_000_000)
    assert file.size_bytes == 3_000_000
