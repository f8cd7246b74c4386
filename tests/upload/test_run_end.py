"""The files of a run whose wrapper was ended while it uploaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.storage.objects import Held
from aind_capsule.upload.open_job import OpenJob
from aind_capsule.upload.run_end import write_run_end

RUN_ID = "20260101T000000-0123abcd"
TIMES = {"started_at": "2026-01-01T00:00:00.000000Z", "duration_s": 1.5}
RECORD = {
    "timestamp": "2026-01-01T00:00:01.500000Z", "level": "INFO", "message": "sort finished",
    "event_type": "stage_complete", "status": "success", "exit_code": 0, "records": {"INFO": 2}, **TIMES,
}  # fmt: skip
END = {
    "record": RECORD,
    "run_json": {"run_id": RUN_ID, "status": "success", "exit_code": 0, "ended_at": RECORD["timestamp"], **TIMES},
}  # fmt: skip
URL = {"url": "s3://b/n"}


class Run:
    """A run folder, and its results."""

    def __init__(self, root: Path) -> None:
        self.folder, self.results = root / "run", root / "results"
        self.folder.mkdir()
        self.results.mkdir()
        self.json = self.folder / f"sort-{RUN_ID}.run.json"
        self.log = self.folder / f"sort-{RUN_ID}.log.jsonl"

    def write(self, log: bytes = b'{"seq":0}\n{"seq":1}\n', **content: Any) -> None:
        """Write what its wrapper has left."""
        self.json.write_text(json.dumps({"run_id": RUN_ID, **content}))
        self.log.write_bytes(log)

    def end(self, end: dict[str, Any] = END, **upload: Any) -> dict[str, Any]:
        """Write its end; returns `run.json`."""
        write_run_end(str(self.folder), str(self.results), RUN_ID, end, {**URL, **upload})
        told: dict[str, Any] = json.loads(self.json.read_bytes())
        return told


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize("tail", [b"", b'{"seq":2,"mess'])
def test_a_wrapper_that_was_killed(run: Run, tail: bytes) -> None:
    """`run.json` and the log's last record say how the processing ended; a torn line stays."""
    run.write(b'{"seq":0}\n{"seq":1}\n' + tail, status="running")
    told = run.end()
    assert (told["status"], told["exit_code"], told["upload"]) == ("success", 0, URL)
    lines = run.log.read_bytes().splitlines()
    assert lines[2:-1] == ([tail] if tail else [])
    last = json.loads(lines[-1])
    assert last == {**RECORD, "upload": URL, "seq": last["seq"]}
    if not tail:
        assert last["seq"] == 2
    before = run.log.read_bytes()
    run.json.write_text(json.dumps({"run_id": RUN_ID, "status": "running"}))
    run.end()
    assert run.log.read_bytes() == before, "a log has one last record"


def test_a_wrapper_that_was_stopped(run: Run) -> None:
    """Its last record stays; `run.json`, and its copy, do not call the run failed for ever."""
    upload = {"url": "s3://b/n", "committed": False, "problem": "it was interrupted", "seconds": 2}
    log = json.dumps({**RECORD, "status": "fail", "event_type": "stage_failure", "seq": 0})
    run.write(
        log.encode() + b"\n", status="fail", error_type="UploadError", upload=upload,
        data_process={"name": "x"},
    )  # fmt: skip
    copy = run.results / run.json.name
    copy.write_bytes(run.json.read_bytes())
    told = run.end()
    assert (told["status"], told["upload"]) == ("success", {"url": "s3://b/n", "seconds": 2})
    assert told["data_process"] == {"name": "x"}
    assert "error_type" not in told
    assert run.log.read_text() == log + "\n"
    assert copy.read_bytes() == run.json.read_bytes()
    assert run.end(committed=True)["upload"]["committed"] is True


def test_a_run_that_failed(run: Run) -> None:
    """How its processing ended stays; only its upload is another now."""
    run.write(status="fail", error_type="ExitStatus", exit_code=3, upload={"problem": "x"})
    told = run.end()
    assert (told["status"], told["exit_code"], told["upload"]) == ("fail", 3, URL)


def test_what_is_true_stays(run: Run) -> None:
    """A file that says it already is not written anew: it need not be sent again."""
    run.write(status="success", upload=URL)
    before = run.json.stat()
    run.end()
    assert run.json.stat().st_ino == before.st_ino


def test_nothing_is_remembered(run: Run) -> None:
    """Of a run of an older version no end is made up."""
    run.write(status="running")
    log = run.log.read_bytes()
    assert run.end({})["status"] == "running"
    assert run.log.read_bytes() == log
    run.json.write_text(json.dumps({"run_id": "20260101T000000-other", "status": "running"}))
    assert run.end()["status"] == "running"


def test_what_was_being_sent_is_ours(tmp_path: Path) -> None:
    """A `run.json` that was sent without an answer is known when it has been written anew, each
    version of it; anything else of that name is another's."""
    opened = OpenJob(str(tmp_path / "job"))
    ledger = opened.journal.ledger
    ledger.add_attempted("x.run.json", b"first")
    ledger.add_attempted("x.run.json", b"second")
    for etag, size, strangers in (
        ("8b04d5e3775d298e78455efc5ca404d5", 5, 0),
        ("a9f0e61a137d86aa9db53465e0801612", 6, 0),
        ("8b04d5e3775d298e78455efc5ca404d5", 6, 1),
        ("", 5, 1),
        ("0" * 32, 5, 1),
    ):
        ledger.set_held([Held("f/x.run.json", size, etag)], "f/")
        assert ledger.count_strangers() == strangers, (etag, size)
    opened.close(is_done=False)
