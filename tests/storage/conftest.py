"""S3 servers: one process for all tests of a worker, a new bucket for each test."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator

import pytest

from tests.storage.proxy import FaultyProxy
from tests.storage.scripted import ScriptedServer
from tests.storage.servers import CREDENTIALS, Server, start
from tests.storage.tls import TlsFront


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


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Finds a server by its name; each is started once."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def find(name: str) -> Server:
            base, _, is_https = name.partition(" over ")
            if not is_https:
                running = start(base, tmp_path_factory.mktemp("s3"))
                stack.callback(running.stop)
                return running
            plain = find(base)
            front = TlsFront(plain.url, tmp_path_factory.mktemp("tls"))
            stack.callback(front.stop)
            return Server(base, front.url, ca=str(front.certificates.ca))

        yield find


@pytest.fixture(
    params=[
        "moto",
        pytest.param("moto over https", marks=pytest.mark.slow),
        pytest.param("localstack", marks=pytest.mark.slow),
        pytest.param("localstack over https", marks=pytest.mark.slow),
        pytest.param("given", marks=pytest.mark.skipif("S3_ENDPOINT_URL" not in os.environ, reason="S3_ENDPOINT_URL names no server")),
    ],
)  # fmt: skip
def server(
    request: pytest.FixtureRequest,
    servers: Callable[[str], Server],
    monkeypatch: pytest.MonkeyPatch,
    credentials: None,
) -> Server:
    """Each server that there is; over https its authority is told as people do."""
    running = servers(request.param)
    if running.ca is not None:
        monkeypatch.setenv("AWS_CA_BUNDLE", running.ca)
    return running


@pytest.fixture(scope="session")
def s3(servers: Callable[[str], Server]) -> Server:
    """The server that is given, else the quickest, for tests that are not about servers."""
    return servers("given" if "S3_ENDPOINT_URL" in os.environ else "moto")


@pytest.fixture(scope="session")
def tls(s3: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsFront]:
    """The same over https."""
    running = TlsFront(s3.url, tmp_path_factory.mktemp("tls"))
    yield running
    running.stop()


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A server of which each answer may be written."""
    running = ScriptedServer()
    yield running
    running.stop()


@pytest.fixture
def proxy(s3: Server) -> Iterator[FaultyProxy]:
    """A proxy in front of it."""
    running = FaultyProxy(s3.url)
    yield running
    running.stop()
