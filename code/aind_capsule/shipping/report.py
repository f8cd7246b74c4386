"""The push report: what became of a log's records, by destination."""

from __future__ import annotations

from typing import Any

from aind_capsule.logs.positions import Progress
from aind_capsule.logs.reader import read_last_record

_CHUNK_BYTES = 1 << 20
_LONGEST_REASON = 120


def build_report(
    log: str, progress: Progress, address: str, problem: str, set_aside_path: str
) -> dict[str, Any]:
    """One destination's part of the report.

    `delivered` records are there, `owed` ones are not and can be delivered later, `set_aside` ones
    were refused for good. What does not apply is left out.
    """
    row: dict[str, Any] = {
        "address": address,
        "delivered": progress.delivered,
        "owed": count_owed(log, progress),
        "set_aside": progress.set_aside,
    }
    if progress.late:
        row["late"] = progress.late
    if progress.maybe_double:
        row["maybe_double"] = progress.maybe_double
    if progress.set_aside:
        row["set_aside_file"] = set_aside_path
        row["set_aside_reason"] = _read_last_reason(set_aside_path)
    if problem:
        row["problem"] = problem
    return row


def count_owed(log: str, progress: Progress) -> int:
    """Records of a log that are not settled; 0 where the log is gone."""
    try:
        last = read_last_record(log) or {}
        seq, lost = last.get("seq"), last.get("lost_records")
        if isinstance(seq, int):  # records are numbered from 0, without gaps but for these
            gone = lost.get("damaged_log") if isinstance(lost, dict) else 0
            gone = gone if isinstance(gone, int) else 0
            return max(0, seq + 1 - gone - progress.settled)
        count = 0
        with open(log, "rb") as file:
            file.seek(progress.position)
            while chunk := file.read(_CHUNK_BYTES):
                count += chunk.count(b"\n")
    except OSError:
        return 0
    return count


def _read_last_reason(path: str) -> str:
    """Why the last of the lines was set aside, in short: a server may say it of each line."""
    try:
        reason = str((read_last_record(path) or {}).get("reason", ""))
    except OSError:
        return "unknown"
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
