"""The toolkit's image on a real engine: process 1, stops, exit statuses, out of memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, check_log_is_sound, parse_strictly, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

BASE = os.environ.get("AIND_CAPSULE_TEST_BASE_IMAGE", "aind-capsule-base:bookworm")


def docker(*arguments: str, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """One docker command."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check, timeout=timeout_s)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built from a copy of what git knows, with this machine's certificates."""
    has_engine = shutil.which("docker") and docker("info", check=False).returncode == 0
    has_base = has_engine and docker("image", "inspect", BASE, check=False).returncode == 0
    if not has_base:
        message = f"no docker engine with the image {BASE} (.ci/docker-base.sh makes both)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    context = tmp_path_factory.mktemp("context") / "source"
    shutil.copytree(ROOT, context, ignore=shutil.ignore_patterns(".git", ".venv*", "build", "docs"))
    bundle = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    if os.path.exists(bundle):
        shutil.copy(bundle, context / "environment" / "certs" / "machine.crt")
    tag = f"aind-capsule-test:{uuid.uuid4().hex[:8]}"
    done = docker("build", "-t", tag, "--build-arg", f"BASE_IMAGE={BASE}", str(context), check=False, timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr
    yield tag
    docker("image", "rm", "-f", tag, check=False)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder that the image's user may write."""
    folder = tmp_path / "results"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def read_canonical(results: Path) -> dict[str, Any]:
    """The canonical record of the one log in results."""
    (log,) = results.glob("*.log.jsonl")
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    check_log_is_sound(records)
    return records[-1]


def test_it_runs_as_a_user_and_is_small(image: str) -> None:
    """The image answers, is not root's, and adds little to its base."""
    assert docker("run", "--rm", image, "--version").stdout.startswith("capsule, version")
    assert docker("run", "--rm", image, "run", "--console", "off", "--", "id", "-u").stdout == "1000\n"
    sizes = [json.loads(docker("image", "inspect", name).stdout)[0]["Size"] for name in (image, BASE)]
    assert sizes[0] - sizes[1] < 40e6


def test_exit_7(image: str, results: Path) -> None:
    """Exit 7 is the container's, the canonical record's, and results hold the run files."""
    done = docker("run", "--rm", "-v", f"{results}:/results", image, "run", "--", "sh", "-c", "echo out; exit 7", check=False)
    assert (done.returncode, done.stdout) == (7, "out\n")
    told = read_canonical(results)
    assert (told["status"], told["exit_code"], told["error_type"]) == ("fail", 7, "ExitStatus")
    (run_json,) = results.glob("*.run.json")
    assert json.loads(run_json.read_text())["environment"]["run_mode"] == "container"


def test_docker_stop(image: str, results: Path) -> None:
    """docker stop: SIGTERM reaches the processing, and the canonical record is there: stopped, 143."""
    name = f"aind-capsule-{uuid.uuid4().hex[:8]}"
    docker("run", "-d", "--name", name, "-v", f"{results}:/results", image, "run", "--", "sh", "-c", "echo ready; exec sleep 1000")
    try:
        wait_until(lambda: "ready" in docker("logs", name).stdout)
        docker("stop", name)
        state = json.loads(docker("inspect", name).stdout)[0]["State"]
    finally:
        docker("rm", "-f", name)
    assert state["ExitCode"] == 143
    told = read_canonical(results)
    assert (told["status"], told["signal"]) == ("stopped", "SIGTERM")


def test_out_of_memory_under_bash(image: str, results: Path) -> None:
    """A Python under bash that is killed for want of memory (`-m`): OutOfMemory, 137."""
    done = docker("run", "--rm", "-m", "128m", "-v", f"{results}:/results", image, "run", "--", "bash", "-c",
                  'python3 -c "b = bytearray(400 << 20)"; exit $?', check=False)  # fmt: skip
    told = read_canonical(results)
    assert (done.returncode, told["exit_code"], told["error_type"]) == (137, 137, "OutOfMemory")
    assert told["oom_kills"] >= 1


def test_out_of_memory_that_is_survived(image: str, results: Path) -> None:
    """A killed sub-process and a success all the same: a WARNING and `oom_kills`."""
    docker("run", "--rm", "-m", "128m", "-v", f"{results}:/results", image, "run", "--", "bash", "-c",
           'python3 -c "b = bytearray(400 << 20)" || true')  # fmt: skip
    told = read_canonical(results)
    assert (told["status"], told["oom_kills"]) == ("success", 1)


def test_process_1_reaps_orphans(image: str) -> None:
    """As process 1 the wrapper leaves no zombies behind."""
    script = (
        "for i in 1 2 3; do (sleep 0.01 &); done; sleep 0.4;"
        " grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
    )
    done = docker("run", "--rm", image, "run", "--console", "off", "--", "bash", "-c", script)
    assert done.stdout.strip() == "0"


def test_a_kill_of_the_container_loses_no_record(image: str, tmp_path: Path) -> None:
    """docker kill: what was written before is in the run folder, and readers call the run lost."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    scratch.chmod(0o777)
    name = f"aind-capsule-{uuid.uuid4().hex[:8]}"
    docker("run", "-d", "--name", name, "-v", f"{scratch}:/scratch", image, "run", "--", "sh", "-c",
           "seq 1000; echo ready; exec sleep 1000")  # fmt: skip
    try:
        wait_until(lambda: "ready" in docker("logs", name).stdout)
        docker("kill", name)
    finally:
        docker("rm", "-f", name)
    (log,) = scratch.rglob("*.log.jsonl")
    lines = log.read_bytes().split(b"\n")
    assert [parse_strictly(line)["message"] for line in lines[1:1001]] == [str(n) for n in range(1, 1001)]
    listed = docker("run", "--rm", "-v", f"{scratch}:/scratch", image, "runs", "--json", "/scratch")
    assert [run["status"] for run in json.loads(listed.stdout)] == ["lost"]


def test_a_user_that_may_write_almost_nowhere(image: str) -> None:
    """A read-only container: neither /tmp nor scratch nor a home can be written. Records from inside
    still arrive, and the run's canonical record is told."""
    script = (
        "from aind_capsule import configure_logging; from loguru import logger;"
        "configure_logging(); logger.info('from inside')"
    )
    done = docker("run", "--rm", "--read-only", image, "run", "--console", "json", "--",
                  "/opt/aind-capsule/bin/python", "-c", script)  # fmt: skip
    records = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert any(record["message"] == "from inside" and record["run_id"] for record in records)
    assert records[-1]["status"] == "success"
