"""Whatever lies below the folders: taken, or named with the reason, and never the end of all."""

from __future__ import annotations

import json
import os
from pathlib import Path

from aind_capsule.provenance import gather as module
from aind_capsule.provenance.gather import gather
from tests.provenance.folders import ID_A, collect_all, write_envelope, write_json, write_run
from tests.provenance.test_same_step import RECORD


def test_lone_surrogates(tmp_path: Path) -> None:
    """Half a character in any text of any file: the record is taken, with its escape."""
    torn = "half \ud800"
    write_json(tmp_path / "a_data_process.json", {**RECORD, "name": torn, torn: [torn]})
    write_json(tmp_path / "x_run.json", {"run_id": torn})
    write_run(tmp_path, ID_A, "sort", command=[torn], parameters={torn: torn}, parents=[torn])
    write_envelope(tmp_path, "node", torn, data_process={**RECORD, "notes": torn})
    (tmp_path / os.fsdecode(b"b\xff_data_process.json")).write_text(json.dumps(RECORD))
    write_envelope(tmp_path / os.fsdecode(b"\xfe"), "other", "lost")
    collected = collect_all(tmp_path)
    json.dumps(collected.processing, ensure_ascii=False).encode()
    names = collected.processing["dependency_graph"].keys()
    assert {"half \\ud800", "node", "other", "lost", "Kilosort"} <= names


def test_a_link_to_itself(tmp_path: Path) -> None:
    """It is named, as one that leads nowhere is."""
    for name, target in (
        ("a_data_process.json", "a_data_process.json"),
        ("processing.json", "none"),
    ):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "folder").symlink_to("folder")
    rejected = dict(gather([str(tmp_path)]).rejected)
    assert rejected.keys() == {
        str(tmp_path / "a_data_process.json"),
        str(tmp_path / "processing.json"),
    }


def test_a_node_without_its_version(tmp_path: Path) -> None:
    """What seems to be a record of a node is named; what has nothing of one is somebody else's."""
    write_json(tmp_path / "provenance" / "n.json", {"node": "n", "parents": []})
    write_json(tmp_path / "provenance" / "figure.json", {"width": 3})
    assert [path for path, _ in gather([str(tmp_path)]).rejected] == [
        str(tmp_path / "provenance" / "n.json")
    ]


def test_deep_in_an_asset(tmp_path: Path) -> None:
    """A record far below a data description is found, as long as not too many folders are there."""
    asset = tmp_path / "asset"
    write_json(asset / "data_description.json", {})
    write_json(asset / "a/b/c/d/e/data_process.json", RECORD)
    found = gather([str(tmp_path)])
    assert (len(found.records), found.rejected) == (1, [])
    for number in range(module._MAX_FOLDERS_IN_ASSET + 5):
        (asset / "0" / "1" / f"{number}").mkdir(parents=True)
    found = gather([str(tmp_path)])
    assert found.records == []
    ((path, reason),) = found.rejected
    assert path == str(asset)
    assert "not all of its folders" in reason
