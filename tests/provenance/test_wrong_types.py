"""Records with values of wrong types: no step is lost, nothing ends the collect, all is named."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aind_capsule.provenance.collect import Collected, collect
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.pipelines import Pipeline
from tests.provenance.alterations import VALUES, list_places, put

HAS_ORJSON = importlib.util.find_spec("orjson") is not None

#: Stands for a value that somebody wrote.
WORD = "Quokka"
TIMES = {"start_date_time": "2025-01-02T03:04:05Z", "end_date_time": "2025-01-02T03:05:05Z"}
STEP_2: dict[str, Any] = {
    "object_type": "Data process", "process_type": "Compression", "name": "c", "stage": "Processing",
    "experimenters": ["Ada Ray"], **TIMES, "output_path": "/r", "output_parameters": {"q": 1}, "notes": "n",
    "pipeline_name": "p",
    "code": {
        "url": "u", "name": "n", "version": "1", "language": "Python", "parameters": {"a": [1]},
        "container": {"container_type": "Docker", "tag": "1", "uri": "x"},
        "core_dependency": {"name": "numpy", "version": "1"}, "input_data": [{"object_type": "Data asset", "url": "/data/a"}],
    },
    "resources": {
        "os": "Linux", "architecture": "x86", "cpu_cores": 2, "ram": 1, "ram_unit": "Gigabyte",
        "cpu_usage": [{"timestamp": "2025-01-02T03:04:05", "usage": 3}],
    },
}  # fmt: skip
STEP_1: dict[str, Any] = {
    "name": "Spike sorting", **TIMES, "input_location": ["/data/a"], "output_location": "/r", "code_url": "u",
    "software_version": "1", "code_version": "2", "parameters": {"a": [1]}, "outputs": {"q": 1}, "notes": "n",
    "resources": {"os": "Linux", "architecture": "x86", "cpu_usage": [{"timestamp": "2025-01-02T03:04:05", "usage": 3}]},
}  # fmt: skip
OTHER_1 = {"name": "Ephys curation", **TIMES, "code_url": "u", "parameters": {}}
FILES: dict[str, dict[str, Any]] = {
    "version 2": {
        "object_type": "Processing", "schema_version": "2.0.0", "notes": "n",
        "data_processes": [STEP_2, {**STEP_2, "name": "d"}], "dependency_graph": {"c": [], "d": ["c"]},
        "pipelines": [{"name": "p", "url": "https://example.org/p", "version": "1"}],
    },
    "version 1": {
        "schema_version": "1.1.4", "notes": "n",
        "processing_pipeline": {
            "processor_full_name": "Ada Ray", "pipeline_url": "https://example.org/p", "pipeline_version": "1",
            "note": "m", "data_processes": [STEP_1, [OTHER_1]],
        },
        "analyses": [{**STEP_1, "name": "Analysis", "analyst_full_name": "Bo Lin", "description": "d"}],
    },
    "version 0": {
        "schema_version": "0.1.0", "pipeline_url": "https://example.org/p", "pipeline_version": "1",
        "data_processes": [{**STEP_1, "version": "3"}, OTHER_1],
    },
}  # fmt: skip


def take(folder: Path, content: dict[str, Any] | str) -> Collected:
    """Collect one file."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "processing.json").write_text(text)
    return collect(gather([str(folder)]), Pipeline())


ALL = [(form, place) for form in FILES for place in list_places(FILES[form])]
#: What holds the steps themselves: with another value there are none.
TABLES = {"data_processes", "processing_pipeline", "analyses"}


def check(folder: Path, form: str, place: tuple[Any, ...], value: Any) -> None:
    """Collect a file that is wrong at one place: it is valid, and all other steps are there."""
    found = take(folder, put(FILES[form], place, value))
    told = json.dumps(found.processing, allow_nan=False) + "".join(found.warnings)
    assert "<class" not in told
    is_step = isinstance(place[-1], int) and place[-2] in TABLES
    if not (is_step or place[-1] in TABLES or place[-2:] == ("data_processes", 1)):
        steps = 3 if form == "version 1" else 2
        assert len(found.processing["data_processes"]) >= steps - (place[-2:-1] == (1,))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(ALL), st.sampled_from(sorted(VALUES)))
