"""Files that change while their folder is uploaded: never torn, never another's, never awaited."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aind_capsule.storage.errors import RefusedError
from aind_capsule.upload.beginning import Permission
from aind_capsule.upload.confirming import NotWholeError
from aind_capsule.upload.sending import PART_BYTES
from tests.storage.proxy import FaultyProxy, Request, answer
from tests.storage.servers import Server
from tests.upload.assets import Uploader
from tests.upload.mapping import FILE_SYSTEMS, MappingProcess

OVERWRITE = Permission(overwrite=True)
ONE_BY_ONE = {"CAPSULE_S3__MAX_CONCURRENCY": "1"}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs leases, or /dev/shm")


def _once(proxy: FaultyProxy, keys: str | set[str], change: Callable[[], object]) -> None:
    """Have something done once, just before the first of some files is put on the server."""
    wanted = {keys} if isinstance(keys, str) else keys
    is_done = threading.Event()

    def before(request: Request) -> None:
        name = request.path.partition("?")[0].rpartition("/")[2]
        if request.method == "PUT" and name in wanted and not is_done.is_set():
            is_done.set()
            change()

    proxy.before = before


def _make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _make_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _make_link_inside(path: Path) -> None:
    path.unlink()
    path.symlink_to("a")


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.symlink_to("/etc")


@pytest.mark.parametrize("name", ["z", "sub/passwd", "s/u/b/passwd"])
@pytest.mark.parametrize("change", [_make_pipe, _make_link, _make_link_inside, _make_folder])
def test_a_file_that_becomes_something_else(
    faulty: Uploader, proxy: FaultyProxy, name: str, change: Callable[[Path], object]
) -> None:
    """Before its turn: it is named, nothing of what it leads to is sent, and the rest is."""
    faulty.write("a", name)
    _once(proxy, "a", lambda: change(faulty.folder / name))
    with pytest.raises(NotWholeError, match=Path(name).name):
        faulty.upload(**ONE_BY_ONE)
    assert set(faulty.read()) == {"a"}
    assert faulty.get("manifest.json") is None


@pytest.mark.parametrize("change", [_make_pipe, _make_link])
def test_a_large_file_that_becomes_something_else(
    faulty: Uploader, proxy: FaultyProxy, change: Callable[[Path], object]
) -> None:
    """It waits until one of four others has ended."""
    large = {"a", "b", "c", "d"}
    faulty.write(*large, "z", data=b"x" * PART_BYTES)
    _once(proxy, large, lambda: change(faulty.folder / "z"))
    with pytest.raises(NotWholeError, match="/z"):
        faulty.upload(**ONE_BY_ONE)
    assert set(faulty.read()) == large


@pytest.mark.parametrize("name", ["sub/passwd", "s/u/b/passwd"])
def test_a_folder_that_becomes_a_link(faulty: Uploader, proxy: FaultyProxy, name: str) -> None:
    """What it leads to is not sent."""
    faulty.write("a", name)
    _once(proxy, "a", lambda: _link_folder(faulty.folder / name))
    with pytest.raises(NotWholeError, match="a link has taken its place"):
        faulty.upload(**ONE_BY_ONE)
    assert set(faulty.read()) == {"a"}


def test_links_that_stay(uploader: Uploader, tmp_path: Path) -> None:
    """A link inside, and one into another task's folder, are sent as what they lead to."""
    task = tmp_path / "work/3f" / ("0a" * 15) / "results"
    task.mkdir(parents=True)
    (task / "x").write_bytes(b"of a task")
    uploader.write("sub/a")
    (uploader.folder / "link").symlink_to("sub/a")
    (uploader.folder / "folder").symlink_to("sub")
    (uploader.folder / "task").symlink_to(task)
    uploader.upload()
    uploader.check_whole(
        {"sub/a": b"datasub/a", "link": b"datasub/a", "folder/a": b"datasub/a", "task/x": b"of a task"}
    )  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [(5, PART_BYTES + 1), (PART_BYTES + 1, 5)])
