"""The names of derived assets."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from aind_capsule.errors import UsageError
from aind_capsule.upload.naming import (
    NoNameError,
    build_asset_name,
    check_asset_name,
    find_asset_name,
    find_next_name,
    read_run,
)

NOW = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        (["699847_2024-04-17_12-12-44"], "699847_2024-04-17_12-12-44_qc_2026-03-04_05-06-07"),
        (["ecephys_699847_2024-04-17_12-12-44"], "ecephys_699847_2024-04-17_12-12-44_qc_2026-03-04_05-06-07"),
        (["1_2024-04-17_12-12-44_dlc_face_2024-05-01_00-00-00"], "1_2024-04-17_12-12-44_qc_2026-03-04_05-06-07"),
        (["1_2024-04-17_12-12-44_a_2024-05-01_00-00-00", "1_2024-04-17_12-12-44", "models", "x.json"], "1_2024-04-17_12-12-44_qc_2026-03-04_05-06-07"),
    ],
)  # fmt: skip
def test_a_name_by_the_rule(inputs: list[str], name: str) -> None:
    """The raw input, the label, the time; never a chain of derived ones, and others' folders tell nothing."""
    assert build_asset_name(inputs, "qc", NOW) == name


@pytest.mark.parametrize(
    "inputs", [[], ["models"], ["1_2024-04-17_12-12-44", "2_2024-04-17_12-12-44"]]
)
def test_no_name(inputs: list[str]) -> None:
    """No input, or several: somebody must say it."""
    with pytest.raises(NoNameError) as told:
        build_asset_name(inputs, "qc", NOW)
    assert "--asset-name" in told.value.hint


def test_the_folder_tells(tmp_path: Path) -> None:
    """Its data_description first, then the run that made it."""
    run = {"run_id": "20260101T000000-00000000", "inputs": [{"name": "1_2024-04-17_12-12-44"}]}
    (tmp_path / "x-20260101T000000-00000000.run.json").write_text(json.dumps(run))
    assert find_asset_name(str(tmp_path), read_run(str(tmp_path)), "qc", NOW) == (
        "1_2024-04-17_12-12-44_qc_2026-03-04_05-06-07",
        True,
    )
    own = "7_2024-04-17_12-12-44_sorted_2025-01-01_00-00-00"
    (tmp_path / "data_description.json").write_text(json.dumps({"name": own}))
    assert find_asset_name(str(tmp_path), read_run(str(tmp_path)), "qc", NOW) == (own, False)
    for broken in ("[", "[]", '{"name": 3}', '{"name": "../x"}'):
        (tmp_path / "data_description.json").write_text(broken)
        assert find_asset_name(str(tmp_path), read_run(str(tmp_path)), "qc", NOW)[1]
    (tmp_path / "y.run.json").write_text("{}")
    assert read_run(str(tmp_path)) == {}


def test_the_next_second() -> None:
    """Where a name is taken the next second's is tried; a name without a time has none."""
    assert find_next_name("a_2024-12-31_23-59-59") == "a_2025-01-01_00-00-00"
    assert find_next_name("mine") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", " a", "x" * 257])
def test_names_that_cannot_be(name: str) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(UsageError):
        check_asset_name(name)
