"""One process has one run: blocks of `capsule_run` that overlap, and a program that ends inside of one."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.running.block_end import (
    STOPPED,
    UNKNOWN,
    combine,
    has_cause,
    is_closing,
    judge_block,
)
from aind_capsule.running.decorator import _give_run
from aind_capsule.running.inside import Run
from tests.conftest import Capsule, check_log_is_sound, parse_strictly

pytest.importorskip("loguru")
PY = sys.executable

#: `sleep` gives way to other threads and tasks; nothing is judged by time.
IMPORTS = """
import atexit
from loguru import logger
at_last = []  # `atexit` calls first what was registered last: these come after what we register
atexit.register(lambda: [call() for call in at_last])
import asyncio, contextlib, os, signal, sys, threading, time
from aind_capsule import capsule_process, capsule_run, current_run
def generate(name="gen", *values):
    with capsule_run(name) as run:
        yield run
        yield run
"""


@dataclass
class Left:
    """What a program left: its exit status, its streams, and its only run."""

    status: int
    out: str
    err: str
    logs: list[list[dict[str, Any]]]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of its only log in results."""
        (records,) = self.logs
        return records

    @property
    def end(self) -> tuple[Any, ...]:
        """How its only run ended, by its canonical record."""
        last = self.records[-1]
        names = ("status", "exit_code", "error_type", "error_message", "other_failures")
        return tuple(last.get(name) for name in names)

    @property
    def messages(self) -> list[str]:
        """The messages of its only log."""
        return [record["message"] for record in self.records]


class Programs:
    """Programs that run at the same time, each in a capsule of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.capsules: dict[str, Capsule] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, script: str, *, is_wrapped: bool = False, **environ: str) -> None:
        """Start a program."""
        capsule = self.capsules[name] = Capsule(self._folder / name.replace(" ", "-"))
        command = [PY, str(capsule.write("p.py", IMPORTS + script))]
        capsule.environ.update(environ)
        self._processes[name] = subprocess.Popen(
            capsule.get_command(*command) if is_wrapped else command,
            cwd=capsule.code, env=capsule.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    def finish(self) -> dict[str, Left]:
        """Wait for all; what Python can only ignore is an error of ours."""
        left = {}
        for name, process in self._processes.items():
            try:
                out, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                err += "Exception ignored: it did not end"
            assert "Exception ignored" not in err, f"{name}: {err}"
            assert "could not be made" not in err, f"{name}: {err}"
            logs = []
            for path in sorted(self.capsules[name].results.rglob("*.log.jsonl")):
                records = [parse_strictly(line) for line in path.read_bytes().splitlines()]
                check_log_is_sound(records)
                logs.append(records)
            # A banner names only files that are there.
            for line in err.splitlines():
                if line.strip().startswith("log ") and "/results/" in line:
                    assert Path(line.split()[1]).exists(), f"{name}: {err}"
            assert not list(self.capsules[name].root.rglob("*.next")), name
            left[name] = Left(process.returncode, out, err, logs)
        return left


def run_all(folder: Path, scripts: dict[str, str], **options: Any) -> dict[str, Left]:
    """Run programs beside one another."""
    programs = Programs(folder)
    for name, script in scripts.items():
        programs.start(name, script, **options)
    return programs.finish()


JOBS = """
def say(n, run):
    with run.step(f"s{n}"): logger.info("job {}", n)
    run.log_metric(f"m{n}", n)
    if n: raise [None, ValueError, KeyError][n](f"job {n}")
"""
#: Three jobs that overlap; the first to leave is well, and the last two fail.
OVERLAPS = {
    "gather": JOBS + """
async def job(n):
    with capsule_run("job", **{f"f{n}": n}) as run:
        await asyncio.sleep(0.05 * (n + 1)); say(n, run)
async def main(): await asyncio.gather(*(job(n) for n in range(3)), return_exceptions=True)
asyncio.run(main())
""",
    "threads": JOBS + """
barrier, order = threading.Barrier(3), [threading.Event() for _ in range(4)]
order[0].set()
def job(n):
    with capsule_run("job", **{f"f{n}": n}) as run:
        barrier.wait(); order[n].wait(); say(n, run)
