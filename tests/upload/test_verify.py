"""An asset is compared with its manifest: every byte, on servers that list as they like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.errors import RefusedError, SilentError
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.verify import NoManifestError, Verdict, verify
from tests.storage.proxy import FaultyProxy, Request, answer
from tests.upload.assets import Uploader


def _verify(uploader: Uploader, **settings: Any) -> Verdict:
    given = S3Settings(endpoint_url=uploader.environ["CAPSULE_S3__ENDPOINT_URL"], **settings)
    bucket = Bucket(uploader.bucket, given)
    return verify(bucket, uploader.asset, max_concurrency=4, tell=lambda _: None)


def _list_as(uploader: Uploader, proxy: FaultyProxy, change: Callable[[str], str]) -> None:
    """Have the server's listing changed, as XML."""
    prefix = uploader.asset.folder
    rows = uploader.client.list_objects_v2(Bucket=uploader.bucket, Prefix=prefix)["Contents"]
    body = "".join(
        f"<Contents><Key>{row['Key']}</Key><Size>{row['Size']}</Size><ETag>{row['ETag']}</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for row in rows
    )
    page = (
        f"<ListBucketResult><Name>{uploader.bucket}</Name><Prefix>{prefix}</Prefix>"
        f"<IsTruncated>false</IsTruncated>{change(body)}</ListBucketResult>"
    )
    proxy.decide = lambda request: (200, page.encode()) if "list-type" in request.path else None


@pytest.mark.slow
def test_a_healthy_asset(faulty: Uploader) -> None:
    """All files are as the manifest says, more than are looked up together."""
    faulty.write(*(f"{number:04}" for number in range(600)))
    faulty.upload()
    verdict = _verify(faulty)
    assert (verdict.files, verdict.faults, verdict.strangers, verdict.notes) == (600, [], 0, [])
    assert verdict.size == 600 * 8


def test_what_is_wrong(faulty: Uploader) -> None:
    """Other bytes of the same size, another size, nothing, and an object that is not of it."""
    faulty.write("same", "other", "size", "gone")
    faulty.upload()
    for name, data in (("other", b"x" * 9), ("size", b"x"), ("more/z", b"")):
        faulty.client.put_object(Bucket=faulty.bucket, Key=faulty.asset.folder + name, Body=data)
    faulty.client.delete_object(Bucket=faulty.bucket, Key=faulty.asset.folder + "gone")
    verdict = _verify(faulty)
    assert sorted(verdict.faults) == [
        "'gone' is missing",
        "'other' holds other bytes",
        "'size' has 1 bytes instead of 8",
    ]
    assert (verdict.files, verdict.strangers) == (1, 1)


def test_a_listing_in_another_order(faulty: Uploader, proxy: FaultyProxy) -> None:
    """Nothing is missing where a server lists `units/` before `units.csv`, or backwards."""
    faulty.write("units.csv", "units/a", "units/b", "x")
    faulty.upload()
    _list_as(
        faulty, proxy, lambda body: "".join(reversed(re.findall("<Contents>.*?</Contents>", body)))
    )
    verdict = _verify(faulty)
    assert (verdict.files, verdict.faults, verdict.strangers, verdict.notes) == (4, [], 0, [])


def test_an_object_that_is_listed_twice(faulty: Uploader, proxy: FaultyProxy) -> None:
    """It counts once."""
    faulty.write("a", "b")
    faulty.upload()
    _list_as(faulty, proxy, lambda body: body + body)
    verdict = _verify(faulty)
    assert (verdict.files, verdict.faults, verdict.strangers) == (2, [], 0)


def test_a_server_that_renames_keys(faulty: Uploader, proxy: FaultyProxy) -> None:
    """What can be read under its own name is whole; that it is listed under another is said once."""
    faulty.write("back-slash", "b-c", "z")
    faulty.upload()
    _list_as(faulty, proxy, lambda body: body.replace("b-c", "b/c").replace("back-s", "back/s"))
    verdict = _verify(faulty)
    assert (verdict.files, verdict.faults, verdict.strangers) == (3, [], 0)
    (note,) = verdict.notes
    assert "2 objects" in note
    assert "this server changes names of keys" in note


