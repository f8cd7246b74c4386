"""`capsule upload` as people type it."""

from __future__ import annotations

import json
import os

import pytest

from aind_capsule.upload.progress import show_bytes
from tests.storage.proxy import FaultyProxy, answer
from tests.upload.assets import WITHOUT_ROOTS_RIGHTS, Uploader


def test_upload_verify_and_damage(uploader: Uploader) -> None:
    """An asset is uploaded, found good, and found bad after each kind of damage."""
    uploader.write("a", "b", "c/d")
    place = f"s3://{uploader.bucket}/assets"
    done = uploader.run("tree", place, "--asset-name", "name", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["files"], report["transferred_files"], report["committed"]) == (3, 3, True)
    done = uploader.run("--verify", f"{place}/name")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 files" in done.stdout
    put = uploader.client.put_object
    put(Bucket=uploader.bucket, Key="assets/name/a", Body=b"datab")
    put(Bucket=uploader.bucket, Key="assets/name/b", Body=b"datab more")
    put(Bucket=uploader.bucket, Key="assets/name/new", Body=b"")
    uploader.client.delete_object(Bucket=uploader.bucket, Key="assets/name/c/d")
    done = uploader.run("--verify", f"{place}/name")
    assert done.returncode == 74
    assert done.stdout.splitlines()[:3] == [
        "'a' holds other bytes",
        "'b' has 10 bytes instead of 5",
        "'c/d' is missing",
    ]
    assert "1 objects are not of it" in done.stdout
    uploader.client.delete_object(Bucket=uploader.bucket, Key="assets/name/manifest.json")
    done = uploader.run("--verify", f"{place}/name")
    assert done.returncode == 74
    assert "not whole" in done.stderr