threading.excepthook = lambda given: None
threads = [threading.Thread(target=job, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
for n, thread in enumerate(threads): thread.join() if order[n].set() is None else None
""",
    "pool": JOBS + """
from concurrent.futures import ThreadPoolExecutor
barrier, order = threading.Barrier(3), [threading.Event() for _ in range(3)]
def job(n, run):
    barrier.wait(); order[n].wait(); say(n, run)
with ThreadPoolExecutor(3) as pool:
    futures = [pool.submit(capsule_process("job", **{f"f{n}": n})(job), n) for n in range(3)]
    for n in range(3): order[n].set(); futures[n].exception()
""",
    "interleaved": JOBS + """
def iterate(n):
    with capsule_run("job", **{f"f{n}": n}) as run:
        yield
        say(n, run)
jobs = [iterate(n) for n in range(3)]
for job in jobs: next(job)
for job in jobs:
    try: next(job)
    except (StopIteration, ValueError, KeyError): pass
""",
}  # fmt: skip


def test_overlapping_blocks_are_one_run(tmp_path: Path) -> None:
    """The first to leave ends nobody's run: it ends with the last, failed by the first failure, the others counted, nothing lost."""
    left = run_all(tmp_path, OVERLAPS)
    for name, done in left.items():
        assert done.status == 0, (name, done.err)
        assert done.end == ("fail", 1, "ValueError", "job 1", 1), name
        last = done.records[-1]
        assert last["metrics"] == {"m0": 0, "m1": 1, "m2": 2}, name
        assert {last["f0"], last["f1"], last["f2"]} == {0, 1, 2}, name
        assert last["process_name"] == "job"
        assert not last.keys() & {"f0_", "f1_", "f2_"}, name
        assert last["message"] == "job failed: job 1 (and 1 more)"
        assert {"job 0", "job 1", "job 2"} <= set(done.messages), name
        failures = [
            record["exception"]["type"]
            for record in done.records
            if "exception" in record and not record["message"].startswith("Thread")
        ]
        assert failures == ["ValueError", "KeyError"], name
        assert "1 more in other blocks" in done.err
    wrapped = run_all(
        tmp_path / "wrapped", {k: OVERLAPS[k] for k in ("gather", "threads")}, is_wrapped=True
    )
    for name, done in wrapped.items():
        assert (done.status, done.end[:2]) == (0, ("success", 0)), (name, done.err)
        assert done.records[-1]["metrics"] == {"m0": 0, "m1": 1, "m2": 2}, name
        assert {"job 0", "job 1", "job 2"} <= set(done.messages), name


#: Code, which is run in one process after the other: how its run ends; a message that its log has.
WAYS_TO_OVERLAP: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "first leaves with an exception": ("""
inner = generate(); next(inner)
with contextlib.suppress(OSError), capsule_run("second"): raise OSError("early")
logger.info("goes on")
inner.close()
""", ("fail", 1, "OSError", "early", None), "goes on"),
    "nested and caught": ("""
with capsule_run("outer"):
    with contextlib.suppress(OSError), capsule_run("inner"): raise OSError("handled")
    logger.info("goes on")
""", ("success", 0, None, None, None), "goes on"),
    "nested outlives the outer": ("""
with capsule_run("outer"):
    inner = generate(); next(inner)
logger.info("goes on")
inner.close()
""", ("success", 0, None, None, None), "goes on"),
    "nested fails after the outer": ("""
def fail():
    with capsule_run("inner"): yield; raise OSError("late")
with capsule_run("outer"):
    inner = fail(); next(inner)
with contextlib.suppress(OSError): next(inner)
""", ("fail", 1, "OSError", "late", None), ""),
    "child task outlives its parent": ("""
async def child():
    with capsule_run("child"):
        await asyncio.sleep(0.05); logger.info("goes on"); raise OSError("child")
async def main():
    with capsule_run("parent"): task = asyncio.create_task(child()); await asyncio.sleep(0.01)
    await asyncio.wait([task])
    task.exception()
asyncio.run(main())
""", ("fail", 1, "OSError", "child", None), "goes on"),
    "one exception leaves two blocks": ("""
async def child():
    with capsule_run("child"): raise OSError("child")
async def main():
    with capsule_run("parent"): await asyncio.create_task(child())
with contextlib.suppress(OSError): asyncio.run(main())
""", ("fail", 1, "OSError", "child", None), ""),
    "one exception in two runs, first": (
        "sys.error = OSError('again')\nwith capsule_run('one'): raise sys.error",
        ("fail", 1, "OSError", "again", None), ""),
    "one exception in two runs, second": (
        "with capsule_run('two'): raise sys.error", ("fail", 1, "OSError", "again", None), ""),
    "one object serves several": (
        """
shared = capsule_run("shared")
entered, left = threading.Event(), threading.Event()
def work():
    with shared: entered.set(); left.wait(); raise OSError("last")
threading.excepthook = lambda given: None
thread = threading.Thread(target=work); thread.start(); entered.wait()
with shared, shared: logger.info("goes on")
left.set(); thread.join()
""",
        ("fail", 1, "OSError", "last", None),
        "goes on",
    ),
    "cancelled by a failure": ("""
async def job(n):
    with capsule_run("job"):
        await asyncio.sleep(0.05 if n == 1 else 100); raise OSError("bad")
async def main():
    tasks = [asyncio.create_task(job(n)) for n in range(3)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks: task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
asyncio.run(main())
""", ("fail", 1, "OSError", "bad", 2), ""),
    "cancelled first": ("""
async def job(n):
    with capsule_run("job"):
        await asyncio.sleep(100)
async def main():
    task = asyncio.create_task(job(0)); await asyncio.sleep(0.01)
    task.cancel(); await asyncio.gather(task, return_exceptions=True)
asyncio.run(main())
""", ("fail", 1, "CancelledError", "CancelledError", None), ""),
    "sys.exit in a thread": ("""
def work():
    with capsule_run("thread"): sys.exit(3)
with capsule_run("main"):
    thread = threading.Thread(target=work); thread.start(); thread.join()
""", ("fail", 3, "ExitStatus", "Ended with exit status 3", None), ""),
    "forked children": ("""
import multiprocessing
def work(n): current_run().log_metric("child", n); sys.exit(n)
with capsule_run("main"):
    workers = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(2)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    if not (pid := os.fork()): sys.exit(4)
    assert os.waitpid(pid, 0)[1] == 4 << 8
    if not (pid := __import__("ctypes").CDLL(None).fork()): sys.exit(5)  # no hook is called
    assert os.waitpid(pid, 0)[1] == 5 << 8
    logger.info("goes on")
""", ("success", 0, None, None, None), "goes on"),
}  # fmt: skip

EACH_IN_TURN = """
pid_of_all = os.getpid()
for number, code in enumerate(ROWS):
    os.environ["CAPSULE_RESULTS"] = os.path.abspath(f"../results/{number:02}")
    os.mkdir(os.environ["CAPSULE_RESULTS"])
    names = {**globals()}
    try: exec(code, names)
    except (Exception, SystemExit):
        if os.getpid() != pid_of_all: raise
    names.clear()
"""


def check_each_in_turn(folder: Path, rows: dict[str, tuple[str, tuple[Any, ...], str]]) -> None:
    """Run code in one process, each a run of its own, and look at what it left."""
    codes = [row[0] for _, row in sorted(rows.items())]
    done = run_all(folder, {"each": f"ROWS = {codes!r}\n{EACH_IN_TURN}"})["each"]
    assert (done.status, len(done.logs)) == (0, len(rows)), done.err
    for name, records in zip(sorted(rows), done.logs, strict=True):
        _, end, message = rows[name]
        assert Left(0, "", "", [records]).end == end, (name, done.err)
        assert not message or message in [record["message"] for record in records], name
        assert "child" not in records[-1].get("metrics", {})


def test_ways_to_overlap(tmp_path: Path) -> None:
    """Whoever leaves first, and however: one run, which ends with the last, as its blocks have."""
    check_each_in_turn(tmp_path, WAYS_TO_OVERLAP)


HOLD = "held = generate(); next(held)\n"
#: Program: its exit status, and how its run ends.
ENDS: dict[str, tuple[str, int, tuple[Any, ...]]] = {
    "exception": (HOLD + "raise OSError('main')", 1, ("fail", 1, "OSError", "main", None)),
    "exception in a loop": ("for _ in generate(): raise OSError('loop')", 1, ("fail", 1, "OSError", "loop", None)),
    "sys.exit": (HOLD + "sys.exit(5)", 5, ("fail", 5, "ExitStatus", "Ended with exit status 5", None)),
    "held by a function": ("def main():\n    held = generate(); next(held); sys.exit(6)\nmain()", 6,
                           ("fail", 6, "ExitStatus", "Ended with exit status 6", None)),
    "daemon thread": ("""
entered = threading.Event()
def work():
    with capsule_run("a"):
        entered.set()
        while True: time.sleep(0.01)
threading.Thread(target=work, daemon=True).start(); entered.wait()
sys.exit(7)""", 7, ("fail", 7, "ExitStatus", "Ended with exit status 7", None)),
    "daemon thread that is ending it": ("""
from aind_capsule.running.alone import LoneRun
entered, publish = threading.Event(), LoneRun._end
def end(*args):
    entered.set(); time.sleep(0.3); publish(*args)
LoneRun._end = end
def work():
    with capsule_run("a"): pass
threading.Thread(target=work, daemon=True).start(); entered.wait()
""", 0, ("success", 0, None, None, None)),
    "exit stack that atexit closes": ("stack = contextlib.ExitStack(); stack.enter_context(capsule_run('a')); atexit.register(stack.close); raise OSError('main')",
                                      1, ("fail", 1, "OSError", "main", None)),
    "main fails outside while a thread holds the run": ("""
entered = threading.Event()
def work():
    with capsule_run("thread"):
        entered.set()
        while threading.main_thread().is_alive(): time.sleep(0.01)
threading.Thread(target=work).start(); entered.wait()
raise OSError("main")
""", 1, ("fail", 1, "OSError", "main", None)),
}  # fmt: skip
MORE_ENDS: dict[str, tuple[str, int, tuple[Any, ...]]] = {
    "last line": (HOLD, 0, ("success", 0, None, None, None)),
    "sys.exit with a text": (HOLD + "sys.exit('no units')", 1, ("fail", 1, "ExitStatus", "no units", None)),
    "sys.exit without": (HOLD + "sys.exit()", 0, ("success", 0, None, None, None)),
    "interrupt": (HOLD + "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", -signal.SIGINT,
                  ("stopped", 130, "Signal", "Stopped by SIGINT", None)),
    "left the loop": ("for _ in generate(): break\nraise OSError('after')", 1, ("fail", 1, "OSError", "after", None)),
    "left the loop, and ends well": ("for _ in generate(): break\nlogger.info('goes on')", 0, ("success", 0, None, None, None)),
    "held by a loop": ("def main():\n    for _ in enumerate(generate()): raise OSError('loop')\nmain()", 1,
                       ("fail", 1, "OSError", "loop", None)),
    "sys.exit in a loop": ("def pass_on():\n    yield from generate()\nfor _ in pass_on(): sys.exit(6)", 6,
                           ("fail", 6, "ExitStatus", "Ended with exit status 6", None)),
    "closed on the way out": ("with contextlib.closing(generate()) as held:\n    for _ in held: raise OSError('body')", 1,
                              ("fail", 1, "OSError", "body", None)),
    "asynchronous generator": ("""
@capsule_process
async def numbers():
    yield 1
async def main():
    async for _ in numbers(): raise OSError('consumer')
asyncio.run(main())""", 1, ("fail", 1, "OSError", "consumer", None)),
    "interrupted jobs": ("""
async def job(n):
    with capsule_run("a"):
        if n == 2: os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
async def main(): await asyncio.gather(*(job(n) for n in range(3)))
asyncio.run(main())""", -signal.SIGINT, ("stopped", 130, "Signal", "Stopped by SIGINT", None)),
    "stopped in a loop": ("for _ in generate(): os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", 143,
                          ("stopped", 143, "Signal", "Stopped by SIGTERM", None)),
    "stopped after a loop": ("for _ in generate(): break\nos.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", 143,
                             ("stopped", 143, "Signal", "Stopped by SIGTERM", None)),
    "stopped twice after a loop": ("""
for _ in generate(): break
try: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
except SystemExit: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
""", -signal.SIGTERM, ("stopped", 143, "Signal", "Stopped by SIGTERM", None)),
    "interrupted asyncio": ("""
async def main():
    with capsule_run("a"): os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(60)
asyncio.run(main())""", -signal.SIGINT, ("stopped", 130, "Signal", "Stopped by SIGINT", None)),
    "stopped asyncio": ("""
async def main():
    with capsule_run("a"): os.kill(os.getpid(), signal.SIGTERM); await asyncio.sleep(60)
asyncio.run(main())""", 143, ("stopped", 143, "Signal", "Stopped by SIGTERM", None)),
    "task that nobody awaits": ("""
async def job():
    with capsule_run("a"): await asyncio.sleep(60)
loop = asyncio.new_event_loop(); task = loop.create_task(job())
loop.run_until_complete(asyncio.sleep(0.01))
raise OSError("main")""", 1, ("fail", 1, "OSError", "main", None)),
    "exit stack": ("stack = contextlib.ExitStack(); stack.enter_context(capsule_run('a')); sys.exit(8)", 8,
                   ("fail", 8, "ExitStatus", "Ended with exit status 8", None)),
    "two blocks, one failed": ("held = generate(); next(held)\nwith contextlib.suppress(OSError), capsule_run('b'): raise OSError('b')\nsys.exit(3)", 3,
                               ("fail", 1, "OSError", "b", 1)),
    "a thread outlives the block of main": ("""
entered = threading.Event()
def work():
    with capsule_run("thread"):
        entered.set()
        while threading.main_thread().is_alive(): time.sleep(0.01)
        logger.info("goes on")
with capsule_run("main"):
    threading.Thread(target=work).start(); entered.wait()
""", 0, ("success", 0, None, None, None)),
    "main is interrupted while a thread holds the run": ("""
entered = threading.Event()
def work():
    with capsule_run("thread") as run:
        entered.set()
        while threading.main_thread().is_alive(): time.sleep(0.01)
        run.log_metric("kept", 1); logger.info("goes on")
with capsule_run("main"):
    threading.Thread(target=work).start(); entered.wait(); os.kill(os.getpid(), signal.SIGINT); time.sleep(60)
""", -signal.SIGINT, ("stopped", 130, "Signal", "Stopped by SIGINT", None)),
}  # fmt: skip
#: What goes on after the block, for one program: code, and how its run ends.
CLOSED: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "closed": ("held = generate(); next(held); held.close(); logger.info('goes on')",
               ("success", 0, None, None, None), "goes on"),
    "closed while one is handled": ("try: import nowhere\nexcept ImportError:\n    held = generate(); next(held); held.close()",
                                    ("success", 0, None, None, None), ""),
    "exception in a loop that is caught": ("with contextlib.suppress(OSError):\n    for _ in generate(): raise OSError('loop')",
                                           ("success", 0, None, None, None), ""),
    "exit in a loop that is caught": ("with contextlib.suppress(SystemExit):\n    for _ in generate(): sys.exit(3)",
                                      ("success", 0, None, None, None), ""),
    "closed after a failure": ("""
held = generate(); next(held)
with contextlib.suppress(OSError), capsule_run("b"): raise OSError("b")
held.close()
current_run().log_metric("child", "the run has ended")""", ("fail", 1, "OSError", "b", None), ""),
    "closed by a thread": ("held = generate(); next(held)\nthread = threading.Thread(target=held.close); thread.start(); thread.join()",
                           ("success", 0, None, None, None), ""),
    "forked child": ("""
for _ in generate(): break
if not (pid := os.fork()): sys.exit(7)
os.waitpid(pid, 0)""", ("success", 0, None, None, None), ""),
}  # fmt: skip


