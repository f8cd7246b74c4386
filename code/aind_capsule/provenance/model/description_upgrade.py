"""A `data_description.json` of aind-data-schema 0 and 1 in the form of version 2.

Called by `derived_description`. Nothing here raises for what is in the file. What the schema
demands and the file does not say is filled, and listed as a gap for whoever writes the result.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aind_capsule.provenance.model.controlled_terms import (
    find_modality,
    find_organization,
    find_registry,
)
from aind_capsule.provenance.run_facts import UNKNOWN, read_text

_DERIVED, _RAW = "derived", "raw"
_DEFAULT_FUNDER = "AI"
#: A part of the funder of the same name, which funds nobody.
_OWN_INSTITUTE = "AIND"
_GROUPS = {"molecular anatomy": "MSMA"}
_GROUP_NAMES = ("behavior", "ephys", "MSMA", "ophys", "NBA")
#: The schema refuses these in a project's name.
_REFUSED_IN_PROJECT = re.compile(r'[<>:;"/|?\\_]+')
_TIME_WITH_DASHES = re.compile(r"T(\d\d)-(\d\d)-(\d\d)")
_BARE_TIME = re.compile(r"\d\d[:-]\d\d[:-]\d\d(?!\d)")
_TIME_IN_NAME = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)")
_ZONE = re.compile(r"(?:[Zz]|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True, slots=True)
class UpgradedDescription:
    """A description of version 2.

    Attributes:
        content: The description. The schema may still refuse it.
        gaps: What was filled or left out, and why: one sentence each.
    """

    content: dict[str, Any]
    gaps: tuple[str, ...] = ()


def upgrade_description(old: Mapping[str, Any]) -> UpgradedDescription:
    """Return a data description of version 0 or 1 in the form of version 2."""
    gaps: list[str] = []
    name = read_text(old, "name")
    content: dict[str, Any] = {
        "object_type": "Data description",
        "license": "CC-BY-4.0",
        "subject_id": _read_subject(old),
        "creation_time": _read_creation_time(old, name),
        "name": name,
        "institution": _upgrade_institution(old.get("institution"), gaps),
        "funding_source": _upgrade_funding(old.get("funding_source"), gaps),
        "data_level": _read_level(old),
        "group": _read_group(old, gaps),
        "investigators": _upgrade_investigators(old.get("investigators"), gaps),
        "project_name": _read_project(old, gaps),
        "restrictions": read_text(old, "restrictions"),
        "modalities": _upgrade_modalities(old, gaps),
        "data_summary": read_text(old, "data_summary"),
    }
    source = read_text(old, "input_data_name")
    if source is not None and content["data_level"] != _RAW:  # the schema refuses it in raw data
        content["source_data"] = [source]
    kept = {field: value for field, value in content.items() if value is not None}
    return UpgradedDescription(kept, tuple(gaps))


def _read_subject(old: Mapping[str, Any]) -> str | None:
    value = old.get("subject_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return read_text(old, "subject_id")


def _read_level(old: Mapping[str, Any]) -> str | None:
    text = read_text(old, "data_level")
    level = (text or "").lower()
    return _RAW if "raw" in level else _DERIVED if "deriv" in level else text


def _read_creation_time(old: Mapping[str, Any], name: str | None) -> str | None:
    """Return the time of creation, else the last one in the name.

    One without a zone is taken as UTC: what is derived from it has a time of its own.
    """
    date, text = read_text(old, "creation_date"), read_text(old, "creation_time")
    if date and text and _BARE_TIME.match(text):
        text = f"{date}T{text.replace('-', ':')}" if "-" in text[:8] else f"{date}T{text}"
    text = text or date
    in_name = _TIME_IN_NAME.findall(name or "")
    spelled = [] if text is None else [text]
    spelled += ["{}T{}:{}:{}".format(*found) for found in in_name[-1:]]
    for candidate in spelled:
        normal = candidate.replace(",", "T").replace(" ", "T", 1)
        normal = _TIME_WITH_DASHES.sub(r"T\1:\2:\3", normal)
        if _is_time(normal):
            return normal if _ZONE.search(normal) or "T" not in normal else f"{normal}Z"
    return None


def _is_time(text: str) -> bool:
    seconds = re.sub(r"\.\d+", "", _ZONE.sub("", text)) if "T" in text else text
    try:
        datetime.fromisoformat(seconds)
    except ValueError:
        return False
    return True


def _upgrade_institution(old: Any, gaps: list[str]) -> dict[str, Any] | None:
    found = find_organization(old)
    if found is None:
        said = "not said" if old is None else f"{reprlib.repr(old)}, which the schema does not know"
        gaps.append(f"institution is {said}: filled with 'Unknown'")
        found = find_organization("Unknown")
    return found


def _upgrade_funding(old: Any, gaps: list[str]) -> list[dict[str, Any]]:
    entries = old if isinstance(old, list) else [] if old is None else [old]
    found = [source for entry in entries for source in _upgrade_source(entry, gaps)]
    if not found:
        gaps.append("funding_source is not said: filled with the Allen Institute")
        found = [{"object_type": "Funding", "funder": find_organization(_DEFAULT_FUNDER)}]
    return found


def _upgrade_source(entry: Any, gaps: list[str]) -> Iterable[dict[str, Any]]:
    """Return one source of funding for each funder that an entry names."""
    table = entry if isinstance(entry, Mapping) else {"funder": entry}
    funder = table.get("funder")
    people = _upgrade_people(table.get("fundee"))
    for one in _split_funders(funder):
        organization = find_organization(_DEFAULT_FUNDER if one == _OWN_INSTITUTE else one)
        if organization is None:
            gaps.append(
                f"funder {reprlib.repr(one)} is not known to the schema: replaced by 'Unknown'"
            )
            organization = find_organization("Unknown")
        if organization == find_organization(_OWN_INSTITUTE):
            organization = find_organization(_DEFAULT_FUNDER)
        source: dict[str, Any] = {"object_type": "Funding", "funder": organization}
        if (grant := read_text(table, "grant_number")) is not None:
            source["grant_number"] = grant
        if people:
            source["fundee"] = people
        yield source


def _split_funders(funder: Any) -> list[Any]:
    if not isinstance(funder, str):
        return [] if funder is None else [funder]
    if find_organization(funder) is not None:  # a name may hold a comma itself
        return [funder.strip()]
    return [part.strip() for part in funder.split(",") if part.strip()]


def _upgrade_investigators(old: Any, gaps: list[str]) -> list[dict[str, Any]]:
    people = _upgrade_people(old)
    if not people:
        gaps.append(f"investigators are not said: filled with {UNKNOWN!r}")
        people = [{"object_type": "Person", "name": UNKNOWN}]
    return people


def _upgrade_people(old: Any) -> list[dict[str, Any]]:
    """Return the people in a text with commas, in an object, or in a list of these."""
    listed = old.split(",") if isinstance(old, str) else old if isinstance(old, list) else [old]
    people = []
    for entry in listed:
        table = entry if isinstance(entry, Mapping) else {"name": entry}
        name = read_text(table, "name")
        if name is None:
            continue
        person: dict[str, Any] = {"object_type": "Person", "name": name}
        identifier = read_text(table, "registry_identifier")
        if identifier is not None:
            person["registry_identifier"] = identifier
            registry = find_registry(table.get("registry"))
            if registry is not None:
                person["registry"] = registry
        people.append(person)
    return people


def _read_project(old: Mapping[str, Any], gaps: list[str]) -> str:
    name = read_text(old, "project_name")
    if name is None:
        gaps.append(f"project_name is not said: filled with {UNKNOWN!r}")
        return UNKNOWN
    legal = _REFUSED_IN_PROJECT.sub("-", name)
    if legal != name:
        gaps.append(f"project_name is {name!r}, which the schema refuses: written as {legal!r}")
    return legal


def _read_group(old: Mapping[str, Any], gaps: list[str]) -> str | None:
    text = read_text(old, "group")
    if text is None:
        return None
    group = _GROUPS.get(text.lower(), text)
    for known in _GROUP_NAMES:
        if group.lower() == known.lower():
            return known
    gaps.append(f"group is {text!r}, which the schema does not know: left out")
    return None


def _upgrade_modalities(old: Mapping[str, Any], gaps: list[str]) -> list[dict[str, Any]]:
    said = old.get("modality") or old.get("modalities")
    found = []
    for value in said if isinstance(said, list) else [] if said is None else [said]:
        modality = find_modality(value)
        if modality is None:
            gaps.append(
                f"modality {reprlib.repr(value)} is not known to the schema: it was left out"
            )
        elif modality not in found:
            found.append(modality)
    if not said:
        gaps.append("modality is not said: there is none in the derived description")
    return found
