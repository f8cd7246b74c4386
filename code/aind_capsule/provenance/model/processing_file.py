"""What a `processing.json` of any version of aind-data-schema holds: processes, pipeline, notes.

Version 0 has `data_processes` at the top, version 1 in `processing_pipeline`, some files at both
places and in lists of lists; `analyses` of version 1 are processes as well. Seen in the records of
the tests of aind-metadata-upgrader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.provenance.run_facts import read_table, read_text

_PLACEHOLDERS = frozenset({"unknown", "none", "n/a", "na", "undefined", "tbd", "not known"})
_NO_NAME = "Processing Pipeline"


@dataclass(frozen=True, slots=True)
class FoundProcess:
    """One process as its file has it.

    Attributes:
        content: What stands there; of a damaged file it may be no object.
        person: Who is responsible, where the file says that once for all.
        is_analysis: Whether it stands in the `analyses` of version 1.
        is_old: Whether the file is of version 0 or 1.
        pipeline: The pipeline that its file says it is of: `name`, `url`, `version`.
    """

    content: Any
    person: str | None = None
    is_analysis: bool = False
    is_old: bool = False
    pipeline: Mapping[str, Any] = field(default_factory=dict)


def find_processes(processing: Mapping[str, Any]) -> Iterator[FoundProcess]:
    """Yield all processes of a file, in their order."""
    table = read_table(processing, "processing_pipeline")
    is_old = is_old_processing(processing)
    pipeline = find_old_pipeline(processing) or {}
    listed: dict[str, Mapping[str, Any]] = {
        entry["name"]: entry
        for entry in reversed(list(_flatten(processing.get("pipelines"))))
        if isinstance(entry, Mapping) and read_text(entry, "name")
    }
    person = read_person(table, "processor_full_name")
    for content in _flatten(processing.get("data_processes")):
        name = read_text(content, "pipeline_name") if isinstance(content, Mapping) else None
        own = listed.get(name, {}) if name else pipeline
        yield FoundProcess(content, is_old=is_old, pipeline=own)
    for content in _flatten(table.get("data_processes")):
        yield FoundProcess(content, person, is_old=is_old, pipeline=pipeline)
    for content in _flatten(processing.get("analyses")):
        inside = content.get("data_processes") if isinstance(content, Mapping) else None
        for inner in [content] if inside is None else _flatten(inside):
            analyst = read_person(inner, "analyst_full_name") or read_person(
                content, "analyst_full_name"
            )
            yield FoundProcess(inner, analyst, is_analysis=True, is_old=is_old)


def is_old_processing(processing: Mapping[str, Any]) -> bool:
    """Return whether a file is of version 0 or 1.

    >>> is_old_processing({"processing_pipeline": {}}), is_old_processing({"data_processes": []})
    (True, False)
    """
    version = read_text(processing, "schema_version") or ""
    old = ("processing_pipeline", "analyses", "pipeline_url", "pipeline_version")
    return version.startswith(("0.", "1.")) or any(name in processing for name in old)


def find_old_pipeline(processing: Mapping[str, Any]) -> dict[str, str] | None:
    """Return what an old file says of its pipeline: `name`, and `url` and `version` as known.

    Its name is the last part of the address, without `.git`.

    >>> find_old_pipeline({"pipeline_url": "https://example.org/p.git", "pipeline_version": "0.3"})
    {'name': 'p', 'url': 'https://example.org/p.git', 'version': '0.3'}
    """
    table = read_table(processing, "processing_pipeline")
    found = {}
    for name in ("url", "version"):
        value = next(
            (
                text
                for place in (table, processing)
                if (text := _read_known(place, f"pipeline_{name}"))
            ),
            None,
        )
        if value is not None:
            found[name] = value
    if not found:
        return None
    last = found.get("url", "").rstrip("/").rpartition("/")[2].removesuffix(".git")
    return {"name": last or _NO_NAME, **found}


def find_notes(processing: Mapping[str, Any]) -> list[str]:
    """Return the notes of a file as a whole."""
    table = read_table(processing, "processing_pipeline")
    places = ((processing, "notes"), (table, "note"), (table, "notes"))
    return [text for place, name in places if (text := read_text(place, name))]


def read_person(table: Any, name: str) -> str | None:
    """Return a person's name; a word for nobody is none."""
    return _read_known(table, name) if isinstance(table, Mapping) else None


def _read_known(table: Mapping[str, Any], name: str) -> str | None:
    value = table.get(name)
    text = (
        str(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else read_text(table, name)
    )
    return None if text is None or text.casefold() in _PLACEHOLDERS else text


def _flatten(value: Any) -> Iterator[Any]:
    """Yield the entries of lists in lists, to any depth; what is no list is one entry."""
    waiting = [value] if value is not None else []
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, list):
            waiting += reversed(entry)
        else:
            yield entry
