"""A pipe of the processing's becomes records as it is read, and waits where nobody reads ours."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

from aind_capsule.logs.writer import LogWriter  # noqa: E402
from aind_capsule.records.line_levels.literals import LITERALS  # noqa: E402
from aind_capsule.records.redaction.names import SecretNames  # noqa: E402
from aind_capsule.records.redaction.redactor import Redactor  # noqa: E402
from aind_capsule.running.capture.captured_stream import CapturedStream  # noqa: E402
from aind_capsule.running.capture.stream_capture import StreamCapture  # noqa: E402
from aind_capsule.running.journal import Journal  # noqa: E402
from aind_capsule.running.loop import Loop  # noqa: E402
from aind_capsule.running.outlet import Outlet  # noqa: E402


def test_a_reader_who_waits_ends_no_group(tmp_path: Path) -> None:
    """While our own output is full nothing is read: that is no quiet, and a traceback stays one."""
    loop = Loop()
    their_end, our_output = os.pipe()
    processing, pipe = os.pipe()[::-1]
    writer = LogWriter(tmp_path / "log", reserves=False)
    redactor = Redactor(SecretNames(), words=LITERALS)
    capture = StreamCapture("stderr", Journal(writer, {}, redactor=redactor), has_stderr=True)
    streams: list[CapturedStream] = []
    outlet = Outlet(our_output, loop, lambda: None, lambda: streams[0].update(), lambda _name: None)
    streams.append(CapturedStream(pipe, loop, outlet, capture))

    def run(seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while streams[0].is_open and time.monotonic() < end_s:
            loop.run_once(0.05)

    os.write(processing, b"Traceback (most recent call last):\n")
    run(0.05)
    assert capture.needs_tick
    outlet.pass_on(b"y" * 1_000_000)  # what the other stream has brought to the same place
    streams[0].update()
    assert outlet.is_full
    os.write(processing, b'  File "a.py", line 3, in f\nValueError: bad\n')
    run(0.8)
    os.close(processing)
    while streams[0].is_open:
        os.read(their_end, 65536)
        run(0.01)
    writer.close()
    for fd in (their_end, our_output):
        os.close(fd)
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (found,) = [record["exception"] for record in records if "exception" in record]
    assert (found["type"], found["message"]) == ("ValueError", "bad")
