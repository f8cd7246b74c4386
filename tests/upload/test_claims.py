"""Whose an asset's name is, after anything that may have happened: kills, other folders, other servers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.storage.proxy import CUT, CUT_BODY, FaultyProxy, Request, answer
from tests.storage.servers import Server, start
from tests.upload.computers import (
    LARGE,
    Computer,
    first_of,
    is_begin,
    is_complete,
    is_list,
    is_part,
    is_put_of,
    nth,
    refuse,
)

RAW = "ecephys_1_2024-04-17_12-12-44"
_MANIFEST = is_put_of("manifest.json")
#: Requests at which an upload ends early. Some are counted, so each test makes its own.
_AT: dict[str, Callable[[], Callable[[Request], bool]]] = {
    "a file": lambda: is_put_of("d/b"),
    "a part": lambda: is_part(2),
    "Complete": lambda: is_complete,
    "the last list": lambda: nth(3, is_list),
    "the manifest": lambda: _MANIFEST,
}


def _is_get_of(name: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "GET" and request.path.endswith(f"/{name}")


@pytest.mark.parametrize("change", ["edit", "remove", "add"])
def test_killed_just_after_its_manifest(computer: Computer, change: str) -> None:
    """The asset is whole, and a folder that has changed since does not replace it by itself."""
    before = computer.files
    computer.kill_after(_MANIFEST)
    assert computer.upload().status == -9
    computer.heal()
    if change == "edit":
        computer.write("a", b"other 9 B")
    elif change == "remove":
        (computer.folder / "a").unlink()
    else:
        computer.write("new", b"new")
    for ended in (computer.upload(), computer.resume()):
        assert (ended.status, "--overwrite" in ended.output) == (74, True), ended.output
        computer.uploader.check_whole(before)
    assert computer.upload("--overwrite").status == 0
    computer.check_whole()


@pytest.mark.parametrize("is_resumed", first_of([True, False]))
def test_killed_just_after_its_manifest_and_as_it_was(computer: Computer, is_resumed: bool) -> None:
    """Nothing is left to do."""
    computer.kill_after(_MANIFEST)
    assert computer.upload().status == -9
    computer.heal()
    ended = computer.resume() if is_resumed else computer.upload()
    assert (ended.status, "nothing had to be sent" in ended.output) == (0, True)
    computer.check_whole()


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another server."""
    server = start("moto", tmp_path_factory.mktemp("elsewhere"))
    yield server
    server.stop()


@pytest.mark.parametrize("at", first_of(_AT))
@pytest.mark.parametrize("option", first_of([(), ("--overwrite",)]))
def test_an_endpoint_that_was_corrected(
    computer: Computer, elsewhere: Server, at: str, option: tuple[str, ...]
) -> None:
    """What was sent to another server is not counted as sent to this one, nor the other way."""
    computer.proxy.decide = refuse(_AT[at](), 400, "ExpiredToken")
    assert computer.upload().status == 74
    computer.heal()
    with contextlib.suppress(Exception):
        elsewhere.make_client().create_bucket(Bucket=computer.uploader.bucket)
    proxy = FaultyProxy(elsewhere.url)
    environ = {"CAPSULE_S3__ENDPOINT_URL": proxy.url}
    proxy.decide = refuse(_MANIFEST)
    assert computer.resume(*option, **environ).status == 74
    proxy.decide = lambda request: None
    assert computer.resume(*option, **environ).status == 0
    proxy.stop()
    here = computer.uploader.client
    computer.uploader.client = elsewhere.make_client()
    computer.check_whole()
    computer.uploader.client = here
    assert computer.upload("--overwrite").status in (0, 74)
    computer.check_manifest()


