"""Real Python processes that log, and the server that takes their records."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, build_environ, parse_strictly
from tests.logs.record_server import RecordServer

pytest.importorskip("loguru")

#: What most scripts begin with.
SETUP = """\
import logging, os, sys, threading
from aind_capsule import configure_logging
from loguru import logger
"""


class Python:
    """Starts Python processes in a clean environment, with a scratch folder of their own."""

    def __init__(self, folder: Path, *, is_plain: bool = False) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.scratch = folder / "scratch"
        self.cwd = folder / "work"
        for path in (self.home, self.scratch, self.cwd):
            path.mkdir()
        self.environ = build_environ(self.home)
        paths = [str(ROOT / "tests" / "plain")] if is_plain else []
        given = [
            os.path.abspath(path)
            for path in self.environ.get("PYTHONPATH", "").split(os.pathsep)
            if path
        ]
        self.environ["PYTHONPATH"] = os.pathsep.join([*paths, *given, str(ROOT / "code")])
        self.environ["CAPSULE_SCRATCH"] = str(self.scratch)

    def write(self, script: str, name: str = "script.py") -> Path:
        """A script's file; the usual imports stand at its head, on line 1 to 3."""
        path = self.cwd / name
        path.write_text(SETUP + textwrap.dedent(script))
        return path

    def start(
        self, script: str, *arguments: str, env: dict[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[str]:
        """Start a script; the caller waits for it."""
        settings: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **more,
        }
        command = [sys.executable, str(self.write(script)), *arguments]
        return subprocess.Popen(
            command, cwd=self.cwd, env={**self.environ, **(env or {})}, **settings
        )

    def run(
        self,
        script: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        status: int = 0,
        **more: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, and check its exit status."""
        process = self.start(script, *arguments, env=env, **more)
        out, err = process.communicate(timeout=120)
        assert process.returncode == status, f"{process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def find_logs(self) -> list[Path]:
        """All log files that were written, wherever a run folder may be."""
        return sorted(self.folder.rglob("*.log.jsonl"))

    def read_log(self) -> list[dict[str, Any]]:
        """The records of the only log, without the first one that says where it is."""
        (log,) = self.find_logs()
        records = read_records(log)
        assert "shipping" in records[0]
        return records[1:]


def read_records(log: Path) -> list[dict[str, Any]]:
    """A log's records, after checking that every line is whole and none is missing."""
    data = log.read_bytes()
    assert data.endswith(b"\n")
    records = [parse_strictly(line) for line in data.splitlines()]
    assert [record["seq"] for record in records] == list(range(len(records)))
    return records


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Python processes as they are installed here."""
    return Python(tmp_path)


@pytest.fixture(params=["compiled", "plain"])
def any_python(request: pytest.FixtureRequest, tmp_path: Path) -> Python:
    """Python processes with the compiled dependencies, and without them."""
    return Python(tmp_path, is_plain=request.param == "plain")


@pytest.fixture
def make_server() -> Iterator[Callable[..., RecordServer]]:
    """Servers of any behaviour; in the end no client may have broken the protocol."""
    with tempfile.TemporaryDirectory(prefix="cap-") as folder:
        servers: list[RecordServer] = []

        def make(**behaviour: Any) -> RecordServer:
            place = Path(folder, str(len(servers)))
            place.mkdir()
            servers.append(RecordServer(place, **behaviour))
            return servers[-1]

        yield make
        for server in servers:
            server.close()
        assert [fault for server in servers for fault in server.faults] == []


@pytest.fixture
def server(make_server: Callable[..., RecordServer]) -> RecordServer:
    """A server that echoes."""
    return make_server()
