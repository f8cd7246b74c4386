"""The pipeline's name, version and url, said by different ones: put together, or said to be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aind_capsule.provenance.pipelines import Pipeline
from tests.provenance.folders import ID_A, ID_B, collect_all, write_json, write_run
from tests.provenance.test_same_step import RECORD

URL = "https://example.org/ephys"


def _collect(root: Path, pipeline: Pipeline) -> tuple[list[Any], list[str]]:
    collected = collect_all(root, pipeline=pipeline)
    pipelines = collected.processing.get("pipelines", [])
    said = [(entry["name"], entry.get("version"), entry["url"]) for entry in pipelines]
    return said, collected.warnings


@pytest.mark.parametrize(
    ("of_run", "of_collector"),
    [
        ({"version": "2", "url": URL}, Pipeline(name="ephys")),
        ({"name": "ephys"}, Pipeline(version="2", url=URL)),
        ({"name": "ephys", "version": "2"}, Pipeline(url=URL)),
        ({"name": "ephys", "url": URL}, Pipeline(name="ephys", version="2")),
    ],
)
def test_put_together(tmp_path: Path, of_run: dict[str, str], of_collector: Pipeline) -> None:
    """What the runs and the one who collects know of the one pipeline is one entry, and all of it."""
    write_run(tmp_path, ID_A, "first", pipeline=of_run)
    assert _collect(tmp_path, of_collector) == ([("ephys", "2", URL)], [])


def test_without_a_name(tmp_path: Path) -> None:
    """A version and a url of a pipeline without a name: the name alone is missing."""
    write_run(tmp_path, ID_A, "first", pipeline={"version": "2"})
    said, (warning,) = _collect(tmp_path, Pipeline(url=URL))
    assert said == []
    assert "set PIPELINE_NAME where" in warning


def test_upstream_is_another_pipeline(tmp_path: Path) -> None:
    """An upstream asset's pipeline lends its name to nobody; nor does one of two names."""
    write_run(tmp_path, ID_A, "first", pipeline={"version": "2"})
    upstream = {"name": "upstream", "url": "u", "version": "1"}
    write_json(tmp_path / "processing.json", {"data_processes": [RECORD], "pipelines": [upstream]})
    said, (warning,) = _collect(tmp_path, Pipeline())
    assert said == [("upstream", "1", "u")]
    assert "set PIPELINE_NAME where" in warning
    write_run(tmp_path, ID_B, "second", pipeline={"name": "a", "url": URL})
    said, (warning,) = _collect(tmp_path, Pipeline(name="b"))
    assert {("a", None, URL), ("b", None, "unknown")} <= set(said)
    assert "set PIPELINE_NAME where" in warning
