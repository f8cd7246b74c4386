"""Saved positions: found after a kill, a full disk and damage; never two processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
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
