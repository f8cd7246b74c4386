"""Data assets under a data folder, real ones and broken ones."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_capsule.context.assets import DataAsset, find_assets, read_asset, summarise
from tests.conftest import ROOT
from tests.context.trees import write_tree

REAL = ROOT.parent / "shared" / "assets"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real assets are not here")

RAW = "699847_2024-04-17_12-12-44"
V2: dict[str, dict[str, Any]] = {
    "data_description.json": {
        "schema_version": "2.3.0", "name": RAW, "data_level": "raw", "subject_id": "699847",
        "modalities": [{"abbreviation": "ecephys"}, {"abbreviation": "behavior"}],
    },
    "subject.json": {"subject_id": "699847"},
    "acquisition.json": {"subject_id": "699847", "instrument_id": "NP.2", "specimen_id": None},
    "instrument.json": {"instrument_id": "NP.2"},
    "processing.json": {"data_processes": []},
}  # fmt: skip
V1: dict[str, dict[str, Any]] = {
    "data_description.json": {
        "schema_version": "1.0.0", "name": f"ecephys_{RAW}", "data_level": "raw",
        "subject_id": "699847", "modality": [{"name": "E", "abbreviation": "ecephys"}],
    },
    "subject.json": {"subject_id": "699847"},
    "session.json": {"subject_id": "699847", "rig_id": "323_EPHYS1"},
    "rig.json": {"rig_id": "323_EPHYS1"},
}  # fmt: skip


def _write(folder: Path, files: dict[str, dict[str, Any]], **changed: Any) -> Path:
    """An asset; `changed` replaces members of data_description.json (`...` removes one)."""
    description = {**files["data_description.json"], **changed}
    kept = {name: value for name, value in description.items() if value is not ...}
    files = {**files, "data_description.json": kept}
    return write_tree(folder, {name: json.dumps(record) for name, record in files.items()})


def _read(folder: Path) -> DataAsset:
    return read_asset(str(folder), os.listdir(folder))


# Real assets

EXPECTED = {
    "795133_2026-02-10_11-06-18": {
        "level": "raw", "subject_id": "795133", "instrument_id": "ND_Ephys.5",
        "modalities": ("behavior", "ecephys", "behavior-videos"), "schema_version": "2.3.0",
        "acquisition_name": "795133_2026-02-10_11-06-18", "problems": (),
    },
    "behavior_643280_2023-04-07_14-11-25": {
        "level": "raw", "subject_id": "643280", "rig_id": "342_BEHDEV.B-4_20240401",
        "modalities": ("behavior",), "schema_version": "1.0.0",
        "acquisition_name": "643280_2023-04-07_14-11-25", "problems": (),
    },
    "ecephys_699847_2024-04-17_12-12-44_dlc_face_2024-04-25_12-15-20": {
        "level": "derived", "subject_id": "699847", "rig_id": "327_NP2_240401",
        "modalities": ("ecephys", "behavior", "behavior-videos"), "schema_version": "1.0.4",
        "acquisition_name": "699847_2024-04-17_12-12-44", "problems": (),
        "described_name": "ecephys_699847_2024-04-17_12-12-44_dlc_2024-04-25_12-15-20",
    },
    "behavior_705599_2024-05-31_14-06-54": {
        "level": "raw", "subject_id": "705599", "files": (),
        "acquisition_name": "705599_2024-05-31_14-06-54",
    },
    "behavior_727456_2024-06-12_11-10-53": {
        "level": "raw", "subject_id": "727456", "files": (),
        "acquisition_name": "727456_2024-06-12_11-10-53",
    },
}  # fmt: skip


@needs_real
def test_real_assets() -> None:
    """Every real asset, version 1 and 2, raw and derived: what its metadata and its name say."""
    found = {os.path.basename(asset.path): asset for asset in find_assets(str(REAL))}
    assert found.keys() == EXPECTED.keys()
    for folder, expected in EXPECTED.items():
        asset = found[folder]
        nothing = {"instrument_id": None, "rig_id": None, "specimen_id": None, "name": folder}
        for name, value in {**nothing, **expected}.items():
            assert getattr(asset, name) == value, (folder, name)
        assert set(asset.files) == {path.name for path in (REAL / folder).glob("*.json")}


@needs_real
@pytest.mark.parametrize("folder", [name for name in EXPECTED if "files" not in EXPECTED[name]])
def test_a_real_asset_mounted_under_another_name(tmp_path: Path, folder: str) -> None:
    """As the platform mounts it, by a link, or alone as the data folder: the same is told."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/input").symlink_to(REAL / folder)
    copy = tmp_path / "copy/data"
    shutil.copytree(REAL / folder, copy)
    for data in ("data", "copy/data"):
        (asset,) = find_assets(str(tmp_path / data))
        assert asset.acquisition_name == EXPECTED[folder]["acquisition_name"]
        assert asset.subject_id == EXPECTED[folder]["subject_id"]


