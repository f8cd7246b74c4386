"""What is said at the end of a run of the code that ran: changed, or of several sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def warn_of_code(found: Mapping[str, Any], log: Callable[[str, str], object]) -> None:
    """Log where the code that ran is not its commit, which the record says too.

    Args:
        found: What is known of the inputs and the code.
        log: Logs a message of a level.
    """
    code = found.get("code")
    if not code:
        return
    from aind_capsule.provenance.model.code_notes import build_code_warnings

    for message in build_code_warnings(code):
        log("WARNING", message)
