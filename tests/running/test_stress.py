"""Many records from many places at once, and kills at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys

import pytest

from aind_capsule.records.encode import decode
from tests.conftest import Capsule, parse_strictly, wait_until

PY = sys.executable

PRODUCERS = """
import os, sys
from aind_capsule import configure_logging
from loguru import logger
processes, records, lines = map(int, sys.argv[1:])
configure_logging(site="lab")
pids = []
for p in range(processes):
    pid = os.fork()
    if pid == 0:
        for i in range(records):
            logger.info("p{} i{}", p, i)
        os._exit(0)
    pids.append(pid)
for start in range(0, lines, 1000):
    sys.stdout.buffer.write(b"".join(b"line %d\\n" % n for n in range(start, start + 1000)))
sys.stdout.buffer.flush()
for pid in pids:
    os.waitpid(pid, 0)
"""


def _check_all_there(capsule: Capsule, processes: int, records: int, lines: int) -> None:
    script = capsule.write("produce.py", PRODUCERS)
    done = capsule.start(PY, str(script), str(processes), str(records), str(lines),
                         options=("--console", "off"), stdout=subprocess.DEVNULL)  # fmt: skip
    _, err = done.communicate(timeout=600)
    assert done.returncode == 0, err
    log = capsule.find_log()
    assert log is not None
    inside: set[str] = set()
    captured: set[str] = set()
    count = 0
    with log.open("rb") as file:
        for count, line in enumerate(file, 1):  # noqa: B007
            record = decode(line)
            assert record is not None
            assert record["seq"] == count - 1
            if record.get("site") == "lab":
                inside.add(record["message"])
            elif "stream" in record:
                captured.add(record["message"])
    assert len(inside) == processes * records
    assert len(captured) == lines
    assert count == processes * records + lines + 2
    assert record["status"] == "success"
    assert "lost_records" not in record


def test_a_tenth_of_the_storm(capsule: Capsule) -> None:
    """16 processes of 2,000 records each while 50,000 lines are printed: all there, whole, no gap."""
    _check_all_there(capsule, 16, 2_000, 50_000)


@pytest.mark.slow
def test_the_storm(capsule: Capsule) -> None:
    """16 processes of 100,000 records each while 1,000,000 lines are printed: all there, whole, no gap."""
    _check_all_there(capsule, 16, 100_000, 1_000_000)


@pytest.mark.parametrize("seed", range(5))
def test_kill_at_any_moment(capsule: Capsule, seed: int) -> None:
    """kill -9 of the wrapper while it writes: what is there is whole and in order, at most the end is torn."""
    process = capsule.start(
        "seq", "100000000", options=("--console", "off"), stdout=subprocess.DEVNULL
    )
    size = random.Random(seed).randrange(100_000, 20_000_000)
    log = wait_until(lambda: (p := capsule.find_log()) and p.stat().st_size > size and p)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    *lines, torn = log.read_bytes().split(b"\n")
    for n in (0, len(lines) // 2, len(lines) - 1):
        assert parse_strictly(lines[n])["seq"] == n
    messages = [decode(line)["message"] for line in lines[1:]]
    assert messages == [str(n) for n in range(1, len(messages) + 1)]
    assert len(torn) < 1000
