"""The first records of a run's log: that it has started, and what is wrong already."""

from __future__ import annotations

from collections.abc import Sequence

from aind_capsule.records.naming import build_shipping
from aind_capsule.running.files import RunFiles
from aind_capsule.running.journal import Journal
from aind_capsule.running.prepare import Prepared

#: `capsule assets` lists them all.
_MAX_ASSET_PROBLEMS = 10


def write_start(journal: Journal, prepared: Prepared) -> None:
    """Write the log's first record, which says how the log is delivered."""
    facts = prepared.facts
    journal.log(
        "INFO",
        f"{facts.process_name} started",
        event_type="stage_start",
        shipping=build_shipping(
            prepared.fields, prepared.settings.shipping, prepared.redactor.redact_text
        ),
        command=list(facts.command),
        run_mode=facts.run_mode,
    )


def write_problems(
    journal: Journal,
    prepared: Prepared,
    files: RunFiles,
    asset_problems: Sequence[str],
    *,
    is_stale: bool,
) -> None:
    """Write what is wrong before the processing starts.

    Args:
        journal: The run's log.
        prepared: The run.
        files: Its files, which count errors as failures of ours.
        asset_problems: What is wrong with the metadata of the inputs.
        is_stale: Whether the environment names a wrapper that is gone.
    """
    if is_stale:
        message = "CAPSULE_SOCKET names a wrapper that does not answer; this is a new run"
        journal.log("WARNING", message)
    for problem in prepared.problems:
        journal.log(
            "ERROR" if problem.is_error else "WARNING", f"{problem.message}. {problem.hint}"
        )
        if problem.is_error:
            files.failures.append(problem.message)
    for message in asset_problems[:_MAX_ASSET_PROBLEMS]:
        journal.log("WARNING", f"Metadata of {message}")
    if prepared.name_hint is not None:
        journal.log("INFO", prepared.name_hint)
    if prepared.why_not_published is not None:
        journal.log("INFO", f"The log is not put into results: {prepared.why_not_published}")
