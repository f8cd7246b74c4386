"""Which acquisition and which name an asset has, where its folder and its metadata disagree."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aind_capsule.context.acquisition_choice import read_start
from aind_capsule.context.assets import DataAsset, find_assets
from tests.context.trees import write_tree


@pytest.fixture(params=["UTC", "America/Los_Angeles"], autouse=True)
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _read(
    tmp_path: Path,
    folder: str,
    name: str | None,
    *,
    start: str | None = None,
    subject: str | None = None,
    link: str | None = None,
    level: str = "raw",
) -> DataAsset:
    """The asset in a folder, perhaps behind a link, with a description, a start and a subject."""
    description = {
        "name": name, "data_level": level, "schema_version": "1", "modality": ["x"],
    }  # fmt: skip
    files = {"data_description.json": json.dumps(description)}
    files["subject.json"] = json.dumps({"subject_id": subject}) if subject else "{}"
    files["session.json"] = json.dumps({"session_start_time": start, "rig_id": "r"})
    files["processing.json"] = "{}"
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    where = data / folder if link is None else tmp_path / "disk" / folder
    write_tree(where, files)
    if link is not None:
        (data / link).symlink_to(where)
    (asset,) = find_assets(str(data))
    return asset


def _find_contradictions(asset: DataAsset) -> list[str]:
    return [problem for problem in asset.problems if problem.startswith("The names disagree")]


FOLDER, MIDDAY = "imaging_700002_2025-07-16_13-46-00", "imaging_700002_2025-07-16_14-46-00"


@pytest.mark.parametrize(
    ("folder", "name", "start", "acquisition"),
    [
        ("SmartSPIM_700001_2023-01-26_10-45-12", "smartspim_700001_2023-01-31_08-23-09",
         "2023-01-26T10:45:01", "700001_2023-01-26_10-45-12"),
        (FOLDER, MIDDAY, "2025-07-16T20:46:00Z", "700002_2025-07-16_13-46-00"),
        (FOLDER, MIDDAY, "2025-07-16T22:46:00+02:00", "700002_2025-07-16_13-46-00"),
        (FOLDER, MIDDAY, "2025-07-16T21:45:00Z", "700002_2025-07-16_14-46-00"),
        (FOLDER, MIDDAY, "2025-07-16T14:45:00-07:00", "700002_2025-07-16_14-46-00"),
        (FOLDER, MIDDAY, "2025-07-16 14:45:00.1234567", "700002_2025-07-16_14-46-00"),
        (FOLDER, MIDDAY, "2025-07-16T14:16:00", "700002_2025-07-16_13-46-00"),
        (FOLDER, MIDDAY, None, "700002_2025-07-16_13-46-00"),
        (FOLDER, MIDDAY, "yesterday", "700002_2025-07-16_13-46-00"),
        (FOLDER, MIDDAY, "0001-01-01T00:00:00+14:00", "700002_2025-07-16_13-46-00"),
        (f"{FOLDER}_a_2025-08-01_00-00-00", MIDDAY, None, "700002_2025-07-16_13-46-00"),
    ],
)  # fmt: skip
def test_two_times_of_one_subject(
    tmp_path: Path,
    folder: str,
    name: str,
    start: str | None,
    acquisition: str,
) -> None:
    """The one nearer to the start is taken, else the folder's; both are named in one problem."""
    asset = _read(tmp_path, folder, name, start=start)
    assert asset.acquisition_name == acquisition
    (problem,) = _find_contradictions(asset)
    assert all(other[-19:] in problem for other in (folder[: len(FOLDER)], name))
    assert f"Taken: {acquisition!r}" in problem
    assert asset.name == folder


@pytest.mark.parametrize(
    ("subject", "acquisition", "name"),
    [
        ("700004", "700004_2025-01-02_00-00-00", "behavior_700004_2025-01-02_00-00-00"),
        ("700005", "700005_2025-01-01_00-00-00", "behavior_700005_2025-01-01_00-00-00"),
        ("700009", "700004_2025-01-02_00-00-00", "behavior_700004_2025-01-02_00-00-00"),
        (None, "700004_2025-01-02_00-00-00", "behavior_700004_2025-01-02_00-00-00"),
    ],
)
def test_two_subjects(tmp_path: Path, subject: str | None, acquisition: str, name: str) -> None:
    """The name of the metadata's subject is taken, else the description's."""
    asset = _read(tmp_path, "behavior_700005_2025-01-01_00-00-00",
                  "behavior_700004_2025-01-02_00-00-00", subject=subject,
                  start="2025-01-01T00:00:00")  # fmt: skip
    assert (asset.acquisition_name, asset.name) == (acquisition, name)
    (problem,) = _find_contradictions(asset)
    assert "700005_2025-01-01_00-00-00" in problem
    assert "700004_2025-01-02_00-00-00" in problem