# What is told


def test_version_2(tmp_path: Path) -> None:
    """All values of a complete asset, and no problem."""
    folder = _write(tmp_path / RAW, V2)
    assert _read(folder) == DataAsset(
        name=RAW,
        path=str(folder),
        level="raw",
        modalities=("ecephys", "behavior"),
        subject_id="699847",
        acquisition_name=RAW,
        instrument_id="NP.2",
        schema_version="2.3.0",
        files=(
            "data_description.json", "subject.json", "acquisition.json", "instrument.json",
            "processing.json",
        ),
    )  # fmt: skip


def test_version_1(tmp_path: Path) -> None:
    """The older files; the platform in front of the name is no part of the acquisition's."""
    asset = _read(_write(tmp_path / "any", V1))
    assert (asset.acquisition_name, asset.rig_id, asset.instrument_id) == (RAW, "323_EPHYS1", None)
    assert asset.modalities == ("ecephys",)
    assert asset.problems == ()


@pytest.mark.parametrize(
    ("changed", "modalities"),
    [
        ({"modality": {"abbreviation": "SPIM"}}, ("SPIM",)),
        ({"modality": "SPIM"}, ("SPIM",)),
        ({"modality": [{"name": "Confocal"}, {"abbreviation": "SPIM"}]}, ("Confocal", "SPIM")),
        ({"modality": ["a", "a", "b"]}, ("a", "b")),
        ({"modality": ..., "modalities": [{"abbreviation": "pophys"}]}, ("pophys",)),
    ],
)
def test_modalities(tmp_path: Path, changed: dict[str, Any], modalities: tuple[str, ...]) -> None:
    """One or several, an object or a word, in either version."""
    asset = _read(_write(tmp_path / RAW, V1, **changed))
    assert asset.modalities == modalities
    assert asset.problems == ()


@pytest.mark.parametrize("modality", [..., None, [], [None], [[1]], {"x": 1}, True])
def test_modalities_that_are_none(tmp_path: Path, modality: Any) -> None:
    """What names no modality is left out, and told."""
    asset = _read(_write(tmp_path / RAW, V1, modality=modality))
    assert asset.modalities == ()
    assert len(asset.problems) == 1
    assert "modalit" in asset.problems[0]


def test_specimens(tmp_path: Path) -> None:
    """From the acquisition; else the one that all procedures name; of several, none."""
    one, two, three = (f"699847_{number}" for number in (1, 2, 3))
    steps = [{"specimen_id": one}, {"specimen_id": [one]}, {"specimen_id": None}, "?"]
    files = {**V2, "procedures.json": {"specimen_procedures": steps}}
    assert _read(_write(tmp_path / "a", files)).specimen_id == one
    steps[2] = {"specimen_id": two}
    asset = _read(_write(tmp_path / "b", files))
    assert (asset.specimen_id, asset.specimen_ids, asset.problems) == (None, (one, two), ())
    files["acquisition.json"] = {"instrument_id": "NP.2", "specimen_id": three}
    assert _read(_write(tmp_path / "c", files)).specimen_id == three


