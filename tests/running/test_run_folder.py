"""`run.json` is replaced whole, and its last version has its space while the run goes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aind_capsule.context.own_files import OpenFolder, make_own_folder
from aind_capsule.logs.allocation import AllocationUnsupportedError, allocate
from aind_capsule.running.run_folder import RunJson

RESERVED_BYTES = 256 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OpenFolder]:
    """An open run folder, where space can be reserved."""
    path = tmp_path / "run"
    with contextlib.closing(make_own_folder(str(path))) as opened:
        with open(tmp_path / "probe", "wb") as probe:
            try:
                allocate(probe.fileno(), 0, 1)
            except AllocationUnsupportedError:
                pytest.skip("this file system reserves no space")
        yield opened


def count_bytes_on_disk(path: Path) -> int:
    """Bytes that a file takes, reserved ones included."""
    return os.stat(path).st_blocks * 512


def test_space_is_kept_for_the_last_version_alone(folder: OpenFolder, tmp_path: Path) -> None:
    """Between two versions there is space for one more; the last one gives back what it leaves."""
    path, following = tmp_path / "run" / "x.run.json", tmp_path / "run" / "x.run.json.next"
    run_json = RunJson(folder, path.name)
    for content in (b"first, and longer", b"second"):
        run_json.write(content)
        assert path.read_bytes() == content
        assert count_bytes_on_disk(path) < RESERVED_BYTES
        assert count_bytes_on_disk(following) >= RESERVED_BYTES
    run_json.write(b"last", is_last=True)
    assert path.read_bytes() == b"last"
    assert count_bytes_on_disk(path) < RESERVED_BYTES
    assert not following.exists()


def test_a_version_is_written_when_its_space_was_removed(
    folder: OpenFolder, tmp_path: Path
) -> None:
    """A processing that removes the file of the next version does not keep it from being written."""
    path = tmp_path / "run" / "x.run.json"
    run_json = RunJson(folder, path.name)
    run_json.write(b"first")
    (tmp_path / "run" / "x.run.json.next").unlink()
    run_json.write(b"last", is_last=True)
    assert path.read_bytes() == b"last"
