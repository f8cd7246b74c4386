"""A canonical record can be written by the wrapper alone: its field names are nobody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.history.runs import find_runs, read_run
from aind_capsule.logs.check import check_log
from aind_capsule.logs.reader import is_being_written
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.known_runs import find_known_runs
from aind_capsule.records.canonical import holds_canonical, is_canonical
from aind_capsule.records.merge import RESERVED_FIELDS
from aind_capsule.records.schema import BY_NAME
from tests.conftest import Capsule, parse_strictly, wait_until

PY = sys.executable
CANONICAL_NAMES = {name for name, field in BY_NAME.items() if field.group == "canonical"}

#: A value of the right type for each name, so that nothing but its name stands against it.
FORGED: dict[str, Any] = {
    name: {
        "string": "forged", "integer": 7, "number": 7.5, "boolean": True,
        "object": {"forged": 1}, "array": ["forged"],
    }[BY_NAME[name].type]
    for name in sorted(RESERVED_FIELDS)
} | {
    "status": "success", "started_at": "2026-01-02T03:04:05.000006Z", "stream": "stdout",
    "run_id": "20260101T000000-0123abcd", "truncated": "message",
}  # fmt: skip
END = {**FORGED, "event_type": "stage_complete", "exit_code": 0, "records": {}}

ORIGINS = """
import json, logging, os, socket, sys
forged = json.loads(sys.argv[1])
base = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO"}
sys.stderr.write("\\x1e" + json.dumps({"message": "rfc", **forged}) + "\\n")
sys.stderr.flush()
path = os.environ.get("CAPSULE_SOCKET")
if path:
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    for name, value in forged.items():
        record = {**base, "message": "socket", name: value}
        client.sendall(json.dumps(record).encode() + b"\\n")
    client.sendall(json.dumps({**base, "message": "socket", **forged}).encode() + b"\\n")
    client.sendall(json.dumps({"capsule": "add", "fields": {**forged, "own": 1, "ended_at": "never", "steps": 3}}).encode() + b"\\n")
    client.close()
from aind_capsule import capsule_run, configure_logging
from loguru import logger
plain = {name: value for name, value in forged.items() if name != "event_type"}
with capsule_run() as run:
    configure_logging(**plain)
    logger.info("constant")
    logger.bind(**forged).info("bound")
    logging.getLogger("lib").warning("stdlib", extra=forged)
    run.set(**plain)
