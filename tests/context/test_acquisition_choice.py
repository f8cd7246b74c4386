"""Which acquisition an asset is of, where its names disagree."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path

import pytest

from aind_capsule.context.acquisition_choice import find_seattle_offset
from aind_capsule.context.assets import DataAsset, read_asset


def read(root: Path, folder: str, name: str | None, start: str | None, subject: str) -> DataAsset:
    """An asset whose folder and description have these names."""
    path = root / folder
    path.mkdir()
    description = {"schema_version": "1.0.0", "data_level": "raw", "modality": ["x"]}
    files = {
        "subject": {"subject_id": subject},
        "session": {"rig_id": "r", **({"session_start_time": start} if start else {})},
        "data_description": {**description, **({"name": name} if name else {})},
        "rig": {"rig_id": "r"},
    }
    for file, content in files.items():
        (path / f"{file}.json").write_text(json.dumps(content))
    return read_asset(str(path), [f"{file}.json" for file in files])


FOLDER, DESCRIBED = "1_2023-01-26_10-45-12", "1_2023-01-31_08-23-09"


@pytest.mark.parametrize(
    ("start", "right"),
    [
        ("2023-01-26T10:45:01", FOLDER),
        ("2023-01-26 18:45:01+00:00", FOLDER),
        ("2023-01-26T10:45:01-0800", FOLDER),
        ("2023-01-31T16:23:00.123456Z", DESCRIBED),
        ("2023-01-31T08:23:00", DESCRIBED),
        (None, FOLDER),
        ("yesterday", FOLDER),
        ("2023-02-30T10:00:00Z", FOLDER),
    ],
)
def test_the_name_that_is_nearer_to_the_start(
    tmp_path: Path, start: str | None, right: str
) -> None:
    """Of two names of one subject the nearer to the start counts, else the folder's; it is said."""
    asset = read(tmp_path, f"SmartSPIM_{FOLDER}", f"smartspim_{DESCRIBED}", start, "1")
    assert asset.acquisition_name == right
    (problem,) = (text for text in asset.problems if "was taken" in text)
    assert FOLDER in problem
    assert DESCRIBED in problem
    assert f"{right!r} was taken" in problem


def test_an_hour_of_daylight_time(tmp_path: Path) -> None:
    """In July a clock in Seattle is seven hours behind UTC."""
    folder, described = "im_2_2025-07-16_13-46-00", "im_2_2025-07-16_14-46-00"
    asset = read(tmp_path, folder, described, "2025-07-16T20:46:00Z", "2")
    assert asset.acquisition_name == "2_2025-07-16_13-46-00"


@pytest.mark.parametrize(
    ("folder", "name", "subject", "right"),
    [
        ("behavior", "behavior_3_2025-01-01_00-00-00", "3", "3_2025-01-01_00-00-00"),
        ("behavior_3_2025-01-01_00-00-00", "behavior", "3", "3_2025-01-01_00-00-00"),
        ("behavior_5_2025-01-01_00-00-00", "behavior_4_2025-01-02_00-00-00", "4", "4_2025-01-02_00-00-00"),
        ("SmartSPIM_6_2025-01-01_00-00-00", "smartspim_6_2025-01-01_00-00-00", "6", "6_2025-01-01_00-00-00"),
    ],
)  # fmt: skip
def test_one_name_or_another_subject(
    tmp_path: Path, folder: str, name: str, subject: str, right: str
) -> None:
    """Where only one names an acquisition it counts; of another subject the description does."""
    asset = read(tmp_path, folder, name, None, subject)
    assert asset.acquisition_name == right
    assert any("was taken" in text for text in asset.problems) is (subject == "4")


def test_a_link_that_is_named_by_its_mount(tmp_path: Path) -> None:
    """The name of the folder behind a link is a folder's name as well."""
    read(tmp_path, f"ecephys_{FOLDER}", f"ecephys_{DESCRIBED}", "2023-01-26T10:45:00", "1")
    (tmp_path / "session").symlink_to(tmp_path / f"ecephys_{FOLDER}")
    files = [path.name for path in (tmp_path / "session").iterdir()]
    assert read_asset(str(tmp_path / "session"), files).acquisition_name == FOLDER


def test_the_offset_of_seattle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset is that of the C library, each hour around each change since 2007."""
    monkeypatch.setenv("TZ", "PST8PDT,M3.2.0,M11.1.0")
    time.tzset()
    try:
        for year in range(2007, 2036):
            for month, day in ((3, 7), (10, 31)):
                begin = dt.datetime(year, month, day, tzinfo=dt.timezone.utc)
                for hour in range(24 * 9):
                    utc = begin + dt.timedelta(hours=hour)
                    right = time.localtime(utc.timestamp()).tm_gmtoff
                    assert find_seattle_offset(utc).total_seconds() == right, utc
    finally:
        monkeypatch.undo()
        time.tzset()
