"""S3 servers: one process for all tests of a worker, a new bucket for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.storage.proxy import FaultyProxy
from tests.storage.servers import CREDENTIALS, Server, start


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own credentials, nor settings."""
    for name in list(os.environ):
        if name.startswith(("CAPSULE_", "AWS_")) and not (
            "S3_ENDPOINT_URL" in os.environ and name.startswith("AWS_")
        ):
            monkeypatch.delenv(name)
    if "S3_ENDPOINT_URL" not in os.environ:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)


@pytest.fixture(
    scope="session",
    params=[
        "moto",
        pytest.param("localstack", marks=pytest.mark.slow),
        pytest.param("given", marks=pytest.mark.skipif("S3_ENDPOINT_URL" not in os.environ, reason="S3_ENDPOINT_URL names no server")),
    ],
)  # fmt: skip
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each server that there is."""
    running = start(request.param, tmp_path_factory.mktemp("s3"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The quickest server, for tests that are not about servers."""
    running = start("moto", tmp_path_factory.mktemp("moto"))
    yield running
    running.stop()


@pytest.fixture
def proxy(moto: Server) -> Iterator[FaultyProxy]:
    """A proxy in front of it."""
    running = FaultyProxy(moto.url)
    yield running
    running.stop()