def check_ends(folder: Path, rows: dict[str, tuple[str, int, tuple[Any, ...]]]) -> dict[str, Left]:
    """Run programs, and compare what they left."""
    left = run_all(folder, {name: row[0] for name, row in rows.items()})
    for name, (script, status, expected) in rows.items():
        done, end = left[name], expected
        if sys.version_info < (3, 12) and "sys.exit(" in script:  # nobody sees its exit status
            unseen = ("fail", None, "ExitStatus", UNKNOWN.error_message, None)
            end = (*expected[:4], None) if expected[2] == "OSError" else unseen
        assert done.status == status, (name, done.err)
        assert done.end == end, (name, done.err)
    return left


def test_the_program_ends_inside_a_block(tmp_path: Path) -> None:
    """The run ends with the program, by its true exit status, with whole files and no traceback of ours."""
    left = check_ends(tmp_path, ENDS)
    place = f"generate ({tmp_path / 'sys.exit' / 'code' / 'p.py'}:10)"
    assert f"The program ended while capsule_run was open in {place}" in left["sys.exit"].messages


@pytest.mark.slow
def test_the_program_ends_inside_a_block_in_any_way(tmp_path: Path) -> None:
    """The same of more ends: interrupts, stops, tasks, exit stacks, threads."""
    check_ends(tmp_path, MORE_ENDS)


