"""Servers and clients that end with the test."""

from __future__ import annotations

import contextlib
import gc
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aind_capsule.http.client import (
    HttpClient,
    TlsOptions,
)
from tests.http.servers import GENEROUS_S, HOST, MakeClient, RawServer, StartServer
from tests.shipping.certificates import Certificates, make_certificates


@pytest.fixture
def start() -> Iterator[StartServer]:
    """Starts servers, which end with the test."""
    with contextlib.ExitStack() as stack:

        def start_server(
            serve: Callable[[RawServer, Any], None], context: ssl.SSLContext | None = None
        ) -> RawServer:
            server = RawServer(serve, context)
            stack.callback(server.stop)
            return server

        yield start_server
    gc.collect()  # a socket that was not closed shows here


@pytest.fixture
def make() -> Iterator[MakeClient]:
    """Makes clients, which end with the test, before the servers."""
    with contextlib.ExitStack() as stack:

        def make_client(
            server: RawServer | str, *, tls: TlsOptions | None = None, **more: Any
        ) -> HttpClient:
            origin = server if isinstance(server, str) else f"http://{server.address}"
            client = HttpClient(
                origin, tls=tls or TlsOptions(), **{"timeout_s": GENEROUS_S, "environ": {}, **more}
            )
            stack.callback(client.close)
            return client

        yield make_client


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(
        tmp_path_factory.mktemp("certificates"), "localhost", "127.0.0.1", HOST
    )
