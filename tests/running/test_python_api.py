"""`capsule_run` and its kin: the same under a wrapper, alone, and with neither."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Capsule, check_log_is_sound, parse_strictly, wait_until

pytest.importorskip("loguru")
PY = sys.executable

SAY = """
import numpy
from pathlib import Path
from aind_capsule import capsule_run, current_run
with capsule_run("qc", site="AIND") as run:
    run.log_parameters({"threshold": 5}, mode="fast")
    run.log_metric("rmse", 1.0)
    run.log_metric("rmse", numpy.float32(0.5) if numpy else 0.5)
    Path("made.txt").write_text("12345")
    run.log_artifact("made.txt", "five bytes")
    run.set(quality="good", status="mine")
    run.note("looks fine")
    with run.step("outer"):
        with run.step("inner"):
            sum(range(300000))
    assert current_run() is run
    current_run().log_metric("trials", 225)
""".replace("import numpy\n", "numpy = None\n")


class Alone:
    """Runs Python scripts with no wrapper around them, and reads what they leave."""

    def __init__(self, capsule: Capsule) -> None:
        self.capsule = capsule

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a script in the code folder."""
        path = self.capsule.write("alone.py", script)
        return subprocess.Popen([PY, str(path), *arguments], cwd=self.capsule.code, env=self.capsule.environ, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        process = self.start(script, *arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def read_logs(self) -> list[list[dict[str, Any]]]:
        """The records of each log in results, each log checked."""
        logs = []
        for path in sorted(self.capsule.results.glob("*.log.jsonl")):
            records = [parse_strictly(line) for line in path.read_bytes().splitlines()]
            check_log_is_sound(records)
            logs.append(records)
        return logs

    def read_run(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The only log's records, and its `run.json`."""
        (records,) = self.read_logs()
        (run,) = self.capsule.results.glob("*.run.json")
        return records, json.loads(run.read_text())


@pytest.fixture
def alone(capsule: Capsule) -> Alone:
    """A capsule whose processing is run without a wrapper."""
    return Alone(capsule)


def check_what_was_said(canonical: dict[str, Any], run: dict[str, Any], code: Path) -> None:
    """The canonical record and `run.json` after `SAY`."""
    assert canonical["parameters"] == {"threshold": 5, "mode": "fast"}
    assert canonical["metrics"] == {"rmse": 0.5, "trials": 225}
    assert (canonical["quality"], canonical["status"], canonical["status_"]) == (
        "good",
        "success",
        "mine",
    )
    assert run["artifacts"] == [
        {"path": str(code / "made.txt"), "size_bytes": 5, "description": "five bytes"}
    ]
    assert [note["text"] for note in run["notes"]] == ["looks fine"]
    assert [step["path"] for step in run["steps"]] == ["outer/inner", "outer"]
    for step in run["steps"]:
        assert step["status"] == "ok"
        assert step["wall_s"] > 0
        assert {"cpu_s", "cores_busy", "peak_rss_bytes", "started_at"} <= step.keys()
    assert run["metrics"] == canonical["metrics"]


def test_alone(alone: Alone) -> None:
    """Alone it makes the run: a sound log with one canonical record, run.json, both in results."""
    done = alone.run(SAY)
    assert (done.returncode, done.stdout) == (0, "")
    records, run = alone.read_run()
    check_what_was_said(records[-1], run, alone.capsule.code)
    assert records[-1]["process_name"] == "qc"
    assert all(record["site"] == "AIND" for record in records)
    messages = [record["message"] for record in records]
    assert messages[0] == "qc started"
    assert any(message.startswith("Step outer/inner done") for message in messages)
    assert run["environment"]["processing"]["python"] == sys.version.split()[0]


def test_under_a_wrapper(capsule: Capsule) -> None:
    """Under `capsule run` it adds to that run: one log, one canonical record, a name that was set."""
    options = ("--process-name", "under")
    done = capsule.run(PY, str(capsule.write("x.py", SAY)), options=options)
    check_what_was_said(done.canonical, capsule.run_json(), capsule.code)
    assert {record["process_name"] for record in done.records} == {"under"}
    assert len(list(capsule.root.rglob(".capsule/*"))) == 1
    steps = [record for record in done.records if "step" in record]
    assert [record["step"] for record in steps] == ["outer/inner", "outer"]


@pytest.mark.parametrize(
    ("end", "status", "told"),
    [
        ("raise ValueError('boom')", 1, ("fail", 1, "ValueError", "boom")),
        ("raise SystemExit(7)", 7, ("fail", 7, "ExitStatus", "Ended with exit status 7")),
        ("import sys; sys.exit('no units')", 1, ("fail", 1, "ExitStatus", "no units")),
        ("raise SystemExit", 0, ("success", 0, None, None)),
        ("raise KeyboardInterrupt", -signal.SIGINT, ("stopped", 130, "Signal", "Stopped by SIGINT")),
    ],
)  # fmt: skip
def test_how_it_ends_alone(alone: Alone, end: str, status: int, told: tuple[Any, ...]) -> None:
    """However the block is left: the exit status is kept, and the canonical record says it."""
    done = alone.run(f"from aind_capsule import capsule_run\nwith capsule_run('qc'):\n    {end}\n")
    assert done.returncode == status
    records, run = alone.read_run()
    last = records[-1]
    assert (
        last["status"],
        last["exit_code"],
        last.get("error_type"),
        last.get("error_message"),
    ) == told
    assert run["status"] == told[0]
    assert any("exception" in record for record in records) == (told[2] == "ValueError")
    if told[2] == "ValueError":
        assert any(record.get("exception", {}).get("type") == "ValueError" for record in records)
        assert done.stderr.count("ValueError: boom\n") >= 1


def test_sigterm_alone(alone: Alone) -> None:
    """SIGTERM: `finally` blocks run, `except Exception` does not swallow it, and the canonical record says stopped."""
    script = """
import time
from aind_capsule import capsule_run
with capsule_run("qc") as run:
    try:
        print("up", flush=True)
        while True:
            try: time.sleep(100)
            except Exception: pass
    finally:
        run.note(f"cleaned up, stop requested: {run.stop_requested}")
"""
    process = alone.start(script)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    records, run = alone.read_run()
    assert (records[-1]["status"], records[-1]["signal"], records[-1]["exit_code"]) == (
        "stopped",
        "SIGTERM",
        143,
    )
    assert run["notes"][0]["text"] == "cleaned up, stop requested: True"


def test_sigterm_under_a_wrapper(capsule: Capsule) -> None:
    """A stop of the wrapper reaches the block: its `finally` runs within the grace, and what it says is kept."""
    script = """
import time
from aind_capsule import capsule_run
with capsule_run() as run:
    try:
        print("up", flush=True)
        time.sleep(100)
    finally:
        run.log_metric("cleaned", run.stop_requested)
"""
    process = capsule.start(PY, str(capsule.write("p.py", script)))
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    done = capsule.finish(process)
    assert (done.status, done.canonical["status"], done.canonical["exit_code"]) == (
        143,
        "stopped",
        143,
    )
    assert done.canonical["metrics"] == {"cleaned": True}


def test_neither(alone: Alone) -> None:
    """With neither wrapper nor `capsule_run` each call works, says nothing, and leaves nothing."""
    script = """
from aind_capsule import current_run
run = current_run()
run.log_metric("a", 1); run.log_parameters(b=2); run.log_artifact("none"); run.set(c=3); run.note("d")
with run.step("e"): pass
print(run.run_id, run.stop_requested)
"""
    done = alone.run(script)
    assert (done.stdout, done.stderr) == ("None False\n", "")
    assert not list(alone.capsule.root.rglob("*.jsonl"))


def test_without_capsule_run_under_a_wrapper(capsule: Capsule) -> None:
    """Code that only calls `current_run` adds to the wrapper's run, in any process of it."""
    script = """
import os, subprocess, sys
from aind_capsule import current_run
current_run().log_metric("parent", 1)
if len(sys.argv) == 1:
    pid = os.fork()
    if pid == 0:
        current_run().log_metric("forked", 2)
        os._exit(0)
    os.waitpid(pid, 0)
    subprocess.run([sys.executable, __file__, "child"], check=True)
else:
    current_run().log_metric("sub-process", 3)
"""
    done = capsule.run(PY, str(capsule.write("p.py", script)))
    assert done.canonical["metrics"] == {"parent": 1, "forked": 2, "sub-process": 3}


def test_nested_use(alone: Alone) -> None:
    """A `capsule_run` inside another adds to it: one run, one canonical record."""
    script = """
from aind_capsule import capsule_run
with capsule_run("outer") as run:
    with capsule_run("inner", depth=2) as inner:
        inner.log_metric("m", 1)
    run.note("still going")
"""
    assert alone.run(script).returncode == 0
    records, run = alone.read_run()
    assert (records[-1]["process_name"], records[-1]["metrics"], records[-1]["depth"]) == (
        "outer",
        {"m": 1},
        2,
    )
    assert run["notes"][0]["text"] == "still going"


def test_a_forked_child_that_leaves(alone: Alone) -> None:
    """Children that leave the block, by `os._exit` or by walking out of it, write no canonical record and break no log."""
    script = """
import os
from loguru import logger
from aind_capsule import capsule_run
with capsule_run("qc") as run:
    for way in ("exit", "leave"):
        pid = os.fork()
        if pid == 0:
            logger.info("from the child")
            if way == "exit": os._exit(3)
            break
        os.waitpid(pid, 0)
    else:
        run.log_metric("parent", 1)
"""
    assert alone.run(script).returncode == 0
    records, _ = alone.read_run()
    assert records[-1]["metrics"] == {"parent": 1}
    assert not any(record["message"] == "from the child" for record in records)
    others = [
        path
        for path in alone.capsule.scratch.rglob("*.log.jsonl")
        if b"from the child" in path.read_bytes()
    ]
    assert len(others) == 2


def test_one_run_after_another(alone: Alone) -> None:
    """Two runs in one process are two runs; a record after them is shown, and in neither log."""
    script = """
from loguru import logger
from aind_capsule import capsule_run
for name in ("one", "two"):
    with capsule_run(name) as run:
        logger.info("in " + name)
logger.warning("afterwards")
"""
    done = alone.run(script)
    logs = alone.read_logs()
    assert sorted(records[-1]["process_name"] for records in logs) == ["one", "two"]
    assert "afterwards" in done.stderr
    for records in logs:
        messages = [record["message"] for record in records]
        assert f"in {records[-1]['process_name']}" in messages
        assert "afterwards" not in messages


def test_a_name_that_is_stated_around_a_run(alone: Alone) -> None:
    """A run without a name bears the one that was stated before it, else the one that is stated in it."""
    script = """
import sys
from loguru import logger
from aind_capsule import capsule_run, configure_logging
from aind_capsule.logs.configure import reset_logging
with capsule_run():
    logger.info("early")
    configure_logging("inside")
    logger.info("late")
reset_logging()
configure_logging("before")
with capsule_run():
    logger.info("named")
"""
    alone.run(script)
    names = {
        record["message"]: record["process_name"] for log in alone.read_logs() for record in log
    }
    guess = names["early"]
    assert (names["late"], names["inside finished"]) == ("inside", "inside")
    assert names[f"{guess} started"] == guess
    assert (names["named"], names["before finished"]) == ("before", "before")


def test_logging_goes_on_where_it_was(alone: Alone) -> None:
    """A log that was configured before the run takes the records after it."""
    script = """
from loguru import logger
from aind_capsule import capsule_run, configure_logging
configure_logging("whole")
logger.info("before")
with capsule_run("part"):
    logger.info("inside")
logger.info("afterwards")
"""
    assert alone.run(script).returncode == 0
    (records,) = alone.read_logs()
    assert "inside" in [record["message"] for record in records]
    own = [path for path in alone.capsule.scratch.rglob("whole-*.log.jsonl")]
    messages = [parse_strictly(line)["message"] for line in own[0].read_bytes().splitlines()]
    assert messages[1:] == ["before", "afterwards"]


def test_threads_log_while_the_run_ends(alone: Alone) -> None:
    """Threads that log while the block is left: the canonical record is the last, and no number is missing."""
    script = """
import threading
from loguru import logger
from aind_capsule import capsule_run
stop = threading.Event()
def chat():
    while not stop.is_set(): logger.info("busy")
with capsule_run("qc"):
    threads = [threading.Thread(target=chat) for _ in range(4)]
    for thread in threads: thread.start()
    while sum(1 for _ in open(LOG)) < 200 if (LOG := __import__("glob").glob("../scratch/.capsule/*/*.log.jsonl")[0]) else False: pass
stop.set()
for thread in threads: thread.join()
"""
    alone.capsule.environ["CAPSULE_CONSOLE__MODE"] = "off"
    assert alone.run(script).returncode == 0
    records, _ = alone.read_run()
    assert len(records) > 200


@pytest.mark.parametrize("way", ["plain", "generator", "async", "async_generator", "named"])
def test_the_decorator(alone: Alone, way: str) -> None:
    """`@capsule_process` wraps any kind of function: its value, its name and its run are as without it."""
    script = f"""
import asyncio
from aind_capsule import capsule_process, current_run
way = {way!r}
if way in ("plain", "named"):
    @(capsule_process("my-name", site="x") if way == "named" else capsule_process)
    def do_qc(a, *, b):
        "What it does."
        current_run().log_metric("sum", a + b)
        return a + b
    result = do_qc(1, b=2)
elif way == "generator":
    @capsule_process
    def do_qc(a, *, b):
        "What it does."
        got = yield a
        current_run().log_metric("sum", a + b)
        return got
    generator = do_qc(1, b=2)
    assert next(generator) == 1
    assert current_run().run_id is not None
    try: generator.send(3)
    except StopIteration as end: result = end.value
elif way == "async":
    @capsule_process
    async def do_qc(a, *, b):
        "What it does."
        await asyncio.sleep(0)
        current_run().log_metric("sum", a + b)
        return a + b
    result = asyncio.run(do_qc(1, b=2))
else:
    @capsule_process
    async def do_qc(a, *, b):
        "What it does."
        yield a
        await asyncio.sleep(0)
        current_run().log_metric("sum", a + b)
        yield a + b
    async def collect(): return [value async for value in do_qc(1, b=2)]
    result = asyncio.run(collect())[-1]
assert (do_qc.__name__, do_qc.__doc__) == ("do_qc", "What it does.")
assert current_run().run_id is None
print(result)
"""
    assert alone.run(script).stdout == "3\n"
    records, _ = alone.read_run()
    assert records[-1]["metrics"] == {"sum": 3}
    assert records[-1]["process_name"] == ("my-name" if way == "named" else "do-qc")


def test_a_functions_name_is_a_guess_too(capsule: Capsule) -> None:
    """Under `capsule run` a function's name goes before no other guess; one that is given does."""
    script = """
from loguru import logger
from aind_capsule import capsule_process
@capsule_process
def main():
    logger.info("plain")
@capsule_process("stated")
def other():
    logger.info("named")
main()
other()
"""
    run = capsule.run(PY, str(capsule.write("guess.py", script)))
    names = {record["message"]: record["process_name"] for record in run.records}
    assert (names["plain"], names["named"]) == ("guess", "stated")
    assert run.canonical["process_name"] == "stated"


def test_a_failed_step(alone: Alone) -> None:
    """An exception goes through a step, whose row tells it; so does one in a step of another thread."""
    script = """
import threading
from aind_capsule import capsule_run
with capsule_run("qc") as run:
    def work():
        with run.step("thread"): pass
    with run.step("outer"):
        thread = threading.Thread(target=work); thread.start(); thread.join()
        try:
            with run.step("bad"): raise KeyError("unit")
        except KeyError: pass
"""
    assert alone.run(script).returncode == 0
    records, run = alone.read_run()
    rows = {row["path"]: row for row in run["steps"]}
    assert list(rows) == ["thread", "outer/bad", "outer"]
    assert (rows["outer/bad"]["status"], rows["outer/bad"]["error_type"]) == ("error", "KeyError")
    assert [r["level"] for r in records if r.get("step") == "outer/bad"] == ["WARNING"]


def test_cpu_of_sub_processes_counts(alone: Alone) -> None:
    """A step's CPU holds that of its finished sub-processes."""
    script = """
import subprocess, sys
from aind_capsule import capsule_run
with capsule_run("qc") as run, run.step("work"):
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass"], check=True)
"""
    assert alone.run(script).returncode == 0
    assert alone.read_run()[1]["steps"][0]["cpu_s"] >= 0.3


def test_hostile_values(alone: Alone) -> None:
    """Values that cannot be printed, are endless or too large break neither the call nor the record."""
    script = """
from aind_capsule import capsule_run
class Bad:
    def __repr__(self): raise ValueError("no")
    __str__ = __repr__
loop = []; loop.append(loop)
with capsule_run("qc") as run:
    run.log_metric("bad", Bad()); run.log_metric("nan", float("nan")); run.log_parameters(loop=loop)
    run.set(**{"seq": 5, "level": "x", "timestamp": 3, "run_id": "mine"})
    run.log_parameters(huge="x" * 2_000_000)
    run.log_artifact(b"bytes-path")
    run.note("after")
"""
    assert alone.run(script).returncode == 0
    records, run = alone.read_run()
    told = [record for record in records if "is too long" in record["message"]]
    assert [record["level"] for record in told] == ["WARNING"]
    assert records[-1]["parameters"]["huge"][-2:] == "x…"
    assert records[-1]["cut_records"] == 1
    assert records[-1]["run_id"] != "mine"
    assert run["notes"][0]["text"] == "after"


def test_a_killed_process_is_lost(alone: Alone) -> None:
    """SIGKILL leaves every record that was written, no canonical record, and a run that readers call lost."""
    script = """
import os, signal
from loguru import logger
from aind_capsule import capsule_run
with capsule_run("qc"):
    for n in range(100): logger.info("record {}", n)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert alone.run(script).returncode == -signal.SIGKILL
    (log,) = alone.capsule.scratch.rglob("*.log.jsonl")
    lines = log.read_bytes().splitlines()
    assert [parse_strictly(line)["message"] for line in lines[1:101]] == [
        f"record {n}" for n in range(100)
    ]
    listed = subprocess.run([PY, "-m", "aind_capsule", "runs", "--json", str(alone.capsule.scratch)], check=True,
                            env=alone.capsule.environ, capture_output=True)  # fmt: skip
    assert [run["status"] for run in json.loads(listed.stdout)] == ["lost"]


def test_a_wrong_settings_file_stops_nobody(alone: Alone) -> None:
    """Alone, a malformed capsule.toml is an ERROR in the log, and the processing goes on."""
    (alone.capsule.code / "capsule.toml").write_text("= broken")
    assert alone.run(SAY).returncode == 0
    records, _ = alone.read_run()
    assert any(
        record["level"] == "ERROR" and "capsule.toml" in record["message"] for record in records
    )
    assert records[-1]["status"] == "success"


def test_other_languages(capsule: Capsule) -> None:
    """The same by RFC 7464 on stderr, from any program; an addition is no record."""
    script = capsule.write("other.sh", """#!/bin/sh
printf '\\036{"capsule":"add","metrics":{"rmse":0.5},"parameters":{"k":1}}\\n' >&2
printf '\\036{"capsule":"add","steps":[{"name":"fit","wall_s":2}],"notes":[{"text":"n"}],"fields":{"quality":"good"}}\\n' >&2
printf '\\036{"capsule":"add","metrics":5,"unknown":1}\\n' >&2
""")  # fmt: skip
    done = capsule.run(str(script), "--k", "0")
    assert (done.canonical["metrics"], done.canonical["parameters"]) == ({"rmse": 0.5}, {"k": 1})
    assert done.canonical["quality"] == "good"
    assert done.canonical["lost_records"] == {"additions": 2}
    assert capsule.run_json()["steps"] == [{"name": "fit", "wall_s": 2}]
    assert len(done.records) == 2


def test_those_who_come_from_aind_log_utils(alone: Alone) -> None:
    """`compat.setup_logging` takes their calls as they are, by the older names too."""
    script = """
import logging
old = logging.getLogger("old")
from aind_capsule.compat import setup_logging
setup_logging("their-process", "123456", "123456_2024-01-01_01-01-01", True, True)
logging.info("as ever"); old.warning("silent")
setup_logging("their-process", mouse_id="123456", session_name="s", send_start_log=False)
logging.getLogger("new").info("again")
"""
    assert alone.run(script).returncode == 0
    (log,) = alone.capsule.scratch.rglob("*.log.jsonl")
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()][1:]
    assert [record["message"] for record in records] == [
        "Starting their-process",
        "as ever",
        "again",
    ]
    assert {record["subject_id"] for record in records} == {"123456"}
    assert [record["asset_name"] for record in records] == ["123456_2024-01-01_01-01-01"] * 2 + [
        "s"
    ]


def test_a_wrapper_that_dies(capsule: Capsule) -> None:
    """When the wrapper dies, what is said goes nowhere, and no call raises."""
    script = """
import os, signal, time
from aind_capsule import capsule_run
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the watcher's
with capsule_run() as run:
    print("up", flush=True)
    while not os.path.exists("dead"): time.sleep(0.01)
    run.log_metric("a", 1); run.note("b")
    with run.step("c"): pass
    open("survived", "w").close()
"""
    path = str(capsule.write("p.py", script))
    with capsule.start(PY, path, options=("--grace", "20")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        (capsule.code / "dead").touch()
        wait_until((capsule.code / "survived").exists)
        process.communicate(timeout=30)


def test_the_decorator_gives_the_run(alone: Alone) -> None:
    """A parameter `run` gets the run, unless the caller gives something else; the name may be a keyword."""
    script = """
from aind_capsule import capsule_process
@capsule_process(process_name="by-keyword", site="x")
def first(n, run): run.log_metric("n", n)
@capsule_process
def second(run=None, *rest): return (run, rest)
first(5)
assert second("mine", 1) == ("mine", (1,))
assert second()[0].run_id is not None
try: first()
except TypeError as error: print(error)
"""
    done = alone.run(script)
    assert done.stdout == "first() missing 1 required positional argument: 'n'\n", done.stderr
    logs = {records[-1]["process_name"]: records for records in alone.read_logs()}
    assert set(logs) == {"by-keyword", "second"}
    assert sorted(records[-1]["status"] for records in alone.read_logs()) == [
        "fail",
        "success",
        "success",
        "success",
    ]
