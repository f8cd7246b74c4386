"""What an upload remembers, and the manifest that is made of it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.storage.objects import Held, Part
from aind_capsule.upload.database import JournalError
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.keys import make_key
from aind_capsule.upload.manifest import ManifestError, read_files, read_head, write_manifest
from aind_capsule.upload.rows import Begun, SentRow, Target
from aind_capsule.upload.tree import EmptyFolder, FileIdentity, FoundFile, LeftOut

DIGEST = b"\1" * 32
Open = Callable[[Path | None], Journal]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens journals, which end with the test."""
    with contextlib.ExitStack() as stack:

        def open_journal(folder: Path | None) -> Journal:
            journal = Journal(None if folder is None else str(folder))
            stack.callback(_close, journal)
            return journal

        yield open_journal


def _close(journal: Journal) -> None:
    with contextlib.suppress(JournalError, sqlite3.ProgrammingError):  # full, or closed before
        journal.close()


def _identify(mtime_ns: int = 1) -> FileIdentity:
    return FileIdentity(3, mtime_ns, 1, 1, 1)


def _add(journal: Journal, *names: bytes, mtime_ns: int = 1) -> None:
    walk = journal.begin_walk()
    journal.add_found(
        ((FoundFile(name, name, _identify(mtime_ns)), make_key(name, 500)) for name in names), walk
    )
    journal.end_walk(walk)


@pytest.mark.parametrize("name", ["upload.sqlite", "upload.sqlite-wal"])
def test_a_link_at_a_journals_name_is_refused(tmp_path: Path, opened: Open, name: str) -> None:
    """What a planted link leads to is neither read nor written."""
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "victim").write_text("")
    (folder / name).symlink_to(tmp_path / "victim")
    with pytest.raises(JournalError, match="symbolic links"):
        opened(folder)
    assert (tmp_path / "victim").read_text() == ""


def test_what_was_sent_stays_sent(tmp_path: Path, opened: Open) -> None:
    """Also when the folder is looked at again in another process; what has changed is sent again."""
    journal = opened(tmp_path)
    _add(journal, b"a", b"b", b"c")
    journal.set_sent(SentRow(key, _identify(), DIGEST) for key in "ab")
    journal.close()
    journal = opened(tmp_path)
    _add(journal, b"a", b"c")
    assert [row.key for row in journal.find_pending()] == ["c"]
    _add(journal, b"a", b"c", mtime_ns=2)
    assert [row.key for row in journal.find_pending()] == ["a", "c"]
    journal.ledger.set_held([Held("x/b", 3), Held("x/z", 1)], "x/")
    assert journal.ledger.find_stale() == ["b"]
    assert journal.ledger.find_strangers() == ["z"]


def test_what_was_sent_in_doubt(tmp_path: Path, opened: Open) -> None:
    """It is known in the next process too, until it was read once more; or is to be sent again."""
    journal = opened(tmp_path)
    _add(journal, b"a", b"b", b"c")
    journal.set_sent(SentRow(key, _identify(), DIGEST, is_doubtful=key != "c") for key in "abc")
    journal.close()
    journal = opened(tmp_path)
    assert [(row.key, sha256) for row, sha256 in journal.find_doubtful()] == [
        ("a", DIGEST),
        ("b", DIGEST),
    ]
    journal.set_sent([SentRow("a", _identify(), DIGEST)])
    journal.unsend(["b"])
    assert list(journal.find_doubtful()) == []


def test_where_times_show_nothing(tmp_path: Path, opened: Open) -> None:
    """On a file system that is not known, what an earlier process has sent is read once more."""
    journal = opened(tmp_path)
    _add(journal, b"a")
    journal.set_sent([SentRow("a", _identify(), DIGEST)])
    assert list(journal.find_doubtful()) == []
    _add(journal, b"a")
    assert [row.key for row, _ in journal.find_doubtful()] == ["a"]


