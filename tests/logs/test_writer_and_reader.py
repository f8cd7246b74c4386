"""The log file: its one writer, and readers that a crash cannot confuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.errors import LogFileError
from aind_capsule.logs.reader import (
    LogTail,
    is_being_written,
    read_first_record,
    read_last_record,
    read_log,
)
from aind_capsule.logs.writer import CANONICAL_BYTES, LogWriter
from tests.conftest import parse_strictly


def _record(text: str) -> bytes:
    return (
        b'{"timestamp":"2026-01-01T00:00:00.000000Z","level":"INFO","message":"%b"' % text.encode()
    )


def test_lines_are_numbered_from_0(tmp_path: Path) -> None:
    """Every line ends with its number, over batches, and the canonical record goes on."""
    writer = LogWriter(tmp_path / "log")
    assert writer.append([_record("a"), _record("b")]) == []
    assert writer.append([_record("c")]) == []
    assert writer.append_canonical({"timestamp": "t", "level": "INFO", "message": "end"})
    writer.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert [parse_strictly(line)["seq"] for line in lines] == [0, 1, 2, 3]
    assert all(line.endswith(b'"seq":%d}' % n) for n, line in enumerate(lines))


def test_one_writer_only(tmp_path: Path) -> None:
    """A second writer of the same file is refused while the first lives, and not afterwards."""
    first = LogWriter(tmp_path / "log")
    assert is_being_written(tmp_path / "log")
    script = f"from aind_capsule.logs.writer import LogWriter; LogWriter({str(tmp_path / 'log')!r})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "LogFileError" in done.stderr
    assert "Another process writes" in done.stderr
    first.close()
    first.close()
    assert not is_being_written(tmp_path / "log")
    LogWriter(tmp_path / "log").close()


def test_the_null_device_is_everybodys() -> None:
    """Where no log can be had several processes write into nothing at once."""
    writers = [LogWriter(os.devnull, reserves=False) for _ in range(2)]
    for writer in writers:
        assert writer.append_one(b'{"a":1')
        assert (writer.next_seq, writer.lost) == (1, {})
        writer.close()


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The error names the file and what to do."""
    with pytest.raises(LogFileError, match="no/such/folder") as caught:
        LogWriter(tmp_path / "no/such/folder/log")
    assert "--scratch" in caught.value.hint


def test_the_cap_keeps_room_for_the_canonical_record(tmp_path: Path) -> None:
    """Records beyond the cap are counted; the canonical record still fits under it."""
    told: list[str] = []
    cap = 300_000
    writer = LogWriter(tmp_path / "log", max_bytes=cap, tell=told.append)
    lost = sum(len(writer.append([_record("x" * 1000)] * 10)) for _ in range(50))
    assert lost == writer.lost["size_cap"] > 0
    assert writer.append_canonical({"level": "INFO", "parameters": {"x": "y" * 100_000}})
    writer.close()
    assert (tmp_path / "log").stat().st_size <= cap
    assert len(told) == 1
    assert len((tmp_path / "log").read_bytes().splitlines()[-1]) <= CANONICAL_BYTES


def test_an_earlier_logs_records_stay(tmp_path: Path) -> None:
    """Opening a file that has bytes appends; nothing is truncated."""
    (tmp_path / "log").write_bytes(b"earlier\n")
    writer = LogWriter(tmp_path / "log")
    writer.append([_record("a")])
    writer.close()
    assert (tmp_path / "log").read_bytes().startswith(b"earlier\n{")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_every_size_of_disk(tmp_path: Path) -> None:
    """On disks of all small sizes: whatever fits is whole and numbered, and the last record is there
    wherever the disk held the reserve at the start."""
    disk = tmp_path / "disk"
    disk.mkdir()
    for pages in (20, 40, 64, 100):
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={pages * 4096}", "none", disk], check=True
        )
        try:
            writer = LogWriter(disk / "log")
            for n in range(2000):
                writer.append([_record(f"{n} " + "x" * 200)])
            written = writer.append_canonical({"timestamp": "t", "level": "INFO", "message": "end"})
            writer.close()
            lines = (disk / "log").read_bytes().splitlines()
            assert [parse_strictly(line)["seq"] for line in lines] == list(range(len(lines)))
            assert writer.lost["disk_full"] + len(lines) == 2000 + written
            assert written
        finally:
            subprocess.run(["umount", disk], check=True)


