"""What a file is follows from its fields: every form of the schema is known, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aind_capsule.provenance.data_process import draft_data_process
from aind_capsule.provenance.data_process_v1 import draft_data_process_v1
from aind_capsule.provenance.model.record_kinds import is_data_process, is_processing
from aind_capsule.provenance.schema import find_process_types
from tests.conftest import ROOT
from tests.provenance.runs import RUN

ASSETS = ROOT.parent / "shared" / "assets"
START = {"start_date_time": "2026-01-02T03:04:05Z"}
VERSION_2 = {"process_type": "Other", "code": {"url": "u"}, **START}
VERSION_1 = {"name": "Other", "code_url": "u", "parameters": {}, **START}
VERSION_0 = {"name": "Other", "version": "1", "input_location": "/data", **START}
PROCESSES = [VERSION_2, VERSION_1, VERSION_0]


@pytest.mark.parametrize("content", PROCESSES)
def test_every_form_of_a_process(content: dict[str, Any]) -> None:
    """Each version's record is one; without any of the fields that mark it, it is none."""
    assert is_data_process(content)
    assert not is_processing(content)
    for name in set(content) - {"parameters"}:
        rest = {key: value for key, value in content.items() if key != name}
        assert is_data_process(rest) == (content is VERSION_0 and name in ("version", "input_location"))  # fmt: skip
        if name not in ("version", "input_location", "code_url"):
            assert not is_data_process({**content, name: None})


def test_what_we_write_ourselves() -> None:
    """The records that runs write, in both versions, are recognised."""
    for draft in (draft_data_process(RUN, find_process_types()), draft_data_process_v1(RUN)):
        assert is_data_process(json.loads(json.dumps(draft.content, default=str)))


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        ({"data_processes": PROCESSES, "pipelines": []}, True),
        ({"data_processes": [VERSION_0], "pipeline_url": "u"}, True),
        ({"processing_pipeline": {"data_processes": [VERSION_1], "processor_full_name": "A"}}, True),
        ({"processing_pipeline": {"data_processes": []}, "analyses": []}, True),
        ({"data_processes": []}, True),
        ({"data_processes": [[VERSION_1]]}, True),
        ({"data_processes": ["torn", VERSION_2]}, True),
        ({"data_processes": ["torn"]}, False),
        ({"data_processes": [{}]}, False),
        ({"data_processes": None}, False),
        ({"data_processes": {"a": VERSION_2}}, False),
        ({"data_processes": [], "processing_pipeline": {"data_processes": 3}}, False),
        ({"processing_pipeline": {}}, False),
        ({"processing_pipeline": []}, False),
        ({"processing": "done"}, False),
        ({}, False),
        ([VERSION_2], False),
        (None, False),
    ],
)  # fmt: skip
def test_every_form_of_a_list(content: object, *, is_one: bool) -> None:
    """A list of processes is a Processing, also an empty one; a list of anything else is none."""
    assert is_processing(content) == is_one
    assert not is_data_process(content)


@pytest.mark.skipif(not ASSETS.is_dir(), reason="the real assets are not here")
def test_real_files() -> None:
    """Real `processing.json` files of both versions are recognised, and no other metadata file."""
    for path in sorted(ASSETS.glob("*/*.json")):
        content = json.loads(path.read_text())
        assert is_processing(content) == (path.name == "processing.json"), path
        assert not is_data_process(content)