@pytest.mark.parametrize(
    ("value", "found", "problem"),
    [
        (["699847_1"], ("699847_1",), None),
        (["699847_1", "699847_2"], ("699847_1", "699847_2"), None),
        ([], (), None),
        ("", (), None),
        ("700000_1", (), "'700000_1', which does not hold the subject '699847', and was left out"),
        (["699847_1", "700000_1", "x"], ("699847_1",), "'700000_1', 'x', which does not hold"),
        (["699847_1", {}], ("699847_1",), "{}, no text"),
        ([["699847_1"]], (), "[...], no text"),
        ({"id": 1}, (), "{'id': 1}, no text"),
    ],
)
@pytest.mark.parametrize("file", ["acquisition.json", "procedures.json"])
def test_lists_of_specimens(
    tmp_path: Path, file: str, value: Any, found: tuple[str, ...], problem: str | None
) -> None:
    """A list of specimens is right; one of another subject is left out, and that is a problem."""
    content = {"instrument_id": "NP.2", "specimen_id": value}
    if file == "procedures.json":
        content = {"specimen_procedures": [{"specimen_id": value}]}
    asset = _read(_write(tmp_path / RAW, {**V2, file: content}))
    assert asset.specimen_ids == found
    assert asset.specimen_id == (found[0] if len(found) == 1 else None)
    told = [line for line in asset.problems if "specimen_id" in line]
    assert len(told) == (problem is not None)
    assert problem is None or problem.replace("[...]", "['699847_1']") in told[0]


def test_a_specimen_without_a_known_subject(tmp_path: Path) -> None:
    """Where nobody says the subject, no specimen is of another."""
    files = {"acquisition.json": {"specimen_id": "s1", "instrument_id": "i"}}
    folder = write_tree(tmp_path / "a", {name: json.dumps(file) for name, file in files.items()})
    assert _read(folder).specimen_id == "s1"


STREAM = {"object_type": "Data stream"}


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ({"instrument_id": None}, []),
        ({"instrument_id": None, "data_streams": []}, []),
        ({"instrument_id": None, "data_streams": [{"object_type": "BarSEQ"}, 1]}, []),
        ({"instrument_id": None, "data_streams": STREAM}, []),
        ({"instrument_id": " NA", "data_streams": [STREAM]}, []),
        ({"instrument_id": None, "data_streams": [STREAM]}, ["is null"]),
        ({"instrument_id": "", "data_streams": []}, ["is empty"]),
        ({"instrument_id": ["x"]}, ["no text"]),
        ({}, ["is missing"]),
    ],
)
def test_an_acquisition_without_an_instrument(
    tmp_path: Path, content: dict[str, Any], problems: list[str]
) -> None:
    """None is right where no device of an instrument took part, and so is a word for nothing."""
    files = {**V2, "acquisition.json": content}
    del files["instrument.json"]
    asset = _read(_write(tmp_path / RAW, files))
    assert asset.instrument_id is None
    assert len(asset.problems) == len(problems)
    assert all(word in problem for word, problem in zip(problems, asset.problems, strict=True))


def test_the_folders_name_where_metadata_give_none(tmp_path: Path) -> None:
    """Missing, broken, or with a name that names no acquisition: the folder's name is taken."""
    asset = _read(_write(tmp_path / RAW, V2, name="my data"))
    assert (asset.name, asset.described_name, asset.acquisition_name) == (RAW, "my data", RAW)
    assert "'my data'" in asset.problems[0]
    (tmp_path / RAW / "data_description.json").write_text("{")
    asset = _read(tmp_path / RAW)
    assert (asset.name, asset.acquisition_name, asset.level) == (RAW, RAW, "raw")
    assert asset.problems[0].startswith("data_description.json is not JSON: ")


