"""Names of runs and their files, and how a log is labelled by every destination."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

#: One line of a log is at most this long, its own fields included.
MAX_LINE_BYTES = 256 * 1024

#: How the names of logs end.
LOG_SUFFIX = ".log.jsonl"

_RUN_ID = "00000000T000000-00000000"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
#: Labels of the log in Loki, by the record fields that they come from: few, and with few values.
_LABELS = {"pipeline_name": "pipeline_name", "process_name": "process_name"}
#: Fields that destinations may index beside the line.
_METADATA = (
    "level", "run_id", "event_type", "subject_id", "acquisition_name", "specimen_id",
    "instrument_id", "rig_id", "capsule_id", "computation_id", "pipeline_id", "experiment_id",
)  # fmt: skip


def make_run_id(now_s: float | None = None) -> str:
    """A new run's id: `YYYYMMDDTHHMMSS-<8 hex digits>`, UTC."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_s))}-{os.urandom(4).hex()}"


def is_run_id(name: str) -> bool:
    """Whether a name is a run's id.

    >>> is_run_id("20260101T000000-0123abcd"), is_run_id("20260101-0123abcd")
    (True, False)
    """
    marks = (name[8:9], name[15:16], len(name)) == ("T", "-", len(_RUN_ID))
    return marks and (name[:8] + name[9:15]).isdecimal() and name[16:].isalnum()


def make_file_stem(process_name: str, run_id: str, *, in_pipeline: bool) -> str:
    """How the names of a run's files begin; unique to the run.

    >>> make_file_stem("QC (v2)", "20260101T000000-0123abcd", in_pipeline=False)
    'QC_v2_-20260101T000000-0123abcd'
    """
    if in_pipeline:
        return run_id
    return f"{_UNSAFE.sub('_', process_name).lstrip('.')[:80] or 'capsule'}-{run_id}"


def build_shipping(fields: Mapping[str, Any]) -> dict[str, Any]:
    """How every destination labels the log: settled once, in the log's first record."""
    labels = {label: fields[name] for label, name in _LABELS.items() if name in fields}
    service = fields.get("process_name", "capsule")
    return {
        "v": 1,
        "labels": {"service_name": service, **labels},
        "metadata": list(_METADATA),
        "max_line": MAX_LINE_BYTES,
    }
