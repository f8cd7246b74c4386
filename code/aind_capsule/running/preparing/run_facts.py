"""What is known of a run from its start on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aind_capsule.frozen import frozen
from aind_capsule.settings.model import Settings


@frozen
class RunFacts:
    """What is known of a run from its start on.

    Attributes:
        started_us: When it started, microseconds since 1970.
        is_name_guess: Whether a name that the processing states is to be preferred.
        machine: The machine, as `context.machine` describes it.
        container: What runs the container and its image, where that is known inside of it.
    """

    run_id: str
    process_name: str
    command: Sequence[str]
    parameters: Mapping[str, Any]
    started_us: int
    settings: Settings
    run_mode: str
    platform_ids: Mapping[str, str]
    machine: Mapping[str, Any]
    folders: Mapping[str, str]
    pipeline_task: Mapping[str, Any] | None = None
    container: Mapping[str, str] | None = None
    is_name_guess: bool = False

    def rename(self, process_name: str | None) -> RunFacts:
        """Return the same facts under another name; None keeps the name."""
        return self if process_name is None else replace(self, process_name=process_name)