def test_names_that_agree(tmp_path: Path) -> None:
    """The platform, its case, and steps make no other acquisition."""
    asset = _read(tmp_path, "smartspim_1_2023-01-26_10-45-12_a_2024-01-01_00-00-00",
                  "SmartSPIM_1_2023-01-26_10-45-12", start="2020-01-01T00:00:00Z")  # fmt: skip
    assert asset.acquisition_name == "1_2023-01-26_10-45-12"
    assert _find_contradictions(asset) == []


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("behavior", "behavior_3_2025-01-01_00-00-00", "behavior_3_2025-01-01_00-00-00"),
        ("behavior_3_2025-01-01_00-00-00", "mine", "behavior_3_2025-01-01_00-00-00"),
        ("behavior_3_2025-01-01_00-00-00", None, "behavior_3_2025-01-01_00-00-00"),
        ("3_2025-01-01_00-00-00_nwb", "3_2025-01-01_00-00-00_n_2025-02-01_00-00-00",
         "3_2025-01-01_00-00-00_n_2025-02-01_00-00-00"),
        ("3_2025-01-01_00-00-00", "3_2025-01-01_00-00-00_n_2025-02-01_00-00-00",
         "3_2025-01-01_00-00-00_n_2025-02-01_00-00-00"),
        ("3_2025-01-01_00-00-00_n_2025-02-01_00-00-00", "3_2025-01-01_00-00-00",
         "3_2025-01-01_00-00-00_n_2025-02-01_00-00-00"),
        ("3_2025-01-01_00-00-00_n_2025-02-01_00-00-00", "3_2025-01-01_00-00-00_m_2025-02-02_00-00-00",
         "3_2025-01-01_00-00-00_n_2025-02-01_00-00-00"),
        ("3_2025-13-45_99-99-99", "3_2025-01-01_00-00-00", "3_2025-01-01_00-00-00"),
    ],
)  # fmt: skip
def test_the_name_of_an_asset(tmp_path: Path, folder: str, name: str | None, expected: str) -> None:
    """The folder's where it is whole, but for a mount that is named for the acquisition alone."""
    level = "derived" if name is not None and "_n_" in name else "raw"
    asset = _read(tmp_path, folder, name, level=level)
    assert (asset.name, asset.described_name) == (expected, name)
    assert asset.acquisition_name == "3_2025-01-01_00-00-00"
    assert _find_contradictions(asset) == []


def test_the_folder_behind_a_link(tmp_path: Path) -> None:
    """A link may have any name: the folder behind it tells, also against an older description."""
    asset = _read(tmp_path, FOLDER, MIDDAY, start="2025-07-16T20:46:00Z", link="ecephys_session")
    assert (asset.acquisition_name, asset.name) == ("700002_2025-07-16_13-46-00", FOLDER)
    (problem,) = _find_contradictions(asset)
    assert "the name of the folder behind the link" in problem


@pytest.mark.parametrize(
    ("text", "in_seattle"),
    [
        ("2025-03-09T09:59:59Z", "2025-03-09 01:59:59"),
        ("2025-03-09T10:00:00Z", "2025-03-09 03:00:00"),
        ("2025-11-02T08:59:59Z", "2025-11-02 01:59:59"),
        ("2025-11-02T09:00:00Z", "2025-11-02 01:00:00"),
        ("2023-03-12T10:00:00+00:00", "2023-03-12 03:00:00"),
        ("2024-01-01T00:00:00+0900", "2023-12-31 07:00:00"),
        ("2024-07-01T00:00:00-05:00", "2024-06-30 22:00:00"),
    ],
)
def test_the_clock_in_seattle(text: str, in_seattle: str) -> None:
    """Summer time begins on the second Sunday of March and ends on the first of November."""
    assert str(read_start(text)[1]) == in_seattle


@pytest.mark.parametrize("text", [None, "", "x", "2025-02-30T00:00:00", "2025-01-01T25:00:00Z"])
def test_no_start(text: str | None) -> None:
    """What is no time is no start."""
    assert read_start(text) == []