def test_a_file_of_another_size(
    faulty: Uploader, proxy: FaultyProxy, before: int, after: int
) -> None:
    """One that grows so that it needs parts, or is cut so that it needs none, is sent as it is."""
    faulty.write("a")
    (faulty.folder / "z").write_bytes(b"x" * before)
    _once(proxy, "a", lambda: (faulty.folder / "z").write_bytes(b"y" * after))
    report = faulty.upload(**ONE_BY_ONE)
    assert (report.files, report.size) == (2, 5 + after)
    faulty.check_whole({"a": b"dataa", "z": b"y" * after})


def test_files_that_vanish_are_named(faulty: Uploader, proxy: FaultyProxy) -> None:
    """The asset is what is there; the report says what is not."""
    faulty.write("a", "sub/b", "z")
    _once(proxy, "a", lambda: shutil.rmtree(faulty.folder / "sub"))
    report = faulty.upload(**ONE_BY_ONE)
    assert "1 files vanished before they were sent, such as 'sub/b'" in report.warnings
    faulty.check_whole({"a": b"dataa", "z": b"dataz"})


@pytest.fixture(params=FILE_SYSTEMS)
def placed(
    request: pytest.FixtureRequest, s3: Server, proxy: FaultyProxy, tmp_path: Path
) -> Iterator[Uploader]:
    """Uploads of a folder on a disk, and of one on tmpfs."""
    if request.param == "disk":
        yield Uploader(s3, proxy.url, tmp_path)
        return
    root = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield Uploader(s3, proxy.url, root)
    shutil.rmtree(root)


@LINUX
@pytest.mark.parametrize("size", [5000, 2 * PART_BYTES + 5])
def test_a_mapped_file_that_changes_once(placed: Uploader, proxy: FaultyProxy, size: int) -> None:
    """Between two of its parts, or when it was sent: what is kept is one state, the last."""
    path = placed.folder / "mapped"
    path.write_bytes(b"x" * size)
    with MappingProcess(path) as writer:
        _once(proxy, "mapped", lambda: writer.fill("y"))
        placed.upload()
        placed.check_whole({"mapped": b"y" * size})


@LINUX
def test_a_mapped_file_that_changes_all_the_time(placed: Uploader, proxy: FaultyProxy) -> None:
    """It is named, and there is no manifest; once it rests the upload goes on."""
    path = placed.folder / "mapped"
    path.write_bytes(b"x" * 5000)
    counts = [0]
    with MappingProcess(path) as writer:

        def before(request: Request) -> None:
            if request.method == "PUT" and request.path.endswith("/mapped"):
                counts[0] += 1
                writer.put(counts[0], "y")

        proxy.before = before
        with pytest.raises(NotWholeError, match="'.*mapped' changes while it is read"):
            placed.upload()
        assert counts[0] == 4
        assert placed.get("manifest.json") is None
        proxy.before = lambda request: None
        placed.upload()
        placed.check_whole({"mapped": path.read_bytes()})


@LINUX
def test_a_mapped_file_that_changes_after_it_was_sent(placed: Uploader, proxy: FaultyProxy) -> None:
    """While the other files are sent: it is seen before the manifest is written."""
    placed.write("z")
    path = placed.folder / "a"
    path.write_bytes(b"x" * 5000)
    with MappingProcess(path) as writer:
        _once(proxy, "z", lambda: writer.put(2500, "y"))
        placed.upload(**ONE_BY_ONE)
        placed.check_whole({"a": path.read_bytes(), "z": b"dataz"})
        assert b"y" in path.read_bytes()


@LINUX
def test_a_mapped_file_that_changes_between_two_processes(
    placed: Uploader, proxy: FaultyProxy
) -> None:
    """An upload that ended early, then a mapped write, then the rest: not the bytes of then."""
    placed.write("z")
    path = placed.folder / "a"
    path.write_bytes(b"x" * 5000)
    proxy.decide = lambda request: (
        answer(403, "AccessDenied") if request.path.endswith("/z") else None
    )
    with pytest.raises(RefusedError):
        placed.upload(**ONE_BY_ONE)
    assert set(placed.read()) == {"a"}
    proxy.decide = lambda request: None
    with MappingProcess(path) as writer:
        writer.put(2500, "y")
    placed.upload()
    placed.check_whole({"a": path.read_bytes(), "z": b"dataz"})


