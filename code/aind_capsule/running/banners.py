"""What the two banners around a run say, on the console and in the session file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aind_capsule.logs.console import format_bytes, format_duration
from aind_capsule.running.prepare import Prepared, is_missing
from aind_capsule.running.views import ConsoleView, SessionView

if TYPE_CHECKING:
    from aind_capsule.running.outcome import Outcome

_TITLES = {"success": "finished", "fail": "failed", "stopped": "stopped"}


def show_start(
    prepared: Prepared, console: ConsoleView, session: SessionView | None, log: str | None
) -> None:
    """The banner before the processing starts; `log` is there, or None."""
    facts = prepared.facts
    rows = [("process", facts.process_name)]
    if facts.settings.pipeline_name:
        rows.append(("pipeline", facts.settings.pipeline_name))
    rows += [
        ("run", facts.run_id),
        *(_describe_missing_results(prepared, log) or [("results", facts.folders["results"])]),
        ("log", log or "none"),
    ]
    rows = _redact(prepared, rows)
    console.show_banner("capsule run", rows, time_us=facts.started_us)
    if session is not None:
        session.show_banner("capsule run", rows, time_us=facts.started_us)


def show_end(
    prepared: Prepared,
    outcome: Outcome,
    canonical: Mapping[str, Any],
    console: ConsoleView,
    session: SessionView | None,
    log: str | None,
) -> None:
    """The banner after the canonical record; the session file ends with it; `log` is there."""
    from aind_capsule.running.outcome import UNKNOWN_STATUS  # not before the processing

    counts = ", ".join(f"{count} {level}" for level, count in canonical["records"].items())
    size = format_bytes(canonical["results_bytes"])
    files = canonical["results_files"]
    code = "unknown" if outcome.wrapper_status == UNKNOWN_STATUS else outcome.wrapper_status
    rows = [("status", f"{outcome.status} (exit status {code})")]
    results = f"{files} {'file' if files == 1 else 'files'}, {size}"
    if outcome.error_type:
        rows.append(("error", outcome.reason))
    if outcome.other_failures:
        rows.append(("and", f"{outcome.other_failures} more in other blocks of capsule_run"))
    rows += [
        ("duration", format_duration(canonical["duration_s"])),
        ("records", counts),
        *(_describe_missing_results(prepared, log) or [("results", results)]),
        ("log", log or "none"),
    ]
    if "lost_records" in canonical:
        lost = ", ".join(f"{count} {cause}" for cause, count in canonical["lost_records"].items())
        rows.append(("lost", lost))
    name = canonical.get("process_name", prepared.facts.process_name)
    name = prepared.redactor.redact_text(name)
    title = f"{name} {_TITLES[outcome.status]}"
    rows = _redact(prepared, rows)
    console.show_banner(title, rows, outcome.level)
    if session is not None:
        session.show_banner(title, rows)


def _redact(prepared: Prepared, rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, prepared.redactor.redact_text(text)) for name, text in rows]


def _describe_missing_results(prepared: Prepared, log: str | None) -> list[tuple[str, str]]:
    """Return the rows that stand for results where there is no folder for them; else none."""
    results = prepared.facts.folders["results"]
    if not is_missing(results):
        return []
    rows = [("results", f"none (there is no folder {results})")]
    if log is not None:
        rows.append(("run files", os.path.dirname(log)))
    return rows
