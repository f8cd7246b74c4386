"""A run's `…_data_process.json`, made after its canonical record by a Python of its own.

aind-data-schema is slow to import, may be broken by what is installed beside it, and is none of the
run's business: nothing of it is imported here, and it gets little time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from aind_capsule.records.naming import find_run_id
from aind_capsule.running.inputs import walk_files
from aind_capsule.running.own_python import ask_own_python
from aind_capsule.running.run_folder import SUFFIXES, RunFolder

_LIMIT_S = 20.0
#: After a stop, in all, so that copies and delivery have their time; and at least.
_STOPPED_END_S = 6.5
_STOPPED_LIMIT_S = 3.0
_SEARCH_S = 5.0
_STOPPED_SEARCH_S = 1.0
_LOOK_EVERY = 1000
#: A larger file is not read, and stands for no record.
_MAX_RECORD_BYTES = 64 * 1024 * 1024


def make_data_process(
    folder: RunFolder,
    results: str,
    must_hurry: Callable[[float], bool],
    *,
    needs_schema: bool,
    stopped_s_ago: float | None,
) -> dict[str, Any]:
    """Make a run's record of its `run.json`, which is there.

    Args:
        folder: The run's.
        results: Where the processing may have written one itself.
        must_hurry: Waits for so many seconds, or less; returns whether to stop waiting.
        needs_schema: Whether aind-data-schema must be there.
        stopped_s_ago: Since when the run has been asked to stop, or None: then time is short.

    Returns:
        For `run.json`: `file`, `gaps`, or `withheld_for` or `problem` and `hint`.
    """
    target = folder.get_file("provenance")
    search_s = _SEARCH_S if stopped_s_ago is None else _STOPPED_SEARCH_S
    try:
        own = find_own_record(results, search_s, must_hurry)
    except TimeoutError:
        problem = (
            f"whether the processing has written one itself was not found out in {search_s:g} s"
        )
        return {"problem": problem, "hint": "capsule provenance collect makes it of run.json"}
    if own is not None:
        return {"withheld_for": own}
    if needs_schema and not _has_schema():
        hint = "pip install 'aind-capsule[metadata]' where capsule is installed"
        return {"problem": "aind-data-schema is not installed", "hint": hint}
    words = [folder.get_file("run"), target]
    if not os.path.exists(words[0]):
        return {"problem": "run.json, of which it is made, could not be written"}
    limit_s = _LIMIT_S
    if stopped_s_ago is not None:
        limit_s = max(_STOPPED_LIMIT_S, _STOPPED_END_S - stopped_s_ago)
    told = ask_own_python("aind_capsule.provenance", words, limit_s, must_hurry)
    return told if "problem" in told else {"file": os.path.basename(target), **told}


def _has_schema() -> bool:
    import importlib.util  # not before the processing has ended

    return importlib.util.find_spec("aind_data_schema") is not None


def find_own_record(
    results: str, limit_s: float, must_hurry: Callable[[float], bool]
) -> str | None:
    """Find the record that the processing has written itself: collectors take no second one.

    A name alone makes no record: the file must hold a `DataProcess` or a `Processing`.

    Raises:
        TimeoutError: There are so many files that it was not found out in time.
    """
    deadline = time.monotonic() + limit_s
    looked_at = 0

    def look() -> None:
        nonlocal looked_at
        looked_at += 1
        if looked_at % _LOOK_EVERY == 0 and (time.monotonic() > deadline or must_hurry(0.0)):
            raise TimeoutError

    for path, _ in walk_files(results, at_folder=look):
        name = os.path.basename(path)
        is_process = name.endswith(".json") and "data_process" in name and not _is_of_a_run(name)
        if is_process or name.endswith("processing.json"):
            if time.monotonic() > deadline:
                raise TimeoutError
            if _is_record(path):
                return os.path.relpath(path, results)
        look()
    return None


def _is_record(path: str) -> bool:
    from aind_capsule.context.files import UnusableFileError, read_json_object
    from aind_capsule.provenance.model.record_kinds import is_data_process, is_processing

    try:
        content = read_json_object(path, _MAX_RECORD_BYTES)
    except (OSError, UnusableFileError):  # nobody who collects can take it either
        return False
    return is_data_process(content) or is_processing(content)


def _is_of_a_run(name: str) -> bool:
    """Ours, of an earlier run into the same results, or of one upstream that was handed on."""
    return find_run_id(name.removesuffix(SUFFIXES["provenance"])) is not None


def describe_report(report: dict[str, Any]) -> str | None:
    """Return one sentence for people, or None where all is well."""
    if "withheld_for" in report:
        return f"No data_process.json: the processing has written {report['withheld_for']} itself"
    if "problem" in report:
        return f"No data_process.json: {report['problem']}. {report.get('hint', '')}".rstrip(". ")
    gaps = [f"{gap['what']} (set {gap['setting']})" for gap in report.get("gaps", ())]
    return f"data_process.json lacks {', '.join(gaps)}" if gaps else None
