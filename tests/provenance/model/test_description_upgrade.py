"""Descriptions of versions 0 and 1 in the form of version 2."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from aind_data_schema.core.data_description import DataDescription

from aind_capsule.provenance.model.description_upgrade import (
    UpgradedDescription,
    upgrade_description,
)

_ORCID = {"name": "Open Researcher and Contributor ID", "abbreviation": "ORCID"}
OLD: dict[str, Any] = {
    "schema_version": "0.10.0", "name": "ecephys_M1_2024-01-01_10-00-00", "subject_id": "M1",
    "creation_date": "2024-01-01", "creation_time": "10:00:00", "data_level": "raw data",
    "institution": "AIND", "project_name": "Foraging",
    "modality": [{"name": "Scanned line projection imaging", "abbreviation": "slap"}],
    "investigators": [{"name": " Ada Ray", "registry": _ORCID,
                       "registry_identifier": "0000-0001-2345-6789"}],
    "funding_source": [{"funder": {"name": "Simons Foundation", "abbreviation": None},
                        "grant_number": "G1", "fundee": "Ada Ray, Bo Lin"}],
}  # fmt: skip


@pytest.fixture(params=["UTC", "America/Los_Angeles"], autouse=True)
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _upgrade(**changed: Any) -> tuple[UpgradedDescription, DataDescription]:
    """An upgraded description and what the schema takes of it; `...` leaves a member out."""
    old = {name: value for name, value in {**OLD, **changed}.items() if value is not ...}
    upgraded = upgrade_description(old)
    return upgraded, DataDescription.model_validate(upgraded.content)


def test_all_members() -> None:
    """Every member of an old description, in the words of version 2, and nothing was filled."""
    upgraded, valid = _upgrade()
    content = valid.model_dump(mode="json")
    assert upgraded.gaps == ()
    assert content["data_level"] == "raw"
    assert content["creation_time"].startswith("2024-01-01T10:00:00")
    assert content["institution"]["abbreviation"] == "AIND"
    assert [modality["abbreviation"] for modality in content["modalities"]] == ["slap2"]
    (person,) = content["investigators"]
    assert (person["name"], person["registry_identifier"]) == ("Ada Ray", "0000-0001-2345-6789")
    (source,) = content["funding_source"]
    assert (source["funder"]["name"], source["grant_number"]) == ("Simons Foundation", "G1")
    assert [person["name"] for person in source["fundee"]] == ["Ada Ray", "Bo Lin"]
    assert content["source_data"] is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"creation_time": "2023-05-11T19-29-48-07:00"}, "2023-05-11T19:29:48-07:00"),
        ({"creation_time": "2023-05-11,19:29:48"}, "2023-05-11T19:29:48Z"),
        ({"creation_time": "2023-05-11 19:29:48.5"}, "2023-05-11T19:29:48.5Z"),
        ({"creation_time": "19-29-48"}, "2024-01-01T19:29:48Z"),
        ({"creation_time": "19:29:48-05:00"}, "2024-01-01T19:29:48-05:00"),
        ({"creation_time": ..., "creation_date": "2023-05-11"}, "2023-05-11"),
        ({"creation_time": "2023-02-30T00:00:00"}, "2024-01-01T10:00:00Z"),
        ({"creation_time": ..., "creation_date": ...}, "2024-01-01T10:00:00Z"),
        ({"creation_time": ["x"], "creation_date": 1}, "2024-01-01T10:00:00Z"),
    ],
)
def test_times_of_creation(changed: dict[str, Any], expected: str) -> None:
    """Dates and times apart or together, with dashes or a comma; else the time in the name."""
    upgraded, _ = _upgrade(**changed)
    assert upgraded.content["creation_time"] == expected


@pytest.mark.parametrize(
    ("value", "name", "gaps"),
    [
        ("AIBS", "Allen Institute for Brain Science", 0),
        ("Organization.AIND", "Allen Institute for Neural Dynamics", 0),
        (" Allen Institute ", "Allen Institute", 0),
        ({"name": "AIND"}, "Allen Institute for Neural Dynamics", 0),
        ({"name": "?", "abbreviation": "AIND"}, "Allen Institute for Neural Dynamics", 0),
        ("Midwest Optical Systems, Inc.", "Midwest Optical Systems, Inc.", 0),
        (None, "Unknown", 1),
        ("Atlantis", "Unknown", 1),
        (["AIND"], "Unknown", 1),
    ],
)
def test_institutions(value: Any, name: str, gaps: int) -> None:
    """By name or abbreviation; one that the schema does not know is "Unknown", and said."""
    upgraded, valid = _upgrade(institution=value)
    assert valid.institution.name == name
    assert len(upgraded.gaps) == gaps
    assert all(gap.startswith("institution is ") for gap in upgraded.gaps)


@pytest.mark.parametrize(
    ("value", "funders", "gaps"),
    [
        ([{"funder": "Allen Institute, Simons Foundation"}],
         ["Allen Institute", "Simons Foundation"], 0),
        ({"funder": {"name": "Allen Institute"}}, ["Allen Institute"], 0),
        ([{"funder": "AIND"}], ["Allen Institute"], 0),
        ([{"funder": {"name": "Allen Institute for Neural Dynamics"}}], ["Allen Institute"], 0),
        ("NIMH", ["National Institute of Mental Health"], 0),
        ([{"funder": "Midwest Optical Systems, Inc."}], ["Midwest Optical Systems, Inc."], 0),
        ([{"funder": "Atlantis"}, {"funder": "NIMH"}],
         ["Unknown", "National Institute of Mental Health"], 1),
        ([], ["Allen Institute"], 1),
        ([{"grant_number": "G1"}], ["Allen Institute"], 1),
        (None, ["Allen Institute"], 1),
        ([1, None, []], ["Unknown", "Unknown"], 2),
    ],
)  # fmt: skip
def test_funders(value: Any, funders: list[str], gaps: int) -> None:
    """A list, one object or a text; AIND's is the Allen Institute's; what is not known is said."""
    upgraded, valid = _upgrade(funding_source=value)
    assert [source.funder.name for source in valid.funding_source] == funders
    assert len(upgraded.gaps) == gaps
    assert all("fund" in gap for gap in upgraded.gaps)


@pytest.mark.parametrize(
    ("value", "names", "gaps"),
    [
        ("Ada Ray, Bo Lin", ["Ada Ray", "Bo Lin"], 0),
        (["Ada Ray "], ["Ada Ray"], 0),
        ({"name": "Ada Ray"}, ["Ada Ray"], 0),
        ([{"name": ""}, {}, 1, None, "Bo Lin"], ["Bo Lin"], 0),
        ([], ["unknown"], 1),
        (None, ["unknown"], 1),
        (1, ["unknown"], 1),
    ],
)
def test_investigators(value: Any, names: list[str], gaps: int) -> None:
    """People as a list, a text or one object; where nobody is named, "unknown", and said."""
    upgraded, valid = _upgrade(investigators=value)
    assert [person.name for person in valid.investigators] == names
    assert len(upgraded.gaps) == gaps


def test_an_identifier_of_another_registry() -> None:
    """A person's identifier keeps its registry: it is no ORCID where another is named."""
    person = {"name": "Ada Ray", "registry": {"abbreviation": "RRID"}, "registry_identifier": "1"}
    _, valid = _upgrade(investigators=[person])
    assert valid.investigators[0].registry == "Research Resource Identifiers (RRID)"
    _, valid = _upgrade(investigators=[{**person, "registry": None}])
    assert valid.investigators[0].registry == "Open Researcher and Contributor ID (ORCID)"


