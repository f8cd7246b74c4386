"""A record of every origin keeps to one limit: it is redacted, then cut with a mark, and counted."""

from __future__ import annotations

import json
import subprocess
import sys

from aind_capsule.records.shrink import MAX_LINE_BYTES
from tests.conftest import Capsule

SCRIPT = """
import json, logging, os, sys
from aind_capsule import capsule_run, configure_logging
from loguru import logger

def print_record(**fields):
    data = b"\\x1e" + json.dumps(fields).encode() + b"\\n"
    while data:
        data = data[os.write(2, data[:60_000]):]

long = (os.environ["LAB_TOKEN"] + " " + "x" * 700 + " ") * 900
configure_logging("qc")
logger.info("loguru " + long)
logger.bind(table={"deep": [{"text": long}]}, unit=7).error("table")
logging.getLogger("lib").warning("logging " + long)
print_record(level="ERROR", message="record " + long, unit=7)
print_record(level="ERROR", message="beginning " + long, text="x" * 1_100_000, unit=7)
print("after", file=sys.stderr, flush=True)
with capsule_run() as run:
    run.log_parameters(small=1, huge=long * 2, last=2)
    run.note("note " + long)
    run.log_metric("rmse", 0.5)
print("line " + "y" * 600_000, flush=True)
raise ValueError("uncaught " + "z" * 300_000)
"""


def test_every_origin_under_the_wrapper(capsule: Capsule) -> None:
    """Log calls, records of other languages, what is said of the run, tracebacks, `--field`."""
    script = capsule.write("long.py", SCRIPT)
    fields = tuple(word for name in "abc" for word in ("--field", f"{name}={name * 90_000}"))
    run = capsule.run(
        sys.executable, str(script), env={"LAB_TOKEN": "q7Wm-Wombat-0nion"}, options=fields,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.status == 1
    assert max(map(len, run.lines)) < MAX_LINE_BYTES
    assert b"q7Wm" not in b"".join(run.lines)
    cut = {
        record["message"].partition(" ")[0]: record
        for record in run.records[:-1]
        if "truncated" in record
    }
    assert {"loguru", "table", "logging", "record", "note"} <= cut.keys()
    for name in ("loguru", "logging", "record", "note"):
        assert cut[name]["message"].endswith("…")
        assert len(cut[name]["message"]) > 150_000
    assert cut["table"]["table"]["deep"][0]["text"].endswith("…")
    assert (cut["table"]["unit"], cut["record"]["unit"], cut["record"]["level"]) == (7, 7, "ERROR")
    messages = [record["message"] for record in run.records]
    assert [message[:9] for message in messages].count("beginning") == 1
    assert "after" in messages
    assert sum("longer than 1048576 bytes" in message for message in messages) == 1
    assert sum("fields of every record are cut" in message for message in messages) == 1
    parts = [record for record in run.records if "split_part" in record]
    assert "".join(record["message"] for record in parts) == "line " + "y" * 600_000
    canonical = run.canonical
    assert canonical["cut_records"] >= len(cut) + 1
    assert "lost_records" not in canonical
    parameters = canonical["parameters"]
    assert (parameters["small"], parameters["last"], parameters["huge"][-1]) == (1, 2, "…")
    assert canonical["metrics"] == {"rmse": 0.5}
    assert canonical["error_type"] == "ValueError"


def test_a_process_that_logs_alone(capsule: Capsule) -> None:
    """Its log keeps to the limit too, and it says at its end how many records were cut."""
    script = capsule.write(
        "alone.py",
        "from aind_capsule import configure_logging\nfrom loguru import logger\n"
        "configure_logging('qc')\nlogger.info('é' * 300_000)\nlogger.info('short')\n",
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=capsule.code, env=capsule.environ, capture_output=True, check=True,
    )  # fmt: skip
    log = capsule.find_log()
    assert log is not None
    lines = log.read_bytes().splitlines()
    assert max(map(len, lines)) < MAX_LINE_BYTES
    records = [json.loads(line) for line in lines]
    assert records[1]["message"][-2:] == "é…"
    assert records[1]["truncated"] == ["message"]
    assert (records[2]["message"], [record["seq"] for record in records]) == ("short", [0, 1, 2])
    assert "1 records were longer than 262144 bytes" in done.stderr.decode()