def test_the_name_of_what_a_link_leads_to(tmp_path: Path) -> None:
    """A link may have any name; the folder behind it tells the acquisition."""
    write_tree(tmp_path, {f"disk/ecephys_{RAW}/subject.json": "{}", "data/": ""})
    (tmp_path / "data/ecephys_session").symlink_to(tmp_path / f"disk/ecephys_{RAW}")
    (asset,) = find_assets(str(tmp_path / "data"))
    assert (asset.name, asset.acquisition_name) == (f"ecephys_{RAW}", RAW)


def test_an_analysis_of_several_acquisitions(tmp_path: Path) -> None:
    """A derived asset named like a raw one tells no acquisition, unless the subject agrees."""
    changed = {"name": "foraging_analysis_2025-01-01_00-00-00", "data_level": "derived"}
    files = {"data_description.json": V2["data_description.json"], "processing.json": {}}
    asset = _read(_write(tmp_path / "a", files, **changed, subject_id=None))
    assert (asset.acquisition_name, asset.subject_id) == (None, None)
    asset = _read(_write(tmp_path / "b", files, data_level="derived"))
    assert asset.acquisition_name == RAW


def test_a_subject_with_underscores(tmp_path: Path) -> None:
    """The metadata's subject tells where the platform in front of the name ends."""
    files = {
        **V1,
        "subject.json": {"subject_id": "test_1"},
        "session.json": {"rig_id": "r"},
        "rig.json": {"rig_id": "r"},
    }
    name = "ecephys_test_1_2024-04-17_12-12-44"
    asset = _read(_write(tmp_path / "a", files, name=name, subject_id="test_1"))
    assert asset.acquisition_name == "test_1_2024-04-17_12-12-44"
    assert asset.problems == ()


# What is wrong


