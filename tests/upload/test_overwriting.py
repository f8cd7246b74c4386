"""Overwriting and repairing an asset: it ends with the local bytes, or not with 0."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.proxy import CUT, Request
from tests.upload.computers import (
    LARGE,
    Computer,
    deny,
    first_of,
    is_complete,
    is_list,
    is_part,
    is_put_of,
    nth,
    refuse,
)

_MANIFEST = is_put_of("manifest.json")
#: Requests at which an upload ends early. Some are counted, so each test makes its own.
_AT: dict[str, Callable[[], Callable[[Request], bool]]] = {
    "the claim": lambda: is_put_of(".claim"),
    "a file": lambda: is_put_of("d/b"),
    "a part": lambda: is_part(2),
    "Complete": lambda: is_complete,
    "the last list": lambda: nth(3, is_list),
    "the manifest": lambda: _MANIFEST,
}
#: How it is gone on with.
_AGAIN = [
    ("upload", ()),
    ("upload", ("--overwrite",)),
    ("resume", ()),
    ("resume", ("--overwrite",)),
]


def _go_on(computer: Computer, again: tuple[str, tuple[str, ...]]) -> int:
    """Upload again, and check that what says that it is whole is the folder."""
    word, options = again
    ended = computer.resume(*options) if word == "resume" else computer.upload(*options)
    if ended.status == 0 and "Nothing is owed" not in ended.output:
        computer.check_whole()
    else:
        computer.check_manifest()
    return ended.status


@pytest.mark.parametrize("again", first_of(_AGAIN))
@pytest.mark.parametrize("is_aborted", first_of([True, False]))
@pytest.mark.parametrize("how", first_of(["refused", "killed", "killed after"]))
@pytest.mark.parametrize("at", first_of([is_complete, is_part(3)]))
def test_a_large_file_of_equal_size(
    computer: Computer, at: Callable[[Request], bool], how: str, is_aborted: bool, again: tuple[str, tuple[str, ...]]
) -> None:  # fmt: skip
    """With other content it is sent: where Complete is refused or the command killed, and its parts
    are aborted by the bucket's lifecycle, the old bytes are not counted as the new ones."""
    assert computer.upload().status == 0
    computer.write("big", b"2" * LARGE)
    if how == "refused":
        computer.proxy.decide = refuse(at)
    elif how == "killed":
        computer.kill_before(at)
    else:
        computer.kill_after(at)
    assert computer.upload("--overwrite").status == (74 if how == "refused" else -9)
    computer.heal()
    computer.check_manifest()
    if is_aborted:
        computer.abort_all()
    assert _go_on(computer, again) == 0


def _move_back(file: Path, kept: Path) -> None:
    os.replace(kept, file)


def _copy_back(file: Path, kept: Path) -> None:
    shutil.copy2(kept, file)


def _write_back(file: Path, kept: Path) -> None:
    file.write_bytes(kept.read_bytes())


@pytest.mark.parametrize("again", first_of(_AGAIN))
@pytest.mark.parametrize("put_back", first_of([_move_back, _copy_back, _write_back]))
@pytest.mark.parametrize("name", first_of(["a", "big"]))
@pytest.mark.parametrize("at", first_of(["Complete", "the last list", "the manifest"]))
def test_a_file_that_is_put_back(
    computer: Computer, at: str, name: str, put_back: Callable[[Path, Path], None], again: tuple[str, tuple[str, ...]]
) -> None:  # fmt: skip
    """The server has the abandoned version when an upload ends early: it is not taken for the file
    that was there before, and is there again."""
    assert computer.upload().status == 0
    path, kept = computer.folder / name, computer.folder.parent / "kept"
    shutil.copy2(path, kept)
    os.replace(path, computer.folder.parent / "moved")
    os.replace(computer.folder.parent / "moved", path)
    os.replace(path, kept)
    computer.write(name, b"2" * kept.stat().st_size)
    computer.write("big" if name == "a" else "z", b"4" * (LARGE if name == "a" else 9))
    computer.proxy.decide = refuse(_AT[at](), 400, "ExpiredToken")
    assert computer.upload("--overwrite").status == 74
    computer.heal()
    put_back(path, kept)
    assert _go_on(computer, again) == 0


