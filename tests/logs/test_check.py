"""`capsule check-logs`: each rule of the standard, the counts, and the exit statuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.logs.check import check_log
from tests.conftest import Capsule

GOOD = {"timestamp": "2026-02-09T21:19:24.061270Z", "level": "INFO", "message": "Starting",
        "acquisition_name": "1_2026-01-01_00-00-00"}  # fmt: skip


def _line(**changes: object) -> bytes:
    record = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return json.dumps(record).encode() + b"\n"


@pytest.mark.parametrize(("line", "rule"), [
    (_line(timestamp=...), "missing"),
    (_line(message=...), "missing"),
    (_line(timestamp="2026-02-09 21:19:24"), "format"),
    (_line(timestamp="2026-02-09T21:19:24.061270+01:00"), "format"),
    (_line(timestamp="2026-02-09T21:19:24.061270"), "format"),
    (_line(timestamp="2026-02-09T21:19:24.Z"), "format"),
    (_line(timestamp="2026-02-09T21:19:24.0123456789Z"), "format"),
    (_line(timestamp="2026-02-30T21:19:24.061270Z"), "format"),
    (_line(timestamp="2025-02-29T21:19:24Z"), "format"),
    (_line(timestamp="2026-13-09T21:19:24Z"), "format"),
    (_line(timestamp="2026-02-09T25:19:24.061270Z"), "format"),
    (_line(timestamp="2026-02-09T21:60:24Z"), "format"),
    (_line(acquisition_name="1_2025-13-45_99-99-99"), "acquisition"),
    (_line(acquisition_name="my data"), "acquisition"),
    (_line(acquisition_name="1_2026-01-01_00-00-00_sorted_2026-01-02_00-00-00"), "acquisition"),
    (_line(acquisition_name="ecephys_1_2026-01-01_00-00-00", subject_id="1"), "acquisition"),
    (_line(subject_id="2"), "subject"),
    (_line(subject_id="1", specimen_id="2_002"), "subject"),
    (_line(lineno=-1), "range"),
    (_line(seq=-1), "range"),
    (_line(split_part=0), "range"),
    (_line(logger=""), "placeholder"),
    (_line(function=" "), "placeholder"),
    (_line(threadName=""), "placeholder"),
    (_line(processName=""), "placeholder"),
    (_line(acquisition_name=""), "placeholder"),
    (_line(level="Info"), "choice"),
    (_line(level="CRITICAl"), "choice"),
    (_line(event_type="started"), "choice"),
    (_line(lineno="7"), "type"),
    (_line(lineno=True), "type"),
    (_line(subject_id=714392), "type"),
    (_line(subject_id=""), "placeholder"),
    (_line(rig_id="undefined"), "placeholder"),
    (_line(instrument_id=None), "placeholder"),
    (b"plain text\n", "json"),
    (b"[1]\n", "json"),
    (b'{"timestamp": NaN}\n', "json"),
    (b'{"a":1,"a":2}\n', "json"),
    (b'{"a":"\xff"}\n', "utf-8"),
    (b'{"torn', "torn"),
    (_line(seq=1) + _line(seq=3), "sequence"),
    (_line(status="success", event_type="stage_complete") + _line(), "canonical"),
])  # fmt: skip
def test_each_rule(line: bytes, rule: str) -> None:
    """A line that breaks one rule is found by that rule alone."""
    verdict = check_log(io.BytesIO(line))
    assert dict(verdict.errors) == {rule: 1}
    assert not verdict.is_good


@pytest.mark.parametrize("line", [
    _line(), _line(event_type="stage_error"), _line(lineno=7, thread="1"), _line(mine=None, other=[1, {"x": 2}]),
    _line(message=""), _line(timestamp="2026-02-09T21:19:24Z"), _line(lineno=0, seq=0, split_part=1),
    _line(timestamp="2026-02-09T21:19:24.061270+00:00"), _line(timestamp="2024-02-29T23:59:59.1Z"),
    _line(timestamp="2026-02-09T21:19:24.123456789Z"), _line(subject_id="1", specimen_id="1_001"),
    _line(specimen_id="2_001"), _line(acquisition_name="test_1_2026-01-01_00-00-00", subject_id="test_1"),
    _line(function="none"),
])  # fmt: skip
def test_good_lines(line: bytes) -> None:
    """What the standard allows is not blamed."""
    verdict = check_log(io.BytesIO(line))
    assert (verdict.is_good, dict(verdict.warnings)) == (True, {})


def test_a_missing_acquisition_is_a_warning() -> None:
    """acquisition_name: a warning, said once and counted, and the log is still good."""
    verdict = check_log(io.BytesIO(_line(acquisition_name=...) * 5))
    assert verdict.is_good
    assert verdict.warnings["acquisition_name"] == 5
    assert len(verdict.examples) == 1


def _check(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "aind_capsule", "check-logs", *arguments], input=text,
                          capture_output=True, check=False)  # fmt: skip


def test_exit_statuses(tmp_path: Path, capsule: Capsule) -> None:
    """0 for a run's log, 1 for a bad one, 2 for one that cannot be read; - is standard input."""
    run = capsule.run("echo", "x")
    assert _check(str(run.log)).returncode == 0
    bad = tmp_path / "bad"
    bad.write_bytes(b"nonsense\n")
    done = _check(str(run.log), str(bad))
    assert done.returncode == 1
    assert b"line 1: [json]" in done.stdout
    assert _check(str(tmp_path / "none"), str(bad)).returncode == 2
    assert _check().returncode == 2
    assert _check("-", text=_line()).returncode == 0
    told = json.loads(_check("--json", str(bad)).stdout)
    assert told[str(bad)]["errors"] == {"json": 1}


def test_the_json_schema_agrees() -> None:
    """The exported JSON Schema and check-logs judge these records alike."""
    import jsonschema

    schema = json.loads(_check("--schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    for line in (
        _line(),
        _line(level="x"),
        _line(lineno="7"),
        _line(message=...),
        _line(timestamp="now"),
        _line(timestamp="2026-02-09T21:19:24Z"),
        _line(timestamp="2026-02-09T25:19:24Z"),
        _line(lineno=-1),
    ):
        assert validator.is_valid(json.loads(line)) == check_log(io.BytesIO(line)).is_good
