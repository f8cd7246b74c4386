"""Tell by its fields whether a JSON object is a `DataProcess` or a `Processing`, of any version.

Nothing of aind-data-schema is imported: a run asks this at its end, where the schema may be missing
or another. Whether the schema takes the record is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Of versions 0 and 1: one of these is in every record.
_OLD_FIELDS = frozenset(
    {"code_url", "code_version", "software_version", "version", "input_location", "output_location"}
)


def is_data_process(content: Any) -> bool:
    """Return whether a value is one `DataProcess`.

    >>> times = {"start_date_time": "2026-01-02T03:04:05Z"}
    >>> is_data_process({"process_type": "Other", "code": {"url": "u"}, **times})
    True
    >>> is_data_process({"name": "Other", "code_url": "u", **times})
    True
    >>> is_data_process({}), is_data_process({"name": "Other", **times})
    (False, False)
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("start_date_time"), str):
        return False
    if isinstance(content.get("process_type"), str):
        return isinstance(content.get("code"), Mapping)
    return isinstance(content.get("name"), str) and not _OLD_FIELDS.isdisjoint(content)


def is_processing(content: Any) -> bool:
    """Return whether a value is a `Processing`: a list of processes, which may be empty.

    >>> is_processing({"data_processes": []}), is_processing({"processing_pipeline": {}})
    (True, False)
    >>> is_processing({"data_processes": [{"id": 1}]})
    False
    """
    if not isinstance(content, Mapping):
        return False
    pipeline = content.get("processing_pipeline")
    tables = [content, pipeline] if isinstance(pipeline, Mapping) else [content]
    lists = [table["data_processes"] for table in tables if "data_processes" in table]
    if not lists or not all(isinstance(entries, list) for entries in lists):
        return False
    processes = [entry for entries in lists for entry in _flatten(entries)]
    # One that is torn makes no foreign file of it, as long as another is whole.
    return not processes or any(map(is_data_process, processes))


def _flatten(entries: list[Any]) -> list[Any]:
    """Return the entries of lists in lists; some old files have them."""
    flat: list[Any] = []
    waiting = list(entries)
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, list):
            waiting += entry
        else:
            flat.append(entry)
    return flat