def test_a_generator_that_is_closed(tmp_path: Path) -> None:
    """It says nothing of how its processing ended: its run is ended as a success when the program goes on to the next."""
    check_each_in_turn(tmp_path, CLOSED)


@pytest.mark.slow
def test_workers_of_multiprocessing(tmp_path: Path) -> None:
    """A worker calls nothing of `atexit` that was there before: its run ends with it, by its exception or exit status."""
    script = """
import multiprocessing
os.environ["CAPSULE_RESULTS"] = os.path.abspath("../results")
def work(n):
    for _ in generate(f"job-{n}"):
        if n == 1: raise OSError("worker")
        if n == 2: sys.exit(3)
        break
if __name__ == "__main__":
    for kind in ("fork", "spawn"):
        workers = [multiprocessing.get_context(kind).Process(target=work, args=(n,)) for n in range(3)]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
"""
    done = run_all(tmp_path, {"x": script})["x"]
    told = [
        (records[-1]["process_name"], *Left(0, "", "", [records]).end[:3]) for records in done.logs
    ]
    assert sorted(told) == [
        *[("job-0", "success", 0, None)] * 2,
        *[("job-1", "fail", 1, "OSError")] * 2,
        *[("job-2", "fail", 3, "ExitStatus")] * 2,
    ], done.err