@pytest.mark.parametrize(
    ("value", "taken", "word"),
    [
        (699847, "699847", "number 699847"),
        (699847.0, "699847", "number 699847"),
        ("  699847 ", "699847", None),
        (None, None, "null"),
        ("", None, "empty"),
        (" Unknown ", None, "'Unknown'"),
        ("undefined", None, "'undefined'"),
        (True, None, "True"),
        (float("nan"), None, "nan"),
        (["699847"], None, "['699847']"),
        ({"id": 1}, None, "{'id': 1}"),
        ("a\nb", None, "control characters"),
        ("\ud800", None, "control characters"),
        ("x" * 300, None, "too long"),
    ],
)
def test_values_of_a_wrong_type(
    tmp_path: Path, value: Any, taken: str | None, word: str | None
) -> None:
    """A number is text; what else is no id is left out; either is told with file and value."""
    files = {**V2, "subject.json": {"subject_id": value}}
    folder = _write(tmp_path / "any", files, name=..., subject_id=...)
    files["acquisition.json"] = {"instrument_id": value}
    (folder / "acquisition.json").write_text(json.dumps(files["acquisition.json"]))
    (folder / "instrument.json").unlink()
    asset = _read(folder)
    assert asset.subject_id == taken
    assert asset.instrument_id == taken
    told = [problem for problem in asset.problems if problem.startswith("subject.json: subject_id")]
    assert len(told) == (word is not None)
    assert word is None or word in told[0]
    assert all(problem.isprintable() and len(problem) < 300 for problem in asset.problems)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b'{"subject_id": "1"', "is not JSON"),
        (b"[]", "no JSON object but a list"),
        (b"null", "but null"),
        (b'"x"', "but text"),
        (b"1", "but a number"),
        (b"true", "but true or false"),
        (b'{"subject_id": "\xff"}', "is not UTF-8 (at byte 16)"),
        ('{"subject_id": "1"}'.encode("utf-16"), "is not UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is not JSON"),
    ],
)
@pytest.mark.parametrize("name", ["subject.json", "data_description.json", "processing.json"])
def test_broken_files(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    """A broken file is a problem that says why, and the others still tell what they know."""
    folder = _write(tmp_path / f"ecephys_{RAW}", V2)
    (folder / name).write_bytes(data)
    asset = _read(folder)
    (problem,) = (problem for problem in asset.problems if problem.startswith(f"{name} "))
    assert why in problem
    assert name in asset.files
    assert (asset.subject_id, asset.acquisition_name, asset.instrument_id) == (
        "699847",
        RAW,
        "NP.2",
    )


def test_a_byte_order_mark_and_nan_are_taken(tmp_path: Path) -> None:
    """As Windows and Python write them."""
    folder = _write(tmp_path / RAW, V2)
    (folder / "subject.json").write_bytes(b'\xef\xbb\xbf{"subject_id": "699847", "w": NaN}')
    assert _read(folder).problems == ()


def test_a_number_with_thousands_of_digits(tmp_path: Path) -> None:
    """It is no id, and no exception."""
    folder = _write(tmp_path / RAW, V2)
    (folder / "subject.json").write_text('{"subject_id": ' + "1" * 10_000 + "}")
    asset = _read(folder)
    assert len(asset.problems) == 1
    assert asset.subject_id == "699847"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """Over 64 MiB: a problem that says so (the file is sparse)."""
    folder = _write(tmp_path / RAW, V2)
    os.truncate(folder / "processing.json", 64 * 1024 * 1024 + 1)
    assert "67108865 bytes" in _read(folder).problems[0]


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    """A folder, a pipe, a link that leads nowhere or round in circles: problems, and no waiting."""
    folder = _write(tmp_path / RAW, {"data_description.json": V2["data_description.json"]})
    (folder / "subject.json").mkdir()
    os.mkfifo(folder / "acquisition.json")
    (folder / "instrument.json").symlink_to("nowhere")
    (folder / "processing.json").symlink_to("processing.json")
    (asset,) = find_assets(str(tmp_path))
    assert [problem.split(" ", 1) for problem in asset.problems] == [
        ["subject.json", "is no file."],
        ["acquisition.json", "is no file."],
        ["instrument.json", "is a link that leads nowhere."],
        ["processing.json", "cannot be read (Too many levels of symbolic links)."],
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_closed_file(tmp_path: Path) -> None:
    """It is a problem."""
    folder = _write(tmp_path / RAW, V2)
    (folder / "subject.json").chmod(0)
    assert _read(folder).problems == ("subject.json cannot be read (Permission denied).",)


def test_missing_files_and_values(tmp_path: Path) -> None:
    """Each that should be there is named."""
    folder = write_tree(tmp_path / "a", {"data_description.json": '{"data_level": "raw"}'})
    assert _read(folder).problems == (
        "subject.json is missing.",
        "acquisition.json (session.json in version 1) is missing.",
        "data_description.json: name is missing.",
        "data_description.json: modalities (modality in version 1) is missing.",
        "data_description.json: schema_version is missing.",
    )
    derived = f"{RAW}_sorted_2024-04-25_12-15-20"
    folder = _write(
        tmp_path / derived,
        {"data_description.json": V2["data_description.json"]},
        name=derived,
        data_level="derived",
    )
    assert _read(folder).problems == ("subject.json is missing.", "processing.json is missing.")
    folder = write_tree(tmp_path / "b", {"subject.json": "{}"})
    assert _read(folder).problems == (
        "data_description.json is missing.",
        "subject.json: subject_id is missing.",
    )


def test_files_that_contradict_each_other(tmp_path: Path) -> None:
    """The first in order counts, and the others are told with both values."""
    files = {
        **V2,
        "acquisition.json": {"subject_id": "2", "instrument_id": "A"},
        "subject.json": {"subject_id": "1"},
    }
    asset = _read(_write(tmp_path / "a", files))
    assert (asset.subject_id, asset.instrument_id) == ("1", "A")
    assert asset.problems == (
        "data_description.json: subject_id is '699847', but '1' in subject.json.",
        "acquisition.json: subject_id is '2', but '1' in subject.json.",
        "The name says subject '699847', the metadata say '1'.",
        "instrument.json: instrument_id is 'NP.2', but 'A' in acquisition.json.",
    )


@pytest.mark.parametrize(
    ("level", "known"), [("raw data", "raw"), ("Derived", "derived"), ("cooked", None)]
)
def test_levels(tmp_path: Path, level: str, known: str | None) -> None:
    """The oldest files' words too; a level that is none gives way to the name's."""
    asset = _read(_write(tmp_path / "a", V2, data_level=level))
    assert asset.level == (known or "raw")
    assert any("'cooked'" in problem for problem in asset.problems) == (known is None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(RAW),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["abbreviation", "name", "specimen_id"]), inner)
    ),
    max_leaves=6,
)
KEYS = ("name", "data_level", "modality", "modalities", "subject_id", "specimen_id", "rig_id", "instrument_id", "schema_version", "specimen_procedures")  # fmt: skip
RECORDS = st.dictionaries(st.sampled_from(KEYS), JSON)


