"""Where run folders are made: what counts as a place, in which order, and what is never followed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from aind_capsule.cli.push import find_writable_base
from aind_capsule.errors import CapsuleError
from aind_capsule.logs.place import find_bases, make_other_run_folders, make_run_folder
from aind_capsule.shipping.places import find_original, make_spare_folder
from aind_capsule.upload.open_job import find_job_folder

RUN_ID = "20260101T000000-0123abcd"
LOG = f"x-{RUN_ID}.log.jsonl"


@pytest.mark.parametrize("environ", [
    {"XDG_STATE_HOME": "state"},
    {"HOME": "home"},
    {"HOME": ""},
    {"HOME": "/no/such/home"},
    {"TMPDIR": "tmp"},
    {"TMPDIR": "/no/such/folder"},
    {"TEMP": "/no/such/folder"},
    {"XDG_STATE_HOME": "{gone}/state"},
    {"XDG_STATE_HOME": "{gone}"},
    {"TMPDIR": "{gone}/tmp"},
])  # fmt: skip
def test_what_is_no_place(tmp_path: Path, environ: dict[str, str]) -> None:
    """A relative path, a home or a temporary folder that is missing, what lies in a scratch folder that is gone:
    none of these is made."""
    gone = str(tmp_path / "gone")
    given = {name: value.format(gone=gone) for name, value in environ.items()}
    assert list(find_bases(gone, given)) == list(find_bases(None, {}))


def test_a_state_folder_beside_scratch_is_one(tmp_path: Path) -> None:
    """A name that only begins as that of scratch lies elsewhere, and it is made where it is missing."""
    gone, state = str(tmp_path / "gone"), str(tmp_path / "gone-not")
    assert next(find_bases(gone, {"XDG_STATE_HOME": state})) == f"{state}/aind-capsule"


def test_what_was_emptied_comes_last(tmp_path: Path) -> None:
    """After a loss all of scratch comes last, also a state folder in it; a state folder that was lost too."""
    scratch, temporary = tmp_path / "scratch", tmp_path / "tmp"
    scratch.mkdir()
    temporary.mkdir()
    state = scratch / "state"
    environ = {"XDG_STATE_HOME": str(state), "TMPDIR": str(temporary)}
    own = str(temporary / f"aind-capsule-{os.getuid()}" / RUN_ID)
    folders = [folder.path for folder in make_other_run_folders(str(scratch / ".capsule" / RUN_ID), str(scratch), environ)]  # fmt: skip
    assert folders[0] == own
    assert folders[-2:] == [
        str(scratch / ".capsule" / RUN_ID),
        str(state / "aind-capsule" / RUN_ID),
    ]
    for folder in folders:
        os.rmdir(folder)
    state = tmp_path / "state"
    environ["XDG_STATE_HOME"] = str(state)
    lost = str(state / "aind-capsule" / RUN_ID)
    folders = [folder.path for folder in make_other_run_folders(lost, None, environ)]
    for folder in folders:
        os.rmdir(folder)
    assert (folders[0], folders[-1]) == (own, lost)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("options", ["size=64k", "nr_inodes=3"])
def test_a_full_place_is_passed_over(tmp_path: Path, options: str) -> None:
    """Without room for the log's end, or for a file: the next one, and it is said why; nothing is left in it.
    Where all are full the first is taken."""
    scratch, home = tmp_path / "scratch", tmp_path / "home"
    scratch.mkdir()
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", scratch], check=True)
    try:
        (scratch / ".capsule").mkdir()
        place = make_run_folder(RUN_ID, str(scratch), {"HOME": str(home)})
        assert place is not None
        assert place.path == str(home / ".local" / "state" / "aind-capsule" / RUN_ID)
        assert "No space left" in str(place.why_not_scratch)
        assert not list((scratch / ".capsule").iterdir())
    finally:
        subprocess.run(["umount", "-l", scratch], check=True)


def test_where_all_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is taken, without a reason not to; no other folder is left behind."""
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("aind_capsule.logs.place._find_room_error", lambda _folder: full)
    monkeypatch.setattr("aind_capsule.logs.place._TEMPORARY", ())
    scratch, home = tmp_path / "scratch", tmp_path / "home"
    scratch.mkdir()
    home.mkdir()
    place = make_run_folder(RUN_ID, str(scratch), {"HOME": str(home)})
    assert place is not None
    assert (place.path, place.why_not_scratch) == (str(scratch / ".capsule" / RUN_ID), None)
    assert not list(home.rglob(RUN_ID))


def test_a_link_at_a_temporary_folder_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for positions, nor for converted logs, nor for an upload's journal, nor below it; where there is no
    other place that is said, or a fresh folder is made."""
    target, temporary = tmp_path / "target", tmp_path / "tmp"
    target.mkdir()
    temporary.mkdir()
    environ = {"TMPDIR": str(temporary)}
    monkeypatch.setattr("aind_capsule.logs.place._TEMPORARY", ())
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(os, "environ", environ)
    base = temporary / f"aind-capsule-{os.getuid()}"
    for place in (base, base / RUN_ID, base / "uploads"):
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(target)
        if place == base or place.name == "uploads":
            with pytest.raises(CapsuleError):
                find_job_folder("source", "s3://b/p", None, environ)
        if place == base:
            with pytest.raises(CapsuleError):
                find_writable_base()
        if place.name != "uploads":
            assert Path(make_spare_folder(f"/elsewhere/{LOG}", environ)).parent == temporary
        place.unlink()
    assert not list(target.iterdir())


def test_a_log_in_its_run_folder_is_its_own_original(tmp_path: Path) -> None:
    """Of a copy in results the run folder has the original; another run folder's older copy is not taken for one."""
    scratch, home = tmp_path / "scratch", tmp_path / "home"
    kept = home / ".local" / "state" / "aind-capsule" / RUN_ID / LOG
    stale = scratch / ".capsule" / RUN_ID / LOG
    for log in (kept, stale, tmp_path / "results" / LOG):
        log.parent.mkdir(parents=True)
        log.write_text("")
    environ = {"HOME": str(home)}
    assert find_original(str(kept), str(scratch), environ) == str(kept)
    assert find_original(str(tmp_path / "results" / LOG), str(scratch), environ) == str(stale)


def test_the_state_folder_may_have_the_runs_folder_already(tmp_path: Path) -> None:
    """Where the delivery keeps its positions the log finds room too; elsewhere a folder that exists is another's."""
    temporary, state = tmp_path / "tmp", tmp_path / "state"
    temporary.mkdir()
    environ = {"XDG_STATE_HOME": str(state), "TMPDIR": str(temporary)}
    own = state / "aind-capsule" / RUN_ID
    own.mkdir(parents=True)
    (own / "a.position").touch()
    planted = temporary / f"aind-capsule-{os.getuid()}" / RUN_ID
    planted.mkdir(parents=True)
    folders = [folder.path for folder in make_other_run_folders(str(tmp_path / "gone" / RUN_ID), None, environ)]  # fmt: skip
    for folder in folders[1:]:
        os.rmdir(folder)
    assert folders[0] == str(own)
    assert str(planted) not in folders
    assert (own / "a.position").exists()
