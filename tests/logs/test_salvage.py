"""A log that others have written into, moved logs, and the limit on the size of files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.context.own_files import OpenFolder
from aind_capsule.logs.file.kept_folder import Finding, KeptFolder
from aind_capsule.logs.file.log_limits import find_cap
from aind_capsule.logs.file.salvage import copy_whole_lines, find_whole_lines, is_whole
from aind_capsule.logs.reader import is_being_written
from aind_capsule.logs.writer import LogWriter
from tests.conftest import parse_strictly


def _lines(*numbers: int) -> bytes:
    return b"".join(b'{"n":"%b","seq":%d}\n' % (b"x" * 20, n) for n in numbers)


@pytest.mark.parametrize(("data", "records", "kept"), [
    (_lines(0, 1, 2), 3, [0, 1, 2]),
    (b"", 0, []),
    (b"", 1, [0]),
    (_lines(0, 1), 3, [0, 1]),
    (b"\0" * 600 + _lines(2), 3, [0, 2]),
    (_lines(0) + b"\0" * 50 + _lines(2), 3, [0, 2]),
    (_lines(0) + b"garbage\n" + _lines(1, 2), 3, [0, 1, 2]),
    (_lines(0, 1, 1, 2), 3, [0, 1, 2]),
    (_lines(0, 2, 1), 3, [0, 2]),
    (_lines(0) + b'{"n":"y","seq":"1"}\n' + _lines(2), 3, [0, 2]),
    (_lines(0) + b'{"n":"y" "seq":1}\n' + _lines(2), 3, [0, 2]),
    (_lines(0, 1, 2)[:-1] + b" ", 3, [0, 1]),
    (b"[1]\n" + _lines(1), 2, [0, 1]),
    (b'{"torn', 1, [0]),
    (b"{}" + b"\0" * 3_000_000 + _lines(1), 2, [0]),
])  # fmt: skip
def test_what_is_whole_of_a_log(tmp_path: Path, data: bytes, records: int, kept: list[int]) -> None:
    """Whole records in order are kept, the first one is known; all else makes the log a damaged one."""
    path = tmp_path / "log"
    path.write_bytes(data)
    first = _lines(0)
    with path.open("rb") as file, (tmp_path / "copy").open("wb") as copy:
        size = len(data)
        is_sound = data == _lines(*range(records))
        assert is_whole(file.fileno(), size, records) is is_sound
        assert not is_whole(file.fileno(), size + 10, records)
        told = copy_whole_lines(file.fileno(), size, first, copy.fileno())
    copied = (tmp_path / "copy").read_bytes()
    if records:
        assert copied == _lines(*kept)
        assert told == (len(copied), len(kept))
    else:
        assert (copied, told) == (first, (len(first), 1))


@pytest.mark.parametrize("damage", [b"\0", b"}\n{", b"}"])
def test_long_logs_are_looked_through_quickly(tmp_path: Path, damage: bytes) -> None:
    """Of a log of many megabytes the lines' ends are counted, wherever reads are cut, and NULs are found."""
    path = tmp_path / "log"
    count = 200_000
    data = bytearray(_lines(*range(count)))
    path.write_bytes(data)
    with path.open("r+b") as file:
        assert is_whole(file.fileno(), len(data), count)
        place = len(data) - 1 if damage == b"}" else len(data) // 2
        file.seek(place)
        file.write(damage)
        file.flush()
        assert not is_whole(file.fileno(), len(data), count)


def test_nuls_take_no_memory(tmp_path: Path) -> None:
    """A hole of many gigabytes is passed over."""
    path = tmp_path / "log"
    with path.open("w+b") as file:
        file.truncate(200_000_000)
        file.seek(0, os.SEEK_END)
        file.write(_lines(5))
        file.flush()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert [line.seq for line in find_whole_lines(file.fileno(), path.stat().st_size)] == [5]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_writer_goes_on_in_another_file(tmp_path: Path) -> None:
    """All that was written is there, the lock too, and numbers go on; a failure changes nothing."""
    writer = LogWriter(tmp_path / "a")
    writer.append([b'{"n":1', b'{"n":2'])
    (tmp_path / "a").unlink()
    with pytest.raises(OSError):
        writer.move(os.open(tmp_path, os.O_RDONLY), str(tmp_path / "x"))
    writer.append_one(b'{"n":3')
    fd = os.open(tmp_path / "b", os.O_RDWR | os.O_CREAT)
    writer.move(fd, str(tmp_path / "b"))
    assert is_being_written(tmp_path / "b")
    writer.append_one(b'{"n":4')
    writer.append_canonical({"level": "INFO"})
    writer.seal()
    writer.seal()
    assert not is_being_written(tmp_path / "b")
    lines = [parse_strictly_any(line) for line in (tmp_path / "b").read_bytes().splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2, 3, 4]
    assert writer.lost == {}
    with (tmp_path / "c").open("wb") as copy:
        writer.copy_to(copy.fileno())
    assert (tmp_path / "c").read_bytes() == (tmp_path / "b").read_bytes()
    writer.close()
    writer.close()


