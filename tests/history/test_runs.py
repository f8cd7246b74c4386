"""`capsule runs`: where runs are found and what is said of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.history.runs import find_runs
from aind_capsule.history.tidy import remove_old_runs
from aind_capsule.logs.positions import PositionFile
from aind_capsule.logs.reader import is_being_written
from tests.conftest import Capsule, wait_until


def _list(capsule: Capsule, *folders: str) -> list[dict]:
    done = subprocess.run([sys.executable, "-m", "aind_capsule", "runs", "--json", *folders], cwd=capsule.code,
                          env=capsule.environ, capture_output=True, check=True)  # fmt: skip
    return json.loads(done.stdout)


def test_status_of_each_kind(capsule: Capsule) -> None:
    """running, success, fail, stopped and lost, newest first, each once though scratch and results hold it."""
    capsule.run("true", options=("--process-name", "good"))
    capsule.run("sh", "-c", "exit 3", options=("--process-name", "bad"))
    for number in (15, 9):
        process = capsule.start(
            "sh", "-c", "echo ready; exec sleep 1000", options=("--process-name", f"by{number}")
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.communicate()
    living = capsule.start("sleep", "1000", options=("--process-name", "living"))
    try:
        wait_until(lambda: any(run["process_name"] == "living" for run in _list(capsule)))
        found = {run["process_name"]: run for run in _list(capsule)}
    finally:
        living.terminate()
        living.communicate()
    assert {name: run["status"] for name, run in found.items()} == {
        "good": "success", "bad": "fail", "by15": "stopped", "by9": "lost", "living": "running"}  # fmt: skip
    assert found["bad"]["exit_code"] == 3
    assert found["by9"]["ended_at"] is None
    assert len(_list(capsule)) == 5
    assert [run["run_id"] for run in _list(capsule)] == sorted(
        (r["run_id"] for r in found.values()), reverse=True
    )


def test_results_elsewhere_and_names_of_files(capsule: Capsule) -> None:
    """A results folder that was moved away is enough; so is the log itself."""
    run = capsule.run("true")
    moved = capsule.root / "elsewhere" / "deep"
    moved.parent.mkdir()
    capsule.results.rename(moved)
    assert [r["status"] for r in _list(capsule, str(capsule.root / "elsewhere"))] == ["success"]
    assert [r["status"] for r in _list(capsule, str(run.log))] == ["success"]


def test_of_two_run_folders_the_one_with_an_end_counts(capsule: Capsule) -> None:
    """A run that went on in another place left an old copy of its log: whichever is found first, the end counts.
    A log that has nothing but its end is a run's too."""
    run = capsule.run("true")
    assert run.log is not None
    stale = capsule.root / "stale" / run.log.parent.name / run.log.name
    stale.parent.mkdir(parents=True)
    stale.write_bytes(run.lines[0] + b"\n")
    copy = capsule.root / "copy" / run.log.name
    copy.parent.mkdir()
    copy.write_bytes(run.lines[0] + b"\n")
    whole, stale_base = str(capsule.scratch), str(stale.parent.parent)
    for folders in ([whole, stale_base], [stale_base, whole]):
        (found,) = find_runs(folders)
        assert (found.status, found.log) == ("success", str(run.log))
    for folders in ([str(copy.parent), stale_base], [stale_base, str(copy.parent)]):
        (found,) = find_runs(folders)
        assert (found.status, found.log) == ("lost", str(stale))
    copy.write_bytes(run.lines[-1] + b"\n")
    (found,) = find_runs([str(copy.parent)])
    assert found.status == "success"


def test_a_folder_that_is_not_there(capsule: Capsule) -> None:
    """A folder that does not exist is a usage error that names it; no runs are said on stderr."""
    command = [sys.executable, "-m", "aind_capsule", "runs"]
    done = subprocess.run(
        [*command, "/no/such"], env=capsule.environ, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"/no/such" in done.stderr
    done = subprocess.run(
        [*command, str(capsule.data)], env=capsule.environ, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_pipes_at_names_of_ours(tmp_path: Path) -> None:
    """Whoever looks at a run folder waits for no pipe that stands there; what cannot be read stays."""
    run_id = "20200101T000000-00000000"
    folder = tmp_path / run_id
    folder.mkdir()
    log = folder / f"x-{run_id}.log.jsonl"
    log.write_text('{"event_type":"stage_start"}\n')
    os.mkfifo(folder / f"x-{run_id}.run.json")
    (found,) = find_runs([str(tmp_path)])
    assert found.status == "lost"
    os.utime(folder, (0, 0))
    assert remove_old_runs(str(tmp_path), 30) == []
    (folder / f"x-{run_id}.run.json").unlink()
    position = f"{log}.loki-0123abcd.position"
    os.mkfifo(position)
    log.unlink()
    os.mkfifo(log)
    with pytest.raises(OSError, match="is no file"):
        PositionFile(position)
    os.utime(folder, (0, 0))
    assert remove_old_runs(str(tmp_path), 30) == [str(folder)]


def test_old_folders_go_unless_they_live(capsule: Capsule) -> None:
    """Tidying spares what is young, what is being written, and what is no run folder."""
    base = capsule.scratch / ".capsule"
    living = capsule.start("sleep", "1000")
    log = wait_until(capsule.find_log)
    wait_until(lambda: is_being_written(log))
    old = base / "20200101T000000-00000000"
    other = base / "notes"
    for folder in (old, other):
        folder.mkdir()
    for folder in (old, other, log.parent):
        os.utime(folder, (0, 0))
    try:
        assert remove_old_runs(str(base), 0) == []
        assert remove_old_runs(str(base), 30) == [str(old)]
    finally:
        living.terminate()
        living.communicate()
    assert sorted(path.name for path in base.iterdir()) == sorted([log.parent.name, "notes"])
