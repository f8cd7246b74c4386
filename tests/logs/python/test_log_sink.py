"""`LogSink`: what a user of loguru expects of a sink, with the standard's records."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from aind_capsule import LogSink
from aind_capsule.records.schema import find_faults
from tests.conftest import ROOT, build_environ
from tests.logs.conftest import Python, read_records
from tests.logs.record_server import FIELDS, RecordServer, parse_json

IMPORT = "from aind_capsule import LogSink, capsule_run\n"


def _read(python: Python, name: str = "out.jsonl") -> list[dict[str, Any]]:
    """A file's records; each line is one of the standard."""
    data = (python.cwd / name).read_bytes()
    assert data.endswith(b"\n")
    records = [parse_json(line) for line in data.splitlines()]
    for record in records:
        assert [fault for fault in find_faults(record) if not fault.is_warning] == []
    return records


def _run(
    python: Python, script: str, *, arguments: tuple[str, ...] = (), **more: Any
) -> subprocess.CompletedProcess[str]:
    return python.run(IMPORT + textwrap.dedent(script), *arguments, **more)


def test_a_file_has_records_of_the_standard(python: Python) -> None:
    """Place, run and user's fields, exception and hidden secrets are there; other sinks stay."""
    script = """
        sink = LogSink("new/out.jsonl", process_name="qc", subject_id="123456", level="high")
        number = logger.add(sink, level="INFO", filter=lambda r: r["extra"].get("n") != 3)
        logger.debug("too low")
        for n in range(5):
            logger.bind(n=n, run_id="mine").info("trial\\n{}", n)
        logger.success("the password is s3cr3t-value-of-lab")
        hidden = 47114711
        try:
            hidden / 0
        except ZeroDivisionError:
            logger.exception("failed")
        logger.remove(number)
        logger.info("after the end")
    """
    env = {"PIPELINE_NAME": "spikes", "LAB_TOKEN": "s3cr3t-value-of-lab"}
    done = _run(python, script, env=env)
    records = _read(python, "new/out.jsonl")
    assert [record["message"] for record in records] == [
        "trial\n0", "trial\n1", "trial\n2", "trial\n4", "the password is [redacted]", "failed",
    ]  # fmt: skip
    first = records[0]
    expected = {
        "level": "INFO", "logger": "__main__", "function": "<module>", "processName": "MainProcess",
        "threadName": "MainThread", "pipeline_name": "spikes", "process_name": "qc", "n": 0,
        "subject_id": "123456", "level_": "high", "run_id_": "mine",
    }  # fmt: skip
    assert expected.items() <= first.items()
    assert isinstance(first["lineno"], int)
    assert first["hostname"]
    assert "run_id" not in first
    exception = records[-1]["exception"]
    assert exception["type"] == "ZeroDivisionError"
    assert "hidden / 0" in exception["traceback"]
    assert "47114711" not in exception["traceback"]
    assert "after the end" in done.stderr
    assert "aind-capsule" not in done.stderr
    assert python.find_logs() == []


def test_a_text_and_a_binary_stream(python: Python) -> None:
    """A stream gets whole lines of valid JSON, whatever its encoding has, and stays open."""
    script = """
        import io, tempfile
        class Slow(io.RawIOBase):
            data = b""
            def write(self, data):
                self.data += data[:7]
                return len(data[:7])
        class Mute(io.BytesIO):
            def write(self, data):
                super().write(data)
        class Duck:
            data = b""
            def write(self, data):
                self.data = data + b""
        text, binary, slow, mute, duck = io.StringIO(), io.BytesIO(), Slow(), Mute(), Duck()
        ascii = open("ascii.jsonl", "w", encoding="ascii")
        wrapped = tempfile.NamedTemporaryFile()
        streams = (text, binary, slow, mute, duck, ascii, wrapped, sys.stdout)
        numbers = [logger.add(LogSink(stream)) for stream in streams]
        logger.bind(mouse="Mäuse").info("漢\\ud800")
        for number in numbers:
            logger.remove(number)
        line = binary.getvalue()
        assert line == text.getvalue().encode() == slow.data == mute.getvalue() == duck.data == open(wrapped.name, "rb").read()
        text.write(""), binary.write(b""), ascii.close()
    """
    done = _run(python, script, env={"PYTHONIOENCODING": "utf-8"})
    (record,) = _read(python, "ascii.jsonl")
    assert (record["message"], record["mouse"]) == ("漢\\ud800", "Mäuse")
    assert parse_json(done.stdout.encode()) == record
    assert record["process_name"] == "script"


