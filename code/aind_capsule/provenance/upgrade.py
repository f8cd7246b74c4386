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


def _describe_input(path: str) -> dict[str, str]:
    return {
        "object_type": "Data asset",
        "name": os.path.basename(path.rstrip("/")) or path,
        "url": path,
    }