@pytest.mark.slow
def test_an_exit_status_that_cannot_be_seen(tmp_path: Path) -> None:
    """Where no hook sees a SystemExit, the record says so and gives no exit status; a program that came to its end has 0."""
    blind = "import sys; from types import SimpleNamespace\nsys.monitoring = None\n"
    done = run_all(tmp_path, {
        "raised": blind + HOLD + "raise SystemExit(4)",
        "called": blind + HOLD + "sys.exit(4)",
        "returned": blind + HOLD,
        "failed": blind + HOLD + "with contextlib.suppress(OSError), capsule_run('b'): raise OSError('b')\nraise SystemExit(4)",
        "taken": "if hasattr(sys, 'monitoring'): sys.monitoring.use_tool_id(4, 'x'), sys.monitoring.use_tool_id(3, 'y')\n" + HOLD + "sys.exit(4)",
    })  # fmt: skip
    said = "Ended by a SystemExit whose exit status cannot be seen from inside"
    assert (done["raised"].status, done["raised"].end) == (
        4,
        ("fail", None, "ExitStatus", said, None),
    )
    assert "fail (exit status unknown)" in done["raised"].err
    assert done["returned"].end[:2] == ("success", 0)
    assert done["failed"].end == ("fail", 1, "OSError", "b", None)
    for name in ("called", "taken"):
        assert (done[name].status, done[name].end) == (4, done["raised"].end), name