def test_threads_and_processes_write_to_one_file(python: Python) -> None:
    """Records of threads, forked and spawned processes are all there, each on its line."""
    script = """
        import multiprocessing
        def work(log, name):
            for n in range(200):
                log.bind(text="x" * 300).info("{} {}", name, n)
        if __name__ == "__main__":
            logger.remove()
            logger.add(LogSink("out.jsonl"))
            os.makedirs("elsewhere"); os.chdir("elsewhere")
            workers = [threading.Thread(target=work, args=(logger, f"thread{n}")) for n in range(3)]
            for method in ("fork", "spawn"):
                context = multiprocessing.get_context(method)
                workers += [context.Process(target=work, args=(logger, f"{method}{n}")) for n in range(2)]
            for worker in workers: worker.start()
            for worker in workers: worker.join()
    """
    _run(python, script)
    names = [f"thread{n}" for n in range(3)] + [
        f"{m}{n}" for m in ("fork", "spawn") for n in (0, 1)
    ]
    expected = sorted(f"{name} {n}" for name in names for n in range(200))
    assert sorted(record["message"] for record in _read(python)) == expected


def test_enqueue(python: Python) -> None:
    """With loguru's queue the records are as without; `complete` waits for them."""
    script = """
        logger.remove()
        queued = logger.add(LogSink("queued.jsonl"), enqueue=True, diagnose=False, backtrace=False)
        plain = logger.add(LogSink("out.jsonl"))
        def fail():
            raise ValueError("5 trials")
        try:
            fail()
        except ValueError:
            logger.bind(n=1).exception("5 trials")
            logger.exception("Traceback (most recent call last): no")
        logger.bind(path=__import__("pathlib").Path("/a")).info("last")
        logger.complete()
        assert open("queued.jsonl").read().count("\\n") == 3
    """
    _run(python, script)
    queued, plain = _read(python, "queued.jsonl"), _read(python)
    traces = [record["exception"].pop("traceback") for record in queued[:2]]
    for record in plain[:2]:
        record["exception"].pop("traceback")
    assert queued == plain
    for trace in traces:
        assert trace.startswith("Traceback (most recent call last):\n")
        assert 'raise ValueError("5 trials")' in trace
        assert trace.endswith("ValueError: 5 trials")


def test_under_a_wrapper(python: Python, server: RecordServer) -> None:
    """Without a destination records go to the run's log, once; a file's bear the run's fields."""
    script = """
        logger.remove()
        logger.add(LogSink(rig="a"))
        logger.add(LogSink("out.jsonl"))
        logger.add(LogSink("named.jsonl", process_name="qc"))
        logger.info("before")
        configure_logging()
        logger.add(LogSink(rig="a"))
        logger.info("after")
    """
    _run(python, script, env=server.environ)
    assert server.messages == ["before", "after"]
    assert server.records[0]["rig"] == "a"
    first = _read(python)[0]
    assert first["message"] == "before"
    assert FIELDS.items() <= first.items()
    assert {**FIELDS, "process_name": "qc"}.items() <= _read(python, "named.jsonl")[0].items()


def test_in_a_run_of_its_own(python: Python) -> None:
    """Inside `capsule_run` records go to its log, once; also from a sink that was there before."""
    script = """
        sink = LogSink()
        with capsule_run("qc") as run:
            logger.add(sink)
            logger.info("inside")
    """
    _run(python, script, env={"CAPSULE_RESULTS": str(python.folder)})
    logs = {log.name: read_records(log) for log in python.find_logs()}
    assert len(logs) == 1
    (records,) = logs.values()
    assert [record["message"] for record in records].count("inside") == 1


def test_without_a_run(python: Python) -> None:
    """Then a log of the process's own is made at the first record, and said once."""
    script = """
        logger.remove()
        logger.add(LogSink(process_name="qc"), format="{message}")
        logger.info("one")
        logger.info("two")
    """
    done = _run(python, script)
    assert [record["message"] for record in python.read_log()] == ["one", "two"]
    (log,) = python.find_logs()
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip().endswith(f"qc logs to {log}")


def test_logging_that_is_configured_later(python: Python) -> None:
    """From then on a sink without a destination writes to the log that was configured."""
    script = """
        messages = []
        logger.add(messages.append)
        logger.info("one")
        logger.info("two")
        sink = LogSink()
        sink.write(messages[0])
        configure_logging()
        sink.write(messages[1])
    """
    _run(python, script)
    messages = [[r["message"] for r in read_records(log)][1:] for log in python.find_logs()]
    assert sorted(messages) == [["one"], ["two"]]


def test_removed_and_added_again(python: Python) -> None:
    """A sink without a destination begins a new log where it was removed in between."""
    script = """
        logger.remove()
        sink = LogSink()
        for name in ("one", "two"):
            number = logger.add(sink)
            logger.info(name)
            logger.remove(number)
    """
    _run(python, script)
    messages = [[r["message"] for r in read_records(log)][1:] for log in python.find_logs()]
    assert sorted(messages) == [["one"], ["two"]]


