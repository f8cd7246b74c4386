"""The handle of a run in copies, pickles and worker processes of every kind."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import Capsule, check_log_is_sound, parse_strictly
from tests.running.test_python_api import Alone

pytest.importorskip("loguru")
PY = sys.executable


@pytest.fixture
def alone(capsule: Capsule) -> Alone:
    """A capsule whose processing is run without a wrapper."""
    return Alone(capsule)


WORKERS = """
import concurrent.futures, copy, multiprocessing, os, pickle, sys
from aind_capsule import capsule_run, current_run

class Task:
    def __init__(self, run): self.run = run

def work(run, name):
    with run.step(name):
        run.log_metric(name, os.getpid() != PARENT)
    return run.run_id

PARENT = int(os.environ.setdefault("PARENT", str(os.getpid())))
if __name__ == "__main__":
    with capsule_run("qc") as run:
        assert copy.deepcopy({"run": run})["run"] is copy.copy(run) is pickle.loads(pickle.dumps(run)) is run
        assert pickle.loads(pickle.dumps(Task(run))).run is run
        ids = []
        with run.step("pools"):
            for method in sys.argv[1:]:
                context = multiprocessing.get_context(method)
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    ids.append(pool.submit(work, run, method).result())
            if "spawn" in sys.argv:
                from joblib import Parallel, delayed
                ids += Parallel(n_jobs=2)([delayed(work)(run, "joblib")])
        process = multiprocessing.get_context("fork").Process(target=work, args=(run, "process"))
        process.start(); process.join()
        assert process.exitcode == 0
        assert set(ids) == {run.run_id}
        run.log_metric("parent", 1)
    assert pickle.loads(pickle.dumps(run)) is run
"""


METHODS = [
    ("fork",),
    pytest.param(("fork", "spawn", "forkserver"), marks=pytest.mark.slow),
]


def _list_workers(methods: tuple[str, ...]) -> list[str]:
    return sorted([*methods, "process", *(["joblib"] if "spawn" in methods else [])])


@pytest.mark.parametrize("methods", METHODS)
def test_workers_under_a_wrapper(capsule: Capsule, methods: tuple[str, ...]) -> None:
    """Whatever starts a worker: what it says by the handle is in the one run, its steps lie in none."""
    pytest.importorskip("joblib")
    done = capsule.run(PY, str(capsule.write("w.py", WORKERS)), *methods)
    assert done.status == 0, done.stderr
    workers = _list_workers(methods)
    assert done.canonical["metrics"] == {**dict.fromkeys(workers, True), "parent": 1}
    paths = [step["path"] for step in capsule.run_json()["steps"]]
    assert sorted(paths) == sorted([*workers, "pools"])
    assert len(list(capsule.root.rglob("*.log.jsonl"))) == 2  # the run folder's, and its copy
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("methods", METHODS)
def test_workers_alone(alone: Alone, methods: tuple[str, ...]) -> None:
    """Alone a worker makes no second run: what it says is a WARNING in its own log, never an error."""
    pytest.importorskip("joblib")
    done = alone.run(WORKERS, *methods)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    records, run = alone.read_run()
    assert records[-1]["metrics"] == {"parent": 1}
    assert [step["path"] for step in run["steps"]] == ["pools"]
    said = []
    for path in alone.capsule.scratch.rglob("*.log.jsonl"):
        own = [parse_strictly(line) for line in path.read_bytes().splitlines()]
        if own[0]["run_id"] != records[0]["run_id"]:
            assert {record["process_name"] for record in own} == {"qc"}
            assert not any("status" in record for record in own)
            said += [r["message"] for r in own if r["level"] == "WARNING"]
    start = f"Said of the run {records[0]['run_id']} in another process: "
    assert all(message.startswith(start) for message in said), said
    for name in _list_workers(methods):
        assert sum(f'"metrics":{{"{name}":true}}' in message for message in said) == 1
        assert sum(f'"name":"{name}"' in message for message in said) == 1


NO_CAPSULE_RUN = """
import os, pickle, subprocess, sys
from aind_capsule import current_run
if len(sys.argv) > 1:
    run = pickle.loads(bytes.fromhex(sys.argv[1]))
    run.log_metric("child", 1); run.note("by the child")
    with run.step("b"): pass
else:
    with current_run().step("a"), current_run().step("nested"):
        given = pickle.dumps(current_run()).hex()
        subprocess.run([sys.executable, __file__, given], check=True)
"""


def test_a_handle_without_capsule_run(capsule: Capsule, alone: Alone) -> None:
    """Handles of `current_run` nest their steps and travel; where there is no run they keep nothing."""
    done = capsule.run(PY, str(capsule.write("n.py", NO_CAPSULE_RUN)))
    check_log_is_sound(done.records)
    assert done.canonical["metrics"] == {"child": 1}
    assert [step["path"] for step in capsule.run_json()["steps"]] == ["b", "a/nested", "a"]
    quiet = alone.run(NO_CAPSULE_RUN)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_handle_of_another_run(capsule: Capsule) -> None:
    """A handle that comes from another run adds nothing to this one but a WARNING that says so."""
    script = """
import pickle
from aind_capsule.running.inside import find_run
run = find_run("20260101T000000-0123abcd", "other")
assert pickle.loads(pickle.dumps(run)).run_id == run.run_id
run.log_metric("m", 1)
"""
    done = capsule.run(PY, str(capsule.write("o.py", script)))
    assert done.status == 0
    assert "metrics" not in done.canonical
    (said,) = [r["message"] for r in done.records if r["level"] == "WARNING"]
    assert said.startswith("Said of the run 20260101T000000-0123abcd in another process: ")


def test_after_its_end(alone: Alone) -> None:
    """A handle that is kept beyond the run's end, in this process, says so, and breaks nothing."""
    done = alone.run(
        "import pickle\nfrom aind_capsule import capsule_run\n"
        "with capsule_run('qc') as run: data = pickle.dumps(run)\n"
        "pickle.loads(data).log_metric('late', 1)\n"
    )
    assert done.returncode == 0
    assert 'Said of the run after its end: {"metrics":{"late":1}}' in done.stderr
