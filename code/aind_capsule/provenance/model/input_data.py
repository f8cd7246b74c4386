"""The data assets that a run has read, as `code.input_data` of its `DataProcess` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.provenance.run_facts import read_list, read_text, read_texts


def list_input_data(run: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the schema's `DataAsset` of each input that is a data asset, by its own name.

    A `run.json` of an older toolkit, or of a run whose inputs were not looked at to the end, lists
    the entries of the data folder only.

    >>> list_input_data({"input_assets": ["mount"], "data_assets": [{"name": "1_2024-01-02"}]})
    [{'object_type': 'Data asset', 'name': '1_2024-01-02'}]
    >>> list_input_data({"input_assets": ["mount"], "data_assets": []})
    []
    >>> list_input_data({"input_assets": ["mount"]})
    [{'object_type': 'Data asset', 'name': 'mount'}]
    """
    if isinstance(run.get("data_assets"), list):
        tables = [entry for entry in read_list(run, "data_assets") if isinstance(entry, Mapping)]
        names = [name for table in tables if (name := read_text(table, "name")) is not None]
    else:
        names = read_texts(run, "input_assets")
    return [{"object_type": "Data asset", "name": name} for name in dict.fromkeys(names)]