def test_records_after_the_end(tmp_path: Path) -> None:
    """What is logged and said after the run's end goes to stderr and the session file, which is said once; the log stays closed."""
    script = """
at_last.append(lambda: logger.info("after all"))
def hold():
    with capsule_run("held") as run:
        with run.step("first"), run.step("second"):
            try: yield run
            finally: run.log_metric("late", 5); run.log_metric("later", 6)
held = hold(); run = next(held)
if __name__ == "__main__":
    with contextlib.suppress(OSError), capsule_run("other"): raise OSError("told")
    atexit.register(lambda: logger.info("in time"))
"""
    plain = """
with contextlib.suppress(OSError), capsule_run("done") as run: raise OSError("told")
logger.error("too late"); run.log_metric("late", 7); logger.info("once more")
raise OSError("told")
"""
    programs = Programs(tmp_path)
    for name, code in (("held", script), ("plain", plain), ("off", plain)):
        environ = {"CAPSULE_SESSION__ENABLED": str(name != "off").lower()}
        programs.start(name, code, **environ)
    left = programs.finish()
    held, done = left["held"], left["plain"]
    assert held.end == ("fail", 1, "OSError", "told", None), held.err
    assert "in time" in held.messages
    assert [m for m in held.messages if "was still open after" in m].__len__() == 2
    for text in ("after all", '{"metrics":{"late":5}}', '{"metrics":{"later":6}}'):
        assert text in held.err
        assert not any(text in message for message in held.messages)
    assert done.messages[-1] == "done failed: told"
    sessions = list(programs.capsules["plain"].root.rglob("*.log.txt"))
    assert len(sessions) == 2
    for text in ("too late", '{"metrics":{"late":7}}', "once more"):
        assert all(path.read_text().count(text) == 1 for path in sessions)
        assert text in done.err
        assert text in left["off"].err
    said = "has ended; records after its end go to stderr"
    assert (done.err.count(said), held.err.count(said), left["off"].err.count(said)) == (1, 1, 1)
    assert done.err.count(f"{said} and to the session file") == 1
    assert f"{said} and" not in left["off"].err
    # An exception that left the block and that nobody caught is in the log, and no news.
    failed = run_all(tmp_path / "failed", {"x": "with capsule_run('x'): raise OSError('told')"})[
        "x"
    ]
    assert said not in failed.err
    assert failed.err.count("OSError: told") >= 1


def test_steps_that_are_open(tmp_path: Path) -> None:
    """A step that has no end when the run ends is a row that says so, alone and under a wrapper; a forked child ends none."""
    script = """
def hold():
    with current_run().step("open"): yield
with capsule_run("a"):
    held = hold(); next(held)
    if not (pid := os.fork()):
        with current_run().step("child"), current_run().step("inner"): pass
        sys.exit(0)
    os.waitpid(pid, 0)
    with current_run().step("done"): pass
"""
    programs = Programs(tmp_path)
    programs.start("alone", script)
    programs.start("wrapped", script, is_wrapped=True)
    for name, done in programs.finish().items():
        assert (done.status, done.end[0]) == (0, "success"), done.err
        rows = {row["path"]: row["status"] for row in programs.capsules[name].run_json()["steps"]}
        ours = {"open": "open", "done": "ok"}
        childs = {"child": "ok", "child/inner": "ok"} if name == "wrapped" else {}
        assert rows == {**ours, **childs}, name
        assert len(programs.capsules[name].run_json()["steps"]) == len(rows)
        levels = [record["level"] for record in done.records if record.get("step") == "open"]
        assert levels == ["WARNING"]


THREADED = """
entered = threading.Event()
def work():
    with capsule_run("thread") as run:
        entered.set(); WAIT
thread = threading.Thread(target=work)
"""
FOREVER = THREADED.replace("WAIT", "time.sleep(60)")
UNTIL_STOP = THREADED.replace(
    "WAIT", "[time.sleep(0.01) for _ in iter(lambda: run.stop_requested, True)]"
)
SIGTERM = "os.kill(os.getpid(), signal.SIGTERM)"
STOPPED_BY_TERM = ("stopped", 143, "Signal", "Stopped by SIGTERM", None)