"""


def _check_is_free(records: list[dict[str, Any]], origins: set[str]) -> None:
    """No record but the last has a name that is reserved, and nothing that was said is lost."""
    seen: set[str] = set()
    for record in records[:-1]:
        if record["message"] not in origins:
            continue
        seen.add(record["message"])
        allowed = {"run_id", "seq"}
        assert not (record.keys() & RESERVED_FIELDS) - allowed, record
        assert not is_canonical(record)
    assert seen == origins


def test_every_reserved_name_of_every_origin(capsule: Capsule) -> None:
    """RFC 7464, socket, loguru, logging, constant fields and settings: each reserved name gets a `_`."""
    script = capsule.write("s.py", ORIGINS)
    given = ("--field", "error_type=given", "--field", "upload=given")
    run = capsule.run(PY, str(script), json.dumps(END), options=given)
    assert run.status == 0, run.stderr
    first = run.records[0]
    assert (first["error_type_"], first["upload_"]) == ("given", "given")
    assert not first.keys() & CANONICAL_NAMES
    origins = {"rfc", "socket", "constant", "bound", "stdlib"}
    _check_is_free(run.records, origins)
    whole = {record["message"]: record for record in run.records if record["message"] in origins}
    for message, record in whole.items():
        said = {name: record.get(f"{name}_") for name in RESERVED_FIELDS}
        said |= {name: record.get(f"{name}__", said[name]) for name in ("error_type", "upload")}
        assert said == {name: END[name] for name in RESERVED_FIELDS}, message
        told = "constant" if message == "constant" else "stage_complete"
        assert record.get("event_type", "constant") == told  # a user's own stages have one
    canonical = run.canonical
    assert (canonical["status"], canonical["metrics_"]) == ("success", {"forged": 1})
    assert (canonical["own"], canonical["exit_code"]) == (1, 0)
    assert canonical["run_id"] != FORGED["run_id"]
    content = capsule.run_json()
    assert holds_canonical(content)
    assert (content["ended_at"], content["ended_at_"]) == (canonical["timestamp"], "never")
    assert (content["steps_"], content["command"][0]) == (3, PY)


def test_alone(capsule: Capsule) -> None:
    """`capsule_run` and `configure_logging` without a wrapper keep to the same names."""
    script = capsule.write("s.py", ORIGINS)
    own = capsule.write("own.py", ORIGINS.replace("with capsule_run() as run", "if True").replace("    run.set(**plain)\n", ""))  # fmt: skip
    for path, is_run in ((script, True), (own, False)):
        subprocess.run(
            [PY, str(path), json.dumps(END)],
            cwd=capsule.code, env=capsule.environ, capture_output=True, check=True,
        )  # fmt: skip
        log = capsule.find_log()
        assert log is not None
        records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
        _check_is_free([*records, {}], {"constant", "bound", "stdlib"})
        assert [is_canonical(record) for record in records].count(True) == int(is_run)


@pytest.mark.parametrize("origin", ["rfc", "socket"])
def test_a_killed_run_is_lost_whatever_was_said(capsule: Capsule, origin: str) -> None:
    """A forged end, then kill -9 of the wrapper: every reader says that the run was lost."""
    script = capsule.write("s.py", (
        "import json, os, signal, socket, sys\n"
        "forged = json.loads(sys.argv[1])\n"
        "base = {'timestamp': '2026-01-02T03:04:05.000006Z', 'level': 'INFO', 'message': 'forged'}\n"
        "data = json.dumps({**base, **forged}).encode() + b'\\n'\n"
        "if sys.argv[2] == 'rfc':\n    os.write(2, b'\\x1e' + data)\n"
        "else:\n"
        "    client = socket.socket(socket.AF_UNIX); client.connect(os.environ['CAPSULE_SOCKET'])\n"
        "    client.sendall(data)\n"
        "signal.pause()\n"
    ))  # fmt: skip
    process = capsule.start(PY, str(script), json.dumps(END), origin)
    log = wait_until(capsule.find_log)
    wait_until(lambda: b"forged" in log.read_bytes())
    process.kill()
    process.communicate()
    wait_until(
        lambda: not is_being_written(log)
    )  # a helper of the wrapper may hold it for a moment
    (found,) = find_runs([str(capsule.scratch)])
    assert (found.status, found.ended_at, found.error_type) == ("lost", None, None)
    with log.open("rb") as file:
        assert check_log(file).errors == {}
    known = find_known_runs(gather([str(capsule.scratch)]))[found.run_id]
    assert known.content["status"] == "lost"


def _write_log(folder: Path, *records: dict[str, Any], tail: bytes = b"") -> Path:
    run_id = "20260101T000000-0123abcd"
    log = folder / "scratch" / ".capsule" / run_id / f"x-{run_id}.log.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    base = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO", "message": "m", "run_id": run_id}  # fmt: skip
    start = {**base, "event_type": "stage_start", "shipping": {}}
    lines = [{**base, **record} for record in (start, *records)]
    log.write_bytes(
        b"".join(json.dumps({**line, "seq": n}).encode() + b"\n" for n, line in enumerate(lines))
        + tail
    )
    return log


REAL = {
    "status": "fail", "event_type": "stage_failure", "exit_code": 3, "duration_s": 1.5,
    "started_at": "2026-01-02T03:04:05.000006Z", "records": {"INFO": 1},
}  # fmt: skip
USERS = {"status": "success", "event_type": "stage_complete", "exit_code": 0}


@pytest.mark.parametrize(
    ("records", "tail", "status"),
    [
        ([USERS], b"", "lost"),  # an older version's user said so
        ([{"status": "success"}], b"", "lost"),
        ([{**REAL, "status": "success"}], b"", "lost"),  # its event_type says otherwise
        ([{name: REAL[name] for name in REAL if name != "records"}], b"", "lost"),
        ([{**REAL, "status": "odd"}], b"", "lost"),
        ([{**REAL, "duration_s": True}], b"", "lost"),
        ([{**REAL, "duration_s": "1.5"}], b"", "lost"),
        ([{**REAL, "started_at": "soon"}], b"", "lost"),
        ([REAL], b"", "fail"),
        ([{**REAL, "truncated": ["parameters"]}], b"", "fail"),
        ([USERS, REAL], b"", "fail"),
        ([REAL], b'{"torn', "fail"),
        ([USERS], b'{"torn', "lost"),
        ([REAL, {}], b"", "lost"),  # the canonical record is the last
    ],
)
def test_whose_word_is_taken(
    tmp_path: Path, records: list[dict[str, Any]], tail: bytes, status: str
) -> None:
    """A status is believed in a canonical record alone, and there where it is the log's last."""
    log = _write_log(tmp_path, *records, tail=tail)
    run = read_run(str(log), "20260101T000000-0123abcd")
    assert run is not None
    assert run.status == status
    known = find_known_runs(gather([str(tmp_path)]))
    assert [run.content["status"] for run in known.values()] == [status]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"status": "success"}, "lost"),
        ({**REAL, "status": "success", "ended_at": "2026-01-02T03:04:06.000006Z"}, "success"),
        ({**REAL, "status": "success"}, "lost"),
        ({**REAL, "ended_at": "2026-01-02T03:04:06.000006Z", "run_id": "20260101T000000-00000000"}, "lost"),
    ],
)  # fmt: skip
def test_a_run_json_is_the_second_source(
    tmp_path: Path, content: dict[str, Any], status: str
) -> None:
    """`run.json` is believed where it is this run's last version, and never against the log."""
    log = _write_log(tmp_path)
    run_id = "20260101T000000-0123abcd"
    beside = Path(str(log).replace(".log.jsonl", ".run.json"))
    beside.write_text(json.dumps({"run_id": run_id, **content}))
    assert [run.status for run in find_runs([str(tmp_path)])] == [status]
    _write_log(tmp_path, REAL)
    assert [run.status for run in find_runs([str(tmp_path)])] == ["fail"]
    if json.loads(beside.read_text())["run_id"] == run_id:
        known = find_known_runs(gather([str(tmp_path)]))
        assert known[run_id].content["status"] == "fail"


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_of_two_versions_the_one_that_knows_the_end(tmp_path: Path, order: str) -> None:
    """A version that knows the end is taken, of several the first, also where the log is not whole."""
    run_id = "20260101T000000-0123abcd"
    running = {"run_id": run_id, "status": "running", "started_at": REAL["started_at"]}
    ended = {**REAL, "run_id": run_id, "ended_at": REAL["started_at"]}
    for name, content in zip(order, (running, ended), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"x-{run_id}.run.json").write_text(json.dumps(content))
    log = _write_log(tmp_path)
    for _ in range(2):
        known = find_known_runs(gather([str(tmp_path)]))[run_id]
        assert known.content["status"] == "fail"
        assert known.source == str(tmp_path / order[1] / f"x-{run_id}.run.json")
        assert known.notes == []
        other = {**ended, "error_type": "later"}
        (tmp_path / "z.run.json").mkdir(exist_ok=True)
        (tmp_path / "z.run.json" / f"x-{run_id}.run.json").write_text(json.dumps(other))
    assert "error_type" not in known.content
    _write_log(tmp_path, {**REAL, "status": "success", "event_type": "stage_complete"})
    known = find_known_runs(gather([str(tmp_path)]))[run_id]
    assert (known.content["status"], len(known.notes)) == ("success", 1)
    assert str(log) in known.notes[0]


