"""Which of a run's inputs are data assets, and by which names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aind_capsule.running.inputs import find_data_assets, find_inputs, find_upstream
from aind_capsule.running.preparing.data_assets import name_data_assets
from tests.context.trees import write_tree

RAW = "ecephys_1_2024-01-02_03-04-05"
DERIVED = f"{RAW}_sorted_2024-02-01_00-00-00"
RUN_ID = "20260102T030405-0123abcd"
DESCRIBED = json.dumps({"name": RAW, "subject_id": "1"})
RUN = json.dumps({"run_id": RUN_ID})


def _name(data: Path, *, is_task: bool = False) -> list[str]:
    """The names of a data folder's assets, as a run lists them."""
    folder = str(data)
    named = name_data_assets(
        folder,
        list(find_inputs(folder)),
        find_data_assets(folder),
        is_task=is_task,
        handed_on=find_upstream(folder)["handed_on"],
    )
    return [row["name"] for row in named]


@pytest.mark.parametrize(
    ("files", "alone", "in_a_task"),
    [
        ({"ecephys_session/data_description.json": DESCRIBED}, [RAW], [RAW]),
        ({f"{DERIVED}/x.bin": ""}, [DERIVED], [DERIVED]),
        ({f"mount/{DERIVED}/": "", "mount/b/data_description.json": DESCRIBED},
         [RAW, DERIVED], [RAW, DERIVED]),
        ({"a/data_description.json": DESCRIBED, "b/data_description.json": DESCRIBED}, [RAW], [RAW]),
        ({"data_description.json": DESCRIBED, "x.bin": "", "folder/": ""}, [RAW], [RAW]),
        ({"data_description.json": DESCRIBED, "other/data_description.json": "{}"},
         [RAW, "other"], [RAW]),
        ({"atlas/": "", "x.nwb": "", ".hidden/": ""}, ["atlas", "x.nwb"], []),
        ({"mount/subject.json": "{}"}, ["mount"], []),
        ({f"{RUN_ID}.run.json": RUN, "out.csv": "", "folder/": "", f"{RAW}/": ""}, [RAW], [RAW]),
        ({f"before/{RUN_ID}.run.json": RUN, "before/subject.json": "{}", "atlas/": ""},
         ["atlas"], []),
        ({f"before/{RUN_ID}.run.json": RUN, "before/data_description.json": DESCRIBED},
         [RAW], [RAW]),
        ({"before/other.run.json": "{}"}, ["before"], []),
        ({}, [], []),
    ],
)  # fmt: skip
def test_names(
    tmp_path: Path, files: dict[str, str], alone: list[str], in_a_task: list[str]
) -> None:
    """Assets by their own names; what a capsule before has left is no asset, nor is its folder."""
    data = write_tree(tmp_path / "data", files)
    assert sorted(_name(data)) == sorted(alone)
    assert sorted(_name(data, is_task=True)) == sorted(in_a_task)


def test_paths_are_resolved(tmp_path: Path) -> None:
    """Each asset has the path of its real folder, by which others find it."""
    data = write_tree(tmp_path, {"data/": "", f"disk/{RAW}/": ""}) / "data"
    (data / "session").symlink_to(tmp_path / "disk" / RAW)
    folder = str(data)
    named = name_data_assets(folder, [{"name": "session"}], find_data_assets(folder), is_task=True)
    assert named == [{"name": RAW, "path": str(tmp_path / "disk" / RAW)}]
