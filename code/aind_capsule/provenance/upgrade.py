"""Records of aind-data-schema 0 and 1 in the form of version 2.

By hand, and not by aind-metadata-upgrader: that one converts whole assets and raises where one
field of one step is unusable; here every step stays, with what can be taken of it (`salvage`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from aind_capsule.provenance.data_process import OTHER, drop_unknown
from aind_capsule.provenance.process_types import read_process_type
from aind_capsule.provenance.run_facts import (
    UNKNOWN,
    clean_keys,
    read_commit,
    read_list,
    read_table,
    read_text,
    read_texts,
)


def is_version_1(process: Mapping[str, Any]) -> bool:
    """Whether a record is of an older form."""
    old = ("code_url", "code_version", "software_version", "input_location", "output_location")
    return not process.keys() & {"process_type", "code"} and any(name in process for name in old)


def upgrade_data_process(
    process: Mapping[str, Any], types: Collection[str], person: str | None = None
) -> dict[str, Any]:
    """A record of version 1 in the form of version 2.

    Args:
        process: The record.
        types: The process types of version 2.
        person: Who is responsible, as its `processing.json` says.
    """
    name = read_text(process, "name") or UNKNOWN
    kind = read_process_type(name, types)
    output, notes = read_text(process, "output_location"), read_text(process, "notes")
    if output is not None and "://" in output:  # the schema takes paths there, and would break it
        notes = "\n".join(filter(None, [notes, f"Output location: {output}"]))
        output = None
    code_version = read_text(process, "code_version")
    commit = read_commit({"commit": code_version})
    one = read_text(process, "input_location")
    inputs = read_texts(process, "input_location") if one is None else [one]
    code = {
        "object_type": "Code",
        "url": read_text(process, "code_url") or UNKNOWN,
        "version": read_text(process, "software_version") or code_version,
        "commit_hash": commit,
        "parameters": clean_keys(read_table(process, "parameters")) or None,
        "input_data": [_describe_input(path) for path in inputs] or None,
    }
    return drop_unknown(
        {
            "object_type": "Data process",
            "process_type": kind or OTHER,
            "name": name,
            "stage": "Analysis" if kind == "Analysis" else "Processing",
            "code": drop_unknown(code),
            "experimenters": [person] if person else [],
            "start_date_time": process.get("start_date_time"),
            "end_date_time": process.get("end_date_time"),
            "output_path": output,
            "output_parameters": clean_keys(read_table(process, "outputs")) or None,
            "notes": notes,
            "resources": process.get("resources"),
        }
    )


def upgrade_description(old: Mapping[str, Any]) -> dict[str, Any]:
    """A data description of version 1 in the form of version 2; what has no place is left out."""
    funding = [entry for entry in read_list(old, "funding_source") if isinstance(entry, Mapping)]
    modalities = old.get("modality")
    content = {
        "object_type": "Data description",
        "license": "CC-BY-4.0",
        "subject_id": read_text(old, "subject_id"),
        "creation_time": old.get("creation_time"),
        "name": read_text(old, "name"),
        "institution": _upgrade_organization(read_table(old, "institution")),
        "funding_source": [_upgrade_funding(entry) for entry in funding],
        "data_level": old.get("data_level"),
        "group": read_text(old, "group"),
        "investigators": _upgrade_people(old.get("investigators")),
        "project_name": read_text(old, "project_name"),
        "restrictions": read_text(old, "restrictions"),
        "modalities": modalities if isinstance(modalities, list) else [modalities],
        "data_summary": read_text(old, "data_summary"),
        "source_data": [read_text(old, "input_data_name")],
    }
    if content["source_data"] == [None]:
        del content["source_data"]
    return {name: value for name, value in content.items() if value is not None}


def _describe_input(path: str) -> dict[str, str]:
    return {
        "object_type": "Data asset",
        "name": os.path.basename(path.rstrip("/")) or path,
        "url": path,
    }


def _upgrade_organization(old: Mapping[str, Any]) -> dict[str, Any]:
    registry = read_table(old, "registry")
    name, short = read_text(registry, "name"), read_text(registry, "abbreviation")
    if name and short:
        return {**old, "registry": f"{name} ({short})"}
    return {key: value for key, value in old.items() if key != "registry"}


def _upgrade_funding(old: Mapping[str, Any]) -> dict[str, Any]:
    people = _upgrade_people(old.get("fundee"))
    return {
        "object_type": "Funding",
        "funder": _upgrade_organization(read_table(old, "funder")),
        "grant_number": read_text(old, "grant_number"),
        **({"fundee": people} if people else {}),
    }


def _upgrade_people(old: Any) -> list[dict[str, Any]]:
    listed = old.split(",") if isinstance(old, str) else old if isinstance(old, list) else []
    names = [
        entry if isinstance(entry, str) else read_text(read_table({"p": entry}, "p"), "name")
        for entry in listed
    ]
    return [{"object_type": "Person", "name": name.strip()} for name in names if name]
