"""Fields of records that the surroundings tell."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.identity import build_environment_fields, find_rig_id


def test_all_that_is_known() -> None:
    """Host, rig and the three ids of the record; other ids of the platform are no fields."""
    environ = {
        "aibs_comp_id": "FRG.1-A",
        "CO_CAPSULE_ID": "c",
        "CO_COMPUTATION_ID": "r",
        "CO_PIPELINE_ID": "p",
        "AWS_BATCH_JOB_ID": "j",
    }
    assert build_environment_fields(environ, hostname="w10") == {
        "hostname": "w10",
        "rig_id": "frg_1_a",
        "capsule_id": "c",
        "computation_id": "r",
        "pipeline_id": "p",
    }


def test_what_is_unknown_is_left_out() -> None:
    """Empty values and words for nothing give no field."""
    environ = {"aibs_comp_id": "undefined", "CO_CAPSULE_ID": "", "CO_PIPELINE_ID": "null"}
    assert build_environment_fields(environ, hostname="") == {}


@pytest.mark.parametrize("name", ["aibs_comp_id", "AIBS_COMP_ID", "Aibs_Comp_ID"])
def test_the_computers_variable_in_any_case(name: str) -> None:
    """Rigs set it in any case."""
    assert build_environment_fields({name: "FRG.1-A"}, hostname="h")["rig_id"] == "frg_1_a"


def test_an_empty_spelling_does_not_hide_the_other() -> None:
    """Of two spellings the one that says something counts."""
    environ = {"AIBS_COMP_ID": "", "aibs_comp_id": "BEH.12-C"}
    assert build_environment_fields(environ, hostname="h")["rig_id"] == "beh_12_c"


@pytest.mark.parametrize(
    ("computer", "rig_id"),
    [
        ("FRG.1-A", "frg_1_a"),
        (" FRG.1-A\n", "frg_1_a"),
        ("np.10-sync", "np_10_sync"),
        ("frg_1_a", "frg_1_a"),
        ("W10DT05501", "w10dt05501"),
        ("", None),
    ],
)
def test_rig_ids(computer: str, rig_id: str | None) -> None:
    """Rig, instance and computer, joined; another form of name is kept in small letters."""
    assert find_rig_id(computer) == rig_id


@given(computer=st.text(max_size=20))
def test_any_computer_is_taken(computer: str) -> None:
    """No value raises, and an empty one is no rig."""
    rig_id = find_rig_id(computer)
    assert (rig_id is None) is (computer.strip() == "")


def test_the_real_host() -> None:
    """Without being told, the host's name is the system's."""
    name = os.uname().nodename if hasattr(os, "uname") else None
    assert build_environment_fields({"COMPUTERNAME": "w"})["hostname"] == (name or "w")
