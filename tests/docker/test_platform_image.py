"""This repository as a capsule on the platform: `environment/` builds, `code/run` runs in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docker.engine import docker, find_ca_bundle, get_proxy_arguments, read_canonical

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("docker")]

#: Where the stand-in for the platform's base image is looked for; nothing answers there.
REGISTRY = "localhost"


def build_with_buildkit(*arguments: str) -> None:
    """`docker build` by the first client on PATH that has BuildKit; newer ones need a plugin."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    clients = [path for path in (shutil.which("docker", path=folder) for folder in folders) if path]
    said = ""
    for client in clients:
        done = subprocess.run(
            [client, "build", *arguments],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode == 0:
            return
        said = done.stdout + done.stderr
        if "buildx component is missing" not in said:
            raise AssertionError(said)
    message = f"no docker client on PATH has BuildKit ({', '.join(clients)}): {said}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def platform_image(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image that the platform would build; its base image is a stand-in with a pip on PATH."""
    folder = tmp_path_factory.mktemp("platform")
    bundle = find_ca_bundle()
    (folder / "ca.pem").write_bytes(bundle.read_bytes() if bundle is not None else b"")
    (folder / "Dockerfile").write_text(
        f"FROM {base}\n"
        "COPY ca.pem /ca.pem\n"
        "RUN python3 -m venv /opt/conda && mkdir /data /results /scratch /code\n"
        "ENV PATH=/opt/conda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        + ("ENV PIP_CERT=/ca.pem\n" if bundle is not None else "")
    )
    context = folder / "environment"
    shutil.copytree(ROOT / "environment", context)
    # The platform injects both; neither is in git.
    (context / "git-ask-pass").write_text("#!/bin/sh\n")
    (folder / "secrets").write_text("# no secrets\n")
    (wanted,) = [
        line.removeprefix("FROM $REGISTRY_HOST")
        for line in (context / "Dockerfile").read_text().splitlines()
        if line.startswith("FROM ")
    ]
    stand_in = REGISTRY + wanted
    tag = f"aind-capsule-test-platform:{uuid.uuid4().hex[:8]}"
    docker("build", "-t", stand_in, str(folder), timeout_s=600)
    try:
        arguments = ("--build-arg", f"REGISTRY_HOST={REGISTRY}", *get_proxy_arguments())
        secret = f"id=secrets,src={folder / 'secrets'}"
        build_with_buildkit("-t", tag, *arguments, "--secret", secret, str(context))
        yield tag
    finally:
        docker("image", "rm", "-f", tag, stand_in, check=False)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of the code folder, as the platform mounts it: nothing is written into the project."""
    copy = tmp_path / "code"
    shutil.copytree(ROOT / "code", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run(
    image: str, folder: Path, *command: str, env: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """A command as the platform starts it: in /code, with the folders mounted."""
    mounts = [word for kind in ("code", "data", "results", "scratch")
              for word in ("-v", f"{folder / kind}:/{kind}")]  # fmt: skip
    variables = [word for variable in env for word in ("-e", variable)]
    return docker("run", "--rm", "-w", "/code", *mounts, *variables, image, *command, check=False)


def test_this_repository_runs_as_a_capsule(platform_image: str, code: Path) -> None:
    """`bash run` measures a session under the toolkit: the pinned packages suffice."""
    folder = code.parent
    sample = run(platform_image, folder, "python", "-m", "session_qc.sample", "/data")
    assert sample.returncode == 0, sample.stderr
    done = run(platform_image, folder, "bash", "run")
    assert done.returncode == 0, done.stderr
    assert (folder / "results" / "qc.json").is_file()
    told = read_canonical(folder / "results")
    assert (told["status"], told["process_name"]) == ("success", "session-qc")


def test_the_two_environments_never_meet(platform_image: str, code: Path) -> None:
    """The processing's Python has none of the toolkit's packages or paths, and its own packages."""
    script = (
        "import importlib.util as u, sys\n"
        "print([n for n in ('loguru', 'click', 'orjson', 'ahocorasick_rs') if u.find_spec(n)])\n"
        "print([p for p in sys.path if 'aind-capsule' in p], u.find_spec('h5py') is not None)\n"
    )
    command = ("capsule", "run", "--console", "off", "--", "python", "-c", script)
    done = run(platform_image, code.parent, *command)
    assert done.stdout == "[]\n[] True\n", done.stderr


def test_modules_of_the_processing_do_not_replace_the_toolkits(
    platform_image: str, code: Path
) -> None:
    """A logging.py, json.py or click.py in /code, also on PYTHONPATH, does not stop the toolkit."""
    for name in ("logging.py", "json.py", "click.py", "signal.py"):
        (code / name).write_text("raise SystemExit('shadowed')\n")
    command = ("capsule", "run", "--console", "off", "--", "sh", "-c", "echo $PYTHONPATH")
    done = run(platform_image, code.parent, *command, env=("PYTHONPATH=/code",))
    assert (done.returncode, done.stdout) == (0, "/code\n"), done.stderr
