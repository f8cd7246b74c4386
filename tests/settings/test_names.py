"""Variables that look like a slip of a known one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.settings.names import (
    KNOWN_VARIABLES,
    PLATFORM_VARIABLES,
    SETTING_VARIABLES,
    WRAPPER_VARIABLES,
    find_near_miss,
    find_suspicious_variables,
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PIEPLINE_NAME", "PIPELINE_NAME"), ("PIPLINE_NAME", "PIPELINE_NAME"), ("PIPELINE_NAMEE", "PIPELINE_NAME"),
        ("PIPELINE_NAMO", "PIPELINE_NAME"), ("pipeline_name", "PIPELINE_NAME"), ("CO_CPU", "CO_CPUS"), ("PROCES_NAME", "PROCESS_NAME"),
        ("CAPSULE_SCRATCHES", "CAPSULE_SCRATCH"), ("CAPSULE_RESULT", "CAPSULE_RESULTS"), ("CAPSULE_LOG_LEVEL", "CAPSULE_LOG__LEVEL"),
        ("CAPSULE_COLOUR", None), ("CAPSULE_LOKI__ADRESS", None), ("CAPSULE_LEVEL", None), ("CAPSULE_RUN_FOLDER", None),
        ("CAPSULE_TIME__OUT", "CAPSULE_TIMEOUT"), ("CAPSULE_LOG_LVL", "CAPSULE_LOG__LEVEL"), ("CAPSULE_RESULTS_DIR", "CAPSULE_RESULTS"),
        ("CAPSULE_PROCESNAME", "CAPSULE_PROCESS_NAME"), ("CAPSULE_KEEP_DAYS", "CAPSULE_HISTORY__KEEP_DAYS"),
        ("capsule_timeout", "CAPSULE_TIMEOUT"), ("Capsule_Results", "CAPSULE_RESULTS"), ("CAPSUL_LOKI__URL", "CAPSULE_LOKI__URL"),
    ],
)  # fmt: skip
def test_slips_are_found(name: str, meant: str | None) -> None:
    """A slip or two, small letters, a missing group: the nearest known name is told, if one is near."""
    found = dict(find_suspicious_variables({name: "x"}))
    assert found == {name: meant}


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "PIPELINE",
        "NAME",
        "PIPELINE_NUMBER",
        "CO_",
        "PROCESS_NAMES_LIST",
        "MY_PIPELINE_NAME",
        "CAPSULES_TAKEN",
        "CAPSULE",
        "capsule_of_mine",
        "",
    ],
)
def test_other_variables_are_left_alone(name: str) -> None:
    """What is two slips or more away from a name of the platform's is nobody's business."""
    assert list(find_suspicious_variables({name: "x"})) == []


def test_known_variables_are_known() -> None:
    """Settings, the platform's names and what the wrapper exports are never suspicious."""
    environ = dict.fromkeys([*SETTING_VARIABLES, *WRAPPER_VARIABLES, *PLATFORM_VARIABLES], "x")
    assert list(find_suspicious_variables(environ)) == []
    assert "CAPSULE_LOG__LEVEL" in KNOWN_VARIABLES
    assert "CAPSULE_RESULTS_ARE_JOBS" not in KNOWN_VARIABLES


@given(
    st.sampled_from(sorted(PLATFORM_VARIABLES)),
    st.integers(0, 20),
    st.sampled_from(["drop", "double", "swap", "change"]),
)
def test_every_slip_of_every_name(name: str, place: int, slip: str) -> None:
    """Any one slip anywhere in a name is recognised."""
    place %= len(name) - 1
    changed = {
        "drop": name[:place] + name[place + 1 :],
        "double": name[:place] + name[place] * 2 + name[place + 1 :],
        "swap": name[:place] + name[place + 1] + name[place] + name[place + 2 :],
        "change": name[:place] + "Q" + name[place + 1 :],
    }[slip]
    assert find_near_miss(changed, [name]) == name


@given(st.text("AB_", max_size=6), st.text("AB_", max_size=6))
def test_the_distance_is_the_same_both_ways(one: str, other: str) -> None:
    """A slip one way is a slip the other way."""
    assert (find_near_miss(one, [other]) is None) is (find_near_miss(other, [one]) is None)