@given(
    records=st.dictionaries(
        st.sampled_from([*V2, *V1, "procedures.json"]), RECORDS | JSON, min_size=1
    )
)
@settings(max_examples=200, deadline=None)
def test_any_metadata_are_taken(
    tmp_path_factory: pytest.TempPathFactory, records: dict[str, Any]
) -> None:
    """Whatever the files hold: no exception, and every value that is told is clean text."""
    folder = tmp_path_factory.mktemp("data") / "asset"
    write_tree(folder, {name: json.dumps(record) for name, record in records.items()})
    asset = _read(folder)
    for name in (
        "subject_id",
        "specimen_id",
        "acquisition_name",
        "instrument_id",
        "rig_id",
        "schema_version",
        "level",
    ):
        value = getattr(asset, name)
        assert value is None or (isinstance(value, str) and value.isprintable() and value)
    assert all(isinstance(problem, str) and problem.endswith(".") for problem in asset.problems)
    shutil.rmtree(folder.parent)


# Finding


def _find(data: Path) -> list[str]:
    return [os.path.relpath(asset.path, data) for asset in find_assets(str(data))]


def test_three_levels(tmp_path: Path) -> None:
    """In the data folder and one folder deeper; not deeper, not in hidden folders, not in assets."""
    sorted_name = f"mount/{RAW}_sorted_2024-04-25_12-15-20"
    write_tree(
        tmp_path,
        {
            "a/data_description.json": "{}",
            "a/inner/data_description.json": "{}",
            "mount/b/session.json": "{}",
            "mount/deep/c/session.json": "{}",
            f"ecephys_{RAW}/x.bin": "",
            f"{sorted_name}/": "",
            f".hidden/{RAW}/": "",
            f"{RAW}_nwb/x.nwb": "",
            "only/processing.json": "{}",
            "x.zarr/0/subject.json": "{}",
            "notes.txt": "",
        },
    )
    assert _find(tmp_path) == [
        "a",
        f"ecephys_{RAW}",
        sorted_name,
        "mount/b",
    ]


def test_the_data_folder_is_an_asset(tmp_path: Path) -> None:
    """Its own folders are none because of a stray file, but those with a data description are."""
    write_tree(
        tmp_path,
        {
            "data_description.json": "{}",
            "behavior/session.json": "{}",
            f"ecephys/{RAW}/": "",
            "other/data_description.json": "{}",
        },
    )
    assert _find(tmp_path) == [".", "other"]


def test_links(tmp_path: Path) -> None:
    """Links to folders are followed at any level, loops end, and each asset is found once."""
    write_tree(
        tmp_path,
        {
            "disk/one/subject.json": "{}",
            "disk/more/two/subject.json": "{}",
            "data/real/subject.json": "{}",
            "data/mount/": "",
        },
    )
    data = tmp_path / "data"
    links = {
        "one": tmp_path / "disk/one",
        "one-again": tmp_path / "disk/one",
        "mount/one-deeper": tmp_path / "disk/one",
        "more": tmp_path / "disk/more",
        "a-real": data / "real",
        "loop": data,
        "mount/up": tmp_path,
        "self": data / "self",
        "gone": data / "nowhere",
    }
    for name, target in links.items():
        (data / name).symlink_to(target)
    assert _find(data) == ["more/two", "one", "real"]
    (tmp_path / "link").symlink_to(data)
    assert _find(tmp_path / "link") == ["more/two", "one", "real"]


