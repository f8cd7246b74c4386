"""Finding folders and sessions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from session_qc.inputs import find_folder, find_sessions


def touch(path: Path) -> Path:
    """Make an empty file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_folder_that_is_set_comes_first(tmp_path: Path) -> None:
    """The wrapper's variable wins over the platform's folder, and an empty one does not count."""
    (tmp_path / "data").mkdir()
    environ = {"CAPSULE_DATA": "/somewhere", "CAPSULE_RESULTS": ""}
    assert find_folder("data", environ, root=tmp_path) == Path("/somewhere")
    assert find_folder("results", environ, root=tmp_path, capsule=Path("/c")) == Path("/c/results")


def test_the_platforms_folder_comes_before_the_sibling(tmp_path: Path) -> None:
    """`/data` counts where it exists; else the folder beside the code folder."""
    assert find_folder("data", {}, root=tmp_path, capsule=Path("/c")) == Path("/c/data")
    (tmp_path / "data").mkdir()
    assert find_folder("data", {}, root=tmp_path, capsule=Path("/c")) == tmp_path / "data"


def test_sessions_are_found_at_any_depth_in_order(tmp_path: Path) -> None:
    """Every `.nwb` file counts, in a fixed order; nothing else does, nor macOS's hidden copies."""
    later = touch(tmp_path / "b" / "deep" / "er" / "2.nwb")
    first = touch(tmp_path / "a" / "1.nwb")
    for name in ("a/._1.nwb", "a/1.nwb.md5", "a/notes.txt"):
        touch(tmp_path / name)
    assert list(find_sessions(tmp_path).items()) == [("1", first), ("2", later)]


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    """A linked asset is found; a link that leads back neither ends in a loop nor counts twice."""
    real = touch(tmp_path / "elsewhere" / "1.nwb")
    data = tmp_path / "data"
    data.mkdir()
    (data / "asset").symlink_to(real.parent)
    (data / "same_asset").symlink_to(real.parent)
    (real.parent / "back").symlink_to(data)
    assert find_sessions(data) == {"1": data / "asset" / "1.nwb"}


def test_a_link_to_a_file_counts_once(tmp_path: Path) -> None:
    """A linked file is found, and two links to one file are one session."""
    real = touch(tmp_path / "elsewhere" / "1.nwb")
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.nwb").symlink_to(real)
    (data / "b.nwb").symlink_to(real)
    assert find_sessions(data) == {"a": data / "a.nwb"}


def test_sessions_of_one_file_name_keep_names_of_their_own(tmp_path: Path) -> None:
    """Two assets with a file of the same name do not share a session name."""
    paths = [touch(tmp_path / asset / "nwb" / "1.nwb") for asset in ("raw", "sorted")]
    touch(tmp_path / "2.nwb")
    found = find_sessions(tmp_path)
    assert found == {"raw_nwb_1": paths[0], "sorted_nwb_1": paths[1], "2": tmp_path / "2.nwb"}


def test_even_names_that_meet_are_told_apart(tmp_path: Path) -> None:
    """Where the joined paths are equal too, a number tells them apart."""
    touch(tmp_path / "x_a" / "b" / "1.nwb")
    touch(tmp_path / "x" / "a_b" / "1.nwb")
    assert set(find_sessions(tmp_path)) == {"x_a_b_1", "x_a_b_1-2"}


def test_a_zarr_session_is_found_as_one(tmp_path: Path) -> None:
    """A session stored as Zarr is one session; a folder that only ends in `.nwb` is looked into."""
    touch(tmp_path / "1.nwb.zarr" / ".zgroup")
    touch(tmp_path / "1.nwb.zarr" / "inner" / "not_me.nwb")
    inside = touch(tmp_path / "2.nwb" / "2.nwb")
    assert find_sessions(tmp_path) == {"1": tmp_path / "1.nwb.zarr", "2": inside}


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """A data folder that is not there is handed over as an error."""
    errors: list[OSError] = []
    assert find_sessions(tmp_path / "nowhere", errors.append) == {}
    assert [error.filename for error in errors] == [str(tmp_path / "nowhere")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """A session that may be hidden in a closed folder is not passed over in silence."""
    errors: list[OSError] = []
    (tmp_path / "closed").mkdir(mode=0)
    find_sessions(tmp_path, errors.append)
    assert errors[-1].filename == str(tmp_path / "closed")
