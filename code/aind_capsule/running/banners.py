"""What the two banners around a run say, on the console and in the session file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from aind_capsule.logs.console import format_bytes, format_duration
from aind_capsule.running.outcome import Outcome
from aind_capsule.running.prepare import Prepared, is_missing, is_writable_folder
from aind_capsule.running.views import ConsoleView, SessionView

_TITLES = {"success": "finished", "fail": "failed", "stopped": "stopped"}


def show_start(prepared: Prepared, console: ConsoleView, session: SessionView | None) -> None:
    """The banner before the processing starts."""
    facts, folder = prepared.facts, prepared.run_folder
    rows = [("process", facts.process_name)]
    if facts.settings.pipeline_name:
        rows.append(("pipeline", facts.settings.pipeline_name))
    rows += [
        ("run", facts.run_id),
        *(_describe_missing_results(prepared) or [("results", facts.folders["results"])]),
        ("log", folder.get_file("log") if folder else "none"),
    ]
    rows = _redact(prepared, rows)
    console.show_banner("capsule run", rows)
    if session is not None:
        session.show_banner("capsule run", rows)


def show_end(
    prepared: Prepared,
    outcome: Outcome,
    canonical: Mapping[str, Any],
    console: ConsoleView,
    session: SessionView | None,
) -> None:
    """The banner after the canonical record; the session file ends with it, and is closed."""
    counts = ", ".join(f"{count} {level}" for level, count in canonical["records"].items())
    size = format_bytes(canonical["results_bytes"])
    files = canonical["results_files"]
    results = f"{files} {'file' if files == 1 else 'files'}, {size}"
    rows = [("status", f"{outcome.status} (exit status {outcome.wrapper_status})")]
    if outcome.error_type:
        rows.append(("error", f"{outcome.error_type}: {outcome.error_message}"))
    rows += [
        ("duration", format_duration(canonical["duration_s"])),
        ("records", counts),
        *(_describe_missing_results(prepared) or [("results", results)]),
        ("log", _find_log_afterwards(prepared) or "none"),
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
        session.close()


def _redact(prepared: Prepared, rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, prepared.redactor.redact_text(text)) for name, text in rows]


def _describe_missing_results(prepared: Prepared) -> list[tuple[str, str]]:
    """Return the rows that stand for results where there is no folder for them; else none."""
    results = prepared.facts.folders["results"]
    if not is_missing(results):
        return []
    rows = [("results", f"none (there is no folder {results})")]
    if prepared.run_folder is not None:
        rows.append(("run files", prepared.run_folder.path))
    return rows


def _find_log_afterwards(prepared: Prepared) -> str | None:
    """Where the log is once the run is over: in results where it is copied there."""
    if prepared.run_folder is None:
        return None
    path, results = prepared.run_folder.get_file("log"), prepared.facts.folders["results"]
    if "log" in prepared.run_files and is_writable_folder(results):
        return os.path.join(results, os.path.basename(path))
    return path
