"""The exception of a traceback is found however the traceback arrives."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.line_levels.literals import LITERALS
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.running.capture.stream_capture import StreamCapture
from aind_capsule.running.journal import Journal

START = b"Traceback (most recent call last):\n"
FRAME = b'  File "a.py", line 1, in f\n    f()\n'


def _capture(pieces: Iterable[bytes | None]) -> Journal:
    """Capture what stderr brings; None stands for a pause."""
    writer = LogWriter("/dev/null", reserves=False)
    journal = Journal(writer, {}, redactor=Redactor(SecretNames(), words=LITERALS))
    stream = StreamCapture("stderr", journal, has_stderr=True)
    for piece in pieces:
        if piece is None:
            stream.tick()
        else:
            stream.feed(piece)
    stream.finish()
    writer.close()
    return journal


@pytest.mark.parametrize(
    ("pieces", "kind", "message"),
    [
        ([START + FRAME + b"a.B: why\n"], "B", "why"),
        ([START, FRAME * 8000, b"RecursionError: too deep\n"], "RecursionError", "too deep"),
        ([START + FRAME * 8000 + b"\n" + FRAME, b"a.B: why\n"], "B", "why"),
        ([START + FRAME + b"ValueError: " + b"x" * 250_000 + b"\n"], "ValueError", "x" * 250_000),
        ([START + FRAME + b"ValueError: " + b"x" * 600_000 + b"\n"], "ValueError", "x" * 1988),
        ([START + FRAME * 8000 + b"ValueError: " + b"x" * 600_000], "ValueError", "x" * 1988),
        ([START + FRAME + b"    " + b"x" * 600_000 + b"\nB: why\n"], "B", "why"),
        ([START + FRAME, None, FRAME + b"B: why\n"], "B", "why"),
        (
            [START + FRAME * 8000 + b"no exception\nB: why\n"],
            "Exception",
            FRAME.decode().splitlines()[0].strip(),
        ),
        ([START + FRAME * 8000, START + FRAME + b"B: why\n"], "B", "why"),
    ],
)
def test_the_last_exception(pieces: list[bytes | None], kind: str, message: str) -> None:
    """Too many frames, too long a message or source line, a pause: its type is known all the same."""
    exception = _capture(pieces).last_exception
    assert exception is not None
    assert (exception.type, exception.message) == (kind, message)
