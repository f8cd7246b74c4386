"""Processes of every kind that log at once: all records arrive, each whole, none twice."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter

import pytest

from tests.logs.conftest import Python, read_records
from tests.logs.record_server import RecordServer

METHODS = ["fork", "spawn", "forkserver"] if sys.platform != "win32" else ["spawn"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("where", ["socket", "alone"])
def test_multiprocessing(python: Python, server: RecordServer, method: str, where: str) -> None:
    """Workers of every start method log by a connection, or to a log, of their own."""
    script = f"""
        import multiprocessing
        configure_logging("pool", site="lab")
        def work(n):
            for i in range(100):
                logger.bind(n=n, i=i).info("worker")
        if __name__ == "__main__":
            logger.info("parent")
            context = multiprocessing.get_context({method!r})
            workers = [context.Process(target=work, args=(n,), name=f"w{{n}}") for n in range(4)]
            [worker.start() for worker in workers]; [worker.join() for worker in workers]
            logger.info("parent again")
            assert [worker.exitcode for worker in workers] == [0] * 4
    """
    python.run(script, env=server.environ if where == "socket" else {})
    server.settle()
    records = (
        server.records
        if where == "socket"
        else [r for log in python.find_logs() for r in read_records(log)]
    )
    workers = [record for record in records if record["message"] == "worker"]
    assert Counter((r["n"], r["i"]) for r in workers) == Counter(
        (n, i) for n in range(4) for i in range(100)
    )
    assert len({record["process"] for record in workers}) == 4
    assert {record["processName"] for record in workers} == {"w0", "w1", "w2", "w3"}
    assert {record["site"] for record in workers} == {"lab"}
    assert [r["message"] for r in records if "parent" in r["message"]] == ["parent", "parent again"]
    if where == "socket":
        assert set(server.pids) >= {int(record["process"]) for record in records}
    else:
        assert len({record["run_id"] for record in records}) >= 5


@pytest.mark.parametrize("where", ["socket", "alone"])
def test_bare_fork_while_threads_log(python: Python, server: RecordServer, where: str) -> None:
    """Forks in the middle of other threads' log calls: no child waits for a lock or shares a line."""
    script = """
        configure_logging("forks")
        is_over = False
        def busy():
            while not is_over:
                logger.info("busy")
        threads = [threading.Thread(target=busy) for _ in range(3)]
        [thread.start() for thread in threads]
        children = []
        for n in range(30):
            pid = os.fork()
            if pid == 0:
                logger.bind(n=n).info("child"); logging.info("child too")
                os._exit(0)
            children.append(pid)
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        is_over = True
        [thread.join() for thread in threads]
        configure_logging("forks")
        logger.info("end")
    """
    env = server.environ if where == "socket" else {"CAPSULE_CONSOLE__MODE": "off"}
    python.run(script, env=env)
    server.settle()
    records = (
        server.records
        if where == "socket"
        else [r for log in python.find_logs() for r in read_records(log)]
    )
    assert sorted(record["n"] for record in records if record["message"] == "child") == list(
        range(30)
    )
    assert sum(record["message"] == "child too" for record in records) == 30
    assert sum(record["message"] == "end" for record in records) == 1


