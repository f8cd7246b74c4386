"""The toolkit's image on a real engine: process 1, stops, exit statuses, out of memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import parse_strictly, wait_until
from tests.docker.engine import docker, read_canonical, read_exit_code, read_size_bytes, started

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

#: Writes to each page: memory that is only asked for is not counted.
TAKES_400_MB = "python3 -c 'b = b\"x\" * (400 << 20)'"
#: Leaves grandchildren behind, so that process 1 has to reap; then looks for what is left.
ORPHANS = """
import os, time
pids = []
for _ in range(5):
    reading, writing = os.pipe()
    if os.fork() == 0:
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent: time.sleep(0.01)
            os.write(writing, b"%d %d" % (os.getpid(), os.getppid()))
        os._exit(0)
    os.close(writing)
    os.wait()
    pid, parent = os.read(reading, 100).split()
    assert parent == b"1", parent
    pids.append(int(pid))
deadline = time.monotonic() + 20
while any(os.path.exists(f"/proc/{pid}") for pid in pids):
    assert time.monotonic() < deadline, "zombies"
    time.sleep(0.01)
print(len(pids), "reaped")
"""


def test_it_is_small(image: str, base: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The image adds little to its base: no pip, no build tools, no second copy of anything."""
    added = read_size_bytes(image) - read_size_bytes(base)
    with capsys.disabled():
        print(f"\nimage: {read_size_bytes(image) / 1e6:.0f} MB, {added / 1e6:.1f} MB over {base}")
    assert added < 56e6  # 28 MB of them are boto3, 9 MB aind-data-schema with pydantic


def test_nothing_of_the_build_stays(image: str) -> None:
    """Certificates, sources and pip of the build stage are not in the image."""
    paths = "/certs /extra-ca /src /wheel /opt/build /opt/aind-capsule/bin/pip"
    script = f"for path in {paths}; do ! ls -d $path || exit 1; done"
    assert docker("run", "--rm", "--entrypoint", "sh", image, "-c", script).stdout == ""


def test_it_runs_as_a_user(image: str) -> None:
    """User 1000 in /code, `capsule` on PATH, folders that this user may write."""
    assert docker("run", "--rm", image, "--version").stdout.startswith("capsule, version")
    assert docker("run", "--rm", image).stdout.startswith("Usage: capsule")
    script = "id -u; pwd; capsule --version >/dev/null && touch /results/x /scratch/x && echo ok"
    done = docker("run", "--rm", image, "run", "--console", "off", "--", "sh", "-c", script)
    assert done.stdout.split() == ["1000", "/code", "ok"]


def test_the_processings_python_path_does_not_reach_the_toolkit(image: str, tmp_path: Path) -> None:
    """Modules of the processing that are named as ours do no harm, and it finds them."""
    for name in ("click.py", "json.py", "aind_capsule.py"):
        (tmp_path / name).write_text("print('the processing has its own')\n")
    tmp_path.chmod(0o755)
    options = ("--rm", "-e", "PYTHONPATH=/code", "-v", f"{tmp_path}:/code:ro")
    command = ("run", "--console", "off", "--", "python3", "-c", "import click")
    done = docker("run", *options, image, *command)
    assert done.stdout == "the processing has its own\n"


def test_the_environment_is_the_containers(image: str) -> None:
    """The processing sees the container's variables and the documented CAPSULE_* ones, no other."""
    plain = docker("run", "--rm", "-h", "x", "-e", "LANG=C", "--entrypoint", "env", image)
    command = ("run", "--console", "off", "--", "env")
    wrapped = docker("run", "--rm", "-h", "x", "-e", "LANG=C", image, *command)
    told = [line for line in wrapped.stdout.splitlines() if not line.startswith("CAPSULE_")]
    assert sorted(told) == sorted(plain.stdout.splitlines())


def test_exit_7(image: str, results: Path) -> None:
    """Exit 7 is the container's, the canonical record's, and results hold the run files."""
    command = ("run", "--", "sh", "-c", "echo out; exit 7")
    done = docker("run", "--rm", "-v", f"{results}:/results", image, *command, check=False)
    assert (done.returncode, done.stdout) == (7, "out\n")
    told = read_canonical(results)
    assert (told["status"], told["exit_code"], told["error_type"]) == ("fail", 7, "ExitStatus")
    (run_json,) = results.glob("*.run.json")
    assert json.loads(run_json.read_text())["environment"]["run_mode"] == "container"
    assert {path.stat().st_uid for path in results.iterdir()} == {1000}


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("echo ready; exec sleep 1000", 143),
        ("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done", 5),
        ("trap '' TERM; echo ready; while :; do sleep 0.05; done", 143),
    ],
    ids=["dies of it", "leaves by itself", "does not listen"],
)
def test_docker_stop(image: str, results: Path, script: str, status: int) -> None:
    """A `docker stop`: the canonical record is there before docker kills after 10 s."""
    options = ("-v", f"{results}:/results")
    with started(image, "run", "--", "bash", "-c", script, options=options) as container:
        wait_until(lambda: "ready" in docker("logs", container).stdout)
        docker("stop", container)
        assert read_exit_code(container) == status
    told = read_canonical(results)
    assert (told["status"], told["signal"], told["exit_code"]) == ("stopped", "SIGTERM", status)


