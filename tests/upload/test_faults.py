"""Uploads through networks and servers that fail, files that change, processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from aind_capsule.errors import CapsuleError
from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.errors import RefusedError
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.asset import NotWholeError
from aind_capsule.upload.budget import Budget
from aind_capsule.upload.content_types import ContentTypes
from aind_capsule.upload.events import Sent
from aind_capsule.upload.reading import FolderReader
from aind_capsule.upload.rows import FileRow
from aind_capsule.upload.sending import PART_BYTES, Sender
from aind_capsule.upload.tree import FileIdentity
from aind_capsule.upload.workers import Workers
from aind_capsule.upload.writing import ObjectWriter
from tests.conftest import wait_until
from tests.storage.proxy import CUT, CUT_ANSWER, CUT_BODY, RESET, FaultyProxy, Request, answer
from tests.upload.assets import Uploader


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_a_bad_day(faulty: Uploader, proxy: FaultyProxy, seed: int) -> None:
    """Every fourth request is cut, lost, reset or throttled: the asset is whole all the same."""
    rng = random.Random(seed)
    faults = [
        CUT,
        CUT_BODY,
        CUT_ANSWER,
        RESET,
        answer(503, "SlowDown"),
        answer(500, "InternalError"),
    ]
    proxy.decide = lambda request: (
        rng.choice(faults) if rng.random() < 0.25 and request.method in ("PUT", "POST") else None
    )
    faulty.write(*(f"f{number}" for number in range(15)))
    (faulty.folder / "big").write_bytes(os.urandom(3 * PART_BYTES))
    faulty.upload()
    proxy.decide = lambda request: None
    faulty.check_whole({path.name: path.read_bytes() for path in faulty.folder.iterdir()})


def test_refused_in_the_middle_then_resumed(faulty: Uploader, proxy: FaultyProxy) -> None:
    """Rights that go: said with what to do, no manifest; later only the rest is sent."""
    faulty.write(*(f"f{number:02}" for number in range(30)))
    sent: list[str] = []

    def decide(request: Request) -> object:
        if request.method != "PUT" or request.path.endswith(".claim"):
            return None
        if len(sent) >= 10:
            return answer(403, "AccessDenied")
        sent.append(request.path)
        return None

    proxy.decide = decide  # type: ignore[assignment]
    with pytest.raises(RefusedError, match="AccessDenied"):
        faulty.upload()
    assert faulty.get("manifest.json") is None
    proxy.decide = lambda request: None
    proxy.seen.clear()
    report = faulty.upload()
    assert report.transferred_files == 20
    assert not {request.path for request in proxy.seen if request.method == "PUT"} & set(sent)
    faulty.check_whole({path.name: path.read_bytes() for path in faulty.folder.iterdir()})


@pytest.mark.parametrize(("checksum", "parts_again"), [("auto", 1), ("crc32", 3)])
def test_resumed_with_another_checksum(
    faulty: Uploader, proxy: FaultyProxy, checksum: str, parts_again: int
) -> None:
    """Parts go on where they were; those that have another checksum are aborted and sent anew."""
    (faulty.folder / "big").write_bytes(os.urandom(2 * PART_BYTES + 1))
    proxy.decide = lambda request: (
        answer(403, "AccessDenied") if "partNumber=3" in request.path else None
    )
    with pytest.raises(RefusedError):
        faulty.upload()
    proxy.decide = lambda request: None
    proxy.seen.clear()
    faulty.upload(CAPSULE_S3__CHECKSUM=checksum)
    again = [request for request in proxy.seen if "partNumber=" in request.path]
    assert len(again) == parts_again
    faulty.check_whole({"big": (faulty.folder / "big").read_bytes()})


def test_something_removes_an_object(faulty: Uploader, proxy: FaultyProxy) -> None:
    """What was sent and is not there when all is over is sent again."""
    faulty.write("a", "b", "c")
    removals = [1]

    def before(request: Request) -> None:
        if request.method == "GET" and "list-type" in request.path and proxy.count("PUT") >= 4:
            if removals[0]:
                faulty.client.delete_object(Bucket=faulty.bucket, Key="assets/name/b")
            removals[0] -= 1

    proxy.before = before
    assert faulty.upload().transferred_files == 4
    faulty.check_whole({name: f"data{name}".encode() for name in "abc"})


def test_something_removes_an_object_each_time(faulty: Uploader, proxy: FaultyProxy) -> None:
    """There is no manifest, and once it stays the upload goes on."""
    faulty.write("a", "b", "c")

    def before(request: Request) -> None:
        if request.method == "GET" and "list-type" in request.path:
            faulty.client.delete_object(Bucket=faulty.bucket, Key="assets/name/b")

    proxy.before = before
    with pytest.raises(NotWholeError, match="'b'"):
        faulty.upload()
    assert faulty.get("manifest.json") is None
    proxy.before = lambda request: None
    faulty.upload()
    faulty.check_whole({name: f"data{name}".encode() for name in "abc"})


def test_a_file_that_changes(faulty: Uploader, proxy: FaultyProxy) -> None:
    """While it is sent: what is kept is one state of it, whole; the manifest says which."""
    path = faulty.folder / "big"
    path.write_bytes(os.urandom(2 * PART_BYTES))
    changes = [2]

    def before(request: Request) -> None:
        if request.method == "PUT" and "partNumber=2" in request.path and changes[0]:
            changes[0] -= 1
            path.write_bytes(os.urandom(2 * PART_BYTES + changes[0]))

    proxy.before = before
    faulty.upload()
    faulty.check_whole({"big": path.read_bytes()})


def test_a_file_that_changes_all_the_time(faulty: Uploader, proxy: FaultyProxy) -> None:
    """It is named and the asset is not whole; once it rests the upload goes on."""
    path = faulty.folder / "big"
    path.write_bytes(os.urandom(2 * PART_BYTES))
    faulty.write("a")
    proxy.before = lambda request: (
        path.write_bytes(os.urandom(2 * PART_BYTES)) if "partNumber" in request.path else None
    )
    with pytest.raises(NotWholeError, match="big"):
        faulty.upload()
    assert faulty.get("manifest.json") is None
    proxy.before = lambda request: None
    faulty.upload()
    faulty.check_whole({"big": path.read_bytes(), "a": b"dataa"})


def test_a_file_that_is_emptied(uploader: Uploader) -> None:
    """A large one that is small when its turn comes is sent as it is then."""
    uploader.write("big", data=b"")
    identity = FileIdentity(2 * PART_BYTES, 1, 1, 1, 1)
    row = FileRow("big", b"big", os.fsencode(uploader.folder / "big"), identity)
    events: list[object] = []
    bucket = Bucket(uploader.bucket, S3Settings(endpoint_url=uploader.server.url))
    folder = os.fsencode(uploader.folder)
    with FolderReader(folder) as reader, Workers(1, "test") as workers:
        budget = Budget(PART_BYTES)
        Sender(
            ObjectWriter(bucket, "assets/name/"), reader, ContentTypes({}), budget, workers, events.append,
            threading.Event(),
        ).send_large(row, None)  # fmt: skip
    (event,) = events
    assert isinstance(event, Sent)
    assert (event.identity.size, uploader.read()) == (3, {"big": b"big"})


def test_a_file_that_vanishes(faulty: Uploader, proxy: FaultyProxy) -> None:
    """It is not there at the end: the asset is what is."""
    faulty.write(*(f"f{number:02}" for number in range(40)))
    proxy.before = lambda request: (
        (faulty.folder / "f39").unlink(missing_ok=True) if request.method == "PUT" else None
    )
    faulty.upload(CAPSULE_S3__MAX_CONCURRENCY="1")
    faulty.check_whole({f"f{number:02}": f"dataf{number:02}".encode() for number in range(39)})


@pytest.mark.parametrize(
    "after", [3, *(pytest.param(after, marks=pytest.mark.slow) for after in (9, 14))]
)
def test_killed_then_resumed(faulty: Uploader, proxy: FaultyProxy, after: int) -> None:
    """kill -9 in the middle of it; --resume makes it whole, and no part is left over."""
    faulty.write(*(f"f{number}" for number in range(6)))
    (faulty.folder / "big").write_bytes(os.urandom(6 * PART_BYTES + 1))
    reached, go_on = threading.Event(), threading.Event()

    def before(request: Request) -> None:
        # Before its first part nobody but the server knows that an object was begun.
        has_parts = any("partNumber=" in seen.path for seen in proxy.seen)
        if has_parts and proxy.count("PUT") >= after:
            reached.set()
            go_on.wait(30)

    proxy.before = before
    words = (str(faulty.folder), f"s3://{faulty.bucket}/assets", "--asset-name", "name")
    process = subprocess.Popen(faulty.get_command(*words), env=faulty.environ, cwd=faulty.root)
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    proxy.before = lambda request: None
    go_on.set()
    assert faulty.get("manifest.json") is None
    done = faulty.run("--resume")
    assert done.returncode == 0, done.stderr
    faulty.check_whole({path.name: path.read_bytes() for path in faulty.folder.iterdir()})
    assert faulty.run("--resume").stderr == "Nothing is owed.\n"


def test_interrupted(faulty: Uploader, proxy: FaultyProxy) -> None:
    """Ctrl-C ends it soon, with 130, and what was sent is not sent again."""
    faulty.write(*(f"f{number:03}" for number in range(300)))
    words = (str(faulty.folder), f"s3://{faulty.bucket}/assets", "--asset-name", "name")
    process = subprocess.Popen(
        faulty.get_command(*words), env=faulty.environ, cwd=faulty.root, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: proxy.count("PUT") > 20)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert faulty.get("manifest.json") is None
    report = faulty.upload()
    assert 0 < report.transferred_files < 300
    assert report.files == 300


def test_no_room_for_the_manifest(
    uploader: Uploader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No space for temporary data: said with the folder, the upload is owed and goes on later."""
    uploader.write("a")
    import tempfile

    def full(*args: object, **more: object) -> object:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile.SpooledTemporaryFile, "write", full)  # type: ignore[misc]
        with pytest.raises(CapsuleError, match="No space left"):
            uploader.upload()
    uploader.upload()
    uploader.check_whole({"a": b"dataa"})
