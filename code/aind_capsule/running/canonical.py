"""The canonical record: what a run was, in one record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from aind_capsule.records.merge import MACHINE_FIELDS
from aind_capsule.records.timestamps import US_PER_S, format_timestamp
from aind_capsule.running.additions import Additions
from aind_capsule.running.outcome import Ended, Outcome
from aind_capsule.running.preparing.run_facts import RunFacts


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
    cut: int,
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
        cut: Records that were too long and were cut.
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
        "cut_records": cut or None,
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
    if outcome.exit_text is not None:
        return f"failed with {outcome.exit_text}"
    message = f"failed: {outcome.error_message}" if outcome.error_message else "failed"
    others = outcome.other_failures
    return f"{message} (and {others} more)" if others else message
