"""Which of the schema's process types a step is: the one that is stated, or one guessed by a name.

The schema's own table of types is all that counts. Part of a word is never a type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[\W_]+")
#: What is no process, or every process.
_TOO_GENERAL = frozenset({"Analysis", "Other", "Pipeline", "Simulation"})
#: Words beside a type that do not make the process another one: who, what is recorded, with what.
_NEUTRAL = frozenset(
    {
        "aind", "allen", "capsule", "step", "process", "gpu", "cpu", "behavior", "ecephys", "ephys",
        "exaspim", "fip", "hcr", "icephys", "mesoscope", "mesospim", "multiplane", "ophys",
        "pophys", "slap2", "smartspim", "caiman", "kilosort", "kilosort2", "kilosort25",
        "kilosort3", "kilosort4", "ks2", "ks25", "ks3", "ks4", "lupin", "mountainsort",
        "mountainsort4", "mountainsort5", "oasis", "spikeinterface", "spykingcircus",
        "spykingcircus2", "suite2p", "tridesclous", "tridesclous2",
    }
)  # fmt: skip
_NUMBER = re.compile(r"v?\d+")
#: Longer names say no type: each run of their words is looked at.
_MAX_WORDS = 32


def read_process_type(stated: str, types: Iterable[str]) -> str | None:
    """Return the type that is stated; None where it is none. Capitals and separators do not matter.

    >>> read_process_type("spike_sorting", ["Spike sorting"])
    'Spike sorting'
    >>> read_process_type("spike-sorting-qc", ["Spike sorting"])
    """
    return {_flatten(kind): kind for kind in types}.get(_flatten(stated))


def find_process_type(name: str, types: Iterable[str]) -> str | None:
    """Return the type that a name is, else the one that it contains; None where it says none.

    A type is contained as whole words only, and only where all other words are known not to make
    the process another one. It is a guess then.

    >>> types = ["Spike sorting", "Compression", "dF/F estimation", "Other"]
    >>> find_process_type("aind-ephys-spike-sorting-ks4", types)
    'Spike sorting'
    >>> find_process_type("spike-sorting-qc", types), find_process_type("decompression", types)
    (None, None)
    """
    by_flat = {_flatten(kind): kind for kind in types}
    stated = by_flat.get(_flatten(name))
    if stated is not None:
        return stated
    words = [word.casefold() for word in _SEPARATORS.split(name) if word][: _MAX_WORDS + 1]
    if len(words) > _MAX_WORDS:
        return None
    found = {
        by_flat.get("".join(words[start:end]))
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
        if all(map(_is_neutral, (*words[:start], *words[end:])))
    }
    kinds = found - {None} - _TOO_GENERAL
    return kinds.pop() if len(kinds) == 1 else None


def _is_neutral(word: str) -> bool:
    return word in _NEUTRAL or _NUMBER.fullmatch(word) is not None


def _flatten(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()
