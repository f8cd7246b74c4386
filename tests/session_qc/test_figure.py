"""The picture of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.session_qc.nwb_files import LEFT, NONE, RIGHT, np, write_session

pytest.importorskip("matplotlib")

from matplotlib import image  # noqa: E402

from session_qc.figure import build_title, compute_running_fraction, draw_session  # noqa: E402
from session_qc.metrics import measure_session  # noqa: E402
from session_qc.session import read_session  # noqa: E402


def draw(folder: Path, response: list[int], rewarded: list[bool], **columns: object) -> Path:
    """Draw a tiny session."""
    session = read_session(write_session(folder / "s.nwb", response, rewarded, **columns), "s")
    draw_session(session, measure_session(session), folder / "s.png")
    return folder / "s.png"


def count_pixels(path: Path, colour: tuple[int, int, int]) -> int:
    """How many pixels of a picture have exactly a colour."""
    pixels = np.round(image.imread(path)[:, :, :3] * 255).astype(int)
    return int((pixels == colour).all(axis=2).sum())


BLUE, RED = (0x21, 0x66, 0xAC), (0xB2, 0x18, 0x2B)


def test_rewarded_choices_stand_out(tmp_path: Path) -> None:
    """Full colour shows rewarded choices only: blue for left, red for right."""
    plain = draw(tmp_path / "plain", [LEFT, RIGHT, LEFT, RIGHT], [False] * 4)
    left = draw(tmp_path / "left", [LEFT, RIGHT, LEFT, RIGHT], [True, False, False, False])
    right = draw(tmp_path / "right", [LEFT, RIGHT, LEFT, RIGHT], [False, True, False, True])
    # The labels of the axis have these colours too, and are the same in all three.
    assert count_pixels(left, BLUE) > count_pixels(plain, BLUE) + 50
    assert count_pixels(left, RED) == count_pixels(plain, RED)
    assert count_pixels(right, RED) > count_pixels(plain, RED) + 100


@pytest.mark.parametrize("trials", [0, 1, 2, 5, 40])
def test_any_number_of_trials_can_be_drawn(tmp_path: Path, trials: int) -> None:
    """No trials, one and many give a picture of one size, without a warning."""
    response = [(LEFT, RIGHT, NONE)[trial % 3] for trial in range(trials)]
    picture = image.imread(draw(tmp_path, response, [False] * trials))
    assert picture.shape[:2] == (728, 1300)


def test_times_that_do_not_rise_leave_the_axis_out(tmp_path: Path) -> None:
    """Trials with unknown or equal start times are drawn by number alone."""
    for name, start in (("nan", [100.0, np.nan, 120.0]), ("equal", [100.0, 100.0, 120.0])):
        assert draw(tmp_path / name, [LEFT] * 3, [True] * 3, start_time=start).exists()


def test_probabilities_that_are_zero_are_drawn(tmp_path: Path) -> None:
    """A trial in which neither port pays has no share, and no warning of a division."""
    zero = {"reward_probabilityL": [0.0, 0.5], "reward_probabilityR": [0.0, 0.5]}
    assert draw(tmp_path, [LEFT, RIGHT], [False, False], **zero).exists()


def test_the_same_session_gives_the_same_bytes(tmp_path: Path) -> None:
    """A picture holds no date, so that a repeated run's results are the same."""
    first = draw(tmp_path / "a", [LEFT, RIGHT], [True, False]).read_bytes()
    assert draw(tmp_path / "b", [LEFT, RIGHT], [True, False]).read_bytes() == first


def test_a_name_with_dollars_is_no_formula(tmp_path: Path) -> None:
    """A session's name is drawn as it is, also where matplotlib would see mathematics."""
    session = read_session(write_session(tmp_path / "s.nwb", [LEFT], [True]), "a$\\frac$b")
    draw_session(session, measure_session(session), tmp_path / "s.png")
    assert (tmp_path / "s.png").exists()


def test_the_title_tells_name_and_numbers(tmp_path: Path) -> None:
    """Name and metrics with their units; a dash where a value is undefined."""

    def title(response: list[int]) -> str:
        path = write_session(tmp_path / "s.nwb", response, [True] * len(response))
        return build_title(measure_session(read_session(path, "mouse_1")))

    assert title([RIGHT, RIGHT, LEFT, RIGHT]) == (
        "mouse_1\n4 trials in 0.7 min  ·  response rate 100%  ·  choice bias +0.50"
        "  ·  reward rate 100%  ·  licks 1 left, 3 right"
    )
    assert "\n1 trial in 0.1 min" in title([RIGHT])
    assert "choice bias –" in title([])


def test_running_fraction_by_hand() -> None:
    """The window is centred, cut off at the ends, and passes over trials without a value."""
    values = np.array([1, 1, 0, np.nan, np.nan, np.nan, 1], dtype=float)
    assert compute_running_fraction(values, 3).tolist()[:4] == [1, 2 / 3, 0.5, 0]
    assert np.isnan(compute_running_fraction(values, 3)[4])
    assert compute_running_fraction(np.zeros(0)).tolist() == []
