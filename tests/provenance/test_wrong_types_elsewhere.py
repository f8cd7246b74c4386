"""Runs, records and descriptions with values of wrong types: nothing ends the collect."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.provenance.collect import collect
from aind_capsule.provenance.derived_description import NoSourceError, derive
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.pipelines import Pipeline
from aind_capsule.provenance.schema import InvalidRecordError
from tests.provenance.alterations import VALUES, list_places, put
from tests.provenance.runs import RUN
from tests.provenance.test_wrong_types import STEP_2

DESCRIPTION = {
    "schema_version": "1.0.0", "name": "ecephys_1_2024-01-02_03-04-05", "subject_id": "1",
    "creation_time": "2024-01-02T03:04:05Z", "data_level": "raw", "project_name": "p",
    "institution": {"name": "Allen Institute for Neural Dynamics", "abbreviation": "AIND"},
    "modality": [{"name": "Extracellular electrophysiology", "abbreviation": "ecephys"}],
    "investigators": [{"name": "Ada Ray"}],
    "funding_source": [{"funder": {"name": "Allen Institute"}, "grant_number": "1", "fundee": "Ada Ray"}],
}  # fmt: skip
ENVELOPE = {
    "v": 1, "node": "n1", "parents": ["n0"], "data_process": STEP_2, "experimenters": ["Ada Ray"],
    "pipeline": {"name": "p", "code": {"url": "u", "version": "1"}}, "label": "l",
}  # fmt: skip
PARENT = {"run_id": "20251231T000000-0123abcd", "started_at": "2025-12-31T00:00:00Z"}
FILES: dict[str, dict[str, Any]] = {
    f"sort-{RUN['run_id']}.run.json": {**RUN, "upstream": [PARENT], "parents": [PARENT["run_id"]]},
    "sort_data_process.json": STEP_2,
    "provenance/n1.json": ENVELOPE,
    "data_description.json": DESCRIPTION,
}
ALL = [(name, place) for name in FILES for place in list_places(FILES[name])]


def check(name: str, place: tuple[Any, ...], value: Any) -> None:
    """Collect the four files, of which one is wrong at one place."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "provenance").mkdir()
        for file, content in FILES.items():
            altered = put(content, place, value) if file == name else content
            (Path(folder) / file).write_text(json.dumps(altered))
        found = gather([folder])
        collected = collect(found, Pipeline())
        assert collected.processing["data_processes"]
        json.dumps(collected.processing, allow_nan=False)
        with contextlib.suppress(NoSourceError, InvalidRecordError):
            derive(found.descriptions, collected.runs.values(), "processed", None)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(ALL), st.sampled_from(sorted(VALUES)))
def test_any_value_at_any_place(where: tuple[str, Any], kind: str) -> None:
    """Whatever stands at whatever place of whatever file, nothing raises."""
    check(*where, VALUES[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", VALUES)
def test_each_value_at_each_place(kind: str) -> None:
    """The same at all places."""
    for where in ALL:
        check(*where, VALUES[kind])


@pytest.mark.parametrize("name", ["duration_s", "cpu_s", "max_rss_bytes"])
def test_a_number_that_no_run_can_have(name: str) -> None:
    """It is as if it were not there."""
    check(next(iter(FILES)), (name,), 10**400)
