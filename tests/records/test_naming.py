"""Names of runs and their files, and the labels of a log."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records.naming import build_shipping, make_file_stem, make_run_id
from aind_capsule.settings.groups import ShippingSettings

RUN_ID = "20260101T000000-0123abcd"


def test_run_ids() -> None:
    """A run's id is its start in UTC and eight hexadecimal digits, and no two are the same."""
    assert make_run_id(0).startswith("19700101T000000-")
    made = {make_run_id(1_700_000_000) for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"20231114T221320-[0-9a-f]{8}", run_id) for run_id in made)


@given(st.text())
def test_stems_are_safe_names(process_name: str) -> None:
    """Whatever the process is called, its files have names that any file system and glob can take."""
    stem = make_file_stem(process_name, RUN_ID, in_pipeline=False)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}-" + RUN_ID, stem)
    assert make_file_stem(process_name, RUN_ID, in_pipeline=True) == RUN_ID


@pytest.mark.parametrize(
    "fields", [{}, {"process_name": "qc"}, {"process_name": "qc", "pipeline_name": "p"}]
)
def test_labels(fields: dict[str, str]) -> None:
    """A log's labels are its process and pipeline where they are known, and always a service."""
    shipping = build_shipping(fields)
    assert shipping["labels"] == {"service_name": fields.get("process_name", "capsule"), **fields}
    assert (shipping["v"], shipping["max_line"]) == (1, 256 * 1024)
    assert "run_id" in shipping["metadata"]


@given(
    fields=st.dictionaries(st.text(max_size=10), st.text(max_size=30) | st.integers() | st.none(), max_size=6),
    labels=st.lists(st.text(min_size=1, max_size=3000), max_size=12),
)  # fmt: skip
def test_labels_are_legal(fields: dict, labels: list[str]) -> None:
    """Whatever the fields and the setting say: names as Loki takes them, values that are not too long."""
    given_labels = tuple(label for label in labels if label.partition("=")[0].strip())
    built = build_shipping(fields, ShippingSettings(labels=given_labels))
    for name, value in built["labels"].items():
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
        assert name.strip("_")
        assert 0 < len(value.encode("utf-8", "surrogatepass")) <= 2048
    assert "service_name" in built["labels"]
    assert len(built["labels"]) <= 13


def test_labels_of_the_settings() -> None:
    """Fields that are there, fixed ones, and a service of the user's own; nothing empty."""
    settings = ShippingSettings(
        labels=("process_name", "site=AIND", "rig_id", "my.label=x", "service_name=lab")
    )
    labels = build_shipping({"process_name": "qc"}, settings)["labels"]
    assert labels == {"service_name": "lab", "process_name": "qc", "site": "AIND", "my_label": "x"}
