"""Names of data assets: what goes into a name comes out of it."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.asset_names import AssetName, parse_asset_name

WORD = "[A-Za-z0-9][A-Za-z0-9-]{0,8}"
TIMES = st.datetimes(dt.datetime(1970, 1, 1)).map(lambda when: when.strftime("%Y-%m-%d_%H-%M-%S"))
SUBJECTS = st.one_of(st.from_regex(r"\A[0-9]{6}\Z"), st.from_regex(rf"\AM?{WORD}\Z")).filter(
    str.isascii
)
PLATFORMS = st.one_of(
    st.none(),
    st.sampled_from(["ecephys", "behavior", "SmartSPIM", "multiplane-ophys", "HSFP2"]),
    st.from_regex(r"\A[A-Za-z][A-Za-z0-9-]{0,9}\Z").filter(str.isascii),
)
LABELS = st.from_regex(rf"\A{WORD}(_{WORD}){{0,2}}\Z").filter(str.isascii)
STEPS = st.lists(st.tuples(LABELS, TIMES), max_size=3)


@given(platform=PLATFORMS, subject=SUBJECTS, time=TIMES, steps=STEPS)
def test_parts_come_back(
    platform: str | None, subject: str, time: str, steps: list[tuple[str, str]]
) -> None:
    """A raw, prefixed or derived name, daisy-chained too, built from parts, gives the parts."""
    derived = "_".join(f"{label}_{when}" for label, when in steps) or None
    name = "_".join(part for part in (platform, subject, time, derived) if part)
    parsed = parse_asset_name(name)
    assert parsed == AssetName(subject, time, platform, derived)
    assert parsed.acquisition_name == f"{subject}_{time}"
    assert parsed.labels == tuple(label for label, _ in steps)
    assert parsed.level == ("derived" if steps else "raw")
    assert parsed.is_complete


@given(platform=PLATFORMS, subject=LABELS, time=TIMES, steps=STEPS)
def test_a_known_subject_may_hold_underscores(
    platform: str | None, subject: str, time: str, steps: list[tuple[str, str]]
) -> None:
    """Where metadata tell the subject, it is told from a platform in front, whatever it holds."""
    parts = [platform, subject, time, *(f"{label}_{when}" for label, when in steps)]
    parsed = parse_asset_name("_".join(part for part in parts if part), subject)
    assert parsed is not None
    assert (parsed.platform, parsed.subject_id) == (platform, subject)


@pytest.mark.parametrize(
    ("name", "acquisition", "platform", "labels"),
    [
        ("699847_2024-04-17_12-12-44", "699847_2024-04-17_12-12-44", None, ()),
        ("M2501_2024-04-17_12-12-44", "M2501_2024-04-17_12-12-44", None, ()),
        ("behavior_M2501_2024-04-17_12-12-44", "M2501_2024-04-17_12-12-44", "behavior", ()),
        ("SmartSPIM_1_2024-04-17_12-12-44", "1_2024-04-17_12-12-44", "SmartSPIM", ()),
        (
            "ecephys_699847_2024-04-17_12-12-44_dlc_face_2024-04-25_12-15-20",
            "699847_2024-04-17_12-12-44",
            "ecephys",
            ("dlc_face",),
        ),
        (
            "M2501_2024-04-17_12-12-44_sorted-ks25_2024-04-25_12-15-20_nwb_2024-05-01_00-00-00",
            "M2501_2024-04-17_12-12-44",
            None,
            ("sorted-ks25", "nwb"),
        ),
        ("1_2024-04-17_12-12-44_processed", "1_2024-04-17_12-12-44", None, ("processed",)),
    ],
)
def test_names_as_they_are(
    name: str, acquisition: str, platform: str | None, labels: tuple[str, ...]
) -> None:
    """The forms that real assets have."""
    parsed = parse_asset_name(name)
    assert parsed is not None
    assert (parsed.acquisition_name, parsed.platform) == (acquisition, platform)
    assert parsed.labels == labels


@pytest.mark.parametrize(
    "name",
    [
        "1_2024-04-17_12-12-44_nwb",
        "1_2024-04-17_12-12-44_a_2024-04-25",
        "1_2024-04-17_12-12-44_a_2024-02-30_00-00-00",
        "1_2024-04-17_12-12-44_a_2024-04-25_00-00-00_b_2024-04-25_24-00-00",
    ],
)
def test_a_name_that_goes_on_without_a_time_is_not_complete(name: str) -> None:
    """Such a name tells its acquisition, but a folder is no asset because of it alone."""
    parsed = parse_asset_name(name)
    assert parsed is not None
    assert not parsed.is_complete


@pytest.mark.parametrize(
    "name",
    [
        "", "ecephys_session", "2024-04-17_12-12-44", "_2024-04-17_12-12-44",
        "699847_2024-04-17", "699847_2024-04-17_12-12-445", "699847_2024-4-17_12-12-44",
        "699847-2024-04-17_12-12-44", "699847_2024-04-17_12-12-44.nwb", "a/b_2024-04-17_12-12-44",
        "6\n9_2024-04-17_12-12-44", "6\udcff_2024-04-17_12-12-44", "٦_2024-04-17_12-12-4٤",
        "1" * 300 + "_2024-04-17_12-12-44",
        "1_2025-13-45_99-99-99", "1_2023-02-29_00-00-00", "1_2024-04-17_24-00-00",
        "1_0000-01-01_00-00-00", "1_2025-13-45_99-99-99_a_2024-04-17_12-12-44",
    ],
)  # fmt: skip
def test_other_names_are_none(name: str) -> None:
    """No time, one that does not exist, no subject, a file's ending, a path: no asset's name."""
    assert parse_asset_name(name) is None


@given(name=st.text(max_size=80), subject=st.one_of(st.none(), st.text(max_size=8)))
def test_any_name_is_taken(name: str, subject: str | None) -> None:
    """No name raises, and an acquisition that is told is in the name."""
    for text in (name, f"{name}_2024-04-17_12-12-44", f"{name}_2024-04-17_12-12-44_{name}"):
        parsed = parse_asset_name(text, subject)
        if parsed is not None:
            assert parsed.acquisition_name in text
            assert re.search(r"_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$", parsed.acquisition_name)
            parsed.labels  # noqa: B018
