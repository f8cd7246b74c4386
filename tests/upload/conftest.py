"""What tests of uploads share: servers, and an upload to one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.conftest import credentials, proxy, s3, server, servers  # noqa: F401
from tests.storage.proxy import FaultyProxy
from tests.storage.servers import Server
from tests.upload.assets import Uploader
from tests.upload.computers import PART_BYTES, Computer
from tests.upload.forks import Forks

HERE = Path(__file__).parent
MOST_SLOW_CASES = 4


@pytest.fixture
def uploader(s3: Server, tmp_path: Path) -> Uploader:  # noqa: F811
    """Uploads to the quickest server."""
    return Uploader(s3, s3.url, tmp_path)


@pytest.fixture
def faulty(s3: Server, proxy: FaultyProxy, tmp_path: Path) -> Uploader:  # noqa: F811
    """Uploads through a proxy that may fail."""
    return Uploader(s3, proxy.url, tmp_path)


@pytest.fixture(scope="session")
def two_forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Forks]]:
    """Two processes that start commands."""
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(2):
            started.append(Forks(tmp_path_factory.mktemp("forks"), PART_BYTES))
            stack.callback(started[-1].stop)
        yield started


@pytest.fixture
def computer(faulty: Uploader, proxy: FaultyProxy, two_forks: list[Forks]) -> Computer:  # noqa: F811
    """A computer with some files, in front of a server that may fail."""
    one = Computer(faulty, proxy, two_forks[0])
    one.write_some()
    return one


@pytest.fixture
def second(computer: Computer, s3: Server, tmp_path: Path, two_forks: list[Forks]) -> Computer:  # noqa: F811
    """Another computer, with files of the same sizes and other bytes, for the same asset."""
    (tmp_path / "second").mkdir()
    uploader = Uploader(s3, computer.proxy.url, tmp_path / "second")
    uploader.bucket, uploader.asset = computer.uploader.bucket, computer.uploader.asset
    two = Computer(uploader, computer.proxy, two_forks[1])
    two.write_some(b"2")
    return two


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take some of the slow cases of a test that has many, evenly spread over all of them.

    With AIND_CAPSULE_TESTS_ALL=1 all are taken: more than 400, and ten minutes.
    """
    if os.environ.get("AIND_CAPSULE_TESTS_ALL") == "1":
        return
    slow: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.path.parent == HERE and item.get_closest_marker("slow") is not None:
            slow.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out = {
        item
        for cases in slow.values()
        for number, item in enumerate(cases)
        if number * MOST_SLOW_CASES // len(cases) == (number - 1) * MOST_SLOW_CASES // len(cases)
    }
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
