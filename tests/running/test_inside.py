"""Records from inside: our logger set-up in any process of the run, through the real wrapper."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Capsule, check_log_is_sound, parse_strictly, wait_until

pytest.importorskip("loguru")
PY = sys.executable

SETUP = "from aind_capsule import configure_logging\nfrom loguru import logger\nconfigure_logging('inner', site='lab')\n"


def _inside(run: object) -> list[dict]:
    return [r for r in run.records if r.get("site") == "lab"]


def test_a_record_arrives_whole(capsule: Capsule) -> None:
    """Level, line, fields and message of a log call arrive; stdout stays the processing's own."""
    script = capsule.write(
        "s.py", SETUP + "logger.bind(trials=3).warning('careful {}', 1)\nprint('own')\n"
    )
    run = capsule.run(PY, str(script))
    (record,) = _inside(run)
    assert (record["level"], record["message"], record["lineno"], record["trials"]) == (
        "WARNING",
        "careful 1",
        4,
        3,
    )
    assert record["run_id"] == run.canonical["run_id"]
    assert record["process_name"] == run.canonical["process_name"] == "inner"
    assert (
        run.records[0]["process_name"]
        == run.records[0]["shipping"]["labels"]["process_name"]
        == "s"
    )
    assert run.stdout == b"own\n"
    assert run.canonical["records"]["WARNING"] == 1


NAMES = """
import os, subprocess, sys
from aind_capsule import capsule_run, configure_logging
from loguru import logger
if sys.argv[1:] == ["second"]:
    from aind_capsule.compat import setup_logging
    setup_logging("second", send_start_log=False)
    logger.info("of the second")
elif sys.argv[1:] == ["general"]:
    configure_logging("__main__")
    logger.info("of a general one")
else:
    print("captured", flush=True)
    configure_logging()
    logger.info("before")
    configure_logging(" first\\n")
    logger.bind(run_id="x").info("of the first")
    if os.fork() == 0:
        logger.info("of the fork")
        os._exit(0)
    os.wait()
    for word in ("second", "general"):
        subprocess.run([sys.executable, __file__, word], check=True)
    with capsule_run("third"):
        logger.info("of the third")
"""


def test_a_stated_name_goes_before_a_guess(capsule: Capsule) -> None:
    """Each process's records bear its own name at once; the run is called by the first at its end, in
    the canonical record, run.json and the provenance; the files' names and the labels stay."""
    pytest.importorskip("aind_data_schema")
    script = capsule.write("guess.py", NAMES)
    run = capsule.run(
        PY, str(script), options=("--console", "json"), env={"CAPSULE_RUN_FILES": "all"}
    )
    names = {record["message"]: record["process_name"] for record in run.records}
    assert names == {
        "guess started": "guess",
        "captured": "guess",
        "before": "guess",
        "of the first": "first",
        "of the fork": "first",
        "of the second": "second",
        "of a general one": "guess",
        "of the third": "third",
        "first finished": "first",
    }
    assert run.canonical["process_name"] == "first"
    shown = [json.loads(line) for line in run.stderr.splitlines() if line.startswith(b"{")]
    assert {r["message"]: r["process_name"] for r in shown}.items() <= names.items()
    assert len(shown) == 8
    assert run.log is not None
    assert run.log.name.startswith("guess-")
    assert run.records[0]["shipping"]["labels"]["process_name"] == "guess"
    assert capsule.run_json()["process_name"] == "first"
    (provenance,) = capsule.results.glob("guess-*_data_process.json")
    assert json.loads(provenance.read_text())["name"].startswith("first")


def test_messages_with_a_name(capsule: Capsule) -> None:
    """What states no usable name changes nothing, and is no record; a name that is known to be secret
    is hidden. Where the run's name was set none is asked for, and one that comes all the same changes
    nothing."""
    script = capsule.write(
        "guess.py",
        """
import json, os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ["CAPSULE_SOCKET"])
def say(**message): client.sendall(json.dumps(message).encode() + b"\\n")
say(capsule="hello", version=1, purpose="records", pid=1, secrets=["hunter2-hunter2"])
assert json.loads(client.recv(65536))["wants"] == ["environment", *sys.argv[1:]]
for name in (None, 7, "", "\\x01", "run", [], "qc hunter2-hunter2", {}):
    say(capsule="name", process_name=name)
say(capsule="name")
say(timestamp="2026-01-01T00:00:00.000000Z", level="INFO", message="of qc", seq=3)
""",
    )
    run = capsule.run(PY, str(script), options=("--process-name", "set"))
    assert [record["process_name"] for record in run.records] == ["set"] * 3
    assert run.canonical["message"] == "set finished"
    run = capsule.run(PY, str(script), "name")
    assert [record["message"] for record in run.records][1:-1] == ["of qc"]
    assert run.records[1]["process_name"] == run.canonical["process_name"] == "qc [redacted]"
    assert b"hunter2" not in b"".join(run.lines)
    assert "lost_records" not in run.canonical