def parse_strictly_any(line: bytes) -> dict:
    """A line, with what a record must have."""
    return parse_strictly(b'{"timestamp":"","message":"","level":"INFO",' + line[1:]) if b"level" not in line else {
        "seq": int(line.rpartition(b":")[2][:-1])}  # fmt: skip


def test_a_cut_log_is_counted_once(tmp_path: Path) -> None:
    """Damage that was put right is none any more; a second one is counted with the first."""
    writer = LogWriter(tmp_path / "log")
    writer.append([b'{"n":%d' % n for n in range(10)])
    kept = KeptFolder(str(tmp_path), {"log": "log"}, None, {})
    assert kept.look(writer, is_over=True) == Finding()
    (tmp_path / "log.loki-1.position").write_text("")
    (tmp_path / "log.loki-1.set-aside.jsonl").write_text("")
    (tmp_path / "other.position").write_text("")
    os.truncate(tmp_path / "log", 60)
    assert kept.look(writer, is_over=False) == Finding()
    found = kept.look(writer, is_over=True)
    assert found.is_damaged
    assert not found.is_moved
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["log", "log.loki-1.set-aside.jsonl", "other.position"]
    lost = writer.lost["damaged_log"]
    assert lost == found.gone_records > 0
    assert kept.look(writer, is_over=True) == Finding()
    writer.append([b'{"n":10', b'{"n":11'])
    assert kept.look(writer, is_over=True) == Finding()
    os.truncate(tmp_path / "log", (tmp_path / "log").stat().st_size - 5)
    assert kept.look(writer, is_over=True).gone_records == lost + 1
    assert writer.records == 12 - lost - 1
    writer.close()
    kept.close()


def test_what_others_put_at_the_logs_name_stays(tmp_path: Path) -> None:
    """A file of the processing's that has the log's name is not replaced: the log goes elsewhere."""
    run = tmp_path / "scratch" / ".capsule" / "run"
    run.mkdir(parents=True)
    writer = LogWriter(run / "log")
    writer.append([b'{"n":1'])
    kept = KeptFolder(str(run), {"log": "log"}, str(tmp_path / "scratch"), {"HOME": str(tmp_path)})
    (run / "log").unlink()
    (run / "log").write_text("theirs")
    assert kept.look(writer, is_over=True).is_moved
    assert (run / "log").read_text() == "theirs"
    assert writer.path == str(tmp_path / ".local/state/aind-capsule/run/log")
    assert Path(writer.path).read_bytes() == b'{"n":1,"seq":0}\n'
    writer.close()
    kept.close()


def test_an_earlier_logs_bytes_are_not_judged(tmp_path: Path) -> None:
    """A file that had bytes when it was opened has another count of records."""
    (tmp_path / "log").write_bytes(b"earlier\n")
    writer = LogWriter(tmp_path / "log")
    writer.append([b'{"n":1'])
    assert not writer.is_damaged()
    writer.close()


def test_the_smaller_limit_counts() -> None:
    """The process's own limit holds where it is below the cap that was asked for, and only for runs."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
        "from aind_capsule.logs.file.log_limits import find_cap\n"
        "caps = [find_cap(n, reserves=True) for n in (None, 50000, 200000)]\n"
        "print([c.free_bytes + c.reserve_bytes for c in caps], ['ulimit' in c.trouble.message for c in caps],\n"
        "      [c.reserve_bytes for c in caps], find_cap(None, reserves=False))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "[100000, 50000, 100000] [True, False, True] [32768, 25000, 32768] None\n"
    )
    assert find_cap(None, reserves=True) is None
    assert find_cap(10_000, reserves=True).reserve_bytes == 8192


def test_a_log_below_an_open_folder(tmp_path: Path) -> None:
    """The log is opened in the folder that is held, and not through a link at its name."""
    (tmp_path / "a").mkdir()
    folder = OpenFolder(str(tmp_path / "a"))
    (tmp_path / "a").rename(tmp_path / "b")
    writer = LogWriter(tmp_path / "a" / "log", folder=folder)
    writer.append([b'{"n":1'])
    writer.close()
    assert (tmp_path / "b" / "log").stat().st_size > 0
    (tmp_path / "b" / "link").symlink_to(tmp_path / "b" / "log")
    with pytest.raises(Exception, match="cannot be opened"):
        LogWriter(tmp_path / "a" / "link", folder=folder)
    with pytest.raises(Exception, match="cannot be opened"):
        LogWriter(tmp_path / "b" / "link")
    folder.close()