@pytest.mark.parametrize("names", [("units.csv", "units.csv/in"), ("d", "d/b"), ("x/y", "x/y/z/w")])
@pytest.mark.parametrize("is_file_first", first_of([True, False]))
@pytest.mark.parametrize("is_killed", first_of([True, False]))
def test_a_file_in_the_place_of_a_folder(
    computer: Computer, names: tuple[str, str], is_file_first: bool, is_killed: bool
) -> None:
    """And a folder in the place of a file: overwritten, also where that is killed in between."""
    shutil.rmtree(computer.folder / "d")
    before, after = names if is_file_first else names[::-1]
    computer.write(before, b"before")
    assert computer.upload().status == 0
    top = computer.folder / names[0]
    shutil.rmtree(top) if top.is_dir() else top.unlink()
    computer.write(after, b"after")
    ended = computer.upload()
    assert (ended.status, "--overwrite" in ended.output) == (74, True), ended.output
    if is_killed:
        computer.kill_before(is_put_of(after))
        assert computer.upload("--overwrite").status == -9
        computer.heal()
        computer.check_manifest()
        assert computer.resume().status == 0
    else:
        assert computer.upload("--overwrite").status == 0
    computer.check_whole()


@pytest.mark.parametrize("is_file_first", first_of([True, False]))
def test_a_file_in_the_place_of_a_folder_when_it_goes_on(
    computer: Computer, is_file_first: bool
) -> None:
    """An upload that ended early goes on with it."""
    names = ("units.csv", "units.csv/in")
    before, after = names if is_file_first else names[::-1]
    computer.write(before, b"before")
    computer.proxy.decide = refuse(_MANIFEST)
    assert computer.upload().status == 74
    computer.heal()
    top = computer.folder / "units.csv"
    shutil.rmtree(top) if top.is_dir() else top.unlink()
    computer.write(after, b"after")
    assert computer.resume().status == 0
    computer.check_whole()


def _corrupt(computer: Computer, name: str, data: bytes | None) -> None:
    """Something changes an object, or removes it."""
    key, client = f"assets/name/{name}", computer.uploader.client
    if data is None:
        client.delete_object(Bucket=computer.uploader.bucket, Key=key)
    else:
        client.put_object(Bucket=computer.uploader.bucket, Key=key, Body=data)


@pytest.mark.parametrize("option", first_of(["--overwrite", "--repair"]))
@pytest.mark.parametrize("data", first_of([b"x" * 9, b"x", b"", None]))
@pytest.mark.parametrize("name", first_of(["a", "big"]))
def test_a_corrupted_object(computer: Computer, name: str, data: bytes | None, option: str) -> None:
    """A plain upload does not call it whole; overwriting and repairing send it again."""
    assert computer.upload().status == 0
    _corrupt(computer, name, data if data is None or name == "a" else data * (LARGE // 9))
    bad = computer.uploader.read()
    assert computer.upload().status == 74
    assert computer.uploader.read() == bad
    assert computer.upload(option).status == 0
    computer.check_whole()
    assert computer.upload().status == 0


def test_what_cannot_be_repaired(computer: Computer) -> None:
    """From a folder that has changed an asset is not repaired: it stays as it is."""
    assert computer.upload().status == 0
    _corrupt(computer, "a", b"x")
    computer.write("z", b"other 9 B")
    bad = computer.uploader.read()
    ended = computer.upload("--repair")
    assert (ended.status, "'z'" in ended.output) == (74, True), ended.output
    assert computer.uploader.read() == bad


@pytest.mark.parametrize("option", first_of(["--overwrite", "--repair"]))
@pytest.mark.parametrize("is_edited", first_of([True, False]))
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: data[:-3], lambda _: b"", lambda _: b"<html><body>Sign in</body></html>",
     lambda _: b"{}", lambda data: data.replace(b'"format":1', b'"format":9')],
)  # fmt: skip
def test_a_damaged_manifest(
    computer: Computer, damage: Callable[[bytes], bytes], is_edited: bool, option: str
) -> None:
    """One that was cut, emptied or replaced is written again, and what it names is compared."""
    assert computer.upload().status == 0
    client, bucket = computer.uploader.client, computer.uploader.bucket
    key = "assets/name/manifest.json"
    data = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.put_object(Bucket=bucket, Key=key, Body=damage(data))
    if is_edited:
        computer.write("a", b"other 9 B")
        (computer.folder / "z").unlink()
    ended = computer.upload(option)
    if ended.status != 0:
        assert is_edited, ended.output
        assert "--overwrite" in ended.output
        assert computer.upload("--overwrite-foreign").status == 0
        there = computer.uploader.read()
        assert {name: there[name] for name in computer.files} == computer.files
    elif "'z'; they stay" in ended.output:  # the manifest's rest does not prove it
        there = computer.uploader.read()
        assert there.pop("z") == b"1" * 9
        assert there == computer.files
        computer.check_manifest()
    else:
        computer.check_whole()


