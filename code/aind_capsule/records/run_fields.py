"""The fields that every record of a run bears: who it is, and where it is.

For the wrapper's runs and for the log that `configure_logging` opens alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.records.merge import MACHINE_FIELDS, coerce, rename_taken
from aind_capsule.settings.model import Settings


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