def test_any_value_at_any_place(tmp_path: Path, where: tuple[str, Any], kind: str) -> None:
    """Whatever stands at whatever place, nothing raises, and the result is valid."""
    check(tmp_path, *where, VALUES[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", VALUES)
def test_each_value_at_each_place(tmp_path: Path, kind: str) -> None:
    """The same at all places."""
    for where in ALL:
        check(tmp_path, *where, VALUES[kind])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resources": 1}, "resources: 1"),
        ({"code": 1}, "code: 1"),
        ({"code": True}, "code: true"),
        ({"code": {"url": "u", "container": 1}}, "code.container: 1"),
        ({"code": {"url": "u", "core_dependency": True}}, "code.core_dependency: true"),
        pytest.param(
            {"code": {"url": "u", "parameters": {"a": 10**400}}}, 'code.parameters: {"a":"1000',
            marks=pytest.mark.skipif(not HAS_ORJSON, reason="json itself writes numbers of any size"),
        ),
        ({"resources": {"os": "L", "architecture": "x", "cpu_usage": [1]}}, '"cpu_usage":[1]}'),
        ({"process_type": "nodenoising"}, 'process_type: "nodenoising" (no process type of the schema)'),
        ({"name": 5}, "name: 5 (it is no text)"),
        ({"notes": ["a"]}, 'notes: ["a"]'),
    ],
)  # fmt: skip
def test_a_value_that_is_refused_is_named(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    """It is in the notes and on stderr with field and value; nothing else of the step is lost."""
    found = take(tmp_path, {"data_processes": [{**STEP_2, **fields}]})
    (step,) = found.processing["data_processes"]
    assert said in step["notes"]
    assert any(said in warning for warning in found.warnings)
    kept = {"experimenters", "output_path", "output_parameters", "resources"} - fields.keys()
    full = take(tmp_path, {"data_processes": [STEP_2]}).processing["data_processes"][0]
    assert {name: step[name] for name in kept} == {name: full[name] for name in kept}


def test_two_values_of_wrong_types(tmp_path: Path) -> None:
    """Of several that the schema stumbles over each is found, and the rest stays."""
    code = {**STEP_2["code"], "container": 1, "core_dependency": [3]}
    found = take(tmp_path, {"data_processes": [{**STEP_2, "resources": 7, "code": code}]})
    (step,) = found.processing["data_processes"]
    assert step["code"]["parameters"] == {"a": [1]}
    assert step["output_parameters"] == {"q": 1}
    for said in ("resources: 7", "code.container: 1", "code.core_dependency: [3]"):
        assert said in step["notes"]


@pytest.mark.parametrize("levels", [256, 301, 900, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_one_value_that_is_nested_too_deeply(tmp_path: Path, levels: int, brackets: str) -> None:
    """It costs its field, which is named, and neither the rest of its step nor of its file."""
    opening = brackets[0] if brackets == "[]" else '{"a":'
    deep = '{"b":' + opening * levels + "1" + brackets[1] * levels + "}"
    for content in (FILES["version 1"], FILES["version 2"]):
        text = json.dumps(content).replace('{"a": [1]}', deep, 1)
        found = take(tmp_path, text)
        same = take(tmp_path, content)
        steps, expected = (each.processing["data_processes"] for each in (found, same))
        assert [step["name"] for step in steps] == [step["name"] for step in expected]
        changed = [step for step, other in zip(steps, expected, strict=True) if step != other]
        assert len(changed) == 1
        assert "code.parameters: {" in changed[0]["notes"]
        assert bool(found.rejected) == (levels > 290)


def test_a_value_that_is_nested_as_deeply_as_the_schema_takes(tmp_path: Path) -> None:
    """It stays whole."""
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    content = put(FILES["version 2"], ("data_processes", 0, "code", "parameters"), {"a": deep})
    found = take(tmp_path, content)
    assert found.processing["data_processes"][0]["code"]["parameters"] == {"a": deep}


def test_numbers_that_json_cannot_hold(tmp_path: Path) -> None:
    """NaN and Infinity stay as text where any value may stand, and are named where a number must."""
    step = {**STEP_2, "output_parameters": {"q": [float("nan"), float("-inf")]}}
    step["resources"] = {**STEP_2["resources"], "ram": float("nan")}
    found = take(tmp_path, {"data_processes": [step]})
    (taken,) = found.processing["data_processes"]
    assert taken["output_parameters"] == {"q": ["NaN", "-Infinity"]}
    assert '"ram":"NaN"' in taken["notes"]


@pytest.mark.parametrize("name", ["processing.json", "data_description.json", "x-run.json"])
def test_a_folder_with_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    """It is named, and what is in it is found."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "processing.json").write_text(json.dumps(FILES["version 1"]))
    found = gather([str(tmp_path)])
    assert found.rejected == [(str(tmp_path / name), "it is a folder, not a file")]
    assert len(found.processings) == 1


def list_said_places() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield where a value of somebody stands, and not one that the schema writes itself."""
    for form, place in ALL:
        if place[-1] not in ("object_type", "schema_version"):
            yield form, place


@pytest.mark.slow
@pytest.mark.parametrize("value", [WORD, [WORD], {"x": WORD}], ids=["text", "list", "object"])
def test_nothing_vanishes(tmp_path: Path, value: Any) -> None:
    """What stands at whatever place is in the result, or is named."""
    lost = []
    for form, place in list_said_places():
        found = take(tmp_path, put(FILES[form], place, value))
        if WORD not in json.dumps([found.processing, found.warnings]):
            lost.append((form, place))
    assert lost == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"notes": 5}, "notes: 5 (it is no text)"),
        ({"pipelines": 5}, "pipelines: 5 (it is no list)"),
        ({"pipelines": [5]}, "pipelines.0: 5 (it is no object)"),
        ({"pipelines": [{"url": "u"}]}, 'pipelines.0: {"url":"u"} (it has no name)'),
        ({"pipelines": [{"name": "p", "url": True}]}, "pipelines.0.url: true (it is no text)"),
        ({"pipelines": [{"name": "p", "version": 1.5}]}, "pipelines.0.version: 1.5 (it is no text)"),
        ({"dependency_graph": 5}, "dependency_graph: 5 (it is no object)"),
        ({"dependency_graph": {"c": 5}}, "dependency_graph.c: 5 (it is no list)"),
        ({"dependency_graph": {"c": [5]}}, "dependency_graph.c: 5 (it is no text)"),
        ({"dependency_graph": {"c": ["x"]}}, 'dependency_graph.c: "x" (no step of the file has this name)'),
        ({"dependency_graph": {"x": ["c"]}}, 'dependency_graph.x: ["c"] (no step of the file has this name)'),
        ({"strange": 5}, "strange: 5 (no field of the schema)"),
        ({"processing_pipeline": 5}, "processing_pipeline: 5 (it is no object)"),
        ({"processing_pipeline": {"note": 5}}, "processing_pipeline.note: 5 (it is no text)"),
        ({"processing_pipeline": {"strange": 5}}, "processing_pipeline.strange: 5 (no field of the schema)"),
        ({"pipeline_version": [5]}, "pipeline_version: [5] (it is no text)"),
    ],
)  # fmt: skip
def test_what_a_file_says_as_a_whole_and_is_refused(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    """It is in the notes of the result and on stderr, with field and value."""
    found = take(tmp_path, {"data_processes": [STEP_2, {**STEP_2, "name": "d"}], **fields})
    assert f"Not taken of a processing.json: {said}" in found.processing["notes"].splitlines()
    assert [said in warning for warning in found.warnings].count(True) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"pipeline_version": 5},
        {"pipelines": [{"name": "p", "url": "u", "version": "1.5"}]},
        {"dependency_graph": {"c": None, "d": ["c"]}, "notes": None, "strange": None},
    ],
)
def test_what_a_file_says_and_is_taken(tmp_path: Path, fields: dict[str, Any]) -> None:
    """A version may be a number, and null is nothing: neither is named."""
    found = take(tmp_path, {"data_processes": [STEP_2, {**STEP_2, "name": "d"}], **fields})
    assert "Not taken" not in found.processing["notes"]
    assert not any("could not be taken" in warning for warning in found.warnings)