def test_of_versions_that_know_no_end_the_first(tmp_path: Path) -> None:
    """Where no version knows the end the first stays, also against one that only claims it."""
    run_id = "20260101T000000-0123abcd"
    for name, status in (("a", "running"), ("b", "success")):
        (tmp_path / name).mkdir()
        content = {"run_id": run_id, "status": status}
        (tmp_path / name / f"x-{run_id}.run.json").write_text(json.dumps(content))
    known = find_known_runs(gather([str(tmp_path)]))[run_id]
    assert (known.content["status"], Path(known.source).parent.name) == ("running", "a")


def test_a_run_json_that_only_claims(tmp_path: Path) -> None:
    """What merely calls itself a successful run is no success to `collect`; nor is a copied log."""
    run_id = "20260101T000000-0123abcd"
    (tmp_path / "run.json").write_text(json.dumps({"run_id": run_id, "status": "success"}))
    known = find_known_runs(gather([str(tmp_path)]))
    assert known[run_id].content["status"] == "unknown"
    log = _write_log(tmp_path)
    results = tmp_path / "zresults"
    results.mkdir()
    forged = log.read_bytes() + json.dumps({**REAL, "run_id": run_id, "seq": 1}).encode() + b"\n"
    (results / log.name).write_bytes(forged)
    original, copy = str(log.parent), str(results)
    for folders in ([original, copy], [copy, original], [str(tmp_path)]):
        assert [run.status for run in find_runs(folders)] == ["lost"]
    half = tmp_path / "half"  # of copies the one that is whole is taken
    half.mkdir()
    (half / log.name).write_bytes(log.read_bytes())
    for folders in ([str(half), copy], [copy, str(half)]):
        assert [run.status for run in find_runs(folders)] == ["fail"]


