"""Fixtures of the docker tests: engine and base image, the toolkit's image, a results folder."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docker.engine import BASE, docker, find_ca_bundle, get_proxy_arguments


@pytest.fixture(scope="session")
def base() -> str:
    """The base image; without it or an engine the tests are skipped, in CI they fail."""
    has_engine = shutil.which("docker") and docker("info", check=False).returncode == 0
    if not has_engine or docker("image", "inspect", BASE, check=False).returncode:
        message = f"no docker engine with the image {BASE} (.ci/docker-base.sh makes both)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return BASE


@pytest.fixture(scope="session")
def image(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The toolkit's image, built from a copy of the project, with this machine's certificates."""
    context = tmp_path_factory.mktemp("context") / "source"
    ignored = shutil.ignore_patterns(".*_cache", ".git", ".venv*", "build", "docs")
    shutil.copytree(ROOT, context, ignore=ignored)
    bundle = find_ca_bundle()
    if bundle is not None:
        shutil.copy(bundle, context / "environment" / "certs" / "machine.crt")
    tag = f"aind-capsule-test:{uuid.uuid4().hex[:8]}"
    arguments = ("--build-arg", f"BASE_IMAGE={base}", *get_proxy_arguments())
    docker("build", "-t", tag, *arguments, str(context), timeout_s=600)
    yield tag
    docker("image", "rm", "-f", tag, check=False)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder that belongs to the image's user, or that everybody may write."""
    folder = tmp_path / "results"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 1000, 1000)
    else:
        folder.chmod(0o777)
    return folder