def test_what_proves_an_object_to_be_ours(tmp_path: Path, opened: Open) -> None:
    """A manifest's key, or what was written here under that ETag: neither a name nor a size alone."""
    journal = opened(tmp_path)
    journal.set_target(Target("origin", "x/", "id"))
    _add(journal, b"a", b"b", b"c", b"d", b"e")
    journal.set_sent(SentRow(key, _identify(), DIGEST, etag) for key, etag in ("a1", "b2"))
    journal.ledger.set_known([("d", 9, DIGEST, "")])
    journal.set_target(Target("origin", "x/", "later"))
    _add(journal, b"a", b"b", b"c", b"d", b"e", mtime_ns=2)
    held = [Held("x/a", 3, "1"), Held("x/b", 3, "other"), Held("x/c", 3, "1"), Held("x/d", 3, "4")]
    journal.ledger.set_held(held, "x/")
    assert journal.ledger.find_conflicts() == ["b", "c"]
    journal.ledger.allow_replacing(is_listed=True)
    assert [(row.key, row.may_replace) for row in journal.find_pending()] == [
        ("a", True), ("b", False), ("c", False), ("d", True), ("e", False),
    ]  # fmt: skip
    journal.leave_place()
    journal.ledger.set_held(held, "x/")
    assert journal.ledger.find_conflicts() == ["a", "b", "c", "d"]


def test_what_was_written_before_counts_where_it_is_as_it_was(tmp_path: Path, opened: Open) -> None:
    """The file has the identity that was read, and the server still names the object as it did."""
    journal = opened(tmp_path)
    names = b"a", b"b", b"c", b"d"
    journal.set_target(Target("origin", "x/", "id"))
    _add(journal, *names)
    journal.set_sent(SentRow(name.decode(), _identify(), DIGEST, "1") for name in names[:3])
    journal.set_target(Target("origin", "x/", "later"))
    assert [row.key for row in journal.find_pending()] == ["a", "b", "c", "d"]
    _add(journal, *names)
    held = [Held("x/a", 3, "1"), Held("x/b", 3, "2"), Held("x/d", 3, "1")]
    journal.ledger.set_held(held, "x/")
    journal.ledger.take_written()
    assert [row.key for row in journal.find_pending()] == ["b", "c", "d"]
    walk = journal.begin_walk()
    journal.add_found([(FoundFile(b"a", b"a", _identify(2)), "a")], walk)
    journal.ledger.take_written()
    assert [row.key for row in journal.find_pending()] == ["a", "b", "c", "d"]


def test_what_may_be_alike(tmp_path: Path, opened: Open) -> None:
    """Only what the server holds in that size; certain where it still names it as it did."""
    journal = opened(tmp_path)
    _add(journal, b"a", b"b", b"c", b"d", b"e")
    journal.ledger.set_known(
        [("a", 3, DIGEST, "1"), ("b", 3, DIGEST, "1"), ("c", 4, DIGEST, "1"), ("d", 3, DIGEST, "")]
    )
    journal.ledger.set_held(
        [
            Held("a", 3, "1"),
            Held("b", 3, "2"),
            Held("c", 3, "1"),
            Held("d", 3, "1"),
            Held("e", 2, "1"),
        ],
        "",
    )
    found = [
        (known.row.key, known.sha256, known.is_certain) for known in journal.ledger.find_known()
    ]
    assert found == [
        ("a", DIGEST, True),
        ("b", DIGEST, False),
        ("c", None, False),
        ("d", DIGEST, False),
    ]
    assert journal.has_pending
    journal.ledger.set_alike((known, DIGEST, False) for known in journal.ledger.find_known())
    assert [row.key for row in journal.find_pending()] == ["e"]


def test_a_journal_of_another_version(tmp_path: Path, opened: Open) -> None:
    """Its job is known; its rows are not, and everything is compared anew."""
    with contextlib.closing(sqlite3.connect(tmp_path / "upload.sqlite")) as old:
        old.executescript(
            "CREATE TABLE job (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
            "CREATE TABLE file (key TEXT PRIMARY KEY, sha256 BLOB) WITHOUT ROWID;"
            "INSERT INTO job VALUES ('job', '{}'), ('had_manifest', 'true');"
            "INSERT INTO file VALUES ('a', 'x');"
        )
    journal = opened(tmp_path)
    assert (journal.get_job("job"), journal.get_job("had_manifest")) == ({}, None)
    assert list(journal.find_sent()) == []
    journal.close()
    assert opened(tmp_path).get_job("job") == {}


