"""`capsule push` as people type it: other programs' logs, odd words, what it says and its status."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from aind_capsule.logs.check import check_log
from tests.conftest import Capsule
from tests.shipping.loki_double import LokiDouble
from tests.shipping.test_runs import push


@pytest.fixture
def shipped(capsule: Capsule, loki: LokiDouble, tmp_path: Path) -> Capsule:
    """A capsule whose runs are delivered."""
    capsule.environ["CAPSULE_LOKI__URL"] = loki.url
    capsule.environ["XDG_STATE_HOME"] = str(tmp_path / "state")
    return capsule


def _make_text(minutes_ago: int, *lines: str) -> str:
    start = datetime.now(timezone.utc) - timedelta(minutes=minutes_ago)
    return "".join(
        f"{start + timedelta(seconds=n):%Y-%m-%d %H:%M:%S} {line}\n" for n, line in enumerate(lines)
    )


def _read(loki: LokiDouble) -> list[dict]:
    return [json.loads(entry.line) for entry in loki.entries]


def test_others_logs_are_converted_and_delivered(
    shipped: Capsule, loki: LokiDouble, tmp_path: Path
) -> None:
    """Text of the seed's form and JSON lines, in one command: event and fields, labels, one log each."""
    text = tmp_path / "train.log"
    text.write_text(
        _make_text(10, "[INFO] EpochEnd: epoch=1, loss=0.2, acc=63.0%", "[ERROR] cannot read x")
    )
    stamp = datetime.now(timezone.utc).isoformat()
    lines = tmp_path / "utils.jsonl"
    lines.write_text(
        json.dumps({"timestamp": stamp, "level": "INFO", "message": "hello", "subject_id": "7"})
        + "\n"
    )
    done = push(
        shipped, "--process-name", "sorting", "--field", "rig_id=447", str(text), str(lines)
    )
    assert done.returncode == 0, done.stderr
    records = sorted(_read(loki), key=lambda record: record["timestamp"])
    assert [record["message"] for record in records] == [
        "EpochEnd: epoch=1, loss=0.2, acc=63.0%", "cannot read x", "hello",
    ]  # fmt: skip
    assert (records[0]["event"], records[0]["epoch"], records[0]["loss"]) == ("EpochEnd", 1, 0.2)
    assert {record["rig_id"] for record in records} == {"447"}
    found = loki.find('{process_name="sorting"} | level="ERROR"')
    assert [json.loads(entry.line)["message"] for entry in found] == ["cannot read x"]
    assert len({record["run_id"] for record in records}) == 2
    logs = list(Path(shipped.environ["XDG_STATE_HOME"]).rglob("*.log.jsonl"))
    assert len(logs) == 2
    for log in logs:
        with log.open("rb") as file:
            assert check_log(file).is_good


def test_pushed_again_or_elsewhere_it_is_there_once(
    shipped: Capsule, loki: LokiDouble, tmp_path: Path
) -> None:
    """The same file pushed twice, then from a machine that knows nothing of it: each record once."""
    text = tmp_path / "old.log"
    text.write_text(_make_text(10, *["[INFO] the same line"] * 500))
    assert push(shipped, str(text)).returncode == 0
    assert push(shipped, str(text)).returncode == 0
    assert push(shipped, str(text), XDG_STATE_HOME=str(tmp_path / "another")).returncode == 0
    assert len(loki.entries) == 500
    assert len({entry.line for entry in loki.entries}) == 500


def test_times_without_a_zone(shipped: Capsule, loki: LokiDouble, tmp_path: Path) -> None:
    """They are UTC, or of the zone that is given."""
    text = tmp_path / "old.log"
    local = datetime.now(timezone(timedelta(hours=-8))).replace(microsecond=0)
    text.write_text(f"{local:%Y-%m-%d %H:%M:%S} [INFO] hello\n")
    assert push(shipped, "--timezone", "-08:00", str(text)).returncode == 0
    (record,) = _read(loki)
    expected = f"{local.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert record["timestamp"] == expected
    wrong = push(shipped, "--timezone", "Mars/Crater", str(text))
    assert wrong.returncode == 2
    assert "Mars/Crater" in wrong.stderr


