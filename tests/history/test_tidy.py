"""Tidying run folders: only what is old, finished, delivered and a run folder goes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.history.tidy import remove_old_runs
from aind_capsule.logs.positions import PositionFile, Progress

DAY_S = 86400
NOW_S = 1_000_000_000.0
RUN_ID = "20200101T000000-00000000"
LINE = b'{"seq":0}\n'


def _make(base: Path, name: str = RUN_ID, *, age_days: float = 40, report: Any = None) -> Path:
    """A run folder whose log has two lines."""
    folder = base / name
    folder.mkdir()
    (folder / f"x-{RUN_ID}.log.jsonl").write_bytes(LINE * 2)
    (folder / f"x-{RUN_ID}.run.json").write_text(json.dumps({} if report is None else report))
    _age(folder, age_days)
    return folder


def _age(folder: Path, age_days: float) -> None:
    os.utime(folder, (NOW_S, NOW_S - age_days * DAY_S))


def _add_position(folder: Path, position: int, name: str = "loki-0123abcd") -> None:
    file = PositionFile(str(folder / f"x-{RUN_ID}.log.jsonl.{name}.position"))
    file.save(Progress(position))
    file.close()
    _age(folder, 40)


def _is_removed(folder: Path, keep_days: float = 30) -> bool:
    removed = remove_old_runs(str(folder.parent), keep_days, NOW_S)
    assert removed == ([] if folder.exists() else [str(folder)])
    return not folder.exists()


@pytest.mark.parametrize(
    ("age_days", "keep_days", "is_removed"),
    [(40, 30, True), (29, 30, False), (30, 30, False), (40, 0, False), (40, -1, False), (2, 0.5, True), (0.4, 0.5, False)],
)  # fmt: skip
def test_only_what_is_old(
    tmp_path: Path, age_days: float, keep_days: float, is_removed: bool
) -> None:
    """Older than the days to keep; 0 days keep all."""
    assert _is_removed(_make(tmp_path, age_days=age_days), keep_days) == is_removed


def test_only_run_folders(tmp_path: Path) -> None:
    """Another folder, a file and a link of a run folder's name stay, whatever their age; so does what a link names."""
    other = _make(tmp_path, "notes")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    target = _make(elsewhere)
    link = tmp_path / "20200102T000000-00000000"
    link.symlink_to(target)
    file = tmp_path / "20200103T000000-00000000"
    file.write_text("x")
    os.utime(file, (0, 0))
    assert remove_old_runs(str(tmp_path), 30, NOW_S) == []
    assert other.exists() and link.exists() and file.exists() and target.exists()


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    """A base that is not there has nothing to be removed."""
    assert remove_old_runs(str(tmp_path / "gone"), 30) == []


def test_one_that_cannot_be_judged_stays(tmp_path: Path) -> None:
    """A report that cannot be read keeps its own folder, and no other."""
    folder = _make(tmp_path)
    (folder / f"x-{RUN_ID}.run.json").unlink()
    (folder / f"x-{RUN_ID}.run.json").mkdir()
    _age(folder, 40)
    other = _make(tmp_path, "20200102T000000-00000000")
    assert remove_old_runs(str(tmp_path), 30, NOW_S) == [str(other)]


def test_an_upload_that_is_not_whole_keeps_it(tmp_path: Path) -> None:
    """The upload's journal keeps the folder, and a file of a similar name does not."""
    folder = _make(tmp_path)
    (folder / "upload.sqlite").touch()
    _age(folder, 40)
    assert not _is_removed(folder)
    (folder / "upload.sqlite").rename(folder / "upload.sqlite.old")
    _age(folder, 40)
    assert _is_removed(folder)


@pytest.mark.parametrize(
    ("positions", "report", "is_removed"),
    [
        ([0], None, False),
        ([len(LINE)], None, False),  # half of it delivered
        ([2 * len(LINE)], None, True),
        ([2 * len(LINE), 0], None, False),
        # With a position the report of an earlier push does not count.
        ([2 * len(LINE)], {"delivery": {"loki": {"owed": 2}}}, True),
        ([], {"delivery": {"loki": {"owed": 2}}}, False),
        ([], {"delivery": {"loki": {"owed": 0}}}, True),
        ([], {"delivery": {"loki": {"owed": 0}, "sipe": {"owed": 1}}}, False),
        ([], {"delivery": {"loki": {"problem": "no time"}}}, False),
        ([], {"delivery": {"loki": "?"}}, False),
        ([], {"delivery": {}}, True),
        ([], {"delivery": "?"}, True),
        ([], {"delivery": None}, True),
        ([], [], True),
    ],
)  # fmt: skip
def test_what_is_owed_keeps_it(
    tmp_path: Path, positions: list[int], report: Any, is_removed: bool
) -> None:
    """Lines behind a position keep the folder; without a position the run's report tells."""
    folder = _make(tmp_path, report=report)
    for number, position in enumerate(positions):
        _add_position(folder, position, f"loki-{number:08d}")
    assert _is_removed(folder) == is_removed


def test_other_files_of_the_folder_tell_nothing(tmp_path: Path) -> None:
    """Only `run.json` has the report: another JSON with the same words does not keep the folder."""
    folder = _make(tmp_path)
    (folder / "notes.json").write_text('{"delivery": {"loki": {"owed": 2}}}')
    _age(folder, 40)
    assert _is_removed(folder)


def test_a_log_that_is_being_written_keeps_it(tmp_path: Path) -> None:
    """The lock of the log's writer keeps the folder, until it is let go."""
    fcntl = pytest.importorskip("fcntl")
    folder = _make(tmp_path)
    with open(folder / f"x-{RUN_ID}.log.jsonl", "ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        _age(folder, 40)
        assert not _is_removed(folder)
    assert _is_removed(folder)
