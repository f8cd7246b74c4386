"""Colour codes are in no record, whoever wrote it."""

from __future__ import annotations

import json
from pathlib import Path

from aind_capsule.records.colours import strip_record
from aind_capsule.records.line_levels.literals import LITERALS
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.running.capture.stream_capture import StreamCapture
from tests.running.test_intake import BASE, encode_line, make_journal

RED, PLAIN = "\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "red link"


def test_records_of_every_origin(tmp_path: Path) -> None:
    """A line, a traceback, a logger's JSON, a record from inside and one of another language have none."""
    journal = make_journal(tmp_path / "log")
    journal.redactor = Redactor(SecretNames(), words=LITERALS)
    stream = StreamCapture("stderr", journal, has_stderr=True)
    stream.feed(f"{RED}\n\x1b[31mValueError\x1b[0m: {RED}\n".encode())
    stream.feed(json.dumps({"level": "info", "message": RED}).encode() + b"\n")
    stream.feed(b"\x1e" + json.dumps({"level": "info", "msg": RED}).encode() + b"\n")
    stream.feed(
        f'Traceback (most recent call last):\n\x1b[35m  File\x1b[0m "a", line 1\nE: {RED}\n'.encode()
    )
    stream.finish()
    exception = {"type": "E", "message": RED, "traceback": f"t {RED}"}
    journal.write_inside(encode_line(**{**BASE, "message": RED, "exception": exception}))
    text = (tmp_path / "log").read_text()
    assert "\\u001b" not in text
    assert text.count(PLAIN) == 10


def test_other_fields_stay_as_they_are() -> None:
    """A user's own value is the user's; text that only looks like an escape stays."""
    data = json.dumps({"message": RED, "note": RED, "path": "\\u001b[31m"}).encode()
    record = json.loads(strip_record(data))
    assert record == {"message": PLAIN, "note": RED, "path": "\\u001b[31m"}
    assert strip_record(b"{torn \\u001b") == b"{torn \\u001b"
