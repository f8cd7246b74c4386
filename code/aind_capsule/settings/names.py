"""Environment variables that are ours or the platform's, and those that look like a slip of one.

Source of the platform's names: Code Ocean's and AIND's documentation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from aind_capsule.settings.model import ROWS

#: Set by the wrapper for the processing (and read by the toolkit inside it), never by people.
WRAPPER_VARIABLES = (
    "CAPSULE_RUN_ID",
    "CAPSULE_SOCKET",
    "CAPSULE_WRAPPER_PID",
    "CAPSULE_RUN_FOLDERS",
)
#: Names of AIND and the platform; a near miss of one is a mistake that costs people days.
PLATFORM_VARIABLES = (
    "PIPELINE_NAME",
    "PIPELINE_VERSION",
    "PIPELINE_URL",
    "PROCESS_NAME",
    "CO_CAPSULE_ID",
    "CO_COMPUTATION_ID",
    "CO_PIPELINE_ID",
    "CO_CPUS",
    "CO_MEMORY",
)
SETTING_VARIABLES = frozenset(name for row in ROWS for name in row.env)
KNOWN_VARIABLES = SETTING_VARIABLES | set(WRAPPER_VARIABLES) | set(PLATFORM_VARIABLES)


def find_suspicious_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Unknown `CAPSULE_*` variables and near misses, each with the name that may be meant.

    >>> list(find_suspicious_variables({"PIEPLINE_NAME": "x", "CAPSULE_COLOUR": "y", "HOME": ""}))
    [('CAPSULE_COLOUR', None), ('PIEPLINE_NAME', 'PIPELINE_NAME')]
    """
    for name in sorted(environ):
        if name in KNOWN_VARIABLES:
            continue
        if name.startswith("CAPSULE_"):
            yield name, find_near_miss(name, KNOWN_VARIABLES)
        elif (meant := find_near_miss(name, PLATFORM_VARIABLES)) is not None:
            yield name, meant


def find_near_miss(name: str, known: Collection[str]) -> str | None:
    """The known name that is one slip away: a letter more, less, other, or two changed places.

    >>> find_near_miss("pipeline_name", ["PIPELINE_NAME"]), find_near_miss("PATH", ["PIPELINE_URL"])
    ('PIPELINE_NAME', None)
    """
    return next(
        (other for other in sorted(known) if _is_one_slip(name.upper(), other.upper())), None
    )


def _is_one_slip(given: str, known: str) -> bool:
    if abs(len(given) - len(known)) > 1:
        return False
    start = 0
    while start < min(len(given), len(known)) and given[start] == known[start]:
        start += 1
    left, right = given[start:], known[start:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    if len(left) <= 1 and len(right) <= 1:
        return True
    return len(left) == 2 and left == right[::-1]
