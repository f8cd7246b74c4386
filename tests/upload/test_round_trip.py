"""A folder becomes an asset and every byte and name comes back, on real servers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.addresses import S3Url
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.beginning import Permission
from aind_capsule.upload.jobs import AssetTakenError
from aind_capsule.upload.sending import PART_BYTES
from aind_capsule.upload.tree import FoundFile, walk
from aind_capsule.upload.verify import verify
from tests.storage.proxy import FaultyProxy
from tests.storage.servers import Server
from tests.upload.assets import Uploader


def _read_tree(folder: Path) -> dict[bytes, bytes]:
    return {
        found.name: Path(os.fsdecode(found.path)).read_bytes()
        for found in walk(os.fsencode(folder))
        if isinstance(found, FoundFile)
    }


def _fill(uploader: Uploader) -> None:
    uploader.write("a", "b/c d/ü≠.txt", "b/+%20&?=#'\"", ".hidden", "x/" + "long" * 20)
    (uploader.folder / "zero").write_bytes(b"")
    (uploader.folder / "empty").mkdir()
    (uploader.folder / "big").write_bytes(os.urandom(2 * PART_BYTES + 5))
    (uploader.folder / "just").write_bytes(os.urandom(PART_BYTES))
    (uploader.folder / "link").symlink_to("a")


def test_every_byte_and_name(server: Server, tmp_path: Path) -> None:
    """Small, empty, large, linked; the manifest lists all and comes last; a check finds all as it says."""
    uploader = Uploader(server, server.url, tmp_path)
    _fill(uploader)
    report = uploader.upload()
    tree = {name.decode(): data for name, data in _read_tree(uploader.folder).items()}
    manifest = uploader.check_whole(tree)
    assert manifest["empty_folders"] == [{"path": "empty"}]
    assert (report.files, report.transferred_files) == (len(tree), len(tree))
    rows = uploader.client.list_objects_v2(Bucket=uploader.bucket, Prefix="assets/name/")[
        "Contents"
    ]
    assert max(rows, key=lambda row: row["LastModified"])["LastModified"] == next(
        row["LastModified"] for row in rows if row["Key"].endswith("manifest.json")
    )
    verdict = verify(
        Bucket(uploader.bucket, S3Settings(endpoint_url=server.url)),
        uploader.asset,
        max_concurrency=4,
        tell=lambda _: None,
    )
    assert (verdict.files, verdict.faults, verdict.strangers) == (len(tree), [], 0)


def test_the_manifest_is_the_last_request(faulty: Uploader, proxy: FaultyProxy) -> None:
    """The claim is the first object that is written, the manifest the last."""
    faulty.write("a", "b", "c/d")
    faulty.upload()
    puts = [request.path.rpartition("/")[2] for request in proxy.seen if request.method == "PUT"]
    assert (puts[0], puts[-1]) == (".claim", "manifest.json")
    assert sorted(puts[1:-1]) == ["a", "b", "d"]


def test_unchanged_costs_no_transfer(faulty: Uploader, proxy: FaultyProxy) -> None:
    """A second upload of the same tree: a listing and the manifest, and not one request a file."""
    faulty.write(*(f"{number:03}" for number in range(40)))
    (faulty.folder / "big").write_bytes(os.urandom(PART_BYTES + 1))
    faulty.upload()
    proxy.seen.clear()
    report = faulty.upload()
    assert (report.transferred_files, report.files, report.committed) == (0, 41, True)
    assert len(proxy.seen) <= 5
    assert proxy.count("PUT") == proxy.count("POST") == 0


def test_a_whole_asset_is_not_overwritten(uploader: Uploader) -> None:
    """Unless that is said; then only what differs is sent, and what is gone is removed."""
    uploader.write("a", "b", "c")
    uploader.upload()
    before = _read_tree(uploader.folder)
    uploader.write("a", data=b"other")
    (uploader.folder / "b").unlink()
    with pytest.raises(AssetTakenError, match="complete, and the folder holds something else"):
        uploader.upload()
    uploader.check_whole({name.decode(): data for name, data in before.items()})
    report = uploader.upload(permission=Permission(overwrite=True))
    assert report.transferred_files == 1
    uploader.check_whole({"a": b"othera", "c": b"datac"})


def test_a_name_with_a_time_goes_to_the_next_second(uploader: Uploader) -> None:
    """Two uploads of the same second: each has its own asset."""
    name = "1_2024-01-02_03-04-05_qc_2026-01-02_03-04-59"
    uploader.write("a")
    first = uploader.upload(name, may_be_later=True)
    uploader.write("b")
    second = uploader.upload(name, may_be_later=True)
    assert first.url.endswith(name)
    assert second.url.endswith("_qc_2026-01-02_03-05-00")
    uploader.asset = S3Url(uploader.bucket, f"assets/{name}")
    uploader.check_whole({"a": b"dataa"})


def test_a_name_that_another_upload_has_claimed(uploader: Uploader) -> None:
    """It is told whose it is; with --overwrite it is taken."""
    claim = b'{"run_id": "20250101T000000-aaaaaaaa", "claimed_at": "2025-01-01T00:00:00"}'
    uploader.client.put_object(Bucket=uploader.bucket, Key="assets/name/.claim", Body=claim)
    uploader.write("a")
    with pytest.raises(AssetTakenError, match="20250101T000000-aaaaaaaa"):
        uploader.upload()
    assert uploader.get("manifest.json") is None
    uploader.upload(permission=Permission(overwrite=True))
    uploader.check_whole({"a": b"dataa"})


_PARTS = st.text(st.characters(codec="utf-8", exclude_characters="\0/\n\r\\"), min_size=1, max_size=30).filter(
    lambda part: part not in (".", "..") and len(part.encode()) < 200
)  # fmt: skip
_TREES = st.dictionaries(
    st.lists(_PARTS, min_size=1, max_size=3).map("/".join), st.binary(max_size=50), max_size=8
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TREES)
def test_any_tree(
    s3: Server, tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]
) -> None:
    """Any names and contents: what comes back is what was there, under names that can be told."""
    uploader = Uploader(s3, s3.url, tmp_path_factory.mktemp("any"))
    for name, data in tree.items():
        path = uploader.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError:  # one is the other's folder
            continue
    uploader.upload()
    there = _read_tree(uploader.folder)
    held = uploader.read()
    manifest = uploader.get("manifest.json")
    told = {
        bytes.fromhex(row["path_hex"])
        if "path_hex" in row
        else row.get("path", row["key"]).encode(): row["key"]
        for row in manifest["files"]
    }
    assert {name: held[key] for name, key in told.items()} == there
    assert len(held) == len(there)
