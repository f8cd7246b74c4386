"""Recognise a run's canonical record, and a `run.json` that holds one.

The one answer for everything that reads how a run ended. A status alone proves nothing: logs of
other programs have such a field, and so have records of users in logs of older versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.records.schema import BY_NAME, STATUSES
from aind_capsule.records.timestamps import parse_timestamp


def is_canonical(record: Mapping[str, Any]) -> bool:
    """Return whether a record is the one that the wrapper ends a log with.

    These fields are in every canonical record, also in one that was cut to fit.

    >>> ours = {"event_type": "stage_failure", "status": "fail", "records": {},
    ...         "started_at": "2026-01-02T03:04:05.000006Z", "duration_s": 0.5}
    >>> is_canonical(ours), is_canonical({**ours, "status": "success"})
    (True, False)
    >>> is_canonical({"event_type": "stage_complete", "status": "success", "exit_code": 0})
    False
    """
    status = record.get("status")
    event_type = "stage_complete" if status == "success" else "stage_failure"
    return (
        _tells_end(record)
        and record.get("event_type") == event_type
        and isinstance(record.get("records"), Mapping)
    )


def read_canonical(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the wrapper says of a run in its canonical record; empty for any other record.

    Fields of the user's are left out: they may be named as what `run.json` has, such as `ended_at`.
    """
    if not is_canonical(record):
        return {}
    own = {name: value for name, value in record.items() if name in BY_NAME}
    return {**own, "ended_at": record.get("timestamp")}


def holds_canonical(run_json: Mapping[str, Any]) -> bool:
    """Return whether a `run.json` is the version that was written after the canonical record.

    >>> holds_canonical({"status": "success"})
    False
    """
    return _tells_end(run_json) and _is_time(run_json.get("ended_at"))


def _tells_end(fields: Mapping[str, Any]) -> bool:
    duration_s = fields.get("duration_s")
    return (
        fields.get("status") in STATUSES
        and _is_time(fields.get("started_at"))
        and isinstance(duration_s, (int, float))
        and not isinstance(duration_s, bool)
    )


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and parse_timestamp(value) is not None