def test_a_tail_goes_on_where_it_was(tmp_path: Path) -> None:
    """A line that is not whole yet is left; from a saved position nothing is read twice or missed."""
    path = tmp_path / "log"
    path.write_bytes(b'{"a":1}\n{"b"')
    tail = LogTail(path)
    assert [line.record for line in tail.read()] == [{"a": 1}]
    assert tail.read() == []
    assert tail.count_unread_bytes() == 4
    with path.open("ab") as file:
        file.write(b':2}\nnot json\n[1]\n{"c":3}\n{"torn')
    later = LogTail(path, tail.position)
    assert [line.record for line in later.read()] == [{"b": 2}, None, None, {"c": 3}]
    assert later.foreign == 2
    assert later.count_unread_bytes() == 6
    tail.close()
    later.close()


def test_a_tail_reads_on_when_its_folder_is_gone(tmp_path: Path) -> None:
    """A file that was opened is read to its end, also when it has been removed meanwhile."""
    path = tmp_path / "log"
    path.write_bytes(b'{"a":1}\n')
    tail = LogTail(path)
    assert len(tail.read()) == 1
    with path.open("ab") as file:
        path.unlink()
        file.write(b'{"b":2}\n')
    assert [line.record for line in tail.read()] == [{"b": 2}]
    tail.close()


@given(
    lines=st.lists(st.binary(max_size=300).filter(lambda b: b"\n" not in b), max_size=20),
    size=st.integers(1, 64),
)
def test_any_bytes_are_read_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    """Whatever the bytes and the read size: lines come back as they are, with their places."""
    path = tmp_path_factory.mktemp("tail") / "log"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    tail, seen = LogTail(path), []
    while part := tail.read(size):
        seen += part
    tail.close()
    assert [line.raw for line in seen] == lines
    assert [path.read_bytes()[line.start : line.end] for line in seen] == [
        line + b"\n" for line in lines
    ]
    assert [line.raw for line in read_log(path)] == lines


def test_first_and_last_records(tmp_path: Path) -> None:
    """The first and the last record, with a torn end, in a long file, and where there is none."""
    path = tmp_path / "log"
    path.write_bytes(b'{"n":0}\n' + b'{"n":"%b"}\n' % (b"x" * 400_000) + b'{"n":2}\n{"torn')
    assert read_first_record(path) == {"n": 0}
    assert read_last_record(path) == {"n": 2}
    path.write_bytes(b'{"torn')
    assert (read_first_record(path), read_last_record(path)) == (None, None)
    path.write_bytes(b"")
    assert (read_first_record(path), read_last_record(path)) == (None, None)


def test_without_linuxs_calls(tmp_path: Path) -> None:
    """Where there is neither pwrite, flock nor O_CLOEXEC (Windows) the log is written all the same."""
    script = (
        "import os, sys; sys.modules['fcntl'] = None; del os.pwrite, os.O_CLOEXEC\n"
        "from aind_capsule.logs.writer import LogWriter\n"
        f"writer = LogWriter({str(tmp_path / 'log')!r})\n"
        "writer.append([b'{\"a\":1'] * 3); writer.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_bytes() == b"".join(b'{"a":1,"seq":%d}\n' % n for n in range(3))


@pytest.mark.parametrize("junk", [b"x\n", b"0" * 5000 + b"\n"])
def test_what_others_append_is_noticed(tmp_path: Path, junk: bytes) -> None:
    """A reader may have taken it for a line: also where the next record covers all of it, and where it is the
    last that happens. In its new file the log is whole."""
    path = tmp_path / "a.jsonl"
    writer = LogWriter(path)
    for is_last in (False, True):
        writer.append([b'{"message":"one"'])
        assert not writer.is_damaged()
        with path.open("ab") as file:
            file.write(junk)
        if not is_last:
            writer.append_one(b'{"message":"two"')
        assert writer.is_damaged()
        path = tmp_path / f"{is_last}.jsonl"
        writer.move(os.open(path, os.O_RDWR | os.O_CREAT), str(path))
        assert not writer.is_damaged()
        assert (writer.was_damaged, writer.lost) == (True, {})
    writer.close()
    assert [line.record["seq"] for line in read_log(path) if line.record] == [0, 1, 2]
