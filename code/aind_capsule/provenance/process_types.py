"""Which of the schema's process types a run is, by the name of its process."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[\W_]+")
#: What is no process, or every process.
_TOO_GENERAL = frozenset({"Analysis", "Other", "Pipeline", "Simulation"})


def find_process_type(name: str, types: Iterable[str]) -> str | None:
    """The type that a name is, or else the only type that it contains; None where there is none.

    Capitals and separators do not matter. Where several are contained the longest counts, if it is
    one: `ephys-postprocessing` holds no shorter one that would be meant.

    >>> types = ["Spike sorting", "Ephys curation", "dF/F estimation", "Other"]
    >>> find_process_type("spike_sorting", types), find_process_type("dff-estimation", types)
    ('Spike sorting', 'dF/F estimation')
    >>> find_process_type("aind-ephys-spike-sort-ks4", types), find_process_type("other", types)
    (None, 'Other')
    """
    wanted = _flatten(name)
    by_flat = {_flatten(kind): kind for kind in types}
    if wanted in by_flat:
        return by_flat[wanted]
    found = [flat for flat, kind in by_flat.items() if flat in wanted and kind not in _TOO_GENERAL]
    longest = [flat for flat in found if len(flat) == max(map(len, found))]
    return by_flat[longest[0]] if len(longest) == 1 else None


def _flatten(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()