@pytest.mark.parametrize("at", first_of(list(_AT)))
@pytest.mark.parametrize("how", first_of(["refused", "killed", "killed after", "outage"]))
def test_overwriting_that_ends_early(computer: Computer, at: str, how: str) -> None:
    """At any request: no manifest names what is gone, and going on ends with the local bytes."""
    assert computer.upload().status == 0
    computer.write_some(b"2")
    (computer.folder / "z").unlink()
    computer.write("new", b"new")
    is_it = _AT[at]()
    if how == "refused":
        computer.proxy.decide = refuse(is_it, 400, "ExpiredToken")
    elif how == "outage":
        is_out: list[bool] = []

        def decide(request: Request) -> str | None:
            if is_it(request):
                is_out.append(True)
            return CUT if is_out else None

        computer.proxy.decide = decide
    elif how == "killed":
        computer.kill_before(is_it)
    else:
        computer.kill_after(is_it)
    assert computer.upload("--overwrite").status in (74, -9)
    computer.heal()
    computer.check_manifest()
    again = ("upload", ("--overwrite",)) if at in ("the claim", "the manifest") else ("resume", ())
    assert _go_on(computer, again) == 0


@pytest.mark.parametrize(
    ("options", "status"), [((), 74), (("--repair",), 74), (("--overwrite",), 0)]
)
def test_a_file_that_the_server_has_and_the_manifest_does_not_name(
    computer: Computer, options: tuple[str, ...], status: int
) -> None:
    """An asset is unchanged only where its manifest names each file of the folder."""
    computer.write_some()
    computer.write("extra", b"of before")
    assert computer.upload().status == 0
    (computer.folder / "extra").unlink()
    computer.proxy.decide = deny(computer.uploader, "DeleteObject")
    assert computer.upload("--overwrite").status == 0
    computer.proxy.decide = lambda request: None
    computer.write("extra", b"of before")
    ended = computer.upload(*options)
    assert ended.status == status, ended.output
    if not status:
        computer.check_whole()


@pytest.mark.parametrize(
    ("options", "status"), [((), 74), (("--repair",), 74), (("--overwrite",), 0)]
)
def test_a_file_that_the_manifest_names_and_nobody_has(
    computer: Computer, options: tuple[str, ...], status: int
) -> None:
    """An asset whose manifest names what neither the server nor the folder has is not unchanged."""
    computer.write_some()
    computer.write("extra", b"of before")
    assert computer.upload().status == 0
    (computer.folder / "extra").unlink()
    computer.uploader.client.delete_object(
        Bucket=computer.uploader.bucket, Key=f"{computer.uploader.asset.folder}extra"
    )
    ended = computer.upload(*options)
    assert ended.status == status, ended.output
    if not status:
        computer.check_whole()


def test_verifying_what_is_replaced(computer: Computer) -> None:
    """An asset whose manifest could not be removed, and was emptied, is not whole for --verify."""
    assert computer.upload().status == 0
    computer.write_some(b"3")
    computer.kill_before(is_put_of("d/b"))
    kill = computer.proxy.decide
    computer.proxy.decide = deny(computer.uploader, "DeleteObject", also=kill)
    assert computer.upload("--overwrite").status == -9
    computer.proxy.decide = lambda request: None
    verified = computer.run("--verify", f"s3://{computer.uploader.bucket}/assets/name")
    assert verified.status != 0
    assert "is not whole" in verified.output
    assert computer.resume().status == 0
    computer.check_whole()


@pytest.mark.parametrize(
    "row",
    [
        '{"key":"a","size":1e999,"sha256":"%s"}', '{"key":"a","size":1' + 30 * "0" + ',"sha256":"%s"}', '{"key":"a","size":-1,"sha256":"%s"}',
        '{"key":"\\ud800","size":9,"sha256":"%s"}', '{"key":"a","size":9,"sha256":""}', '{"key":1,"size":9,"sha256":"%s"}',
        '{"key":"a","size":true,"sha256":"%s"}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_manifest_with_a_row_that_is_none(computer: Computer, row: str) -> None:
    """A row that cannot be is damage, and not a traceback: --overwrite writes the manifest anew."""
    assert computer.upload().status == 0
    client, bucket = computer.uploader.client, computer.uploader.bucket
    head = client.get_object(Bucket=bucket, Key="assets/name/manifest.json")["Body"].read()
    line = row.replace("%s", "00" * 32).encode()
    data = head.partition(b"\n")[0] + b"\n" + line + b"\n]}\n"
    client.put_object(Bucket=bucket, Key="assets/name/manifest.json", Body=data)
    assert computer.run("--verify", f"s3://{bucket}/assets/name").status != 0
    assert computer.upload("--overwrite-foreign").status == 0
    computer.check_whole()


def test_a_claim_that_is_nested_too_deep(computer: Computer) -> None:
    """A claim that cannot be read is another's, and not a traceback."""
    computer.put_foreign(".claim", b"[" * 100_000)
    ended = computer.upload()
    assert (ended.status, ".claim" in ended.output) == (74, True), ended.output