def test_a_forked_child_lets_go_of_its_parents_log(python: Python) -> None:
    """A child that never logs holds no lock on its parent's log: a dead parent's log is not `running`."""
    script = """
        configure_logging("parent")
        logger.info("x")
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            sys.stdin.readline()
            os._exit(0)
        os._exit(0)
    """
    from aind_capsule.logs.reader import is_being_written

    process = python.start(script, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.wait(60)
    (log,) = python.find_logs()
    assert not is_being_written(log)
    process.communicate("\n")


def test_subprocesses(python: Python, server: RecordServer) -> None:
    """A program that the processing starts logs to the same run; pipes of the user's stay clean."""
    child = python.write(
        "configure_logging(); logger.error('in the child'); print('answer')", "child.py"
    )
    script = f"""
        import subprocess
        configure_logging()
        logger.info("before")
        out = subprocess.run([sys.executable, {str(child)!r}], capture_output=True, text=True, check=True)
        logger.info("after")
        print(repr((out.stdout, out.stderr)))
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert done.stdout == "('answer\\n', '')\n"
    assert sorted(server.messages) == ["after", "before", "in the child"]
    assert len(set(server.pids)) == 2


def test_joblib(python: Python, server: RecordServer) -> None:
    """joblib's workers, which are no children of fork, log once they are set up, again and again."""
    if importlib.util.find_spec("joblib") is None:
        pytest.skip("joblib is not installed")
    script = """
        from joblib import Parallel, delayed
        def work(n):
            from aind_capsule import configure_logging
            from loguru import logger
            configure_logging("job", batch=1)
            logger.bind(n=n).info("worker")
            return n
        if __name__ == "__main__":
            configure_logging("job")
            assert Parallel(n_jobs=2)(delayed(work)(n) for n in range(20)) == list(range(20))
            assert Parallel(n_jobs=4, backend="threading")(delayed(work)(n) for n in range(20, 40)) == list(range(20, 40))
    """
    done = python.run(script, env={**server.environ, "JOBLIB_TEMP_FOLDER": str(python.scratch)})
    server.settle()
    assert sorted(record["n"] for record in server.records) == list(range(40))
    assert len(set(server.pids)) == len(server.pids) <= 3
    assert "Logging error" not in done.stderr


@pytest.mark.parametrize("where", ["socket", "alone"])
def test_a_logger_that_is_pickled(python: Python, server: RecordServer, where: str) -> None:
    """A script's own logger goes with its functions to joblib's workers, and to spawned processes.

    Without any set-up there, its records have the fields that it was set up with.
    """
    pytest.importorskip("joblib")
    script = """
        import multiprocessing
        from joblib import Parallel, delayed
        def work(n):
            logger.bind(n=n).info("worker")
        def spawned(given):
            given.bind(n=20).info("worker")
        if __name__ == "__main__":
            configure_logging("pickled", site="lab", odd=object())
            Parallel(n_jobs=2)(delayed(work)(n) for n in range(20))
            process = multiprocessing.get_context("spawn").Process(target=spawned, args=(logger,))
            process.start(); process.join()
            assert process.exitcode == 0
            logger.info("parent")
    """
    env = server.environ if where == "socket" else {}
    done = python.run(script, env={**env, "JOBLIB_TEMP_FOLDER": str(python.scratch)})
    server.settle()
    records = (
        server.records
        if where == "socket"
        else [r for log in python.find_logs() for r in read_records(log)]
    )
    workers = [record for record in records if record["message"] == "worker"]
    assert sorted(record["n"] for record in workers) == list(range(21))
    assert {record["site"] for record in workers} == {"lab"}
    (parent,) = [record for record in records if record["message"] == "parent"]
    assert parent["process"] not in {record["process"] for record in workers}
    if where == "alone":
        assert {record["process_name"] for record in records} == {"pickled"}
    else:
        assert done.stderr == ""


def test_200_workers_at_once(python: Python, server: RecordServer) -> None:
    """200 short processes that connect at the same moment all get through."""
    script = """
        configure_logging("burst")
        logger.info("parent")
        start, go = os.pipe()
        children = []
        for n in range(200):
            pid = os.fork()
            if pid == 0:
                os.close(go)
                os.read(start, 1)
                logger.bind(n=n).info("worker"); logger.bind(n=n).info("bye")
                os._exit(0)
            children.append(pid)
        os.close(go)
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
    """
    done = python.run(script, env=server.environ)
    server.settle()
    assert done.stderr == ""
    for message in ("worker", "bye"):
        assert sorted(r["n"] for r in server.records if r["message"] == message) == list(range(200))
    assert len(server.pids) == 201


def test_a_second_call_in_a_forked_worker(python: Python, server: RecordServer) -> None:
    """A worker may call configure_logging itself; it keeps its parent's fields and adds its own."""
    script = """
        configure_logging("p", site="lab")
        if os.fork() == 0:
            configure_logging("p", worker=1)
            logger.info("child")
            os._exit(0)
        assert os.wait()[1] == 0
        logger.info("parent")
    """
    python.run(script, env=server.environ)
    server.settle()
    child, parent = server.find("child"), server.find("parent")
    assert (child["site"], child["worker"]) == ("lab", 1)
    assert parent["site"] == "lab"
    assert "worker" not in parent