def test_out_of_memory_under_bash(image: str, results: Path) -> None:
    """A Python under bash that is killed for want of memory (`-m`): OutOfMemory, 137."""
    command = ("run", "--", "bash", "-c", f"{TAKES_400_MB}; exit $?")
    options = ("--rm", "-m", "128m", "-v", f"{results}:/results")
    done = docker("run", *options, image, *command, check=False)
    told = read_canonical(results)
    assert (done.returncode, told["exit_code"], told["error_type"]) == (137, 137, "OutOfMemory")
    assert told["status"] == "fail"
    assert told["oom_kills"] >= 1


def test_samples_up_to_an_out_of_memory_kill(image: str, results: Path) -> None:
    """`--resources`: the samples before the kill are there, the last of them near the limit; so are the peaks."""
    script = (
        "python3 -c 'import time; held = []\n"
        'while True: held.append(b"x" * (4 << 20)); time.sleep(0.05)'
        "'; exit $?"
    )
    command = ("run", "--resources", "0.1", "--", "bash", "-c", script)
    options = ("--rm", "-m", "160m", "--memory-swap", "160m", "-v", f"{results}:/results")
    done = docker("run", *options, image, *command, check=False)
    told = read_canonical(results)
    assert (done.returncode, told["error_type"]) == (137, "OutOfMemory")
    (file,) = results.glob("*.resources.jsonl")
    samples = [json.loads(line) for line in file.read_text().splitlines()]
    before = [sample for sample in samples if not sample["oom_kills"]]
    assert before[-1]["memory_limit_bytes"] == 160 << 20
    assert before[-1]["memory_usage_bytes"] > 0.8 * (160 << 20)
    assert told["resources"]["peak_memory_usage_bytes"] >= before[-1]["memory_usage_bytes"]


def test_out_of_memory_that_is_survived(image: str, results: Path) -> None:
    """A killed sub-process and a success all the same: a WARNING and `oom_kills`."""
    command = ("run", "--", "bash", "-c", f"{TAKES_400_MB} || true")
    docker("run", "--rm", "-m", "128m", "-v", f"{results}:/results", image, *command)
    told = read_canonical(results)
    assert (told["status"], told["oom_kills"]) == ("success", 1)


def test_process_1_reaps_orphans(image: str) -> None:
    """As process 1 the wrapper inherits orphans, and leaves no zombies while the child runs."""
    done = docker("run", "--rm", image, "run", "--console", "off", "--", "python3", "-c", ORPHANS)
    assert done.stdout == "5 reaped\n"


def test_a_kill_of_the_container_loses_no_record(image: str, tmp_path: Path) -> None:
    """A `docker kill`: what was written before is in the run folder, the run is called lost."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    scratch.chmod(0o777)
    options = ("-v", f"{scratch}:/scratch")
    command = ("run", "--", "sh", "-c", "seq 1000; echo ready; exec sleep 1000")
    with started(image, *command, options=options) as container:
        wait_until(lambda: "ready" in docker("logs", container).stdout)
        docker("kill", container)
    (log,) = scratch.rglob("*.log.jsonl")
    lines = log.read_bytes().split(b"\n")
    messages = [parse_strictly(line)["message"] for line in lines[1:1001]]
    assert messages == [str(n) for n in range(1, 1001)]
    listed = docker("run", "--rm", *options, image, "runs", "--json", "/scratch")
    assert [run["status"] for run in json.loads(listed.stdout)] == ["lost"]


def test_a_user_that_may_write_almost_nowhere(image: str) -> None:
    """A read-only container, no /tmp, scratch or home: records from inside still arrive.

    The run's canonical record is told on stderr, as there is no other place.
    """
    script = (
        "from aind_capsule import configure_logging; from loguru import logger;"
        "configure_logging(); logger.info('from inside')"
    )
    command = ("run", "--console", "json", "--", "/opt/aind-capsule/bin/python", "-c", script)
    done = docker("run", "--rm", "--read-only", image, *command)
    records = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert any(record["message"] == "from inside" and record["run_id"] for record in records)
    assert records[-1]["status"] == "success"
