"""Whole runs that are delivered: what is there afterwards, what people are told, what a kill leaves."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from aind_capsule.logs.positions import is_owed
from tests.conftest import Capsule, Finished, wait_until
from tests.shipping.loki_double import LokiDouble


def _read(loki: LokiDouble) -> list[str]:
    return [entry.line for entry in loki.entries]


def _lines(run: Finished) -> list[str]:
    return [line.decode() for line in run.lines]


def _report(run: Finished) -> dict:
    assert run.log is not None
    path = run.log.with_name(run.log.name.replace(".log.jsonl", ".run.json"))
    return json.loads(path.read_text())["delivery"]["loki"]


def push(capsule: Capsule, *words: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "aind_capsule", "push", *words], cwd=capsule.code,
                          env={**capsule.environ, **more}, capture_output=True, text=True)  # fmt: skip


def find_log(capsule: Capsule, name: str) -> str:
    """The log of that name in a run folder that is found by default."""
    logs = [*capsule.scratch.rglob(f".capsule/*/{name}"), *capsule.home.rglob(name)]
    (log,) = logs
    return str(log)


def is_owed_of(log: str) -> bool:
    """Whether the position beside a log says that something is owed."""
    (position,) = (name for name in os.listdir(os.path.dirname(log)) if name.endswith(".position"))
    return is_owed(os.path.join(os.path.dirname(log), position))


@pytest.fixture
def shipped(capsule: Capsule, loki: LokiDouble) -> Capsule:
    """A capsule whose runs are delivered."""
    capsule.environ["CAPSULE_LOKI__URL"] = loki.url
    return capsule


def test_a_run_is_there_when_it_has_ended(shipped: Capsule, loki: LokiDouble) -> None:
    """Every record, the canonical one too; the report is in run.json, in the run folder and in results."""
    run = shipped.run(
        "sh", "-c", "echo hello; echo 'ERROR: oh' >&2", options=("--process-name", "qc")
    )
    assert run.status == 0
    assert _read(loki) == _lines(run)
    expected = {"address": loki.url, "delivered": len(run.lines), "owed": 0, "set_aside": 0}
    assert _report(run) == expected
    (original,) = shipped.scratch.rglob("*.run.json")
    assert json.loads(original.read_text())["delivery"]["loki"] == expected
    assert not list(shipped.results.glob("*.position*"))
    assert run.stdout == b"hello\n"
    errors = loki.find('{process_name="qc"} | level="ERROR"')
    assert [json.loads(entry.line)["message"] for entry in errors] == ["ERROR: oh"]


def test_records_do_not_wait_for_the_end(shipped: Capsule, loki: LokiDouble) -> None:
    """While the processing lives its records arrive."""
    process = shipped.start("sh", "-c", "echo early; exec sleep 1000")
    try:
        wait_until(lambda: any('"message":"early"' in line for line in _read(loki)))
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate()
    assert json.loads(_read(loki)[-1])["status"] == "stopped"


@pytest.mark.slow
def test_a_log_that_the_processing_appends_to(shipped: Capsule, loki: LokiDouble) -> None:
    """Where foreign bytes were read as lines of the log, all of its own records arrive all the same; that it was
    written into is said."""
    process = shipped.start("bash", "-c", "seq 20; read x; seq 100 150", stdin=subprocess.PIPE)
    wait_until(lambda: any('"message":"20"' in line for line in _read(loki)))
    (log,) = shipped.scratch.rglob("*.log.jsonl")
    with log.open("a") as file:
        file.write("0" * 5000 + "\n")
    wait_until(lambda: list(shipped.scratch.rglob("*.set-aside.jsonl")))
    run = shipped.finish(process, data=b"\n")
    assert "lost_records" not in run.canonical
    assert set(_lines(run)) <= set(_read(loki))
    assert _report(run)["owed"] == 0
    assert run.stderr.count(b"overwritten while the run went on: no record is lost") == 1


def test_nothing_configured_starts_nothing(capsule: Capsule) -> None:
    """Without a url there is no process, no report, and no position file."""
    run = capsule.run("sh", "-c", "ps -eo args | grep -c '[a]ind_capsule.shipping'; true")
    assert run.log is not None
    assert (
        "delivery"
        not in run.log.with_name(run.log.name.replace(".log.jsonl", ".run.json")).read_text()
    )
    assert not list(capsule.scratch.rglob("*.position"))


def test_a_wrong_url_is_one_error_and_changes_nothing_else(capsule: Capsule) -> None:
    """A value that is no url: one ERROR with value and cure, the destination stays off, the status holds."""
    capsule.environ["CAPSULE_LOKI__URL"] = "loki:3100"
    run = capsule.run("sh", "-c", "exit 3")
    assert run.status == 3
    errors = [r["message"] for r in run.records if r["level"] == "ERROR" and "status" not in r]
    assert len(errors) == 1
    assert "loki:3100" in errors[0]
    strict = capsule.run("true", options=("--strict",))
    assert strict.status == 74


def test_a_server_that_is_not_there(shipped: Capsule, loki: LokiDouble) -> None:
    """One warning on stderr, the run ends as ever, all is owed and said; a push delivers it."""
    loki.stop()
    shipped.environ["CAPSULE_SHIPPING__DEADLINE"] = "0.5"
    run = shipped.run("sh", "-c", "echo one; sleep 1; echo two; exit 5")
    assert run.status == 5
    text = run.stderr.decode()
    assert text.count("does not reach loki") == 1
    assert "refuses" in text
    assert "have not reached loki" in text
    assert not any("loki" in record["message"] for record in run.records)
    report = _report(run)
    assert (report["delivered"], report["owed"]) == (0, len(run.lines))
    assert run.canonical["undelivered_records"] == {"loki": len(run.lines) - 1}
    again = LokiDouble(loki.port)
    try:
        done = push(shipped, "--all")
        assert done.returncode == 0, done.stderr
        assert _read(again) == _lines(run)
        (original,) = shipped.scratch.rglob("*.run.json")
        assert json.loads(original.read_text())["delivery"]["loki"]["owed"] == 0
        before = len(again.requests)
        assert push(shipped, "--all").returncode == 0
        assert len(again.requests) == before
    finally:
        again.stop()


def test_strict_and_owed(shipped: Capsule, loki: LokiDouble) -> None:
    """With --strict what is owed makes a good run end with 74; without it with 0."""
    loki.stop()
    shipped.environ["CAPSULE_SHIPPING__DEADLINE"] = "0"
    assert shipped.run("true", options=("--strict",)).status == 74
    assert shipped.run("true").status == 0


def test_push_from_another_machine(shipped: Capsule, loki: LokiDouble) -> None:
    """The results folder alone, elsewhere, with a new state folder: nothing is there twice."""
    run = shipped.run("sh", "-c", "for n in 1 2 3; do echo same; done")
    moved = shipped.root / "moved"
    shutil.move(shipped.results, moved)
    shutil.rmtree(shipped.scratch)
    done = push(shipped, str(moved), HOME=str(shipped.root / "other-home"))
    assert done.returncode == 0, done.stderr
    assert _read(loki) == _lines(run)
    assert sorted(p.name for p in moved.iterdir()) == sorted(
        p.name for p in moved.iterdir() if "position" not in p.name
    )


def test_the_end_after_a_stop(shipped: Capsule, loki: LokiDouble) -> None:
    """After a stop delivery has some seconds: the canonical record arrives."""
    process = shipped.start("sh", "-c", "echo ready; exec sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert json.loads(_read(loki)[-1])["status"] == "stopped"


def test_a_stop_with_a_hung_server_ends_in_time(shipped: Capsule, loki: LokiDouble) -> None:
    """A server that hangs, and SIGTERM: a second one ends the waiting; the report says what is owed."""
    loki.trouble.hangs = True
    process = shipped.start("sh", "-c", "echo ready; exec sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    wait_until(
        lambda: any(
            p.read_text().count('"status":"stopped"') for p in shipped.results.glob("*.run.json")
        )
    )
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    (report,) = [json.loads(p.read_text()) for p in shipped.results.glob("*.run.json")]
    assert report["delivery"]["loki"]["owed"] > 0


@pytest.mark.slow
def test_a_stop_and_a_hung_server(shipped: Capsule, loki: LokiDouble) -> None:
    """One SIGTERM and a server that hangs in mid-run: the run ends by itself, and reports what was there."""
    process = shipped.start("sh", "-c", "echo ready; exec sleep 1000")
    wait_until(lambda: any('"message":"ready"' in line for line in _read(loki)))
    loki.trouble.hangs = True
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 143
    (report,) = [json.loads(p.read_text()) for p in shipped.results.glob("*.run.json")]
    row = report["delivery"]["loki"]
    assert row["delivered"] >= 2
    assert row["owed"] >= 1
    assert row["address"] == loki.url


def test_secrets_that_a_server_throws_back(shipped: Capsule, loki: LokiDouble) -> None:
    """A refusal that quotes our credentials: they are in no file, and on no stream."""
    shipped.environ |= {"CAPSULE_LOKI__TOKEN": "t0ken-of-mine", "CAPSULE_SHIPPING__DEADLINE": "3"}
    loki.trouble.answer = lambda request: (401, f"not {request.headers['authorization']}")
    run = shipped.run("echo", "hello")
    done = push(shipped, "--all")
    assert done.returncode == 74
    shown = run.stderr.decode() + done.stdout + done.stderr
    for path in [*shipped.root.rglob("*.json*"), *shipped.root.rglob("*.position")]:
        shown += path.read_text()
    assert "[redacted]" in shown
    assert "t0ken-of-mine" not in shown


def test_folders_gone_and_a_dead_server(shipped: Capsule, loki: LokiDouble) -> None:
    """The log is removed before it was delivered: it is kept elsewhere, and a push brings all of it."""
    loki.stop()
    shipped.environ |= {"CAPSULE_SHIPPING__DEADLINE": "0.5", "CAPSULE_RUN_FILES": "none"}
    process = shipped.start("sh", "-c", "echo early; read x; echo late", stdin=subprocess.PIPE)
    wait_until(lambda: list(shipped.scratch.rglob("*.position")))
    shutil.rmtree(shipped.scratch)
    _, err = process.communicate(b"\n")
    (log,) = shipped.home.rglob("*.log.jsonl")
    lines = log.read_text().splitlines()
    assert f"{len(lines)} records have not reached loki" in err.decode()
    assert f"`capsule push {log}` delivers them" in err.decode()
    again = LokiDouble()
    try:
        done = push(shipped, str(log), CAPSULE_LOKI__URL=again.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert _read(again) == lines
    finally:
        again.stop()


@pytest.mark.parametrize("script", [
    "rm -rf ../scratch; echo late",
    "seq 500; sleep 1.4; rm -rf ../scratch; sleep 1.6; echo late; seq 500",
    pytest.param("seq 500; sleep 1.4; mv ../scratch ../old; echo late", marks=pytest.mark.slow),
    pytest.param("seq 500; sleep 1.4; rm ../scratch/.capsule/*/*; mkdir ../more; echo late", marks=pytest.mark.slow),
])  # fmt: skip
def test_scratch_gone_at_any_time(shipped: Capsule, loki: LokiDouble, script: str) -> None:
    """Before the shipper has begun, in the middle, as the last act: every record arrives once, the canonical
    one too, and the report says so."""
    run = shipped.run("bash", "-c", script)
    (log,) = shipped.results.glob("*.log.jsonl")
    assert _read(loki) == log.read_text().splitlines()
    (told,) = shipped.results.glob("*.run.json")
    report = json.loads(told.read_text())["delivery"]["loki"]
    assert (report["delivered"], report["owed"]) == (len(loki.entries), 0)
    assert b"have not reached" not in run.stderr
    assert b"does not reach" not in run.stderr
    kept = find_log(shipped, log.name)
    assert not is_owed_of(kept)


@pytest.mark.parametrize("act", ["truncate -s 0 $log", "truncate -s 2000 $log"])
def test_a_log_that_was_cut(shipped: Capsule, loki: LokiDouble, act: str) -> None:
    """What is left of it arrives, nothing else does, and nothing is owed."""
    shipped.run(
        "bash", "-c", f"seq 50; sleep 0.3; log=$(echo ../scratch/.capsule/*/*.log.jsonl); {act}; echo after"
    )  # fmt: skip
    (log,) = shipped.results.glob("*.log.jsonl")
    lines = log.read_text().splitlines()
    assert set(lines) <= set(_read(loki))
    assert len(set(_read(loki))) == len(_read(loki))
    assert all(json.loads(line)["run_id"] for line in _read(loki))
    (told,) = shipped.results.glob("*.run.json")
    report = json.loads(told.read_text())["delivery"]["loki"]
    assert (report["delivered"], report["owed"]) == (len(lines), 0)


def test_a_command_that_cannot_be_started(shipped: Capsule, loki: LokiDouble) -> None:
    """A run whose processing never was is delivered as well."""
    run = shipped.run("no-such-command-anywhere")
    assert run.status == 127
    assert _read(loki) == _lines(run)


def test_the_shipper_is_killed_and_another_goes_on(shipped: Capsule, loki: LokiDouble) -> None:
    """SIGKILL to the process that delivers, in the middle: every record is there once."""
    process = shipped.start(
        "sh",
        "-c",
        "for n in $(seq 3000); do echo line $n; done; read x; echo end",
        stdin=subprocess.PIPE,
    )
    wait_until(lambda: len(loki.entries) > 100)
    _find_shipper(process.pid).kill()
    process.communicate(b"\n")
    assert process.returncode == 0
    (log,) = shipped.results.glob("*.log.jsonl")
    assert _read(loki) == log.read_text().splitlines()


@pytest.mark.parametrize("seed", range(4))
def test_kill_everything_then_push(shipped: Capsule, loki: LokiDouble, seed: int) -> None:
    """SIGKILL to wrapper, shipper and processing at a random moment, then a push: each record once."""
    rng = random.Random(seed)
    process = shipped.start(
        sys.executable,
        "-c",
        "import time\nfor n in range(10**6):\n print('line', n)\n if n % 50 == 0: time.sleep(0.005)",
    )
    wait_until(lambda: len(loki.entries) > rng.randrange(2000))
    family = [process.pid, *(p.pid for p in psutil.Process(process.pid).children(recursive=True))]
    rng.shuffle(family)
    for pid in family:
        _kill(pid)
    process.communicate()
    done = push(shipped, "--all")
    assert done.returncode == 0, done.stderr + done.stdout
    (log,) = shipped.scratch.rglob("*.log.jsonl")
    whole = log.read_bytes().rpartition(b"\n")[0].decode().split("\n")
    assert _read(loki) == whole


def test_the_wrapper_alone_is_killed(shipped: Capsule, loki: LokiDouble) -> None:
    """The process that delivers outlives the wrapper and brings what there is."""
    process = shipped.start(
        "sh", "-c", "for n in $(seq 500); do echo line $n; done; exec sleep 1000"
    )
    assert process.stdout is not None
    for _ in range(500):
        process.stdout.readline()
    process.kill()
    process.communicate()
    wait_until(lambda: len(loki.entries) == 501)


def test_folders_gone_while_it_runs(shipped: Capsule, loki: LokiDouble) -> None:
    """Scratch is removed while the run goes on: what is written still arrives."""
    process = shipped.start("sh", "-c", "echo early; read x; echo late", stdin=subprocess.PIPE)
    wait_until(lambda: any('"message":"early"' in line for line in _read(loki)))
    shutil.rmtree(shipped.scratch)
    process.communicate(b"\n")
    assert any('"message":"late"' in line for line in _read(loki))
    assert json.loads(_read(loki)[-1])["status"] == "success"


def test_many_runs_at_the_same_time(shipped: Capsule, loki: LokiDouble) -> None:
    """A fan-out: runs of one capsule share a stream, lose nothing, and are told apart by run_id."""
    processes = [
        shipped.start(
            "sh", "-c", "for n in $(seq 20); do echo same; done", options=("--process-name", "fan")
        )
        for _ in range(8)
    ]
    for process in processes:
        process.communicate()
    logs = list(shipped.results.glob("*.log.jsonl"))
    assert len(logs) == 8
    assert len(loki.streams) == 1
    for log in logs:
        run_id = json.loads(log.read_text().splitlines()[0])["run_id"]
        found = loki.find(f'{{process_name="fan"}} | run_id="{run_id}"')
        assert [entry.line for entry in found] == log.read_text().splitlines()


def test_alone(shipped: Capsule, loki: LokiDouble) -> None:
    """`capsule_run` without a wrapper delivers too, and waits for it at its end."""
    script = "from aind_capsule import capsule_run\nfrom loguru import logger\nwith capsule_run('alone') as run:\n logger.info('inside {}', run.run_id)\nprint('after')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shipped.code,
        env=shipped.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "after\n"
    (log,) = shipped.results.glob("*.log.jsonl")
    assert _read(loki) == log.read_text().splitlines()
    (run_json,) = shipped.results.glob("*.run.json")
    assert json.loads(run_json.read_text())["delivery"]["loki"]["owed"] == 0


def test_alone_without_a_server(shipped: Capsule, loki: LokiDouble) -> None:
    """Alone, with nobody there: said once, owed, and the script's own status holds."""
    loki.stop()
    shipped.environ["CAPSULE_SHIPPING__DEADLINE"] = "0.5"
    script = "import time\nfrom aind_capsule import capsule_run\nwith capsule_run('alone'):\n time.sleep(1.5)\nraise SystemExit(4)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shipped.code,
        env=shipped.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    assert done.stderr.count("does not reach loki") == 1
    assert "have not reached loki" in done.stderr


