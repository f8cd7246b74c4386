"""Have the inputs' metadata carried into results, where a setting asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aind_capsule.running.own_python import ask_own_python
from aind_capsule.running.prepare import Prepared, is_writable_folder
from aind_capsule.settings.values import AGREED

_LIMIT_S = 20.0


def carry_metadata(
    prepared: Prepared,
    must_hurry: Callable[[float], bool],
    log: Callable[[str, str], object],
) -> dict[str, Any]:
    """Copy the inputs' metadata into results; returns what `run.json` says of it.

    Args:
        prepared: The run.
        must_hurry: Waits for so many seconds, or less; returns whether to stop waiting.
        log: Logs a message of a level.
    """
    wanted = prepared.settings.provenance.carry_metadata
    folders = prepared.facts.folders
    if wanted is None:
        return {}
    if prepared.settings.results_are_jobs:
        log("WARNING", "No metadata of the input: the results are a list of jobs")
        return {}
    if not is_writable_folder(folders["results"]):
        log("ERROR", f"No metadata of the input: {folders['results']} cannot be written")
        return {}
    words = [folders["data"], folders["results"], *([] if wanted == AGREED else [wanted])]
    report = ask_own_python("aind_capsule.provenance.carry", words, _LIMIT_S, must_hurry)
    for level, message in _describe(report):
        log(level, message)
    return {"carried_metadata": report}


def _describe(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What people are told of it."""
    told = []
    names, sources = ", ".join(report.get("files", ())), ", ".join(report.get("sources", ()))
    if "problem" in report:
        told.append(("ERROR", f"Not all metadata of the input are in results: {report['problem']}"))
    elif not names and not report.get("kept"):
        why = "there are none, or none that all inputs have alike"
        told.append(("WARNING", f"No metadata of the input are in results: {why}"))
    if names:
        told.append(("INFO", f"Copied into results, unchanged: {names} of {sources}"))
    lone = report.get("lone", ())
    disputed = [name for name in report.get("left_out", ()) if name not in lone]
    for left, why in ((disputed, "disagree on it"), (lone, "do not all have it")):
        if left:
            message = f"Not copied into results: {', '.join(left)}: the inputs ({sources}) {why}"
            told.append(("WARNING", f"{message}; provenance.carry_metadata may name one"))
    if report.get("kept"):
        told.append(("INFO", f"The processing's own stays: {', '.join(report['kept'])}"))
    return told