@pytest.mark.parametrize(
    "option", first_of([(), ("--overwrite",), ("--overwrite-foreign",), ("--repair",)])
)
@pytest.mark.parametrize("is_named", first_of([True, False]))
def test_a_raw_asset_of_another_tool(
    computer: Computer, is_named: bool, option: tuple[str, ...]
) -> None:
    """Results whose description was copied from it are not written over it: its objects and its
    uploads in parts stay, the derived name is proposed, and results go there."""
    told = json.dumps({"name": RAW, "data_level": "raw"}).encode()
    computer.write("data_description.json", told)
    for name in ("subject.json", "processing.json", "data_description.json"):
        computer.put_foreign(name, b"raw" + name.encode(), asset=RAW)
        computer.write(name, computer.files.get(name, b"derived"))
    upload_id = computer.begin_foreign("big", asset=RAW)
    ended = computer.upload(*option, name=RAW if is_named else None)
    assert ended.status == 2
    (proposed,) = (word for word in ended.output.split() if word.startswith(f"{RAW}_processed_"))
    client, bucket = computer.uploader.client, computer.uploader.bucket
    rows = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert {row["Key"].rpartition("/")[2] for row in rows} == {
        "subject.json", "processing.json", "data_description.json",
    }  # fmt: skip
    for row in rows:
        data = client.get_object(Bucket=bucket, Key=row["Key"])["Body"].read()
        assert data == b"raw" + row["Key"].rpartition("/")[2].encode()
    (upload,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert upload["UploadId"] == upload_id
    assert computer.upload(*option, name=proposed.rstrip(",")).status == 0


@pytest.mark.parametrize("option", first_of([(), ("--overwrite",), ("--repair",)]))
@pytest.mark.parametrize("name", ["a", "big", "other", "d"])
def test_objects_of_another_tool(computer: Computer, name: str, option: tuple[str, ...]) -> None:
    """A folder that holds them is taken, whatever their names; they and their parts stay."""
    computer.put_foreign(name, b"foreign")
    upload_id = computer.begin_foreign("big")
    ended = computer.upload(*option)
    assert (ended.status, repr(name) in ended.output) == (74, True), ended.output
    assert computer.uploader.read() == {name: b"foreign"}
    assert computer.uploader.get(".claim") is None
    (upload,) = computer.uploader.client.list_multipart_uploads(Bucket=computer.uploader.bucket)["Uploads"]  # fmt: skip
    assert upload["UploadId"] == upload_id


@pytest.mark.parametrize("option", first_of([(), ("--overwrite",), ("--repair",)]))
@pytest.mark.parametrize("data", [b"{}", b"<html><body>Sign in</body></html>", b""])
def test_a_manifest_of_another_tool(
    computer: Computer, data: bytes, option: tuple[str, ...]
) -> None:
    """A manifest.json that is none of ours, in a folder without a claim, is another's and stays."""
    computer.put_foreign("manifest.json", data)
    ended = computer.upload(*option)
    assert (ended.status, "'manifest.json'" in ended.output) == (74, True), ended.output
    client, bucket = computer.uploader.client, computer.uploader.bucket
    (row,) = client.list_objects_v2(Bucket=bucket, Prefix="assets/")["Contents"]
    assert client.get_object(Bucket=bucket, Key=row["Key"])["Body"].read() == data
    assert computer.upload("--overwrite-foreign").status == 0
    computer.check_whole()


@pytest.mark.parametrize("at", first_of(_AT))
def test_objects_of_another_tool_that_come_later(computer: Computer, at: str) -> None:
    """One that is put there after an upload ended early stays, and so do its parts."""
    computer.proxy.decide = refuse(_AT[at](), 400, "ExpiredToken")
    assert computer.upload().status == 74
    computer.heal()
    computer.put_foreign("foreign", b"foreign")
    upload_id = computer.begin_foreign("foreign")
    ended = computer.resume()
    assert (ended.status, "'foreign'" in ended.output) == (0, True), ended.output
    there = computer.uploader.read()
    assert there.pop("foreign") == b"foreign"
    assert there == computer.files
    manifest = computer.check_manifest()
    assert manifest is not None
    assert {row["key"] for row in manifest["files"]} == set(computer.files)
    ids = computer.uploader.client.list_multipart_uploads(Bucket=computer.uploader.bucket)[
        "Uploads"
    ]
    assert [row["UploadId"] for row in ids] == [upload_id]


@pytest.mark.parametrize("change", ["remove", "edit", "shrink"])
@pytest.mark.parametrize("option", first_of([(), ("--overwrite",)]))
@pytest.mark.parametrize("is_killed", first_of([True, False]))
def test_what_a_dead_upload_left(
    computer: Computer, is_killed: bool, option: tuple[str, ...], change: str
) -> None:
    """Its parts and its objects that no file has any more are removed by the upload that follows."""
    if is_killed:
        # The last part is killed when others have been remembered.
        computer.kill_before(is_part(3))
    else:
        computer.proxy.decide = refuse(is_part(3))
    assert computer.upload().status == (-9 if is_killed else 74)
    computer.heal()
    (computer.folder / "a").unlink()
    if change == "remove":
        (computer.folder / "big").unlink()
    else:
        computer.write("big", b"7" * (LARGE if change == "edit" else 7))
    assert computer.upload(*option).status == 0
    computer.check_whole()


def test_an_upload_whose_folder_is_gone(computer: Computer, second: Computer) -> None:
    """It is said, blocks no other, and can be dropped."""
    computer.proxy.decide = refuse(_MANIFEST)
    assert computer.upload(name="first").status == 74
    other = computer.folder.parent / "other"
    shutil.copytree(computer.folder, other)
    place = f"s3://{computer.uploader.bucket}/assets"
    assert computer.run(str(other), place, "--asset-name", "name").status == 74
    files = computer.files
    shutil.rmtree(computer.folder)
    computer.heal()
    ended = computer.run("--resume")
    assert (ended.status, "not there any more" in ended.output) == (74, True), ended.output
    computer.uploader.check_whole(files)
    assert computer.run("--drop", str(computer.folder)).status == 0
    ended = computer.run("--resume")
    assert (ended.status, ended.output) == (0, "Nothing is owed.\n")


def test_an_empty_folder(computer: Computer) -> None:
    """That nothing is in it is said; the asset is whole."""
    for path in computer.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    ended = computer.upload()
    assert (ended.status, "holds no file" in ended.output) == (0, True), ended.output
    computer.check_whole()


@pytest.mark.parametrize("name", ["pipe", "d/pipe"])
def test_a_pipe(computer: Computer, name: str) -> None:
    """It is left out, is said so, and nothing waits for it."""
    os.mkfifo(computer.folder / name)
    ended = computer.upload()
    assert (ended.status, "1 left out" in ended.output) == (0, True), ended.output
    manifest = computer.check_whole()
    assert [row.get("path", row) for row in manifest["left_out"]] == [name]


@pytest.mark.parametrize("seconds", first_of([0.3, 3.0]))
@pytest.mark.parametrize(
    "at",
    first_of(
        [
            is_begin,
            is_complete,
            is_list,
            is_put_of(".claim"),
            _is_get_of(".claim"),
            _is_get_of("manifest.json"),
            _MANIFEST,
        ]
    ),
)
@pytest.mark.parametrize("how", first_of([CUT, CUT_BODY, answer(503, "SlowDown"), answer(502, "")]))
def test_a_gateway_that_restarts(
    computer: Computer, how: str | tuple[int, bytes], at: Callable[[Request], bool], seconds: float
) -> None:
    """Nothing answers for a while, whatever is asked just then: the upload goes on by itself."""
    until: list[float] = []

    def decide(request: Request) -> str | tuple[int, bytes] | None:
        if at(request) and not until:
            until.append(time.monotonic() + seconds)
        return how if until and time.monotonic() < until[0] else None

    computer.proxy.decide = decide
    assert computer.upload(CAPSULE_S3__RETRY_FOR="30").status == 0
    computer.check_whole()


@pytest.mark.parametrize("code", first_of(["InvalidRequest", "InvalidArgument", "Unsupported"]))
def test_a_server_that_knows_no_checksums(computer: Computer, code: str) -> None:
    """It answers 400 to their headers: they are left out."""

    def decide(request: Request) -> tuple[int, bytes] | None:
        names = [
            name for name in request.headers if name.startswith(("x-amz-checksum", "x-amz-sdk"))
        ]
        return answer(400, code) if names and request.method != "GET" else None

    computer.proxy.decide = decide
    assert computer.upload().status == 0
    computer.check_whole()


@pytest.mark.parametrize("status", first_of([200, 404, 403]))
@pytest.mark.parametrize(
    "is_it", first_of([lambda _: True, is_list, is_put_of(".claim"), is_put_of("a"), is_complete])
)
def test_a_web_page(computer: Computer, is_it: Callable[[Request], bool], status: int) -> None:
    """An address of no S3 server is said as that, and there is no manifest."""
    page = b"<!DOCTYPE html><html><body>Welcome</body></html>"
    computer.proxy.decide = lambda request: (status, page) if is_it(request) else None
    ended = computer.upload()
    computer.heal()
    if ended.status == 0:
        computer.check_whole()
        return
    assert ended.status == 74
    assert "no S3 server" in ended.output or "s3.endpoint_url" in ended.output, ended.output
    assert computer.uploader.get("manifest.json") is None
    assert computer.resume().status == 0
    computer.check_whole()
