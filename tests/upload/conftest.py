"""What tests of uploads share: servers, and an upload to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.conftest import credentials, proxy, s3, server, servers  # noqa: F401
from tests.storage.proxy import FaultyProxy
from tests.storage.servers import Server
from tests.upload.assets import Uploader


@pytest.fixture
def uploader(s3: Server, tmp_path: Path) -> Uploader:  # noqa: F811
    """Uploads to the quickest server."""
    return Uploader(s3, s3.url, tmp_path)


@pytest.fixture
def faulty(s3: Server, proxy: FaultyProxy, tmp_path: Path) -> Uploader:  # noqa: F811
    """Uploads through a proxy that may fail."""
    return Uploader(s3, proxy.url, tmp_path)