@pytest.mark.parametrize(
    ("value", "abbreviations", "gaps"),
    [
        ("SmartSPIM", ["SPIM"], 0),
        (["FIP", "HSFP"], ["fib"], 0),
        ([{"abbreviation": "exaSPIM"}, "ophys"], ["SPIM", "pophys"], 0),
        ("Behavior videos", ["behavior-videos"], 0),
        (["name='Behavior' abbreviation='behavior'"], ["behavior"], 0),
        (["name='Behavior' abbreviation="], [], 1),
        (["ecephys", "telepathy"], ["ecephys"], 1),
        ([], [], 1),
        (None, [], 1),
        ([1, {}], [], 2),
    ],
)
def test_modalities(value: Any, abbreviations: list[str], gaps: int) -> None:
    """By name or abbreviation, old ones too; what the schema does not know is left out and said."""
    upgraded, valid = _upgrade(modality=value)
    assert [modality.abbreviation for modality in valid.modalities] == abbreviations
    assert len(upgraded.gaps) == gaps


@pytest.mark.parametrize(
    ("changed", "expected", "gaps"),
    [
        ({"data_level": "Derived data"}, {"data_level": "derived"}, 0),
        ({"data_level": "derived", "input_data_name": "a"}, {"source_data": ["a"]}, 0),
        ({"input_data_name": "a"}, {"source_data": None}, 0),
        ({"group": "Molecular Anatomy"}, {"group": "MSMA"}, 0),
        ({"group": "Ephys"}, {"group": "ephys"}, 0),
        ({"group": "astronomy"}, {"group": None}, 1),
        ({"project_name": None}, {"project_name": "unknown"}, 1),
        ({"project_name": "a/b"}, {"project_name": "a-b"}, 1),
        ({"subject_id": 700001}, {"subject_id": "700001"}, 0),
    ],
)
def test_what_else_is_put_right(
    changed: dict[str, Any], expected: dict[str, Any], gaps: int
) -> None:
    """Level, source, group, project and subject, as the schema takes them."""
    upgraded, valid = _upgrade(**changed)
    for name, value in expected.items():
        assert getattr(valid, name) == value
    assert len(upgraded.gaps) == gaps


@pytest.mark.parametrize("name", sorted(OLD))
@pytest.mark.parametrize("value", [..., None, [], {}, 1, True, "x", [1], {"x": 1}, [[]], [{}]])
def test_nothing_raises(name: str, value: Any) -> None:
    """Whatever stands in a member, there is a description of it."""
    old = {key: inner for key, inner in {**OLD, name: value}.items() if inner is not ...}
    assert upgrade_description(old).content["object_type"] == "Data description"