def test_lines_that_are_too_old_say_so(shipped: Capsule, loki: LokiDouble, tmp_path: Path) -> None:
    """A log of last year: nothing is stored, all is set aside, and the server's words are shown."""
    text = tmp_path / "old.log"
    text.write_text("2019-07-30 13:05:11 [INFO] one\n2019-07-30 13:05:12 [INFO] two\n")
    done = push(shipped, str(text))
    assert done.returncode == 0
    assert "2 set aside" in done.stdout
    assert "timestamp too old" in done.stdout
    (aside,) = Path(shipped.environ["XDG_STATE_HOME"]).rglob("*.set-aside.jsonl")
    rows = [json.loads(line) for line in aside.read_text().splitlines()]
    assert [json.loads(row["line"])["message"] for row in rows] == ["one", "two"]
    assert not loki.entries


def test_one_log_that_cannot_be_read_stops_no_other(
    shipped: Capsule, loki: LokiDouble, tmp_path: Path
) -> None:
    """A pipe among logs: it is said, the others are delivered, the status is 74."""
    pipe = tmp_path / "pipe.log"
    os.mkfifo(pipe)
    text = tmp_path / "good.log"
    text.write_text(_make_text(1, "[INFO] good"))
    done = push(shipped, str(pipe), str(text))
    assert done.returncode == 74
    assert str(pipe) in done.stderr
    assert [record["message"] for record in _read(loki)] == ["good"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "--all"),
        (("--all", "results"), 2, "--all"),
        (("there-is-none.jsonl",), 2, "there-is-none.jsonl"),
        (("--field", "nothing", "x.log"), 2, "nothing"),
    ],
)
def test_words_that_cannot_be_understood(
    shipped: Capsule, loki: LokiDouble, words: tuple[str, ...], status: int, said: str
) -> None:
    """Nothing is sent, and it is said what to type."""
    (shipped.code / "x.log").write_text("hello\n")
    done = push(shipped, *words)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert not loki.requests


def test_a_folder_of_other_programs_logs(
    shipped: Capsule, loki: LokiDouble, tmp_path: Path
) -> None:
    """A folder stands for the runs in it; others' logs in it are not guessed at, and that is said."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "x.log").write_text("hello\n")
    done = push(shipped, str(tmp_path / "old"))
    assert done.returncode == 0
    assert "file by file" in done.stderr
    assert not loki.entries


def test_without_a_server(capsule: Capsule, tmp_path: Path) -> None:
    """Nothing is configured: 78, and the setting is named."""
    text = tmp_path / "old.log"
    text.write_text("hello\n")
    done = push(capsule, str(text))
    assert done.returncode == 78
    assert "CAPSULE_LOKI__URL" in done.stderr


def test_a_dead_server_is_given_up_once(shipped: Capsule, loki: LokiDouble, tmp_path: Path) -> None:
    """Of three logs the first waits, as long as is said; the rest is owed, status 74."""
    loki.stop()
    paths = []
    for n in range(3):
        path = tmp_path / f"{n}.log"
        path.write_text(_make_text(1, f"[INFO] {n}"))
        paths.append(str(path))
    start = time.monotonic()
    done = push(shipped, "--wait", "0.2", *paths)
    assert done.returncode == 74
    assert time.monotonic() - start < 60  # not three times the time-outs of a dead server
    assert done.stdout.count("given up") == 2
    again = LokiDouble(loki.port)
    try:
        assert push(shipped, "--all").returncode == 0
        assert sorted(record["message"] for record in _read(again)) == ["0", "1", "2"]
    finally:
        again.stop()