def test_a_full_scratch(shipped: Capsule, loki: LokiDouble) -> None:
    """Scratch runs full while the run goes on: what reached the log reaches Loki."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", shipped.scratch], check=True)
    try:
        run = shipped.run("sh", "-c", "for n in $(seq 8000); do echo line $n; done")
        assert run.status == 0
        assert run.canonical["lost_records"]["disk_full"] > 0
        assert _read(loki) == _lines(run)
    finally:
        subprocess.run(["umount", "-l", shipped.scratch], check=True)


def test_by_hand(capsule: Capsule, loki: LokiDouble) -> None:
    """`python -m aind_capsule.shipping LOG` delivers a log that is there, and prints the report."""
    run = capsule.run("echo", "hello")
    capsule.environ["CAPSULE_LOKI__URL"] = loki.url
    command = [sys.executable, "-m", "aind_capsule.shipping", str(run.log)]
    done = subprocess.run(
        command, cwd=capsule.code, env=capsule.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["loki"]["owed"] == 0
    assert _read(loki) == _lines(run)


def test_by_hand_with_nothing_to_do(capsule: Capsule, loki: LokiDouble) -> None:
    """No server, a wrong one: said, 78; a log without a record: nothing is owed."""
    empty = capsule.code / "empty.log.jsonl"
    empty.touch()
    command = [sys.executable, "-m", "aind_capsule.shipping", str(empty)]
    for url, status, said in (("", 78, "No destination"), ("http://a..b", 78, "a..b"), (loki.url, 0, '"owed":0')):  # fmt: skip
        environ = {**capsule.environ, "CAPSULE_LOKI__URL": url}
        done = subprocess.run(
            command, cwd=capsule.code, env=environ, capture_output=True, text=True
        )
        assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done.stderr


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _find_shipper(wrapper: int) -> psutil.Process:
    return next(
        child
        for child in psutil.Process(wrapper).children()
        if any("aind_capsule.shipping" in word for word in child.cmdline())
    )