@pytest.mark.slow
def test_sigterm_while_threads_hold_the_run(tmp_path: Path) -> None:
    """The handler serves from the first block of the main thread to the last block of anybody; then SIGTERM ends the process as ever."""
    left = run_all(tmp_path, {
        # The thread is first, and main joins: an exception in main, and the thread looks at the run.
        "joined": UNTIL_STOP + f"thread.start(); entered.wait()\nwith capsule_run('main'): {SIGTERM}; time.sleep(60)",
        # Main has left its block and is at work: the handler is still there.
        "left": UNTIL_STOP + f"with capsule_run('main'): thread.start(); entered.wait()\n{SIGTERM}; time.sleep(60)",
        # A second one does not interrupt what the first has main do.
        "second in finally": f"""
with capsule_run('main') as run:
    try: {SIGTERM}; time.sleep(60)
    finally: {SIGTERM}; print("not interrupted")""",
        # A second one, when main has left: nobody is there whom an exception could reach.
        "second": FOREVER + f"""
def later():
    while threading.main_thread().is_alive(): time.sleep(0.01)
    {SIGTERM}
threading.Thread(target=later).start()
with capsule_run('main'): thread.start(); entered.wait(); {SIGTERM}; time.sleep(60)""",
        "second at work": FOREVER + f"""
try:
    with capsule_run('main'): thread.start(); entered.wait(); {SIGTERM}; time.sleep(60)
except SystemExit: {SIGTERM}; time.sleep(60)""",
        # The main program is over, and was well.
        "over": FOREVER + f"""
def later():
    while threading.main_thread().is_alive(): time.sleep(0.01)
    {SIGTERM}
threading.Thread(target=later).start()
with capsule_run('main'): thread.start(); entered.wait()""",
    })  # fmt: skip
    for name, done in left.items():
        assert done.status in (
            (143,) if name in ("joined", "left", "second in finally") else (-signal.SIGTERM,)
        ), (
            name,
            done.err,
        )
        assert done.end == STOPPED_BY_TERM, (name, done.err)
    after = run_all(tmp_path / "after", {
        "restored": f"with capsule_run('a'): pass\nassert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n{SIGTERM}",
        # The last to leave is a thread, which cannot restore it.
        "by a thread": THREADED.replace("WAIT", "left.wait()") + f"""
left = threading.Event()
with capsule_run('main'): thread.start(); entered.wait()
left.set(); thread.join()
{SIGTERM}""",
        # It comes while a thread ends the run.
        "while it ends": THREADED.replace("WAIT", "left.wait()") + f"""
from aind_capsule.running.alone import LoneRun
left, ending, publish = threading.Event(), threading.Event(), LoneRun._end
def end(*args): ending.set(); time.sleep(0.3); publish(*args)
LoneRun._end = end
with capsule_run('main'): thread.start(); entered.wait()
left.set(); ending.wait(); {SIGTERM}; time.sleep(60)""",
        "own": f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nwith capsule_run('a'): pass\n{SIGTERM}",
        "in a forked child": f"""
with capsule_run('a'):
    if not (pid := os.fork()): {SIGTERM}; time.sleep(60)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))""",
    })  # fmt: skip
    assert left["second in finally"].out == "not interrupted\n"
    assert [done.status for done in after.values()] == [
        -signal.SIGTERM,
        -signal.SIGTERM,
        143,
        9,
        143,
    ]
    assert [done.end[:2] for done in after.values()] == [("success", 0)] * 4 + [("fail", 143)]


def test_a_block_waits_for_the_run_that_is_ending(tmp_path: Path) -> None:
    """A block that is entered while the run is being ended begins a run of its own after it; both are whole."""
    script = """
from aind_capsule.running.alone import LoneRun
ending, publish = threading.Event(), LoneRun._end
def end(*args): ending.set(); time.sleep(0.2); publish(*args)
LoneRun._end = end
def work():
    ending.wait()
    with capsule_run("second") as run: run.log_metric("n", 2)
thread = threading.Thread(target=work); thread.start()
with capsule_run("first") as run: run.log_metric("n", 1)
thread.join()
"""
    logs = run_all(tmp_path, {"x": script})["x"].logs
    found = {records[-1]["process_name"]: records[-1]["metrics"] for records in logs}
    assert found == {"first": {"n": 1}, "second": {"n": 2}}


def test_a_block_that_is_entered_by_what_ends_the_run(tmp_path: Path) -> None:
    """It joins the run that its own thread is ending; it neither ends that again nor keeps a later run open."""
    script = """
from aind_capsule.running.alone import LoneRun
held, publish = [], LoneRun._end
def end(*args): list(generate()); held.append(generate()); next(held[0]); publish(*args)
LoneRun._end = end
with capsule_run("first"): pass
LoneRun._end = publish
with capsule_run("second"): pass
print(current_run().run_id)
held[0].close()
"""
    done = run_all(tmp_path, {"x": script})["x"]
    assert done.out == "None\n"
    assert {records[-1]["process_name"] for records in done.logs} == {"first", "second"}