def test_without_the_right_to_list(faulty: Uploader, proxy: FaultyProxy) -> None:
    """The bytes are compared all the same; the right that is missing is named."""
    faulty.write("a", "b")
    faulty.upload()
    faulty.client.put_object(Bucket=faulty.bucket, Key=faulty.asset.folder + "b", Body=b"x")
    proxy.decide = lambda request: (
        answer(403, "AccessDenied") if "list-type" in request.path else None
    )
    verdict = _verify(faulty)
    assert (verdict.files, verdict.faults) == (1, ["'b' holds other bytes"])
    (note,) = verdict.notes
    assert "s3:ListBucket" in note


@pytest.mark.parametrize("name", ["manifest.json", "b"])
def test_without_the_right_to_read(faulty: Uploader, proxy: FaultyProxy, name: str) -> None:
    """It says nothing of the bytes: an error, with the right that is missing."""
    faulty.write("a", "b")
    faulty.upload()
    proxy.decide = lambda request: (
        answer(403, "AccessDenied") if request.path.endswith("/" + name) else None
    )
    with pytest.raises(RefusedError, match="AccessDenied") as caught:
        _verify(faulty)
    assert "s3:GetObject" in caught.value.hint
    assert "s3:ListBucket" in caught.value.hint


def test_what_all_would_be_refused(faulty: Uploader, proxy: FaultyProxy) -> None:
    """The first refusal ends it: the other objects of that thread are not asked for."""
    names = [f"file{number}" for number in range(10)]
    faulty.write(*names)
    faulty.upload()
    refused: list[str] = []

    def refuse(request: Request) -> tuple[int, bytes] | None:
        if "/file" not in request.path:
            return None
        refused.append(request.path)
        return answer(403, "AccessDenied")

    proxy.decide = refuse
    with pytest.raises(RefusedError, match="AccessDenied"):
        _verify(faulty)
    assert len(refused) == 1


def test_many_small_and_some_large(faulty: Uploader) -> None:
    """Each object is compared once, however the threads share them."""
    faulty.write(*(f"file{number:02}" for number in range(50)))
    for number in range(3):
        (faulty.folder / f"large{number}").write_bytes(bytes(2_000_000))
    faulty.upload()
    for name in ("file00", "file20", "file49"):
        body = b"x" * (faulty.folder / name).stat().st_size
        faulty.client.put_object(Bucket=faulty.bucket, Key=faulty.asset.folder + name, Body=body)
    verdict = _verify(faulty)
    assert verdict.files == 50
    assert verdict.faults == [
        f"{name!r} holds other bytes" for name in ("file00", "file20", "file49")
    ]


def test_a_server_that_answers_no_more(faulty: Uploader, proxy: FaultyProxy) -> None:
    """What was not compared is no fault of the asset: an error."""
    faulty.write("a", "b")
    faulty.upload()
    proxy.decide = lambda request: (
        answer(500, "InternalError") if request.path.endswith("/b") else None
    )
    with pytest.raises(SilentError, match="InternalError"):
        _verify(faulty, retry_for=0.1)


def test_an_archived_object(faulty: Uploader, proxy: FaultyProxy) -> None:
    """One that cannot be read is a fault of its own, and the others are compared."""
    faulty.write("a", "b")
    faulty.upload()
    proxy.decide = lambda request: (
        answer(403, "InvalidObjectState") if request.path.endswith("/a") else None
    )
    verdict = _verify(faulty)
    assert verdict.files == 1
    assert "InvalidObjectState" in verdict.faults[0]


def test_no_manifest(faulty: Uploader) -> None:
    """An asset that is not whole is none that can be verified."""
    faulty.write("a")
    faulty.upload()
    faulty.client.delete_object(Bucket=faulty.bucket, Key=faulty.asset.folder + "manifest.json")
    with pytest.raises(NoManifestError):
        _verify(faulty)


def test_the_command_prints_notes(faulty: Uploader, proxy: FaultyProxy) -> None:
    """Beside the verdict, on stderr, and in the JSON."""
    faulty.write("b-c")
    faulty.upload()
    _list_as(faulty, proxy, lambda body: body.replace("b-c", "b/c"))
    done = faulty.run("--verify", str(faulty.asset))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("this server changes names of keys") == 1
    assert '"notes": ["1 objects' in faulty.run("--verify", str(faulty.asset), "--json").stdout
