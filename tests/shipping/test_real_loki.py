"""The same promises against a real Loki, where `LOKI_URL` names one (`http://localhost:3100`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

import psutil
import pytest

from aind_capsule.records.timestamps import parse_timestamp
from tests.conftest import Capsule, wait_until
from tests.shipping.logs import Log, deliver, make_settings
from tests.shipping.test_runs import push

URL = os.environ.get("LOKI_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="LOKI_URL names no Loki")
_PAGE = 5000
_HOUR_NS = 3600 * 10**9


def query(selector: str, lines: list[str]) -> list[tuple[str, dict[str, str]]]:
    """All entries that a query finds around the times of a log: the line and its metadata.

    A page ends within one time at worst, so that the next begins with that time again; entries are
    told apart by stream, time and line.
    """
    times = sorted(json.loads(line)["timestamp"] for line in lines)
    start, end = (_to_ns(times[0]) - _HOUR_NS, _to_ns(times[-1]) + _HOUR_NS)
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    while True:
        words = urllib.parse.urlencode(
            {"query": selector, "start": start, "end": end, "limit": _PAGE, "direction": "forward"}
        )
        request = urllib.request.Request(
            f"{URL}/loki/api/v1/query_range?{words}",
            headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            result = json.load(answer)["data"]["result"]
        page = [(json.dumps(s["stream"], sort_keys=True), v) for s in result for v in s["values"]]
        for stream, (time_ns, line, more) in page:
            found[stream, time_ns, line] = more.get("structuredMetadata", {})
        if len(page) < _PAGE:
            return [(line, metadata) for (_, _, line), metadata in found.items()]
        start = max(int(value[0]) for _, value in page)


def _to_ns(timestamp: str) -> int:
    time_us = parse_timestamp(timestamp)
    assert time_us is not None
    return time_us * 1000


def assert_there_once(process_name: str, lines: list[str]) -> None:
    """Every line of a log is in the Loki exactly once."""
    run_id = json.loads(lines[0])["run_id"]
    selector = f'{{process_name="{process_name}"}} | run_id="{run_id}"'

    def count() -> Counter[str]:
        return Counter(line for line, _ in query(selector, lines))

    wait_until(lambda: sum(count().values()) >= len(lines), timeout_s=60)
    assert count() == Counter(lines)


@pytest.fixture
def name() -> str:
    """A process that no run had before."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def shipped(capsule: Capsule, name: str) -> Capsule:
    """A capsule whose runs are delivered to it."""
    capsule.environ |= {"CAPSULE_LOKI__URL": URL, "PROCESS_NAME": name}
    return capsule


def test_a_run(shipped: Capsule, name: str) -> None:
    """20,000 different and 5,000 equal lines: each is there once, by level too, ids in the metadata."""
    code = "for n in range(20000): print('ERROR: no' if n % 1000 == 0 else f'line {n}')"
    equal = "for _ in range(5000): print('the same')"
    run = shipped.run(sys.executable, "-c", f"{code}\n{equal}")
    lines = [line.decode() for line in run.lines]
    assert len(lines) >= 25_002
    assert_there_once(name, lines)
    errors = query(f'{{process_name="{name}"}} | level="ERROR"', lines)
    assert len(errors) == 20
    assert all(metadata["run_id"] == run.records[0]["run_id"] for _, metadata in errors)


def test_killed_and_pushed(shipped: Capsule, name: str) -> None:
    """Everything is killed in the middle; a push from here, and one from elsewhere: each once."""
    process = shipped.start(
        sys.executable, "-c",
        "import time\nfor n in range(10**6):\n print(f'line {n}')\n n % 500 or time.sleep(0.05)",
    )  # fmt: skip
    wait_until(lambda: list(shipped.scratch.rglob("*.position")))
    (log,) = shipped.scratch.rglob("*.log.jsonl")
    wait_until(lambda: log.stat().st_size > 2_000_000)
    for victim in [
        *psutil.Process(process.pid).children(recursive=True),
        psutil.Process(process.pid),
    ]:
        victim.send_signal(signal.SIGKILL)
    process.communicate()
    lines = log.read_text().split("\n")[:-1]
    for more in ({}, {"XDG_STATE_HOME": str(shipped.code / "elsewhere")}):
        done = subprocess_push(shipped, log, **more)
        assert done.returncode == 0, done.stderr
        assert_there_once(name, lines)


def subprocess_push(shipped: Capsule, log: Path, **more: str) -> subprocess.CompletedProcess:
    """Push a log, from another machine where a state folder is given: from a copy."""
    if not more:
        return push(shipped, str(log))
    copy = shipped.code / log.name
    copy.write_bytes(log.read_bytes())
    return push(shipped, str(copy), CAPSULE_SCRATCH=str(shipped.code / "none"), **more)


def test_owed_and_pushed_after_a_newer_run(tmp_path: Path, name: str) -> None:
    """A run of two hours ago after one of now, in one stream: each line once, also when repeated."""
    now = time.time()
    new = Log(tmp_path, "20260101T000001-0123abcd", name)
    new.write(*[f"new {n}" for n in range(3000)], at_s=now)
    old = Log(tmp_path, "20260101T000002-0123abcd", name)
    old.write(*[f"old {n}" for n in range(3000)], at_s=now - 2.2 * 3600)
    settings = make_settings(URL)
    deliver(new, settings)
    way = deliver(old, settings)
    assert way.delivery.progress.late == 3000
    assert_there_once(name, new.lines)
    assert_there_once(name, old.lines)
    (tmp_path / "another").mkdir()
    deliver(old, settings, folder=tmp_path / "another", is_resend=True)
    assert_there_once(name, old.lines)


def test_owed_runs_of_a_fan_out(tmp_path: Path, name: str) -> None:
    """Runs of up to two hours ago at the same time, in one stream that is divided: each line once."""
    now = time.time()
    logs = []
    for number, age_h in enumerate((0, 1.9, 1.5, 0.5, 1.2, 2.0, 0.1, 1.8)):
        log = Log(tmp_path, f"2026010{number + 1}T000000-0123abcd", name)
        log.write(*[f"{n} {'x' * 400}" for n in range(12_000)], at_s=now - age_h * 3600)
        log.writer.close()
        logs.append(log)
    environ = {**os.environ, "CAPSULE_LOKI__URL": URL, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "aind_capsule.shipping"]
    shippers = [subprocess.Popen([*command, str(log.path)], env=environ, cwd=tmp_path,
                                 stdout=subprocess.PIPE) for log in logs]  # fmt: skip
    for log, shipper in zip(logs, shippers, strict=True):
        output, _ = shipper.communicate(timeout=120)
        assert shipper.returncode == 0, output
        assert_there_once(name, log.lines)


def test_what_it_refuses(tmp_path: Path, name: str) -> None:
    """A line of last year among others is set aside; the others are there once."""
    log = Log(tmp_path, process_name=name)
    log.write(*[f"line {n}" for n in range(500)])
    log.write("old", at_s=time.time() - 365 * 24 * 3600)
    log.write(*[f"line {n}" for n in range(500, 1000)])
    way = deliver(log, make_settings(URL))
    assert way.delivery.progress.set_aside == 1
    assert_there_once(name, [line for line in log.lines if '"message":"old"' not in line])


def test_doctor(shipped: Capsule) -> None:
    """The probe record is pushed and read back."""
    done = subprocess.run([sys.executable, "-m", "aind_capsule", "doctor"], cwd=shipped.code,
                          env=shipped.environ, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok" in done.stdout
