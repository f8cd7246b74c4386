"""Who may be writing a file is seen, though no time of it moves: on real file systems."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aind_capsule.upload.reading import FolderReader
from aind_capsule.upload.tree import FileIdentity
from aind_capsule.upload.writers import WriterProbe, Writers
from tests.conftest import wait_until
from tests.upload.mapping import FILE_SYSTEMS, MappingProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")


@pytest.fixture(params=FILE_SYSTEMS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk, and one on tmpfs."""
    if request.param == "disk":
        yield tmp_path
        return
    made = tempfile.mkdtemp(dir="/dev/shm")
    yield Path(made)
    shutil.rmtree(made)


def _probe(path: Path) -> Writers:
    fd = os.open(path, os.O_RDONLY)
    try:
        return WriterProbe().find_writers(fd, os.fstat(fd).st_dev)
    finally:
        os.close(fd)


def test_a_file_at_rest(folder: Path) -> None:
    """Nobody writes it, and others that read it are no matter."""
    (folder / "a").write_bytes(b"x")
    with (folder / "a").open("rb"):
        assert _probe(folder / "a") is Writers.NONE


def test_a_file_that_is_open_for_writing(folder: Path) -> None:
    """It is seen until it is closed."""
    with (folder / "a").open("wb") as file:
        file.write(b"x")
        assert _probe(folder / "a") is Writers.SOME
    assert _probe(folder / "a") is Writers.NONE


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_mapped_file(folder: Path, is_closed: bool) -> None:
    """It is seen until it is unmapped, also without a descriptor."""
    (folder / "a").write_bytes(b"x" * 10_000)
    with MappingProcess(folder / "a", is_closed=is_closed):
        assert _probe(folder / "a") is Writers.SOME
    assert _probe(folder / "a") is Writers.NONE


def test_where_nobody_can_tell() -> None:
    """A file system that is no local one is unknown: proc stands for those of a network."""
    assert _probe(Path("/proc/self/status")) is Writers.UNKNOWN


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_users_file(folder: Path) -> None:
    """Who may not ask does not know."""
    folder.chmod(0o755)
    (folder / "a").write_bytes(b"x")
    folder_fd = os.open(folder, os.O_RDONLY)
    program = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from aind_capsule.upload.writers import WriterProbe
os.fchdir({folder_fd})
fd = os.open("a", os.O_RDONLY)
os.setuid(65534)
print(WriterProbe().find_writers(fd, os.fstat(fd).st_dev).name)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], pass_fds=[folder_fd], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    os.close(folder_fd)
    assert done.stdout == "UNKNOWN\n", done.stderr


def test_a_probe_stops_no_writer_and_no_process(folder: Path) -> None:
    """Somebody who opens the file again and again meanwhile is not held up, nor are we ended."""
    path = folder / "a"
    path.write_bytes(b"x")
    assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL
    is_over = threading.Event()
    probes = [0]

    def probe() -> None:
        while not is_over.is_set():
            _probe(path)
            probes[0] += 1

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        for _ in range(3000):
            with path.open("r+b"):
                pass
    finally:
        is_over.set()
        thread.join()
    assert probes[0]


def test_a_lease_is_never_held(folder: Path) -> None:
    """A file that is being read can be opened for writing at once."""
    (folder / "a").write_bytes(b"x")
    with FolderReader(os.fsencode(folder)) as reader:
        with reader.open_file(os.fsencode(folder / "a")) as file:
            assert _has_no_lease(folder / "a")
            fd = os.open(folder / "a", os.O_WRONLY | os.O_NONBLOCK)  # EAGAIN where there is one
            os.close(fd)
            assert file.is_as_opened()


def _has_no_lease(path: Path) -> bool:
    inode = f":{path.stat().st_ino} "
    rows = Path("/proc/locks").read_text().splitlines()
    return not any("LEASE" in row and inode in row for row in rows)


def test_a_mapped_write_while_a_file_is_read(folder: Path) -> None:
    """The reader is in doubt from the beginning; on a disk the identity shows it too."""
    path = folder / "a"
    path.write_bytes(b"x" * 10_000)
    with MappingProcess(path) as writer, FolderReader(os.fsencode(folder)) as reader:
        with reader.open_file(os.fsencode(path)) as file:
            writer.put(5000, "y")
            assert file.is_doubtful
            assert b"y" in file.read(20_000)
            assert file.is_as_opened() == str(folder).startswith("/dev/shm")


def test_a_writer_that_comes_while_a_file_is_read(folder: Path) -> None:
    """It is seen at the end, or at the next look."""
    path = folder / "a"
    path.write_bytes(b"x" * 10_000)
    os.utime(path)
    with FolderReader(os.fsencode(folder)) as reader:
        with reader.open_file(os.fsencode(path)) as file:
            file.is_doubtful = False  # as after some time
            with MappingProcess(path):
                file.look_for_writers()
            assert file.is_doubtful


def test_a_file_that_has_just_changed(folder: Path) -> None:
    """It may change again within the same tick of the clock: it is in doubt."""
    path = folder / "a"

    def is_doubtful() -> bool:
        path.write_bytes(b"x")
        with FolderReader(os.fsencode(folder)) as reader:
            found = reader.hash_file(os.fsencode(path))
        assert found is not None
        assert found.identity == FileIdentity.from_status(path.stat())
        return found.is_doubtful

    wait_until(is_doubtful)  # a machine that stands still between the two may miss the tick