def test_what_the_main_program_holds_is_let_go_of(tmp_path: Path) -> None:
    """Finalizers of the program's own variables run at its end, as without us; exceptions are watched only while a run of its own is open."""
    script = """
class Closing:
    def __del__(self, write=os.write): write(1, b"closed\\n")
closing = Closing()
def find_tool(): return getattr(sys, "monitoring", None) and sys.monitoring.get_tool(4)
with capsule_run("a"): print(find_tool())
print(find_tool(), flush=True)
for _ in generate(): break
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)
held = generate(); next(held)
"""
    watched = "aind-capsule" if sys.version_info >= (3, 12) else None
    told = f"{watched}\nNone\nFalse\nclosed\n"
    assert run_all(tmp_path, {"x": script})["x"].out == told
    wrapped = run_all(tmp_path / "wrapped", {"x": script}, is_wrapped=True)["x"]
    assert wrapped.out == "None\nNone\nTrue\nclosed\n"  # its run is the wrapper's to end


def test_a_run_that_begins_at_the_end(tmp_path: Path) -> None:
    """A run that an `atexit` handler begins is whole, though no thread can be started any more."""
    script = """
at_last.append(lambda: [held := generate("closed"), next(held), held.close()])
atexit.register(lambda: [capsule_run("late").__enter__(), print("went")])
atexit.register(lambda: list(generate("whole")))
"""
    done = run_all(tmp_path, {"x": script})["x"]
    assert "went" in done.out
    assert {records[-1]["process_name"] for records in done.logs} >= {"whole", "closed"}
    assert all(records[-1]["status"] == "success" for records in done.logs), done.err


def test_how_blocks_become_an_outcome() -> None:
    """The first failure is told and the others are counted; a cancellation is told where there is nothing else."""
    fail, stop, cancelled, fine = (
        judge_block(error) for error in (OSError("x"), KeyboardInterrupt(), asyncio.CancelledError(), None)
    )  # fmt: skip
    told = [
        (combine(outcomes).error_type, combine(outcomes).other_failures)
        for outcomes in ([], [fine], [fail, stop], [stop, fail], [cancelled, fail], [cancelled, cancelled], [fine, UNKNOWN],
                         [cancelled, stop], [STOPPED, STOPPED, fail])
    ]  # fmt: skip
    assert told == [
        (None, 0),
        (None, 0),
        ("OSError", 1),
        ("Signal", 1),
        ("OSError", 1),
        ("CancelledError", 1),
        ("ExitStatus", 0),
        ("Signal", 0),
        ("Signal", 1),
    ]
    stops = [
        judge_block(error, is_stop_requested=True)
        for error in (SystemExit(143), asyncio.CancelledError())
    ]
    assert stops == [STOPPED, STOPPED]
    others = [
        judge_block(error, is_stop_requested=True).error_type
        for error in (SystemExit(1), OSError("x"), None, SystemExit(0))
    ]
    assert others == ["ExitStatus", "OSError", None, None]
    assert judge_block(SystemExit(143)).status == "fail"
    codes = [judge_block(SystemExit(code)).exit_code for code in (None, 0, 5, 256 + 5, "text", "")]
    assert codes == [0, 0, 5, 5, 1, 1]
    assert judge_block(GeneratorExit()).status == "success"
    assert [judge_block(error).error_message for error in (OSError(), OSError("x"))] == [
        "OSError",
        "x",
    ]


def test_what_leaves_the_question_open() -> None:
    """A closed generator and a cancelled task say nothing of the run, unless something else has failed."""
    errors = (GeneratorExit(), asyncio.CancelledError(), OSError(), SystemExit(0), None)
    assert [is_closing(error) for error in errors] == [True, True, False, False, False]
    assert not has_cause([judge_block(error) for error in (None, *errors[:2])])
    assert has_cause([judge_block(errors[1]), judge_block(errors[2])])


def test_who_gets_the_run() -> None:
    """The decorator gives the run to a parameter that takes a keyword and that the caller leaves free, and names a function as it is named."""

    def plain(a: int, run: object = None) -> None: ...
    def keyword(*, run: object) -> None: ...
    def positional(run: object, /) -> None: ...
    def many(*run: object) -> None: ...
    def without(a: int) -> None: ...

    run = Run(None, lambda _message: None, lambda _level, _text, _extra: None)
    given = [
        _give_run(function, run, args, kwargs).get("run")
        for function, args, kwargs in (
            (plain, (1,), {}), (plain, (1, 2), {}), (plain, (1,), {"run": 3}), (keyword, (), {}),
            (positional, (), {}), (many, (1,), {}), (without, (1,), {}), (plain, (1, 2, 3), {}),
        )
    ]  # fmt: skip
    assert given == [run, None, 3, run, None, None, None, None]
