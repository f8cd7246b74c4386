"""Saved positions: found after a kill, a full disk and damage; never two processes at once."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.logs.positions import (
    PositionFile,
    PositionInUseError,
    Progress,
    is_owed,
    read_progress,
)
from aind_capsule.records.encode import encode

SLOT = 512
_NUMBERS = st.integers(0, 2**53)
_PROGRESS = st.builds(Progress, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS)


@given(saved=st.lists(_PROGRESS, max_size=5))
def test_what_was_saved_last_is_found(
    tmp_path_factory: pytest.TempPathFactory, saved: list[Progress]
) -> None:
    """Whatever was saved, and however often: the last is there when the file is opened again."""
    path = str(tmp_path_factory.mktemp("position") / "x")
    file = PositionFile(path)
    for progress in saved:
        file.save(progress)
    file.close()
    again = PositionFile(path)
    assert again.progress == (saved[-1] if saved else Progress())
    assert not again.was_damaged
    again.close()
    assert read_progress(path) == again.progress


@given(progress=_PROGRESS, at=st.integers(0, 1023), garbage=st.binary(min_size=1, max_size=600))
def test_damage_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, progress: Progress, at: int, garbage: bytes
) -> None:
    """Bytes written anywhere into the file: what is read is something that was saved, or the start."""
    path = tmp_path_factory.mktemp("position") / "x"
    file = PositionFile(str(path))
    file.save(progress)
    file.close()
    content = path.read_bytes()
    path.write_bytes((content[:at] + garbage + content[at + len(garbage) :])[:1024])
    again = PositionFile(str(path))
    assert again.progress in (progress, Progress())
    again.save(Progress(7))
    again.close()
    assert read_progress(str(path)) == Progress(7)


def test_a_damaged_file_begins_anew_and_says_so(tmp_path: Path) -> None:
    """A file without anything whole is no error: everything is sent again."""
    path = tmp_path / "x"
    path.write_bytes(b"\0" * 1024)
    file = PositionFile(str(path))
    assert file.was_damaged
    assert file.progress == Progress()
    file.close()


def _read_file_slots(path: Path) -> list[int]:
    """The turns of the two slots as they lie in the file."""
    content = path.read_bytes()
    assert len(content) == 2 * SLOT
    return [json.loads(content[start : start + SLOT].split(b" ", 1)[1])["turn"] for start in (0, SLOT)]  # fmt: skip


def test_the_slots_are_written_in_turn(tmp_path: Path) -> None:
    """A new file has both slots, and is not damaged; each save takes the older one."""
    path = tmp_path / "x"
    file = PositionFile(str(path))
    assert (file.was_damaged, file.progress, _read_file_slots(path)) == (False, Progress(), [0, 1])
    seen = []
    for position in (10, 20, 30, 40):
        file.save(Progress(position))
        seen.append(sorted(_read_file_slots(path)))
    assert seen == [[turn - 1, turn] for turn in range(seen[0][1], seen[0][1] + 4)]
    file.close()


@pytest.mark.parametrize("saves", [1, 2, 3, 4])
@pytest.mark.parametrize("damage", [b"\0" * SLOT, b"x", b'00000000 {"turn":99}'], ids=["emptied", "torn", "other"])  # fmt: skip
def test_either_slot_is_enough(tmp_path: Path, saves: int, damage: bytes) -> None:
    """Whichever slot a kill tears: the other is found, the last save or the one before it, and saving goes on."""
    path = tmp_path / "x"
    file = PositionFile(str(path))
    for number in range(1, saves + 1):
        file.save(Progress(10 * number, delivered=number))
    file.close()
    whole = path.read_bytes()
    found = set()
    for start in (0, SLOT):
        path.write_bytes(whole[:start] + damage + whole[start + len(damage) :])
        found.add(read_progress(str(path)))
        again = PositionFile(str(path))
        assert (again.was_damaged, again.progress) == (False, read_progress(str(path)))
        again.save(Progress(5))
        again.close()
        assert read_progress(str(path)) == Progress(5)
    assert found == {Progress(10 * n, delivered=n) if n else Progress() for n in (saves, saves - 1)}


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"turn":true}', b'{"turn":"5"}', b'{"turn":7,"position":3}'])  # fmt: skip
def test_what_is_whole_and_no_progress(tmp_path: Path, content: bytes) -> None:
    """A checksum that fits makes no progress of what has other fields, or no turn."""
    path = tmp_path / "x"
    path.write_bytes(b"%08x %b\n" % (zlib.crc32(content), content))
    assert read_progress(str(path)) == Progress()
    file = PositionFile(str(path))
    assert file.was_damaged
    file.close()


def test_a_turn_that_is_no_number(tmp_path: Path) -> None:
    """All fields and a turn that is a text: not taken."""
    path = tmp_path / "x"
    content = encode({"turn": "5", **dataclasses.asdict(Progress(9))})
    path.write_bytes(b"%08x %b\n" % (zlib.crc32(content), content))
    assert read_progress(str(path)) == Progress()


def test_one_byte_is_damage(tmp_path: Path) -> None:
    """Only a file of no bytes is new."""
    path = tmp_path / "x"
    path.write_bytes(b"x")
    file = PositionFile(str(path))
    assert file.was_damaged
    file.close()


def test_two_processes(tmp_path: Path) -> None:
    """While one process holds the file another is refused, and says by which file; then it is not."""
    path = tmp_path / "x"
    file = PositionFile(str(path))
    script = f"from aind_capsule.logs.positions import PositionFile; PositionFile({str(path)!r})"
    refused = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert b"PositionInUseError" in refused.stderr
    assert str(path).encode() in refused.stderr
    with pytest.raises(PositionInUseError):
        PositionFile(str(path))
    file.close()
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk(tmp_path: Path) -> None:
    """On a full disk progress is saved all the same: its space is there from the start."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        file = PositionFile(str(disk / "x"))
        with pytest.raises(OSError, match="space"):
            (disk / "rest").write_bytes(b"x" * 100_000)
        for n in range(10):
            file.save(Progress(n))
        file.close()
        assert read_progress(str(disk / "x")) == Progress(9)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_is_owed_of_a_half_delivered_log(tmp_path: Path) -> None:
    """Half of it delivered: the rest is owed, also where its only line end lies far behind the position."""
    log = tmp_path / "p-1.log.jsonl"
    line = b'{"a":"%b"}\n' % (b"x" * 2_500_000)
    log.write_bytes(b'{"a":1}\n' + line + b'{"to')
    path = f"{log}.loki-0123abcd.position"
    file = PositionFile(path)
    file.save(Progress(8, delivered=1))
    assert is_owed(path)
    file.save(Progress(8 + len(line), delivered=2))
    assert not is_owed(path)
    file.save(Progress(1 << 40))
    assert not is_owed(path)
    file.close()
    Path(path).unlink()
    assert not is_owed(path)


def test_the_records_that_are_settled() -> None:
    """Delivered and set aside are settled."""
    assert Progress(delivered=3, set_aside=4, late=5).settled == 7


def test_what_is_owed(tmp_path: Path) -> None:
    """Whole lines behind the position are owed; a torn end, and a log that is gone, are not."""
    log = tmp_path / "p-1.log.jsonl"
    log.write_bytes(b'{"a":1}\n{"b":2}\n{"to')
    path = f"{log}.loki-0123abcd.position"
    file = PositionFile(path)
    assert is_owed(path)
    file.save(Progress(8))
    assert is_owed(path)
    file.save(Progress(16))
    assert not is_owed(path)
    file.save(Progress(0))
    file.close()
    log.unlink()
    assert not is_owed(path)