def test_assets_that_cannot_be_entered(tmp_path: Path) -> None:
    """A link named as an asset that leads nowhere is an asset with a problem; its name still tells."""
    (tmp_path / RAW).symlink_to("nowhere")
    (tmp_path / f"ecephys_{RAW}").symlink_to(f"ecephys_{RAW}")
    first, second = find_assets(str(tmp_path))
    assert (first.acquisition_name, second.subject_id) == (RAW, "699847")
    assert first.problems == (f"The folder '{RAW}' is a link that leads nowhere.",)
    assert "cannot be listed (Too many levels of symbolic links)" in second.problems[0]


@pytest.mark.parametrize("data", ["nowhere", "file", "a\0b", ""])
def test_no_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    """Missing, a file, no path: no asset, and no exception."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert find_assets(data) == []
    assert find_assets(str(tmp_path / "file")) == []


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A folder's name may hold any byte."""
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    with open(folder + b"/subject.json", "w") as file:
        file.write('{"subject_id": "1"}')
    (asset,) = find_assets(str(tmp_path))
    assert (asset.name, asset.subject_id) == ("\udcff", "1")


def test_files_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of files cost one listing: only folders, and metadata files, are asked of the system."""
    folder = _write(tmp_path / "mount" / RAW, V2)
    for number in range(3000):
        (folder / f"{number}.bin").touch()
        (tmp_path / f"{number}.bin").touch()
        (tmp_path / "mount" / f"{number}.bin").touch()
    asked: list[str] = []
    real = os.stat

    def stat(path: Any, *args: Any, **more: Any) -> os.stat_result:
        asked.append(os.fspath(path))
        return real(path, *args, **more)

    monkeypatch.setattr(os, "stat", stat)
    assert len(find_assets(str(tmp_path))) == 1
    monkeypatch.undo()
    assert not [path for path in asked if str(path).endswith(".bin")]


# The summary


def test_summary_of_one_acquisition() -> None:
    """Raw and derived assets of one acquisition agree; what only one knows is taken."""
    raw = DataAsset(
        "a", "/a", subject_id="1", acquisition_name="1_x", instrument_id="i", specimen_id="s"
    )
    derived = DataAsset(
        "b",
        "/b",
        subject_id="1",
        acquisition_name="1_x",
        rig_id="r",
        files=("x",),
        problems=("P.",),
    )
    bare = DataAsset("c", "/c", problems=("There are no metadata files.",))
    assert summarise([raw, derived, bare]) == {
        "acquisition_name": "1_x",
        "subject_id": "1",
        "specimen_id": "s",
        "instrument_id": "i",
        "rig_id": "r",
        "problems": ["b: P."],
    }


def test_summary_of_several() -> None:
    """Different values are no value; acquisitions and subjects are listed; one asset speaks not for all."""
    assets = [
        DataAsset("a", "/a", subject_id="1", acquisition_name="1_x", rig_id="r", instrument_id="i"),
        DataAsset("b", "/b", subject_id="2", acquisition_name="2_x", rig_id="q", instrument_id="i"),
        DataAsset("c", "/c", subject_id="2", acquisition_name="2_y", rig_id="q"),
        DataAsset("d", "/d", subject_id="2", acquisition_name="2_y"),
    ]
    assert summarise(assets) == {
        "acquisition_names": ["1_x", "2_x", "2_y"],
        "subject_ids": ["1", "2"],
    }
    assert summarise(assets[:2])["instrument_id"] == "i"
    assert summarise([]) == {}
