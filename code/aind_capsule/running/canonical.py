"""The canonical record, and `run.json`: what a run was, in one record and in one file."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from aind_capsule.records.merge import MACHINE_FIELDS, rename_taken
from aind_capsule.records.schema import BY_NAME
from aind_capsule.records.timestamps import US_PER_S, format_timestamp
from aind_capsule.running.additions import Additions
from aind_capsule.running.outcome import Ended, Outcome
from aind_capsule.running.preparing.run_facts import RunFacts
from aind_capsule.settings.model import Settings
from aind_capsule.version import __version__

#: Of the canonical record; `message` has its place further on.
_NOT_COPIED = frozenset({"level", "message", "seq"})
#: What `run.json` has beside the fields of the canonical record.
_RUN_JSON_FIELDS = frozenset(
    {
        "format", "pipeline", "provenance", "ended_at", "command", "folders", "files", "inputs",
        "parents", "upstream", "environment", "artifacts", "notes", "steps", "data_process",
        "delivery", "carried_metadata",
    }
)  # fmt: skip


def build_canonical(
    facts: RunFacts,
    outcome: Outcome,
    ended: Ended | None,
    *,
    now_us: int,
    found: Mapping[str, Any],
    results: Mapping[str, int],
    counts: Mapping[str, int],
    lost: Mapping[str, int],
    undelivered: Mapping[str, int],
    oom_kills: int,
    resources: Mapping[str, Any],
    additions: Additions,
    taken: Collection[str],
    upload: Mapping[str, Any] = MappingProxyType({}),
    lost_output: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """The canonical record without what every record bears; unknown values are left out.

    Args:
        found: What is known of the inputs and the code (`InputsReader.found`).
        results: `results_files` and `results_bytes`.
        counts: Records by level.
        lost: Records that could not be kept, by cause.
        undelivered: Records that have not reached a destination yet, by destination.
        resources: Peaks of what the processing used, where samples were taken.
        additions: What the processing has said of the run.
        taken: What every record of the run bears.
        upload: How the upload of the results went.
        lost_output: Bytes of the processing's output that could not be passed on, by stream.
    """
    record = {
        "level": outcome.level,
        "message": f"{facts.process_name} {_describe_end(outcome)}",
        "event_type": outcome.event_type,
        "status": outcome.status,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "error_type": outcome.error_type,
        "error_message": outcome.error_message,
        "other_failures": outcome.other_failures or None,
        "started_at": format_timestamp(facts.started_us),
        "duration_s": (now_us - facts.started_us) / US_PER_S,
        "input_assets": [entry["name"] for entry in found.get("inputs", ())] or None,
        **{name: value for name, value in found.get("identity", {}).items() if name != "problems"},
        "code": found.get("code"),
        "inputs_bytes": found.get("inputs_bytes"),
        **results,
        "max_rss_bytes": ended.max_rss_bytes or None if ended else None,
        "cpu_s": round(ended.cpu_s, 3) if ended else None,
        "oom_kills": oom_kills or None,
        "upload": dict(upload) or None,
        "resources": dict(resources) or None,
        "records": {level: count for level, count in counts.items() if count},
        "lost_records": dict(lost) or None,
        "lost_output_bytes": dict(lost_output) or None,
        "undelivered_records": dict(undelivered) or None,
    }
    own = additions.describe(facts.parameters, {*record, *taken, *MACHINE_FIELDS})
    return {name: value for name, value in {**record, **own}.items() if value is not None}


def _describe_end(outcome: Outcome) -> str:
    if outcome.status == "success":
        return "finished"
    if outcome.status == "stopped":
        return f"was stopped by {outcome.signal}" if outcome.signal else "was stopped"
    message = f"failed: {outcome.error_message}" if outcome.error_message else "failed"
    others = outcome.other_failures
    return f"{message} (and {others} more)" if others else message


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
        found: `inputs`, `parents`, `upstream`, `inputs_bytes`, as far as they are known.
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
        "parents": found.get("parents", []),
        "upstream": found.get("upstream", []),
        "environment": {
            "run_mode": facts.run_mode,
            "platform_ids": dict(facts.platform_ids),
            "pipeline_task": facts.pipeline_task,
            "machine": dict(facts.machine),
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
    people = settings.experimenters or ((settings.user_id,) if settings.user_id else ())
    told = {name: getattr(given, name) for name in given.__slots__ if name != "carry_metadata"}
    told["experimenters"] = list(people) or None
    return {name: value for name, value in told.items() if value is not None}