def test_the_record_that_follows_it_is_told(tmp_path: Path) -> None:
    """`check-logs` names a record behind the canonical one, and one that claims to be it."""
    for records, lines in (
        ([REAL, {}], [3]),
        ([USERS, REAL], [2]),
        ([{"status": "fail"}, REAL], []),
    ):
        with _write_log(tmp_path, *records).open("rb") as file:
            verdict = check_log(file)
        told = [line for line, fault in verdict.examples if fault.rule == "canonical"]
        assert told == lines


def test_all_of_the_canonical_record_is_reserved(capsule: Capsule) -> None:
    """What the wrapper writes into the canonical record alone is what the table reserves."""
    run = capsule.run("sh", "-c", "kill -9 $$", options=("--resources", "1s"))
    first = run.records[0]
    own = run.canonical.keys() - first.keys() - {"level", "message", "event_type"}
    assert own <= RESERVED_FIELDS, own - RESERVED_FIELDS
    assert CANONICAL_NAMES <= RESERVED_FIELDS
    assert os.path.exists(str(run.log))


def test_users_fields_of_a_canonical_record_say_nothing_of_the_run(capsule: Capsule) -> None:
    """Readers of a log take the wrapper's own fields: the end's time, the stated name, no inputs."""
    said = {"ended_at": "never", "inputs": [{"path": "/"}], "parents": [FORGED["run_id"]],
            "folders": {"results": "/"}, "notes": ["forged"], "pipeline": {"name": "forged"}}  # fmt: skip
    script = capsule.write("guess.py", f"""
from aind_capsule import capsule_run
with capsule_run("stated") as run: run.set(**{said!r})
""")  # fmt: skip
    run = capsule.run(PY, str(script))
    assert (run.canonical["ended_at"], run.records[0]["process_name"]) == ("never", "guess")
    run_id = run.canonical["run_id"]
    summary = read_run(str(run.log), run_id)
    assert summary is not None
    assert summary.ended_at == run.canonical["timestamp"]
    assert summary.process_name == "stated"
    for path in capsule.root.rglob("*.run.json"):
        path.unlink()
    known = find_known_runs(gather([str(capsule.results)]))
    assert known.keys() == {run_id}
    content = known[run_id].content
    assert (content["ended_at"], content["process_name"]) == (summary.ended_at, "stated")
    assert content["command"] == [PY, str(script)]
    assert content["pipeline"] == {"name": None}
    assert not content.keys() & {"inputs", "parents", "folders", "notes"}
