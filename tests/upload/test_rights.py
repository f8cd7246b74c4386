"""Uploads with fewer rights than all: they end in the truth, or say which right they need."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.storage.proxy import CUT, CUT_ANSWER, Request, answer
from tests.upload.computers import (
    LARGE,
    NOT_IN_MINIMUM,
    Computer,
    deny,
    first_of,
    is_complete,
    is_list,
    is_part,
    is_put_of,
    nth,
    once,
    refuse,
)

RAW = "ecephys_1_2024-04-17_12-12-44"
_AT = [is_put_of("d/b"), is_part(2), is_put_of("z"), is_put_of("manifest.json"), is_complete]


@pytest.mark.parametrize("is_dead", first_of([True, False]))
@pytest.mark.parametrize("at", _AT)
@pytest.mark.parametrize("has_time", first_of([True, False]))
def test_the_minimum(computer: Computer, has_time: bool, at: Callable[[Request], bool], is_dead: bool) -> None:  # fmt: skip
    """With s3:PutObject and s3:AbortMultipartUpload alone, an upload that was killed or lost its
    server goes on under the same name and is whole, also where the name ends in a time."""
    rule = once(at, CUT) if is_dead else refuse(nth(1, at), 503, "SlowDown")
    if is_dead:
        computer.kill_before(at)
        rule = computer.proxy.decide
    if has_time:
        run = {"run_id": "20260101T000000-00000000", "status": "success", "inputs": [{"name": RAW}]}
        computer.write("x.run.json", json.dumps(run).encode())
    computer.proxy.decide = deny(computer.uploader, *NOT_IN_MINIMUM, also=rule)
    ended = computer.upload(name=None if has_time else "name")
    assert ended.status == (-9 if is_dead else 74), ended.output
    computer.proxy.decide = deny(computer.uploader, *NOT_IN_MINIMUM)
    resumed = computer.resume()
    assert resumed.status == 0, resumed.output
    names = computer.uploader.client.list_objects_v2(
        Bucket=computer.uploader.bucket, Prefix="assets/", Delimiter="/"
    )["CommonPrefixes"]
    (row,) = names
    computer.uploader.asset = computer.uploader.asset.__class__(
        computer.uploader.bucket, row["Prefix"].rstrip("/")
    )
    computer.check_whole()


def test_killed_after_its_manifest_and_again_with_the_minimum(computer: Computer) -> None:
    """A manifest that may be there and cannot be read goes before a file that it names is replaced."""
    computer.write_some()
    minimum = deny(computer.uploader, *NOT_IN_MINIMUM)
    for name in ("manifest.json", "a"):
        computer.proxy.decide = minimum
        computer.kill_after(is_put_of(name))
        assert computer.upload().status == -9
        computer.check_manifest()
        computer.write("a", b"2" * 9)
    computer.proxy.after = lambda request: None
    assert computer.resume().status == 0
    computer.check_whole()


@pytest.mark.parametrize("has_list", first_of([True, False]))
@pytest.mark.parametrize("option", first_of(["--overwrite", "--overwrite-foreign"]))
@pytest.mark.parametrize(
    "at", [is_put_of("d/b"), is_part(2), is_put_of("z"), is_put_of("manifest.json")]
)
def test_overwriting_what_cannot_be_read(
    computer: Computer, at: Callable[[Request], bool], option: str, has_list: bool
) -> None:  # fmt: skip
    """Without s3:GetObject, a whole asset is replaced or stays: killed in the middle of it, no
    manifest names what is gone; at its end a deleted file's object is removed, or said."""
    assert computer.upload().status == 0
    computer.write_some(b"3")
    (computer.folder / "a").unlink()
    rights = ("GetObject",) if has_list else NOT_IN_MINIMUM
    computer.kill_before(at)
    computer.proxy.decide = deny(computer.uploader, *rights, also=computer.proxy.decide)
    killed = computer.upload(option)
    computer.check_manifest()
    computer.proxy.decide = deny(computer.uploader, *rights)
    ended = computer.upload(option)
    manifest = computer.check_manifest()
    if option == "--overwrite":
        assert (killed.status, ended.status) == (74, 74)
        assert manifest is not None
        assert {row["key"] for row in manifest["files"]} == {"a", "d/b", "z", "big"}
        assert "--overwrite-foreign" in ended.output or "s3:GetObject" in ended.output
        return
    assert (killed.status, ended.status) == (-9, 0), ended.output
    assert manifest is not None
    assert {row["key"] for row in manifest["files"]} == set(computer.files)
    there = computer.uploader.read()
    assert {name: there[name] for name in computer.files} == computer.files
    if "a" in there:
        assert "'a'" in ended.output or "s3:ListBucket" in ended.output


def test_a_lost_answer_to_complete(computer: Computer) -> None:
    """Without the right to list, and with the answer to Complete lost, the object is found whole."""
    lost = once(is_complete, CUT_ANSWER)
    computer.proxy.decide = deny(computer.uploader, "ListBucket", also=lost)
    assert computer.upload().status == 0
    computer.check_whole()


def test_a_lost_answer_to_each_complete(computer: Computer) -> None:
    """Also where each answer is lost, and the object may not be read by its name either."""
    computer.write("large", b"5" * (LARGE + 1))
    computer.proxy.decide = deny(
        computer.uploader,
        "ListBucket",
        also=lambda request: CUT_ANSWER if is_complete(request) else None,
    )
    assert computer.upload().status == 0
    computer.check_whole()


@pytest.mark.parametrize("rights", first_of([("GetObject", "ListBucket"), NOT_IN_MINIMUM]))
def test_a_lost_answer_to_complete_with_the_minimum(
    computer: Computer, rights: tuple[str, ...]
) -> None:
    """Where nobody may look, what was completed or not is made anew when the upload goes on."""
    lost = once(is_complete, CUT_ANSWER)
    computer.proxy.decide = deny(computer.uploader, *rights, also=lost)
    if computer.upload().status != 0:
        computer.proxy.decide = deny(computer.uploader, *rights)
        assert computer.resume().status == 0
    computer.check_whole()


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("number", first_of([1, 2]))
def test_a_token_that_expires_before_a_list(computer: Computer, status: int, number: int) -> None:
    """It is no missing right: the comparison is not skipped, the upload ends and goes on later."""
    assert computer.upload().status == 0
    computer.write("a", b"other 9 B")
    computer.proxy.decide = refuse(nth(number, is_list), status, "ExpiredToken")
    ended = computer.upload("--overwrite")
    assert (ended.status, "ExpiredToken" in ended.output) == (74, True)
    computer.check_manifest()
    computer.heal()
    assert computer.upload("--overwrite").status == 0
    computer.check_whole()


@pytest.mark.parametrize("right", ["ListBucket", "DeleteObject", "GetObject"])
def test_one_right_less(computer: Computer, right: str) -> None:
    """An upload that ends early goes on without any one right, and is whole."""
    computer.proxy.decide = deny(
        computer.uploader,
        right,
        also=lambda r: answer(403, "AccessDenied") if is_complete(r) else None,
    )
    assert computer.upload().status == 74
    computer.write("a", b"edited 99")
    computer.proxy.decide = deny(computer.uploader, right)
    assert computer.resume().status == 0
    computer.check_whole()
