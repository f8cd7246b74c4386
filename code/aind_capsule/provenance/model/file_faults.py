"""What a `processing.json` says as a whole and cannot be taken: each with its field and value.

What its steps say is looked at where these are made (`salvage`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aind_capsule.provenance.model.processing_file import find_processes
from aind_capsule.provenance.run_facts import read_table, read_text
from aind_capsule.provenance.salvage import describe_refused

_TEXTS = ("notes", "pipeline_url", "pipeline_version")
_TEXTS_OF_PIPELINE = (*_TEXTS, "note", "processor_full_name")
_TEXTS_OF_CODE = ("name", "url", "version")
_OF_SCHEMA = frozenset({"object_type", "describedBy", "schema_version", "data_processes"})
_FIELDS = _OF_SCHEMA.union(
    _TEXTS, ("processing_pipeline", "analyses", "pipelines", "dependency_graph")
)
_FIELDS_OF_PIPELINE = _OF_SCHEMA.union(_TEXTS_OF_PIPELINE)
_MAY_BE_NUMBER = "pipeline_version"


def find_file_faults(processing: Mapping[str, Any]) -> list[str]:
    """Return a description of each value that has a wrong type, or names no step.

    >>> find_file_faults({"notes": ["a"], "pipelines": [3]})
    ['notes: ["a"] (it is no text)', 'pipelines.0: 3 (it is no object)']
    """
    faults = [
        *_find_other_than_text(processing, "", _TEXTS),
        *_find_other_than(Mapping, processing, "processing_pipeline", "it is no object"),
        *_find_faults_of_graph(processing),
        *_find_other_than(list, processing, "pipelines", "it is no list"),
    ]
    faults += _find_unknown(processing, "", _FIELDS)
    table = read_table(processing, "processing_pipeline")
    faults += _find_unknown(table, "processing_pipeline.", _FIELDS_OF_PIPELINE)
    faults += _find_other_than_text(table, "processing_pipeline.", _TEXTS_OF_PIPELINE)
    listed = processing.get("pipelines")
    for number, entry in enumerate(listed if isinstance(listed, list) else []):
        place = f"pipelines.{number}"
        if not isinstance(entry, Mapping):
            faults.append(describe_refused(place, entry, "it is no object"))
        elif read_text(entry, "name") is None:
            faults.append(describe_refused(place, entry, "it has no name"))
        else:
            faults += _find_other_than_text(entry, f"{place}.", _TEXTS_OF_CODE)
    return faults


def _find_unknown(table: Mapping[str, Any], place: str, known: frozenset[str]) -> Iterator[str]:
    for name in table.keys() - known:
        if table[name] not in (None, "", [], {}):
            yield describe_refused(f"{place}{name}", table[name], "no field of the schema")


def _find_faults_of_graph(processing: Mapping[str, Any]) -> Iterator[str]:
    yield from _find_other_than(Mapping, processing, "dependency_graph", "it is no object")
    names = {
        name
        for process in find_processes(processing)
        if isinstance(process.content, Mapping)
        and (name := read_text(process.content, "name")) is not None
    }
    why = "no step of the file has this name"
    for name, parents in read_table(processing, "dependency_graph").items():
        if name not in names:
            yield describe_refused(f"dependency_graph.{name}", parents, why)
            continue
        if parents is not None and not isinstance(parents, list):
            yield describe_refused(f"dependency_graph.{name}", parents, "it is no list")
        for parent in parents if isinstance(parents, list) else []:
            if not isinstance(parent, str):
                yield describe_refused(f"dependency_graph.{name}", parent, "it is no text")
            elif parent not in names:
                yield describe_refused(f"dependency_graph.{name}", parent, why)


def _find_other_than(kind: type, table: Mapping[str, Any], name: str, why: str) -> Iterator[str]:
    value = table.get(name)
    if value is not None and not isinstance(value, kind):
        yield describe_refused(name, value, why)


def _find_other_than_text(
    table: Mapping[str, Any], place: str, names: tuple[str, ...]
) -> Iterator[str]:
    for name in names:
        value = table.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is None or isinstance(value, str) or (is_number and name == _MAY_BE_NUMBER):
            continue
        yield describe_refused(f"{place}{name}", value, "it is no text")
