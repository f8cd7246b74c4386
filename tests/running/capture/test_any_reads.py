"""The same bytes are the same records, however they are read: cut at every byte, with short pauses."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.line_levels.literals import LITERALS as WORDS
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.running.capture.stream_capture import StreamCapture
from aind_capsule.running.journal import Journal
from tests.conftest import Capsule

TRACEBACK = b"""Traceback (most recent call last):
  File "fit.py", line 12, in <module>
    main()
  File "fit.py", line 8, in main
    raise ValueError("no units")
ValueError: no units
"""
CHAINED = b"""Traceback (most recent call last):
  File "a.py", line 1, in f
    {}["k"]
KeyError: 'k'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    f()
RuntimeError: no settings for probe 3
"""
GROUP = b"""  + Exception Group Traceback (most recent call last):
  |   File "g.py", line 2, in <module>
  |     raise ExceptionGroup("two", [ValueError("a"), TypeError("b")])
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: a
    +---------------- 2 ----------------
    | TypeError: b
    +------------------------------------
"""
JAVA = b"""Exception in thread "main" java.lang.IllegalStateException: no frames
\tat org.lab.Reader.next(Reader.java:42)
\tat org.lab.Main.main(Main.java:7)
Caused by: java.io.IOException: short read
\t... 2 more
"""
CELL = b"""ValueError          Traceback (most recent call last)
Cell In[1], line 1
----> 1 f(3)

