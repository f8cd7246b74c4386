"""A run's record in the form that its settings ask for: drafted, validated, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.provenance.data_process import Draft, draft_data_process
from aind_capsule.provenance.data_process_v1 import draft_data_process_v1, find_faults
from aind_capsule.provenance.run_facts import read_table
from aind_capsule.provenance.schema import (
    InvalidRecordError,
    find_process_types,
    validate_data_process,
)


def make_record(run: Mapping[str, Any]) -> Draft:
    """The valid `DataProcess` of a run.

    Args:
        run: What its `run.json` says.

    Raises:
        SchemaMissingError: aind-data-schema is not there, or not of version 2.
        InvalidRecordError: What the run says makes no valid record.
    """
    try:
        if read_table(run, "provenance").get("schema_version") == 1:
            draft = draft_data_process_v1(run)
            if faults := find_faults(draft.content):
                raise InvalidRecordError("; ".join(faults))
            return draft
        draft = draft_data_process(run, find_process_types())
    except ValueError as error:
        raise InvalidRecordError(str(error)) from error
    return Draft(validate_data_process(draft.content), draft.gaps)
