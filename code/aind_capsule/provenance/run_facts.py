"""What a run's `run.json` says, as both forms of the schema want it; and what it does not say.

`run.json` may be of an older toolkit, or damaged by hand: nothing in it is taken on trust.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.provenance.model.code_notes import build_code_notes
from aind_capsule.records.failure_text import describe_failure
from aind_capsule.records.simplify import CUT_MARK
from aind_capsule.records.timestamps import format_timestamp, parse_timestamp

UNKNOWN = "unknown"
GIGABYTE = 10**9
_COMMIT = re.compile(r"[0-9a-fA-F]{7,60}")
_LANGUAGES = {".py": "Python", ".R": "R", ".r": "R", ".m": "MATLAB", ".jl": "Julia", ".sh": "Bash"}
#: Programs that run a script which is named behind them.
_INTERPRETER = re.compile(
    r"(?:python|pypy|R|bash|sh|dash|zsh|julia|env|nextflow|matlab|perl)[\d.]*"
)
_MAX_NOTES_CHARACTERS = 10_000
_LARGEST_NUMBER = 2**63
_ENDS = {
    "fail": "failed",
    "stopped": "was stopped",
    "running": "had not ended yet",
    "lost": "was lost: its wrapper was ended before it could write the end",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is not known.

    Attributes:
        what: What.
        setting: The setting that would tell it.
    """

    what: str
    setting: str


def read_table(run: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """A table inside a run's, by the names that lead to it; empty where there is none."""
    table: Any = run
    for name in names:
        table = table.get(name) if isinstance(table, Mapping) else None
    return table if isinstance(table, Mapping) else {}


def read_text(table: Mapping[str, Any], name: str) -> str | None:
    """A text that is not empty, or None."""
    value = table.get(name)
    return value.strip() if isinstance(value, str) and value.strip() else None


def read_list(table: Mapping[str, Any], name: str) -> list[Any]:
    """A list; empty where there is none."""
    value = table.get(name)
    return value if isinstance(value, list) else []


def read_texts(table: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list that are not empty."""
    return [text for text in read_list(table, name) if isinstance(text, str) and text.strip()]


def read_number(table: Mapping[str, Any], name: str) -> float | None:
    """Return a number that is not negative and that can be reckoned with, or None."""
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value <= _LARGEST_NUMBER else None


def read_times(run: Mapping[str, Any]) -> tuple[str, str | None]:
    """Start and end; the end is None where it is not known, and never before the start.

    Raises:
        ValueError: It is not known when the run started.
    """
    start_us = parse_timestamp(str(run.get("started_at")))
    if start_us is None:
        raise ValueError("it does not say when the run started")
    end_us = parse_timestamp(str(run.get("ended_at")))
    end = None if end_us is None else format_timestamp(max(start_us, end_us))
    return format_timestamp(start_us), end


def read_commit(code: Mapping[str, Any]) -> str | None:
    """The commit, if it is one."""
    commit = read_text(code, "commit") or ""
    return commit if _COMMIT.fullmatch(commit) else None


def find_script(command: Iterable[str]) -> str | None:
    """The script of a command line, where it names one.

    >>> find_script(["python", "-u", "code/run.py", "--x", "1"]), find_script(["./run"])
    ('code/run.py', './run')
    >>> find_script(["bash", "-c", "echo"]), find_script(["python", "-m", "session_qc", "a"])
    (None, 'session_qc')
    """
    words = iter(command)
    for word in words:
        if word == "-m":
            return next(words, None)
        if word == "-c":
            return None
        is_option = word.startswith("-") or "=" in word
        if not is_option and not _INTERPRETER.fullmatch(os.path.basename(word)):
            return word
    return None


def find_language(run: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Programming language and its version, as far as the run tells."""
    processing = read_table(run, "environment", "processing")
    version = read_text(processing, "python") or read_text(processing, "python_version")
    if version is not None:
        return "Python", version.split()[0]
    script = find_script(read_texts(run, "command")) or ""
    return _LANGUAGES.get(os.path.splitext(script)[1]), None


def build_notes(run: Mapping[str, Any], *more: str) -> str | None:
    """Return how the run ended where it did not succeed, what its code is, what it noted.

    Args:
        run: What its `run.json` says.
        more: What this form of the record has no field for.
    """
    notes = [*more]
    status = read_text(run, "status")
    if status != "success":
        message = run.get("error_message")
        is_text = isinstance(message, str) and bool(message.strip())
        reason = describe_failure(read_text(run, "error_type"), message if is_text else None)
        code = run.get("exit_code")
        end = f"The run {_ENDS.get(status or '', 'has an unknown end')}"
        end += f" (exit status {code})" if isinstance(code, int) else ""
        notes.append(f"{end}: {reason}" if reason else end)
    notes += build_code_notes(read_table(run, "code"))
    for note in read_list(run, "notes"):
        text = note.get("text") if isinstance(note, Mapping) else note
        if isinstance(text, str):
            notes.append(text)
    text = "\n".join(notes)
    if len(text) > _MAX_NOTES_CHARACTERS:
        text = text[: _MAX_NOTES_CHARACTERS - len(CUT_MARK)] + CUT_MARK
    return text or None


def describe_resources(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema's `ResourceUsage`: cores and memory that the run might use, and its peaks.

    Usage is in percent of these.
    """
    machine = read_table(run, "environment", "machine")
    system, architecture = read_text(machine, "os"), read_text(machine, "architecture")
    if system is None or architecture is None:
        return None
    resources: dict[str, Any] = {"os": system, "architecture": architecture}
    resources |= _drop_none(
        {"cpu": read_text(machine, "cpu_model"), "gpu": read_text(machine, "gpu")}
    )
    cores = read_number(machine, "usable_cores")
    if cores:
        resources["cpu_cores"] = int(cores)
    total = read_number(machine, "memory_total_bytes")
    usable = read_number(machine, "usable_memory_bytes")
    for name, size in (("system_memory", total), ("ram", usable)):
        if size:
            resources |= {name: round(size / GIGABYTE, 3), f"{name}_unit": "Gigabyte"}
    end_us = parse_timestamp(str(run.get("ended_at")))
    if end_us is None:
        return resources
    end = format_timestamp(end_us)
    peak, cpu_s, took_s = (read_number(run, n) for n in ("max_rss_bytes", "cpu_s", "duration_s"))
    if peak and usable:
        resources["ram_usage"] = [{"timestamp": end, "usage": round(100 * peak / usable, 2)}]
    if cpu_s is not None and took_s and cores:
        usage = round(100 * cpu_s / took_s / cores, 2)
        resources["cpu_usage"] = [{"timestamp": end, "usage": usage}]
    return resources


def clean_keys(value: Any) -> Any:
    """A value whose names hold no `.` and no `$`, which AIND's database cannot ask for.

    >>> clean_keys({"filter.low": 1, "a": [{"$x": 2}]})
    {'filter_low': 1, 'a': [{'_x': 2}]}
    """
    if isinstance(value, Mapping):
        cleaned: dict[str, Any] = {}
        for name, inner in value.items():
            legal = str(name).replace(".", "_").replace("$", "_")
            while legal in cleaned:
                legal += "_"
            cleaned[legal] = clean_keys(inner)
        return cleaned
    return [clean_keys(inner) for inner in value] if isinstance(value, list) else value


def _drop_none(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}