@pytest.mark.parametrize(("catch", "room"), [(True, 700), (False, 700), (False, 0)])
def test_a_full_disk(python: Python, *, catch: bool, room: int) -> None:
    """loguru's `catch` holds for what cannot be written; it is counted, and whole lines follow."""
    script = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        logger.remove()
        logger.add(LogSink("out.jsonl"), catch=sys.argv[1] == "True")
        raised = 0
        for n in range(10):
            size = os.path.getsize("out.jsonl")
            limits = {3: size + int(sys.argv[2]), 7: resource.RLIM_INFINITY}
            if n in limits:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limits[n], resource.RLIM_INFINITY))
            try:
                logger.bind(text="x" * 300).info("record {}", n)
            except OSError:
                raised += 1
        print(raised)
    """
    done = _run(python, script, arguments=(str(catch), str(room)))
    kept, torn = [], []
    for line in (python.cwd / "out.jsonl").read_bytes().splitlines():
        try:
            kept.append(parse_json(line)["message"])
        except ValueError:
            torn.append(line)
    expected = [n for n in range(10) if n < (4 if room else 3) or n >= 7]
    lost = 10 - len(expected)
    assert kept == [f"record {n}" for n in expected]
    assert len(torn) == (1 if room else 0)
    assert int(done.stdout) == (0 if catch else lost)
    assert done.stderr.count("cannot be written: File too large") == 1
    assert f"{lost} records are not in {python.cwd}/out.jsonl (disk_full)" in done.stderr
    assert ("Logging error in Loguru Handler" in done.stderr) == catch


def test_a_closed_stream(python: Python) -> None:
    """A stream that is closed raises as loguru's own sinks do, and the next record is tried too."""
    script = """
        stream = open("out.jsonl", "w")
        logger.remove()
        logger.add(LogSink(stream), catch=False)
        logger.info("kept")
        stream.close()
        for _ in range(2):
            try:
                logger.info("lost")
            except ValueError as error:
                print(error)
    """
    done = _run(python, script)
    assert done.stdout.splitlines() == ["I/O operation on closed file."] * 2
    assert done.stderr.count("cannot be written: I/O operation on closed file") == 1
    assert "2 records are not in out.jsonl (write_error)" in done.stderr
    assert [record["message"] for record in _read(python)] == ["kept"]


def test_a_stream_that_takes_nothing(python: Python) -> None:
    """A full pipe that does not block is an error, and no record that seems to be written."""
    script = """
        out, into = os.pipe()
        os.set_blocking(into, False)
        try:
            while True: os.write(into, b"x" * 1000)
        except BlockingIOError:
            pass
        logger.remove()
        logger.add(LogSink(os.fdopen(into, "wb", buffering=0)), catch=False)
        try:
            logger.info("lost")
        except BlockingIOError as error:
            print(error.errno)
    """
    done = _run(python, script)
    assert done.stdout
    assert "1 records are not in" in done.stderr


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """It is an error where the sink is made, as with loguru's own files."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        LogSink(tmp_path / "file" / "below" / "out.jsonl")
    with pytest.raises(IsADirectoryError):
        LogSink(tmp_path)


def test_what_is_no_destination() -> None:
    """A wrong argument is named where the sink is made; a message without a record too."""
    with pytest.raises(TypeError, match="cannot write to a int. Give a path or an open stream"):
        LogSink(3)
    with pytest.raises(TypeError, match=r"give it to logger\.add"):
        LogSink().write("text")  # type: ignore[arg-type]


def test_hostile_values(python: Python) -> None:
    """What cannot be made a record leaves one that says so, and no error, also with catch=False."""
    script = """
        class Hostile(dict):
            def items(self): raise MemoryError("no")
            def __iter__(self): raise MemoryError("no")
        logger.remove()
        logger.add(LogSink("out.jsonl"), catch=False, format="{message}")
        logger.bind(big=2**80, nan=float("nan"), bad=Hostile(a=1)).info("values")
        logger.patch(lambda record: record.update(message=3)).info("number")
        logger.patch(lambda record: record.update(time="now")).info("time")
    """
    _run(python, script)
    records = _read(python)
    assert records[0]["big"] == str(2**80)
    assert records[0]["nan"] is None
    assert len(records) == 3


def test_the_example_of_the_guide(tmp_path: Path) -> None:
    """The example in the guide runs as it stands there."""
    page = (ROOT / "docs" / "how-to" / "log-from-python.md").read_text()
    (block,) = [part for part in page.split("```")[1::2] if "LogSink" in part]
    environ = {**build_environ(tmp_path), "PYTHONPATH": str(ROOT / "code")}
    script = block.removeprefix("python\n")
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environ, check=True)
    records = [parse_json(line) for line in (tmp_path / "qc.jsonl").read_bytes().splitlines()]
    assert [record["message"] for record in records] == ["Session read"]
    assert {"subject_id": "123456", "process_name": "qc"}.items() <= records[0].items()
