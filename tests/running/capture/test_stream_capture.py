"""Captured output: bytes through verbatim, one line one record, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Capsule, wait_until

PY = sys.executable


def test_bytes_go_through_verbatim_on_their_own_stream(capsule: Capsule) -> None:
    r"""`\r`, partial lines, colours and invalid UTF-8 come out as they went in."""
    script = (
        "import os;"
        r"os.write(1, b'a\rb\r\nc\x1b[31mred\x1b[0m\n\xff\xfe\x00partial');"
        r"os.write(2, b'err\x1b[1m \xc3\n')"
    )
    run = capsule.run(PY, "-c", script, options=("--console", "off"))
    assert run.stdout == b"a\rb\r\nc\x1b[31mred\x1b[0m\n\xff\xfe\x00partial"
    assert run.stderr == b"err\x1b[1m \xc3\n"
    assert run.canonical["status"] == "success"


def test_random_bytes_make_valid_lines(capsule: Capsule, tmp_path: Path) -> None:
    """A megabyte of random bytes comes through whole, and every line of the log is valid."""
    noise = tmp_path / "noise"
    noise.write_bytes(os.urandom(1_000_000))
    run = capsule.run("sh", "-c", f"cat {noise}; cat {noise} >&2", options=("--console", "off"))
    assert run.stdout == noise.read_bytes()
    assert run.stderr == noise.read_bytes()
    assert run.canonical["status"] == "success"


def test_every_line_is_a_record_in_order(capsule: Capsule) -> None:
    """100,000 lines are 100,000 records, in order, with rising times."""
    run = capsule.run("seq", "100000")
    assert run.messages == [str(n) for n in range(1, 100_001)]
    times = [record["timestamp"] for record in run.records if "stream" in record]
    assert times == sorted(set(times))
    assert run.canonical["records"]["INFO"] == 100_001


def test_stream_is_named(capsule: Capsule) -> None:
    """A captured line says on which stream it came; both are INFO unless they say otherwise."""
    run = capsule.run("sh", "-c", "echo out; echo err >&2")
    found = {r["message"]: (r["stream"], r["level"]) for r in run.records if "stream" in r}
    assert found == {"out": ("stdout", "INFO"), "err": ("stderr", "INFO")}


def test_levels_are_read_from_the_line(capsule: Capsule) -> None:
    """A line that states its level has it."""
    text = (
        "[WARNING] a\nERROR: b\nplain error in prose\n2026-01-01 10:00:00 [DEBUG] d\nCRITICAL - e\n"
    )
    run = capsule.run("printf", "%s", text)
    levels = [r["level"] for r in run.records if "stream" in r]
    assert levels == ["WARNING", "ERROR", "INFO", "DEBUG", "CRITICAL"]
    assert run.canonical["records"] == {
        "DEBUG": 1,
        "INFO": 2,
        "WARNING": 1,
        "ERROR": 1,
        "CRITICAL": 1,
    }


def test_merged_streams_keep_exact_order(capsule: Capsule) -> None:
    """--merge-streams: everything on stdout, in exact order."""
    script = "import os\nfor i in range(500): os.write(1 + i % 2, b'%d\\n' % i)"
    run = capsule.run(PY, "-c", script, options=("--merge-streams", "--console", "off"))
    assert run.messages == [str(n) for n in range(500)]
    assert run.stdout.split() == [str(n).encode() for n in range(500)]
    assert run.stderr == b""


def test_a_traceback_is_one_record(capsule: Capsule) -> None:
    """A chained traceback on stderr is one ERROR record with its text; nothing of it stands apart."""
    script = (
        "try:\n    {}['unit']\nexcept KeyError as error:\n"
        "    raise ValueError('no unit\\n  see manual') from error\n"
    )
    run = capsule.run(PY, "-c", script)
    (record,) = [r for r in run.records if "exception" in r]
    assert record["level"] == "ERROR"
    assert record["exception"]["type"] == "ValueError"
    assert "KeyError: 'unit'" in record["exception"]["traceback"]
    assert "direct cause" in record["exception"]["traceback"]
    assert record["exception"]["traceback"].encode() in run.stderr
    assert [m for m in run.messages if "File" in m or "Traceback" in m] == []


def test_lines_around_a_traceback_stay(capsule: Capsule) -> None:
    """Lines before and after a traceback are records of their own, in order."""
    script = (
        "import traceback, sys\nprint('before', file=sys.stderr)\n"
        "try: 1/0\nexcept ZeroDivisionError: traceback.print_exc()\n"
        "print('INFO: after', file=sys.stderr)\nprint(file=sys.stderr)\nprint('end', file=sys.stderr)"
    )
    run = capsule.run(PY, "-c", script)
    messages = [r["message"] for r in run.records if r.get("stream") == "stderr"]
    assert messages == ["before", "ZeroDivisionError: division by zero", "INFO: after", "", "end"]


def test_progress_bars_are_few_records(capsule: Capsule) -> None:
    """A progress bar of 2,000 states becomes a handful of records, the last state among them."""
    script = (
        "import sys\nfor i in range(2001): print(f'\\r{i/20:.0f}%', end='', file=sys.stderr, flush=True)\n"
        "print(file=sys.stderr)\nprint('done', file=sys.stderr)"
    )
    run = capsule.run(PY, "-c", script)
    messages = [r["message"] for r in run.records if r.get("stream") == "stderr"]
    assert messages[-2:] == ["100%", "done"]
    assert len(messages) < 10


def test_windows_line_ends(capsule: Capsule) -> None:
    r"""`\r\n` ends a line like `\n`."""
    assert capsule.run("printf", "a\r\nb\r\n").messages == ["a", "b"]


def test_a_huge_line_is_split_and_marked(capsule: Capsule) -> None:
    """A line of 20 MB comes in parts of at most 256 KB of log line each, numbered, the last marked."""
    script = (
        "import os\nfor _ in range(200): os.write(1, b'x' * 99_999 + b'y')\nprint(); print('end')"
    )
    run = capsule.run(PY, "-c", script, stdout=subprocess.DEVNULL)
    parts = [r for r in run.records if "split_part" in r]
    assert [r["split_part"] for r in parts] == list(range(1, len(parts) + 1))
    assert [r["split_last"] for r in parts] == [False] * (len(parts) - 1) + [True]
    assert "".join(r["message"] for r in parts) == ("x" * 99_999 + "y") * 200
    assert max(map(len, run.lines)) <= 256 * 1024
    assert run.messages[-1] == "end"


@pytest.mark.slow
def test_a_line_of_100_mb_takes_little_memory(capsule: Capsule) -> None:
    """The wrapper's peak memory stays under 100 MB with a line of 100 MB."""
    script = "import os\nfor _ in range(100): os.write(1, b'z' * 1_000_000)"
    timer = ["/usr/bin/env", PY, "-c",
             "import resource,subprocess,sys;"
             "status=subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL);"
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"]  # fmt: skip
    done = subprocess.run(
        [*timer, *capsule.get_command(PY, "-c", script)],
        cwd=capsule.code, env=capsule.environ, capture_output=True, check=True,
    )  # fmt: skip
    assert int(done.stdout.split()[-1]) * 1024 < 100e6


def test_control_characters_may_not_burst_a_line(capsule: Capsule) -> None:
    """Escapes count: a long line of control characters is cut so that its lines stay short."""
    run = capsule.run(
        PY, "-c", r"import os; os.write(1, b'\x01' * 600_000 + b'\n')", stdout=subprocess.DEVNULL
    )
    assert max(map(len, run.lines)) <= 256 * 1024
    assert "".join(run.messages) == "\x01" * 600_000


def test_the_mark_in_the_text_is_harmless(capsule: Capsule) -> None:
    """A line that holds the encoder's own mark (U+10FFFF) stays one line."""
    run = capsule.run(PY, "-c", r"import os; os.write(1, 'a\U0010ffffb\nc\n'.encode())")
    assert len(run.messages) == 2


def test_records_of_other_languages(capsule: Capsule) -> None:
    """RFC 7464 on stderr: level, message and fields arrive; what is torn becomes text and is counted."""
    script = capsule.write("r.py", (
        "import os\n"
        "os.write(2, b'partial\\x1e{\"level\":\"warn\",\"msg\":\"from R\",\"n\":3}\\n')\n"
        "os.write(2, b'\\x1e{\"message\":\"whole\",\"level\":\"ERROR\",\"run_id\":\"mine\"}\\n')\n"
        "os.write(2, b'\\x1e{\"message\": torn\\nplain\\n')\n"
    ))  # fmt: skip
    run = capsule.run(PY, str(script))
    by_message = {r["message"]: r for r in run.records}
    assert by_message["from R"]["level"] == "WARNING"
    assert by_message["from R"]["n"] == 3
    assert by_message["whole"]["level"] == "ERROR"
    assert by_message["whole"]["run_id_"] == "mine"
    assert {"partial", '{"message": torn', "plain"} <= by_message.keys()
    assert run.canonical["lost_records"] == {"torn_foreign_records": 1}
    assert b"\x1e" in run.stderr


def test_tty_leaves_the_streams_alone(capsule: Capsule) -> None:
    """--tty: stdout and stderr are the wrapper's own, and not captured."""
    run = capsule.run("sh", "-c", "echo out; echo err >&2", options=("--tty", "--console", "off"))
    assert (run.stdout, run.stderr, run.messages) == (b"out\n", b"err\n", [])
    assert run.canonical["status"] == "success"


@pytest.mark.slow
def test_a_slow_reader_slows_the_processing_only(capsule: Capsule) -> None:
    """While nobody reads our stdout the processing waits, as it would without us; a stop still works."""
    process = capsule.start("yes", options=("--console", "off"))
    log = wait_until(lambda: (p := capsule.find_log()) and p.stat().st_size > 100_000 and p)
    sizes = []

    def is_still() -> bool:
        sizes.append(log.stat().st_size)
        return len(sizes) > 20 and len(set(sizes[-20:])) == 1

    wait_until(is_still)
    process.terminate()
    run = capsule.finish(process)
    assert run.canonical["status"] == "stopped"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chunks=st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"\x1e", b"Traceback (most recent call last):\n", b"  File x\n", b"E: y\n",
     "é".encode()[:1], "é".encode(), b"\x1b[2K"])), max_size=30))  # fmt: skip
def test_any_chunks_are_verbatim_and_valid(capsule: Capsule, chunks: list[bytes]) -> None:
    """Whatever is written in whatever pieces: verbatim on the streams, and the log is sound."""
    script = "import os,sys\nfor c in eval(sys.argv[1]): os.write(1, c); os.write(2, c)"
    run = capsule.run(PY, "-c", script, repr(chunks), options=("--console", "off"))
    assert run.stdout == run.stderr == b"".join(chunks)
    assert run.canonical["exit_code"] == 0
