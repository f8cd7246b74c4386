"""What the log says of files that the processing has removed, moved or written into."""

from __future__ import annotations

import os
from collections import Counter

from aind_capsule.logs.file.kept_folder import Finding
from aind_capsule.records.levels import LEVELS
from aind_capsule.running.journal import Journal


def report_finding(finding: Finding, log: str, journal: Journal) -> None:
    """Say in the log what became of it, and count what is left of it.

    Args:
        finding: What was found out.
        log: The log, where it is now.
        journal: Writes it.
    """
    if finding.is_damaged:
        from aind_capsule.logs.reader import read_log  # few runs come here

        levels = Counter((line.record or {}).get("level") for line in read_log(log))
        journal.counts.update({level: levels[level] for level in LEVELS})
    for message in describe_finding(finding, log):
        journal.log("WARNING", message)


def describe_finding(finding: Finding, log: str) -> list[str]:
    """Return what people are told of it, one sentence each."""
    messages = []
    if finding.is_damaged:
        gone = finding.gone_records
        what = f"{gone} records are lost" if gone > 1 else f"{gone or 'no'} record is lost"
        messages.append(f"The log was truncated or overwritten while the run went on: {what}")
    if finding.is_moved:
        messages.append(
            "The run folder was removed, moved or closed while the run went on; its files are in"
            f" {os.path.dirname(log)} now"
        )
    elif finding.is_restored:
        messages.append("The log was removed while the run went on; it was written anew")
    return messages