def test_parts_are_remembered(tmp_path: Path, opened: Open) -> None:
    """With the upload that they are of; a new one forgets them."""
    journal = opened(tmp_path)
    begun = Begun("id", 8, _identify(), "crc32")
    journal.set_begun("k", begun)
    part = Part(1, "e", DIGEST, "AAAAAA==")
    journal.add_part("k", part)
    assert journal.find_begun("k") == dataclasses.replace(begun, parts=(part,))
    again = dataclasses.replace(begun, upload_id="id2")
    journal.set_begun("k", again)
    assert journal.find_begun("k") == again


def test_one_process_at_a_time(tmp_path: Path, opened: Open) -> None:
    """Another one is told so."""
    journal = opened(tmp_path)
    _add(journal, b"a")
    with pytest.raises(JournalError, match="another process"):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


def test_a_journal_that_is_broken(tmp_path: Path, opened: Open) -> None:
    """It is named, with what to do."""
    (tmp_path / "upload.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError, match=r"upload\.sqlite"):
        opened(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full or a small disk")
def test_no_room_for_the_journal(tmp_path: Path, opened: Open) -> None:
    """A full disk is told as what it is."""
    journal = opened(tmp_path)
    journal._db.do("PRAGMA max_page_count = 20")
    with pytest.raises(JournalError, match="full"):
        _add(journal, *(b"%0200d" % number for number in range(2000)))


@given(
    st.lists(
        st.binary(min_size=1, max_size=80).filter(lambda name: b"\0" not in name),
        unique=True,
        max_size=20,
    )
)
def test_any_manifest(names: list[bytes]) -> None:
    """It is JSON to everybody, and read line by line it tells the same; names come back as they were."""
    with contextlib.closing(Journal(None)) as journal:
        _check_manifest(journal, names)


def _check_manifest(journal: Journal, names: list[bytes]) -> None:
    _add(journal, *names)
    for name in names:
        journal.set_sent([SentRow(make_key(name, 500), _identify(), DIGEST)])
    journal.add_others([EmptyFolder(b"empty"), LeftOut(b"caf\xe9", "a pipe")])
    file = io.BytesIO()
    write_manifest(file, {"asset": "ü", "run_id": "x"}, journal)
    whole = json.loads(file.getvalue())
    file.seek(0)
    head = read_head(file.readline())
    rows = list(read_files(file))
    assert head == {name: value for name, value in whole.items() if name != "files"}
    assert head["empty_folders"] == [{"path": "empty"}]
    assert head["left_out"] == [{"path_hex": "636166e9", "why": "a pipe"}]
    assert [(row.key, row.size, row.sha256) for row in rows] == [
        (row["key"], 3, DIGEST) for row in whole["files"]
    ]
    assert [row.key.encode() for row in rows] == sorted(row.key.encode() for row in rows)
    told = {
        bytes.fromhex(row["path_hex"])
        if "path_hex" in row
        else row.get("path", row["key"]).encode()
        for row in whole["files"]
    }
    assert told == set(names)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]\n", b'{"format":2,"files":[\n]}', b'{"files": "x"}\n']
)
def test_what_is_no_manifest(text: bytes) -> None:
    """It is not taken for one."""
    with pytest.raises(ManifestError):
        read_head(text.split(b"\n")[0])


@pytest.mark.parametrize("text", [b"", b'{"key":"a","size":1,"sha256":"00"}\n', b"x\n]}", b'{"key":"a"}\n]}', b'{"key":"a","size":1,"sha256":"zz"}\n]}'])  # fmt: skip
def test_a_manifest_that_was_cut_or_changed(text: bytes) -> None:
    """It is not read as a shorter one."""
    with pytest.raises(ManifestError):
        list(read_files(io.BytesIO(text)))


def test_the_journal_is_sqlite(tmp_path: Path, opened: Open) -> None:
    """Anybody can look into it."""
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "upload.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