@pytest.mark.parametrize("code", ["NoSuchUpload", "InvalidPart"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_parts_that_something_aborts(
    faulty: Uploader, proxy: FaultyProxy, code: str, method: str
) -> None:
    """An upload in parts that the server has lost is begun anew, also just before its end."""
    (faulty.folder / "big").write_bytes(os.urandom(2 * PART_BYTES + 1))
    lost: list[str] = []

    def decide(request: Request) -> tuple[int, bytes] | None:
        _, is_part, upload_id = request.path.partition("uploadId=")
        if not is_part or request.method != method:
            return None
        lost[:] = lost or [upload_id]
        return answer(404, code) if upload_id in lost else None

    proxy.decide = decide
    faulty.upload()
    for upload in faulty.client.list_multipart_uploads(Bucket=faulty.bucket).get("Uploads", ()):
        assert upload["UploadId"] in lost  # the real server has not lost it
        faulty.client.abort_multipart_upload(
            Bucket=faulty.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
    faulty.check_whole({"big": (faulty.folder / "big").read_bytes()})


def test_an_answer_to_complete_that_is_a_refusal(faulty: Uploader, proxy: FaultyProxy) -> None:
    """An older object of the same size is not taken for the new one."""
    (faulty.folder / "big").write_bytes(b"x" * (PART_BYTES + 1))
    faulty.upload()
    (faulty.folder / "big").write_bytes(b"y" * (PART_BYTES + 1))
    proxy.decide = lambda request: (
        answer(403, "AccessDenied")
        if request.method == "POST" and "uploadId" in request.path
        else None
    )
    with pytest.raises(RefusedError, match="AccessDenied"):
        faulty.upload(permission=OVERWRITE)
    assert faulty.get("manifest.json") is None
    proxy.decide = lambda request: None
    faulty.upload(permission=OVERWRITE)
    faulty.check_whole({"big": b"y" * (PART_BYTES + 1)})


_CHANGES = st.sampled_from(["write", "grow", "cut", "remove", "replace", "pipe", "link", "mkdir"])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 300), min_size=2, max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 5), _CHANGES), max_size=6),
)
def test_any_changes(
    s3: Server,
    proxy: FaultyProxy,
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    changes: list[tuple[int, str]],
) -> None:
    """Whatever happens to files meanwhile: a manifest names bytes that each file has held."""
    uploader = Uploader(s3, proxy.url, tmp_path_factory.mktemp("any"))
    names = [("d/" * (number % 3)) + f"f{number}" for number in range(len(sizes))]
    versions: dict[str, set[bytes]] = {name: set() for name in names}
    todo = list(changes)
    one_at_a_time = threading.Lock()

    def write(name: str, data: bytes) -> None:
        versions[name].add(data)
        path = uploader.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def change(request: Request) -> None:
        if request.method == "PUT" and not request.path.endswith((".claim", ".json")):
            with one_at_a_time:  # two requests at once would mix what they write
                change_next()

    def change_next() -> None:
        if not todo:
            return
        number, kind = todo.pop()
        name = names[number % len(names)]
        path = uploader.folder / name
        if not path.is_file() or path.is_symlink():
            return
        data = path.read_bytes()
        if kind in ("write", "grow", "cut"):
            changed = {"write": os.urandom(len(data)), "grow": data + b"more", "cut": data[:-1]}
            write(name, changed[kind])
            return
        path.unlink()
        if kind == "replace":
            write(name, os.urandom(5))
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to("/etc/passwd")
        elif kind == "mkdir":
            path.mkdir()

    for name, size in zip(names, sizes, strict=True):
        write(name, os.urandom(size))
    proxy.before = change
    try:
        uploader.upload(CAPSULE_S3__MAX_CONCURRENCY="2")
    except NotWholeError:
        assert uploader.get("manifest.json") is None
        return
    finally:
        proxy.before = lambda request: None
    held = uploader.read()
    manifest = uploader.get("manifest.json")
    for row in manifest["files"]:
        data = held.pop(row["key"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert data in versions[row["key"]]
    for key in held:  # sent, then gone: at least it was this folder's
        assert held[key] in versions[key]
