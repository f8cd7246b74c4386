"""Records of aind-data-schema 0 and 1 in the form of version 2.

By hand, and not by aind-metadata-upgrader: that one converts whole assets, raises where one field
of one step is unusable, and loses inputs, software versions and all files of version 0. Here every
step stays, with what can be taken of it (`salvage`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from aind_capsule.context.asset_names import parse_asset_name
from aind_capsule.provenance.data_process import OTHER, drop_unknown
from aind_capsule.provenance.process_types import read_process_type
from aind_capsule.provenance.run_facts import (
    UNKNOWN,
    clean_keys,
    read_commit,
    read_table,
    read_text,
)

_OLD_FIELDS = frozenset(
    {"code_url", "code_version", "software_version", "version", "input_location", "output_location"}
)
#: Fields of the schema itself, which say nothing of the step.
_OF_SCHEMA = frozenset({"object_type", "describedBy", "schema_version"})
_TAKEN = frozenset(
    {"name", "start_date_time", "end_date_time", "parameters", "outputs", "notes", "resources",
     "description", "analyst_full_name"}
) | _OLD_FIELDS  # fmt: skip


def is_old_process(process: Mapping[str, Any], *, is_file_old: bool = False) -> bool:
    """Return whether a record is of version 0 or 1.

    Args:
        process: The record.
        is_file_old: Whether it stands in a file of that version.
    """
    if process.keys() & {"process_type", "code"}:
        return False
    return is_file_old or not _OLD_FIELDS.isdisjoint(process)


def upgrade_data_process(
    process: Mapping[str, Any],
    types: Collection[str],
    person: str | None = None,
    *,
    is_analysis: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record of version 0 or 1 in the form of version 2.

    Args:
        process: The record.
        types: The process types of version 2.
        person: Who is responsible, as its `processing.json` says.
        is_analysis: Whether it stands in the `analyses` of its file.

    Returns:
        The record, and the fields that could not be brought over, with their values.
    """
    fields = _Fields(process)
    name = fields.take_text("name")
    kind = read_process_type(name or "", types)
    notes = [fields.take_text("description")] if is_analysis else []
    notes.append(fields.take_text("notes"))
    software, code_version = fields.take_text("software_version"), fields.take_text("code_version")
    oldest = fields.take_text("version")
    if software is not None and code_version not in (None, software):
        notes.append(f"Software version: {software}")
    output = fields.take_text("output_location")
    if output is not None and "://" in output:  # the schema takes paths there, and would break it
        notes.append(f"Output location: {output}")
        output = None
    if not is_analysis:
        notes.append(fields.take_text("description"))
    person = fields.take_text("analyst_full_name") or person
    parameters, outputs = fields.take_table("parameters"), fields.take_table("outputs")
    code = {
        "object_type": "Code",
        "url": fields.take_text("code_url") or UNKNOWN,
        "version": code_version or software or oldest,
        "commit_hash": read_commit({"commit": code_version}),
        "parameters": clean_keys(parameters) or None,
        "input_data": [_describe_input(path) for path in fields.take_texts("input_location")]
        or None,
    }
    upgraded = {
        "object_type": "Data process",
        "process_type": kind or OTHER,
        "name": name,
        "stage": "Analysis" if is_analysis or kind == "Analysis" else "Processing",
        "code": drop_unknown(code),
        "experimenters": [person] if person else [],
        "start_date_time": process.get("start_date_time"),
        "end_date_time": process.get("end_date_time"),
        "output_path": output,
        "output_parameters": clean_keys(outputs) or None,
        "notes": "\n".join(filter(None, notes)) or None,
        "resources": process.get("resources"),
    }
    return drop_unknown(upgraded), fields.refused


class _Fields:
    """The fields of an old record; what is of another type than it should be is kept apart.

    Args:
        process: The record.
    """

    def __init__(self, process: Mapping[str, Any]) -> None:
        self._process = process
        #: Name and value of all that has no place in the form of version 2.
        self.refused = {
            name: value
            for name, value in process.items()
            if name not in _TAKEN | _OF_SCHEMA and value not in (None, "", [], {})
        }

    def take_text(self, name: str) -> str | None:
        """Take a text; a number is one as well."""
        value = self._process.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        if value is not None and not isinstance(value, str):
            self.refused[name] = value
        return read_text(self._process, name)

    def take_table(self, name: str) -> Mapping[str, Any]:
        """Take an object."""
        value = self._process.get(name)
        if value not in (None, "") and not isinstance(value, Mapping):
            self.refused[name] = value
        return read_table(self._process, name)

    def take_texts(self, name: str) -> list[str]:
        """Take a text, or a list of some."""
        value = self._process.get(name)
        listed = value if isinstance(value, list) else [value]
        texts = [entry.strip() for entry in listed if isinstance(entry, str) and entry.strip()]
        others = [entry for entry in listed if entry is not None and not isinstance(entry, str)]
        if others:
            self.refused[name] = others if isinstance(value, list) else value
        return texts


def _describe_input(path: str) -> dict[str, str]:
    """An input as the schema's `DataAsset`; it is named where its path holds an asset's name."""
    parts = re.split(r"[/\\]", path)
    names = [part for part in parts if parse_asset_name(part) is not None]
    return {
        "object_type": "Data asset",
        **({"name": names[-1]} if names else {}),
        "url": path,
    }