def test_pipes_of_the_users_stay_clean(capsule: Capsule) -> None:
    """What a sub-process logs goes to the wrapper, never into a pipe that its parent reads."""
    child = capsule.write("child.py", SETUP + "logger.error('in the child')\nprint('answer')\n")
    script = capsule.write("s.py", (
        "import subprocess, sys\n"
        f"out = subprocess.run([sys.executable, {str(child)!r}], capture_output=True, text=True)\n"
        "print(repr((out.stdout, out.stderr)))\n"
    ))  # fmt: skip
    run = capsule.run(PY, str(script))
    assert run.stdout == b"('answer\\n', '')\n"
    assert [r["message"] for r in _inside(run)] == ["in the child"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(capsule: Capsule, method: str) -> None:
    """Workers of every start method, several threads each, lose and tear nothing."""
    script = capsule.write("s.py", (
        "import multiprocessing as mp, threading\n" + SETUP +
        "def work(n):\n"
        "    configure_logging('inner', site='lab')\n"
        "    ts = [threading.Thread(target=lambda t=t: [logger.info('w{} t{} i{}', n, t, i) for i in range(50)]) for t in range(3)]\n"
        "    [t.start() for t in ts]; [t.join() for t in ts]\n"
        "if __name__ == '__main__':\n"
        f"    ctx = mp.get_context({method!r})\n"
        "    ps = [ctx.Process(target=work, args=(n,)) for n in range(6)]\n"
        "    [p.start() for p in ps]; [p.join() for p in ps]\n"
    ))  # fmt: skip
    run = capsule.run(PY, str(script))
    assert run.status == 0, run.stderr
    messages = sorted(r["message"] for r in _inside(run))
    assert messages == sorted(
        f"w{n} t{t} i{i}" for n in range(6) for t in range(3) for i in range(50)
    )
    assert run.canonical.get("lost_records") is None


def test_a_forked_child_without_any_set_up(capsule: Capsule) -> None:
    """A bare os.fork while another thread logs: the child logs by a connection of its own."""
    script = capsule.write("s.py", (
        "import os, threading\n" + SETUP +
        "stop = threading.Event()\n"
        "def chatter():\n    while not stop.is_set(): logger.debug('chatter')\n"
        "t = threading.Thread(target=chatter); t.start()\n"
        "for n in range(20):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        logger.info('child {}', n); os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "stop.set(); t.join()\n"
    ))  # fmt: skip
    run = capsule.run(PY, "-W", "ignore", str(script), options=("--console", "off"))
    assert run.status == 0, run.stderr
    assert [r["message"] for r in _inside(run) if "child" in r["message"]] == [
        f"child {n}" for n in range(20)
    ]


def test_joblib(capsule: Capsule) -> None:
    """joblib's workers log to the run."""
    pytest.importorskip("joblib")
    script = capsule.write("s.py", (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from joblib import Parallel, delayed\n"
        "def work(n):\n"
        "    from aind_capsule import configure_logging\n"
        "    from loguru import logger\n"
        "    configure_logging(site='lab'); logger.info('job {}', n); return n\n"
        "if __name__ == '__main__':\n"
        "    print(sum(Parallel(n_jobs=2)(delayed(work)(n) for n in range(10))))\n"
    ))  # fmt: skip
    run = capsule.run(PY, str(script))
    assert run.stdout == b"45\n"
    assert sorted(r["message"] for r in _inside(run)) == sorted(f"job {n}" for n in range(10))


def test_200_workers_at_once(capsule: Capsule) -> None:
    """200 processes that connect at the same time all get through."""
    script = capsule.write("s.py", (
        "import os\n" + SETUP +
        "r, w = os.pipe()\npids = []\n"
        "for n in range(200):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        os.close(w); os.read(r, 1)\n"
        "        for i in range(5): logger.info('{} {}', n, i)\n"
        "        os._exit(0)\n"
        "    pids.append(pid)\n"
        "os.close(w)\n"
        "[os.waitpid(pid, 0) for pid in pids]\n"
    ))  # fmt: skip
    run = capsule.run(PY, str(script), options=("--console", "off"))
    assert run.status == 0, run.stderr
    assert len({r["message"] for r in _inside(run)}) == 1000
    assert run.canonical.get("lost_records") is None


def test_everything_else_that_python_says(capsule: Capsule) -> None:
    """Standard logging, warnings, threads' and ignored exceptions, asyncio, the uncaught one: once each."""
    script = capsule.write("s.py", (
        "import asyncio, gc, logging, threading, warnings\n" + SETUP +
        "logging.getLogger('lib').warning('std %s', 1, extra={'k': 2})\n"
        "warnings.warn('careful')\n"
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()\n"
        "class D:\n    def __del__(self): raise OSError('in del')\n"
        "D(); gc.collect()\n"
        "async def lost():\n    asyncio.ensure_future(boom()); await asyncio.sleep(0.01); gc.collect()\n"
        "async def boom(): raise IndexError('in a task')\n"
        "asyncio.run(lost())\n"
        "raise RuntimeError('the end')\n"
    ))  # fmt: skip
    run = capsule.run(PY, str(script))
    assert run.status == 1
    found = [
        (r["level"], r["message"].split("\n")[0], r.get("exception", {}).get("type"))
        for r in _inside(run)
    ]
    assert ("WARNING", "std 1", None) in found
    assert ("WARNING", "careful", None) in found
    kinds = [kind for _, _, kind in found if kind]
    assert kinds == ["ZeroDivisionError", "OSError", "IndexError", "RuntimeError"]
    assert ("CRITICAL", "RuntimeError: the end", "RuntimeError") in found
    assert run.messages == []
    assert run.canonical["error_type"] == "RuntimeError"
    assert run.stderr.count(b"RuntimeError: the end") >= 1


def test_pythons_own_versions_are_in_run_json(capsule: Capsule) -> None:
    """run.json tells Python and packages of the processing where our set-up runs in it."""
    script = capsule.write("s.py", SETUP)
    capsule.run(PY, str(script))
    processing = capsule.run_json()["environment"]["processing"]
    assert processing["python"] == sys.version.split()[0]
    assert "loguru" in processing["packages"]


def test_the_wrapper_dies_under_its_children(capsule: Capsule, tmp_path: Path) -> None:
    """After kill -9 of the wrapper a log call goes to stderr, readable, and does not raise."""
    told = tmp_path / "told"
    script = capsule.write("s.py", SETUP + (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"sys.__stderr__ = open({str(told)!r}, 'w')\n"
        "parent = os.getppid()\n"
        "logger.info('before')\nprint('ready', flush=True)\n"
        "while os.getppid() == parent: time.sleep(0.01)\n"
        "for n in range(3): logger.info('after {}', n)\n"
        "open(sys.__stderr__.name + '.done', 'w').close()\n"
    ))  # fmt: skip
    process = capsule.start(PY, str(script), options=("--grace", "20"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    wait_until(Path(f"{told}.done").exists)
    process.communicate()
    assert [f"after {n}" in told.read_text() for n in range(3)] == [True] * 3


def test_nested_runs_are_one_run(capsule: Capsule) -> None:
    """A capsule run inside a capsule run passes through: one log, one canonical record."""
    inner = capsule.get_command("sh", "-c", "echo inner; exit 9")
    run = capsule.run(*inner)
    assert run.status == 9
    assert run.messages == ["inner"]
    assert run.canonical["exit_code"] == 9
    assert len(list(capsule.scratch.glob(".capsule/*"))) == 1


def test_stale_variables_start_a_new_run(capsule: Capsule, tmp_path: Path) -> None:
    """Variables of a wrapper that is gone: a new run, and it is said."""
    stale = {
        "CAPSULE_SOCKET": str(tmp_path / "gone.sock"), "CAPSULE_RUN_ID": "20200101T000000-00000000",
        "CAPSULE_WRAPPER_PID": "1", "CAPSULE_RESULTS": str(tmp_path / "old"),
        "CAPSULE_RUN_FOLDERS": json.dumps({"CAPSULE_RESULTS": str(tmp_path / "old")}),
    }  # fmt: skip
    run = capsule.run("true", env=stale)
    assert run.canonical["run_id"] != stale["CAPSULE_RUN_ID"]
    assert any("does not answer" in r["message"] for r in run.records)
    assert list(capsule.results.glob("*.log.jsonl"))


def test_a_pipeline_task_inside_a_run_is_a_run_of_its_own(capsule: Capsule, tmp_path: Path) -> None:
    """Between an outer wrapper and a nested one lies a task: two runs."""
    task = tmp_path / "work" / "ab" / "cdef"
    for kind in ("code", "data", "results", "scratch"):
        (task / "capsule" / kind).mkdir(parents=True)
    inner = " ".join(capsule.get_command("sh", "-c", '"exit 4"'))
    (task / ".command.sh").write_text(f"cd {task}/capsule/code\n{inner}\n")
    del capsule.environ["CAPSULE_RUN_FILES"]
    run = capsule.run("bash", "-ue", str(task / ".command.sh"))
    assert run.status == 4
    logs = sorted(p.name for p in task.rglob("*.log.jsonl"))
    assert len(logs) == 1
    inside = [
        parse_strictly(line) for line in next(task.rglob("*.log.jsonl")).read_bytes().splitlines()
    ]
    check_log_is_sound(inside)
    assert inside[-1]["exit_code"] == 4
    assert list((task / "capsule" / "results").iterdir()) == []


def test_configure_logging_alone(capsule: Capsule) -> None:
    """Without a wrapper: a log of its own in a run folder, no run, nothing in results."""
    script = capsule.write("s.py", SETUP + "logger.info('alone')\n")
    done = subprocess.run(
        [PY, str(script)], cwd=capsule.code, env=capsule.environ, capture_output=True, check=True
    )
    log = capsule.find_log()
    assert log is not None
    assert log.is_relative_to(capsule.scratch)
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    assert [r["seq"] for r in records] == [0, 1]
    assert "shipping" in records[0]
    assert records[1]["process_name"] == "inner"
    assert b"alone" in done.stderr
    assert list(capsule.results.iterdir()) == []
    assert not any("status" in r for r in records)


def test_a_processing_without_loguru_is_told_so(capsule: Capsule) -> None:
    """Where loguru is missing the import fails as an ImportError, which the template expects."""
    script = capsule.write("s.py", (
        "import sys; sys.modules['loguru'] = None\n"
        "from aind_capsule import configure_logging\n"
        "try: configure_logging('x')\nexcept ImportError as error: print('fell back', error)\n"
    ))  # fmt: skip
    run = capsule.run(PY, str(script))
    assert run.stdout.startswith(b"fell back")


def test_another_programs_client(capsule: Capsule) -> None:
    """What another client sends as records, whatever it is, becomes records of the standard, without secrets."""
    script = """
import json, os, socket, sys
client = socket.socket(socket.AF_UNIX); client.connect(os.environ["CAPSULE_SOCKET"])
def send(value): client.sendall((value if isinstance(value, str) else json.dumps(value)).encode() + b"\\n")
base = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO", "message": "m"}
send({**base, "timestamp": "soon", "n": 1})
send({**base, "message": {"a": 2}})
send({**base, "level": "loud"})
send({**base, "message": "pass\\u0077ord=wombat-1", "note": "caf\\u00e9"})
send('{"timestamp":"2026-01-02T03:04:05.000006Z","level":"INFO","message":"m","pass\\\\u0077ord":"wombat-2","x":"https:\\\\/\\\\/u:wombat-3@h"}')
client.close()
"""
    done = capsule.run(PY, str(capsule.write("client.py", script)))
    records = done.records[1:-1]
    assert [record["level"] for record in records] == ["INFO"] * 5
    assert records[0]["timestamp_"] == "soon"
    assert all(isinstance(record["message"], str) for record in records)
    assert (records[3]["message"], records[3]["note"]) == ("password=[redacted]", "café")
    assert (records[4]["password"], records[4]["x"]) == ("[redacted]", "https://[redacted]@h")
    assert done.log is not None
    assert b"wombat" not in done.log.read_bytes()
    assert done.canonical["status"] == "success"
