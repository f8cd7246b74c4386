"""What all tests share: a capsule's folders in a temporary place, and `capsule run` as users run it."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A busy machine is no fault of the code's. CI has each property tried more often, once.
_EXAMPLES = int(os.environ.get("AIND_CAPSULE_TESTS_EXAMPLES", "40"))
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=_EXAMPLES)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
#: With this set, no compiled dependency can be imported: the plain fallbacks must pass all tests.
IS_PLAIN = os.environ.get("AIND_CAPSULE_TESTS_PLAIN") == "1"
if IS_PLAIN:
    for name in ("orjson", "ahocorasick_rs"):
        sys.modules[name] = None  # type: ignore[assignment]

# A shell's background job ignores these; what the tests start would ignore them as well.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no collection of garbage looks at it again."""
    gc.freeze()


#: Everything that the outside could have set and that would change what a run does.
_FOREIGN = ("CAPSULE_", "CO_", "PIPELINE_", "PROCESS_NAME", "NXF_", "AWS_BATCH")


#: All but provenance, which costs a run 0.2 s: its own tests ask for it.
RUN_FILES = "log,run,resources,session"


def build_environ(home: Path) -> dict[str, str]:
    """A clean environment for a run."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    environ.update(HOME=str(home), PYTHONUNBUFFERED="1", CAPSULE_RUN_FILES=RUN_FILES)
    environ.pop("XDG_STATE_HOME", None)
    environ.pop("XDG_CONFIG_HOME", None)
    if IS_PLAIN:
        paths = [str(ROOT / "tests" / "plain"), environ.get("PYTHONPATH", "")]
        environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environ


@dataclass
class Finished:
    """A run that has ended: its streams, its status and its files."""

    status: int
    stdout: bytes
    stderr: bytes
    log: Path | None
    lines: list[bytes] = field(default_factory=list)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The log's records, each line parsed strictly."""
        return [parse_strictly(line) for line in self.lines]

    @property
    def canonical(self) -> dict[str, Any]:
        """The canonical record, after checking that it is the last and the only one."""
        records = self.records
        check_log_is_sound(records)
        return records[-1]

    @property
    def messages(self) -> list[str]:
        """The messages of the captured lines."""
        return [record["message"] for record in self.records if "stream" in record]


def parse_strictly(line: bytes) -> dict[str, Any]:
    """A line as RFC 8259 has it: UTF-8, no NaN, no name twice."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} in {line!r}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), f"a name stands twice: {line!r}"
        return dict(pairs)

    record = json.loads(line.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
    assert isinstance(record, dict)
    assert {"timestamp", "level", "message"} <= record.keys(), line
    assert record["level"] in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), line
    return record


def check_log_is_sound(records: list[dict[str, Any]]) -> None:
    """One start, first; one canonical record, last; no gap in `seq`."""
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert records[0]["event_type"] == "stage_start"
    assert [i for i, record in enumerate(records) if "shipping" in record] == [0]
    canonical = [
        i for i, record in enumerate(records) if record.get("status") and "exit_code" in record
    ]
    canonical += [
        i
        for i, record in enumerate(records)
        if record.get("error_type") in ("SettingsError", "UploadError", "ExitStatus")
        and "exit_code" not in record
    ]
    assert canonical == [len(records) - 1]


class Capsule:
    """A capsule's folders, and the ways to run a command in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.results = root / "results"
        self.scratch = root / "scratch"
        self.data = root / "data"
        self.code = root / "code"
        for folder in (self.home, self.results, self.scratch, self.data, self.code):
            folder.mkdir(parents=True)
        self.environ = build_environ(self.home)

    def write(self, name: str, text: str) -> Path:
        """A file in the code folder; executable."""
        path = self.code / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def get_command(self, *command: str, options: tuple[str, ...] = ()) -> list[str]:
        """The whole command line of a run."""
        return [sys.executable, "-m", "aind_capsule", "run", *options, "--", *command]

    def start(
        self,
        *command: str,
        options: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        **more: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a run; the caller waits for it."""
        settings: dict[str, Any] = {
            "cwd": self.code,
            "env": {**self.environ, **(env or {})},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **more,
        }
        return subprocess.Popen(self.get_command(*command, options=options), **settings)

    def run(
        self, *command: str, options: tuple[str, ...] = (), timeout_s: float = 60, **more: Any
    ) -> Finished:
        """Run a command to its end."""
        data = more.pop("input", None)
        if data is not None:
            more["stdin"] = subprocess.PIPE
        process = self.start(*command, options=options, **more)
        return self.finish(process, timeout_s=timeout_s, data=data)

    def finish(
        self, process: subprocess.Popen[bytes], *, timeout_s: float = 60, data: bytes | None = None
    ) -> Finished:
        """Wait for a started run and read its files."""
        try:
            out, err = process.communicate(data, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"the run did not end: {out!r} {err!r}") from None
        log = self.find_log()
        lines = log.read_bytes().splitlines() if log is not None else []
        return Finished(process.returncode, out or b"", err or b"", log, lines)

    def find_log(self) -> Path | None:
        """The newest log: in the run folders, wherever these are."""
        logs = [*self.root.rglob(".capsule/*/*.log.jsonl"), *self.home.rglob("*.log.jsonl")]
        return max(logs, key=lambda path: path.stat().st_mtime_ns, default=None)

    def run_json(self) -> dict[str, Any]:
        """The newest run's `run.json`."""
        log = self.find_log()
        assert log is not None
        return json.loads(Path(str(log).replace(".log.jsonl", ".run.json")).read_text())


@pytest.fixture
def capsule(tmp_path: Path) -> Iterator[Capsule]:
    """A capsule in a temporary folder."""
    yield Capsule(tmp_path / "capsule")


def wait_until(is_true: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Wait for a condition; returns what it gives."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = is_true()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def kill_quietly(pid: int) -> None:
    """Kill a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