ValueError: bad
in two lines
"""
#: Outputs, by kind. What a bar shows in between depends on the clock, which stands still here.
OUTPUTS = {
    "plain": b"loading\nfound 384 channels\nsaved\n",
    "no end": b"loading\nsaved",
    "blank": b"a\n\n\nb\n \n\n",
    "levels": b"WARNING: few spikes\nERROR: no clock\nerror = 0.3\nINFO - done\nERROR\n",
    "stamped": b"2026-01-02 03:04:05,678 - qc - ERROR - bad gain\n[12:00:01] WARNING slow disk\n",
    "windows": b"first\r\nsecond\r\nERROR: third\r\n\r\nlast\r\n",
    "multibyte": "µV über 384 Kanäle\n神経\n🧠🧠 ok\né\n".encode(),
    "not UTF-8": b"caf\xe9\n\xff\xfe\nplain\n\xe2\x82\nend\xc3",
    "control": b"tab\there\nnul\x00here\nbell\x07\nform\x0cfeed\n",
    "nothing": b"",
    "only ends": b"\n\n\n",
    "traceback": b"start\n" + TRACEBACK + b"end\n",
    "traceback at the end": b"start\n" + TRACEBACK,
    "two tracebacks": TRACEBACK + TRACEBACK,
    "chained": CHAINED + b"after\n",
    "group": GROUP + b"after\n",
    "traceback behind text": b"10%|# |"
    + TRACEBACK
    + b"\n10:00:00 failed: "
    + TRACEBACK
    + b"ERROR: x\n",
    "no traceback behind text": b"it ends with Traceback (most recent call last):\nERROR: x\nend\n",
    "cell": CELL + b"\nnext\n",
    "torn cell": CELL[:70] + b"\nERROR: x\nend\n",
    "node": b"AssertionError [ERR_ASSERTION]: equal:\n\n1 !== 2\n\n    at a.js:1:2\nERROR: x\n",
    "no node": b"ValueError: bad\n\nplain\n10:00:00 next\n",
    "c++": b"terminate called after throwing an instance of 'A'\n  what():  a\n\nb\nERROR: x\n",
    "torn traceback": TRACEBACK[:90] + b"\nplain\n",
    "java": JAVA + b"next\n",
    "source warning": b"a.py:3: UserWarning: few units\n  warnings.warn('few units')\nnext\n",
    "json": b'{"level":"error","message":"no clock","unit":7}\n{"n":1}\n[1,2]\nplain\n',
    "records": b'before\n\x1e{"level":"ERROR","message":"bad","unit":7}\nafter\n',
    "record in a line": b'half \x1e{"message":"a"}\n\x1e{"message":"b"}\x1e{"message":"c"}\n',
    "torn record": b'\x1e{"message":"a\nplain\n\x1enot a record\n',
    "record at the end": b'plain\n\x1e{"message":"a","level":"warn"}',
    "bar": b"\r  0%|   | 0/2\r 50%|#  | 1/2\r100%|###| 2/2\nsaved\n",
    "bar with a note": b"\r 0%| \r      \rnote 1\n\r 50%| \r      \rnote 2\n\r100%|\nend\n",
    "bar ended by \\r": b"doing 1%\rdoing 2%\rdoing 3%\rdone\nend\n",
    "backspaces": b"at 1%\b\b2%\b\b3%\nworking |\b/\b-\b\\\nend\n",
    "erased": b"\x1b[2K\x1b[Gat 1%\x1b[2K\x1b[Gat 2%\nend\n",
    "cursor up": b"step 1\nloss 3\n\x1b[2Astep 2\nloss 2\n\x1b[2Astep 3\nloss 1\nend\n",
    "nested bars": b"\router: 0%\n\rinner: 0%\x1b[A\n\rinner: 9%\x1b[A\router: 9%\n\n\rend\n",
    "status": b"\x1b[?25l\x1b[32m|\x1b[0m run\r\x1b[2K\x1b[32m/\x1b[0m run\r\x1b[2Kdone\n\x1b[?25h",
    "bar and record": b'\r 1%\r 2%\x1e{"message":"m"}\n\r 3%\nend\n',
    "clear to the end": "x.c:3: \x1b[Kéé\x1b[K\nok\x1b[K\n".encode(),
    "screen": b"one\n\x1b[H\x1b[2Jtwo\n\x1b[7;1Hstate 1\x1b[7;1Hstate 2\nthree\n",
    "key": b"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAabcdefghijkl\n"
    b"-----END RSA PRIVATE KEY-----\npassword=hunter2hunter2\nend\n",
}
#: Too long to be cut at every byte: they are cut around these places.
HUGE = {
    "line": b"a" * 300_000 + b"\nend\n",
    "line without an end": b"\xc3\xa9" * 290_000,
    "lines": (b"b" * 270_000 + b"\n") * 2 + b"end\n",
    "line of escapes": b"\x01" * 300_000 + b"\nend\n",
    "record": b'\x1e{"level":"ERROR","message":"' + b"c" * 400_000 + b'","unit":7}\nend\n',
    "record over the bound": b'\x1e{"level":"ERROR","text":"' + b"d" * 1_100_000 + b'"}\nend\n',
    "records behind a line": b"e" * 300_000 + b'\x1e{"message":"m"}\x1e{"message":"n"}\nend\n',
    "no record": b"\x1e" + b"f" * 300_000 + b"\nend\n",
    "bar": b"\r" + b"g" * 300_000 + b"\r 1%\nend\n",
    "line with a bar in it": b"h" * 290_000 + b"\r 1%\r 2%\nend\n",
}
REDACTOR = Redactor(SecretNames(), words=WORDS)


def capture(pieces: Iterable[bytes]) -> list[dict[str, Any]]:
    """The records of an output, without their times and what was counted."""
    records: list[dict[str, Any]] = []
    writer = LogWriter("/dev/null", reserves=False)
    journal = Journal(writer, {}, redactor=REDACTOR)
    journal.captured_viewer = lambda record: records.append(dict(record))
    stream = StreamCapture("stderr", journal, has_stderr=True, read_clock_s=lambda: 0.0)
    for piece in pieces:
        stream.feed(piece)
    stream.finish()
    writer.close()
    for record in records:
        del record["timestamp"]
        record.pop("seq", None)
    return [*records, {"lost": journal.get_lost(), "cut": journal.cut}]


@pytest.mark.parametrize("kind", OUTPUTS)
def test_cut_at_every_byte(kind: str) -> None:
    """Two reads with any byte between them, and a read for each byte, give the records of one read."""
    data = OUTPUTS[kind]
    whole = capture([data])
    for cut in range(1, len(data)):
        assert capture([data[:cut], data[cut:]]) == whole, (data[:cut], data[cut:])
    assert capture(data[n : n + 1] for n in range(len(data))) == whole


@pytest.mark.parametrize("kind", OUTPUTS)
def test_behind_other_outputs(kind: str) -> None:
    """What came before, and in which pieces, changes nothing: behind a bar, and behind a line."""
    for before in (b"\r 1%\r 2%\nplain\n", b"plain\n"):
        text = before + OUTPUTS[kind]
        whole = capture([text])
        for size in (1, 2, 3, 7):
            pieces = [text[n : n + size] for n in range(0, len(text), size)]
            assert capture(pieces) == whole


@pytest.mark.parametrize("kind", HUGE)
def test_huge_lines(kind: str) -> None:
    """Lines and records that are cut are cut in the same places, however they are read."""
    data = HUGE[kind]
    whole = capture([data])
    for size in (4096, 65_536, 99_991, 262_144, 400_000):
        pieces = [data[n : n + size] for n in range(0, len(data), size)]
        assert capture(pieces) == whole, size


@pytest.mark.slow
@pytest.mark.parametrize("kind", HUGE)
def test_huge_lines_by_the_byte(kind: str) -> None:
    """A read for each byte takes no more than a few seconds a megabyte, and gives the same."""
    data = HUGE[kind]
    assert capture(data[n : n + 1] for n in range(len(data))) == capture([data])


@pytest.mark.slow
def test_real_pauses(capsule: Capsule) -> None:
    """With pauses below 0.3 s between the writes the log has the same records as without."""
    kinds = [kind for kind in OUTPUTS if "\r" not in OUTPUTS[kind].decode("latin-1")]
    kinds = [kind for kind in kinds if b"\b" not in OUTPUTS[kind] and b"\x1b" not in OUTPUTS[kind]]
    data = b"".join(
        OUTPUTS[kind].rstrip(b"\n") + b"\n--- " + kind.encode() + b"\n" for kind in kinds
    )
    places = sorted({*range(0, len(data), 37), 0, len(data)})
    pieces = [data[begin:end] for begin, end in itertools.pairwise(places)]
    script = f"""
import os, sys, time
for piece in {pieces!r}:
    os.write(2, piece)
    if len(sys.argv) > 1:
        time.sleep(0.27)
"""
    found = []
    for arguments in ((), ("slowly",)):
        run = capsule.run(sys.executable, "-c", script, *arguments)
        records = [record for record in run.records if "stream" in record or "unit" in record]
        keys = ("message", "level", "exception", "split_part", "unit")
        found.append([{key: record.get(key) for key in keys} for record in records])
    assert found[0] == found[1]