def test_a_name_by_the_rule(uploader: Uploader) -> None:
    """The run that made the folder tells the input, a setting the label."""
    run = {
        "run_id": "20260101T000000-00000000",
        "code": {"url": "u"},
        "inputs": [{"name": "ecephys_1_2024-04-17_12-12-44"}],
    }
    (uploader.folder / "x.run.json").write_text(json.dumps(run))
    done = uploader.run(
        "tree", f"s3://{uploader.bucket}", "--json", CAPSULE_UPLOAD__LABEL="sorted-ks4"
    )
    assert done.returncode == 0, done.stderr
    url = json.loads(done.stdout)["url"]
    name = url.rpartition("/")[2]
    assert name.startswith("ecephys_1_2024-04-17_12-12-44_sorted-ks4_20")
    manifest = json.loads(
        uploader.client.get_object(Bucket=uploader.bucket, Key=f"{name}/manifest.json")[
            "Body"
        ].read()
    )
    assert (manifest["asset"], manifest["source_run"], manifest["code"]) == (
        name,
        run["run_id"],
        {"url": "u"},
    )


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "capsule upload results s3://"),
        (("tree",), 2, "capsule upload results s3://"),
        (("nowhere", "s3://b"), 2, "nowhere is not a directory"),
        (("tree", "http://b"), 2, "s3://bucket/prefix"),
        (("tree", "s3://bb"), 2, "--asset-name"),
        (("tree", "s3://bb", "--asset-name", "a/b"), 2, "without slashes"),
        (("--verify", "s3://bb/x", "--overwrite"), 2, "stands alone"),
        (("--resume", "tree", "s3://bb"), 2, "as it was begun"),
        (("tree", "s3://no-such-bucket", "--asset-name", "x"), 74, "NoSuchBucket"),
    ],
)  # fmt: skip
def test_what_cannot_be(uploader: Uploader, words: tuple[str, ...], status: int, told: str) -> None:
    """Each is told with what to do, and how it ends is documented."""
    uploader.write("a")
    done = uploader.run(*words)
    assert (done.returncode, told in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting(uploader: Uploader) -> None:
    """One of S3's ends it before anything is sent; one of others is told and does not."""
    uploader.write("a")
    words = ("tree", f"s3://{uploader.bucket}", "--asset-name", "x")
    done = uploader.run(*words, CAPSULE_S3__CHECKSUM="md5")
    assert (done.returncode, "s3.checksum" in done.stderr) == (78, True)
    done = uploader.run(*words, CAPSULE_GRACE="soon")
    assert (done.returncode, "CAPSULE_GRACE" in done.stderr) == (0, True)


def test_owed_is_said_and_resumed(faulty: Uploader, proxy: FaultyProxy) -> None:
    """What failed is owed: the command says how to go on, and then it does."""
    faulty.write("a", "b")
    proxy.decide = lambda request: (
        answer(400, "ExpiredToken") if request.path.endswith("/b") else None
    )
    done = faulty.run("tree", f"s3://{faulty.bucket}/assets", "--asset-name", "name")
    assert done.returncode == 74
    assert "capsule upload --resume" in done.stderr
    assert "ExpiredToken" in done.stderr
    assert faulty.run("--resume", ".").stderr == "Nothing is owed.\n"
    assert faulty.run("--resume", "tree").returncode == 74
    proxy.decide = lambda request: None
    assert faulty.run("--resume", "tree").returncode == 0
    faulty.check_whole({"a": b"dataa", "b": b"datab"})


def test_what_cannot_be_read(uploader: Uploader) -> None:
    """A file or a folder that may not be read: the rest is sent, the asset is owed, and goes on."""
    uploader.write("a", "b", "d/c")
    for name in ("a", "d"):
        (uploader.folder / name).chmod(0)
    words = ("tree", f"s3://{uploader.bucket}/assets", "--asset-name", "name")
    owed = uploader.run(*words, before=WITHOUT_ROOTS_RIGHTS)
    assert owed.returncode == 74
    assert all(f"'{name}'" in owed.stderr or f"/{name}'" in owed.stderr for name in ("a", "d"))
    assert (list(uploader.read()), uploader.get("manifest.json")) == (["b"], None)
    for name in ("a", "d"):
        (uploader.folder / name).chmod(0o700)
    done = uploader.run("--resume", "--json")
    assert json.loads(done.stdout)["transferred_files"] == 2, done.stderr
    uploader.check_whole({"a": b"dataa", "b": b"datab", "d/c": b"datad/c"})


@pytest.mark.parametrize("home", ["/dev/null", "/nowhere"])
def test_a_home_that_is_no_folder(uploader: Uploader, home: str) -> None:
    """As in containers: neither botocore's search for models nor our journal needs one."""
    uploader.write("a")
    words = ("tree", f"s3://{uploader.bucket}/assets", "--asset-name", "name")
    done = uploader.run(*words, HOME=home, XDG_STATE_HOME=str(uploader.root / "state"))
    assert done.returncode == 0, done.stderr
    uploader.check_whole({"a": b"dataa"})


def test_doctor(faulty: Uploader, proxy: FaultyProxy) -> None:
    """It finds out whether results can be written there, as a run does, and leaves nothing."""
    status, (check,) = faulty.ask_doctor()
    assert (status, check["name"], check["is_good"]) == (0, "upload", True)
    assert check["address"] == f"s3://{faulty.bucket}/assets"
    assert (faulty.list_uploads(), faulty.client.list_objects_v2(Bucket=faulty.bucket)["KeyCount"]) == ([], 0)  # fmt: skip
    proxy.decide = lambda request: answer(403, "AccessDenied")
    status, (check,) = faulty.ask_doctor()
    assert (status, check["is_good"]) == (74, False)
    assert "AccessDenied" in check["message"]
    assert "s3:PutObject" in check["hint"]
    proxy.stop()
    status, (check,) = faulty.ask_doctor()
    assert (status, check["is_good"]) == (74, False)
    assert proxy.url.partition("//")[2] in check["message"]


def test_names_that_cannot_be_keys(uploader: Uploader) -> None:
    """They are changed, that is said, and the manifest has them as they were."""
    uploader.write("manifest.json", ".claim")
    (uploader.folder / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    done = uploader.run("tree", f"s3://{uploader.bucket}/assets", "--asset-name", "name")
    assert done.returncode == 0
    assert "3 names cannot be keys" in done.stderr
    manifest = uploader.get("manifest.json")
    assert sorted(row.get("path", row.get("path_hex")) for row in manifest["files"]) == [
        ".claim",
        "636166e9",
        "manifest.json",
    ]


def test_bytes_for_people() -> None:
    """Decimal units."""
    assert [show_bytes(size) for size in (0, 999, 1000, 1.5e9, 1e18)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.5 GB",
        "1000.0 PB",
    ]
