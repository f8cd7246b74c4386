"""Have the `data_description.json` of an asset made that a run's results become."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from aind_capsule.records.encode import decode
from aind_capsule.running.own_python import ask_own_python

DESCRIPTION = "data_description.json"
_LIMIT_S = 20.0


def make_description(
    folder: str,
    source: str | None,
    data: str,
    asset: str,
    label: str,
    wait: Callable[[float], bool],
) -> list[str]:
    """Write it into the run folder, unless the processing has written its own.

    Args:
        folder: The run folder.
        source: The results that are uploaded, if they are.
        data: The run's data folder, whose assets' description it is derived from.
        asset: The name that it bears.
        label: What was done.
        wait: Waits for so many seconds, or less; returns whether to stop waiting.

    Returns:
        What is to be said of it: why there is none, or what was filled in it.
    """
    if source is not None and os.path.exists(os.path.join(source, DESCRIPTION)):
        return []
    target = os.path.join(folder, DESCRIPTION)
    if _read_name(target) == asset:
        return []
    with contextlib.suppress(OSError):
        os.unlink(target)  # of another name
    words = [data, asset, label, target]
    told = ask_own_python("aind_capsule.provenance.describe", words, _LIMIT_S, wait)
    if "problem" in told:
        return [f"The asset has no {DESCRIPTION}: {told['problem']}"]
    return [f"{DESCRIPTION} of {gap}" for gap in told.get("gaps", ())]


def _read_name(path: str) -> object:
    try:
        with open(path, "rb") as file:
            return (decode(file.read()) or {}).get("name")
    except OSError:
        return None
