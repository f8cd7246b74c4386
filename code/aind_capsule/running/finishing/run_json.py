"""`run.json`: what a run was, in one file."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

from aind_capsule.records.merge import rename_taken
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.timestamps import format_timestamp
from aind_capsule.running.preparing.run_facts import RunFacts
from aind_capsule.settings.model import Settings
from aind_capsule.version import __version__

#: Of the canonical record; `message` has its place further on.
_NOT_COPIED = frozenset({"level", "message", "seq"})
#: What `run.json` has beside the fields of the canonical record.
_RUN_JSON_FIELDS = frozenset(
    {
        "format", "pipeline", "provenance", "ended_at", "command", "folders", "files", "inputs",
        "data_assets", "parents", "upstream", "environment", "artifacts", "notes", "steps",
        "data_process", "delivery", "carried_metadata",
    }
)  # fmt: skip


def build_run_json(
    facts: RunFacts,
    canonical: Mapping[str, Any] | None,
    *,
    found: Mapping[str, Any],
    processing: Mapping[str, Any],
    files: Mapping[str, str],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """The results log: one machine-readable file for the run.

    Args:
        canonical: The canonical record once there is one; until then the run is `running`.
        found: `inputs`, `data_assets`, `parents`, `upstream`, `inputs_bytes`, as far as known.
        processing: What a Python of the processing told of itself.
        files: The run files' names by kind.
        more: What the processing has said of the run beyond the canonical record.
    """
    settings = facts.settings
    pipeline = {
        "name": settings.pipeline_name,
        "version": settings.pipeline_version,
        "url": settings.pipeline_url,
    }
    told = dict(canonical or {})
    content: dict[str, Any] = {
        "format": 1,
        "run_id": facts.run_id,
        "status": told.pop("status", "running"),
        "process_name": facts.process_name,
        "pipeline": {key: value for key, value in pipeline.items() if value is not None},
        "provenance": _describe_provenance(settings),
        "started_at": format_timestamp(facts.started_us),
        "ended_at": told.pop("timestamp", None),
        "command": list(facts.command),
        "parameters": dict(facts.parameters),
        "folders": dict(facts.folders),
        "files": dict(files),
        **_rename_users(told),
        "message": told.get("message"),
        **more,
        "inputs": found.get("inputs", []),
        "data_assets": found.get("data_assets"),
        "parents": found.get("parents", []),
        "upstream": found.get("upstream", []),
        "environment": {
            "run_mode": facts.run_mode,
            "platform_ids": dict(facts.platform_ids),
            "pipeline_task": facts.pipeline_task,
            "machine": dict(facts.machine),
            **({} if facts.container is None else {"container": dict(facts.container)}),
            "toolkit": {
                "name": "aind-capsule",
                "version": __version__,
                "python": sys.version.split()[0],
            },
            "processing": dict(processing),
            "user": os.getuid() if hasattr(os, "getuid") else None,
        },
    }
    return {key: value for key, value in content.items() if value is not None}


def _rename_users(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the canonical record says; a user's field never takes a place of `run.json`'s."""
    kept = {key: value for key, value in told.items() if key in BY_NAME and key not in _NOT_COPIED}
    users = {key: value for key, value in told.items() if key not in BY_NAME}
    return {**kept, **rename_taken(users, {*kept, *_RUN_JSON_FIELDS})}


def _describe_provenance(settings: Settings) -> dict[str, Any]:
    """What the settings say for the run's `DataProcess`, which may be made later, by others."""
    given = settings.provenance
    names = [member.name for member in dataclasses.fields(given)]
    people = settings.experimenters or ((settings.user_id,) if settings.user_id else ())
    told = {name: getattr(given, name) for name in names if name != "carry_metadata"}
    told["experimenters"] = list(people) or None
    return {name: value for name, value in told.items() if value is not None}
