"""Reading a session: what is right is read, what is wrong is said."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.session_qc.nwb_files import LEFT, NONE, RIGHT, h5py, np, write_session

from session_qc.session import SessionError, read_session  # isort: skip


def test_columns_are_read(tmp_path: Path) -> None:
    """Each column arrives where it belongs, a reward on either side counts."""
    path = write_session(
        tmp_path / "s.nwb",
        [LEFT, RIGHT, NONE],
        [True, True, False],
        reward_probabilityL=[0.1, 0.2, 0.3],
        reward_probabilityR=[0.7, 0.6, 0.5],
    )
    session = read_session(path, "s")
    assert session.response.tolist() == [0, 1, 2]
    assert session.is_rewarded.tolist() == [True, True, False]
    assert session.start_s.tolist() == [100, 110, 120]
    assert session.stop_s.tolist() == [109, 119, 129]
    assert session.go_cue_s.tolist() == [102, 112, 122]
    assert session.probability_left.tolist() == [0.1, 0.2, 0.3]
    assert session.probability_right.tolist() == [0.7, 0.6, 0.5]
    assert session.licks_left_s.tolist() == [102.2]
    assert session.licks_right_s.tolist() == [112.2]


def test_a_side_without_licks_holds_none(tmp_path: Path) -> None:
    """The NaN that stands for an empty series is no lick."""
    session = read_session(write_session(tmp_path / "s.nwb", [LEFT], [False]), "s")
    assert len(session.licks_right_s) == 0


def test_licks_are_sorted(tmp_path: Path) -> None:
    """Whoever looks for the first lick may rely on their order."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], without=["left_lick_time"])
    with h5py.File(path, "a") as file:
        file["acquisition/left_lick_time/timestamps"] = [3.0, np.nan, 1.0]
    assert read_session(path, "s").licks_left_s.tolist() == [1, 3]


def test_optional_columns_may_be_missing(tmp_path: Path) -> None:
    """A session without go cues and probabilities is read; what is unknown is NaN."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], without=["goCue_start_time"])
    session = read_session(path, "s")
    assert np.isnan([session.go_cue_s, session.probability_left, session.probability_right]).all()


def test_empty_columns_are_no_trials(tmp_path: Path) -> None:
    """Columns without rows, also in HDF5's null data space, are a session without trials."""
    empty = h5py.Empty("f8")
    path = write_session(tmp_path / "s.nwb", [], [], animal_response=empty, start_time=empty)
    assert len(read_session(path, "s").response) == 0


@pytest.mark.parametrize(
    ("without", "named"),
    [
        (["trials"], "lacks intervals/trials;"),
        (["animal_response"], "lacks intervals/trials/animal_response;"),
        (["rewarded_historyL"], "lacks intervals/trials/rewarded_historyL;"),
        (["stop_time"], "lacks intervals/trials/stop_time;"),
        (["left_lick_time"], "lacks acquisition/left_lick_time;"),
        (
            ["right_lick_time", "start_time"],
            "lacks acquisition/right_lick_time, intervals/trials/start_time;",
        ),
    ],
)
def test_missing_tables_are_named(tmp_path: Path, without: list[str], named: str) -> None:
    """The message names the file and every table or column that is missing, once."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], without=without)
    with pytest.raises(SessionError) as caught:
        read_session(path, "s")
    assert str(path) in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("animal_response", [0.0, 3.0], "is 3 in trial 1"),
        ("animal_response", [np.nan, 0.0], "is nan in trial 0"),
        ("animal_response", ["left", "right"], "holds no numbers"),
        ("start_time", [[1.0, 2.0], [3.0, 4.0]], "has the shape (2, 2)"),
        ("start_time", 1.0, "has the shape ()"),
        ("start_time", [1.0], "differ in length"),
    ],
)
def test_values_without_sense_are_told(
    tmp_path: Path, column: str, values: object, said: str
) -> None:
    """A column that cannot be what it should be is refused by name, with what is wrong."""
    path = write_session(tmp_path / "s.nwb", [LEFT, RIGHT], [False, False], **{column: values})
    with pytest.raises(SessionError) as caught:
        read_session(path, "s")
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_group_in_a_columns_place_is_told(tmp_path: Path) -> None:
    """A group where a column should be is refused by name."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], without=["stop_time"])
    with h5py.File(path, "a") as file:
        file.create_group("intervals/trials/stop_time")
    with pytest.raises(SessionError, match="intervals/trials/stop_time is a group"):
        read_session(path, "s")


def test_a_link_to_nowhere_is_a_missing_table(tmp_path: Path) -> None:
    """A column that is a link to something that is gone counts as missing."""
    path = write_session(tmp_path / "s.nwb", [LEFT], [False], without=["stop_time"])
    with h5py.File(path, "a") as file:
        file["intervals/trials/stop_time"] = h5py.SoftLink("/gone")
    with pytest.raises(SessionError, match="lacks intervals/trials/stop_time"):
        read_session(path, "s")


@pytest.mark.parametrize("content", [b"", b"not hdf5" * 100, b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_file_that_is_no_hdf5(tmp_path: Path, content: bytes) -> None:
    """An empty file, text, and a signature without a file are refused in one line."""
    path = tmp_path / "s.nwb"
    path.write_bytes(content)
    with pytest.raises(SessionError, match="cannot be read as HDF5") as caught:
        read_session(path, "s")
    assert "\n" not in str(caught.value)


def test_a_truncated_file(tmp_path: Path) -> None:
    """A file that was cut off anywhere is refused."""
    path = write_session(tmp_path / "s.nwb", [LEFT] * 50, [False] * 50)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:size])
        with pytest.raises(SessionError, match="cannot be read as HDF5"):
            read_session(path, "s")


def test_damaged_bytes_end_in_a_session_or_an_error(tmp_path: Path) -> None:
    """Whatever bytes of a file are damaged, nothing but a SessionError comes out."""
    path = write_session(tmp_path / "s.nwb", [LEFT] * 5, [False] * 5)
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(8):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_session(path, "s")
        except SessionError:
            refused += 1
    assert refused > 0


def test_a_zarr_session_is_refused_with_a_cure(tmp_path: Path) -> None:
    """A folder says that it is Zarr, and what to attach."""
    with pytest.raises(SessionError, match="Zarr; attach the session's HDF5 file"):
        read_session(tmp_path, "s")


def test_no_such_file(tmp_path: Path) -> None:
    """A file that went away between finding and reading is refused by name."""
    with pytest.raises(SessionError, match=r"gone\.nwb"):
        read_session(tmp_path / "gone.nwb", "s")
