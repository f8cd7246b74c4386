"""The fields that every record of a run bears: who it is, and where it is.

For the wrapper's runs and for the log that `configure_logging` opens alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.records.merge import MACHINE_FIELDS, coerce, fits, rename_taken
from aind_capsule.settings.model import Settings

#: What the metadata of data assets tell of a run.
IDENTITY_FIELDS = ("acquisition_name", "subject_id", "specimen_id", "instrument_id", "rig_id")


def add_identity(
    fields: Mapping[str, Any], identity: Mapping[str, Any], settings: Settings
) -> dict[str, Any]:
    """The run's fields with what its data assets' metadata tell.

    They know better than the surroundings (a rig's computer); a user who gives a field means it.
    """
    known = {
        name: identity[name]
        for name in IDENTITY_FIELDS
        if name in identity and name not in settings.fields and fits(name, identity[name])
    }
    return {**fields, **known}


def build_run_fields(
    run_id: str, process_name: str, settings: Settings, environment: Mapping[str, str]
) -> dict[str, Any]:
    """The fields of every record of the run; what is not known is left out.

    Args:
        environment: What the surroundings say (host name, platform's ids, rig).
    """
    user_id = settings.user_id
    if user_id is None and len(settings.experimenters) == 1:
        user_id = settings.experimenters[0]
    known = {
        "run_id": run_id,
        **environment,
        "pipeline_name": settings.pipeline_name,
        "process_name": process_name,
        "experiment_id": settings.experiment_id,
        "user_id": user_id,
    }
    fields = {name: value for name, value in known.items() if coerce(name, value) is not None}
    taken = {**dict.fromkeys(MACHINE_FIELDS), "event_type": None, **fields}
    return {**fields, **rename_taken(settings.fields, taken)}
