"""`capsule assets` as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.cli.assets import FileCount, FileCounter
from tests.conftest import Capsule
from tests.context.trees import write_tree

RAW = "699847_2024-04-17_12-12-44"
DESCRIPTION = {
    "schema_version": "2.3.0", "name": RAW, "data_level": "raw", "subject_id": "699847",
    "modalities": [{"abbreviation": "ecephys"}],
}  # fmt: skip


def _run(
    capsule: Capsule, *arguments: str | bytes, status: int = 0, **environ: str
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "aind_capsule", "assets", *arguments],
        cwd=capsule.code,
        env={**capsule.environ, **environ},
        capture_output=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def asset(capsule: Capsule) -> Path:
    """One asset, linked into the data folder of a capsule."""
    files = {
        "data_description.json": json.dumps(DESCRIPTION),
        "subject.json": '{"subject_id": 699847}',
        "acquisition.json": '{"instrument_id": "NP.2"}',
        "ecephys/x.bin": "x" * 1500,
    }
    folder = write_tree(capsule.root / "disk" / RAW, files)
    (folder / "ecephys/again").symlink_to(folder / "ecephys")
    (folder / "ecephys/y.bin").symlink_to(folder / "ecephys/x.bin")
    (capsule.data / "input").symlink_to(folder)
    return folder


def _count(asset: Path) -> tuple[int, int]:
    sizes = [
        path.stat().st_size
        for path in asset.rglob("*")
        if path.is_file() and "again" not in path.parts
    ]
    return len(sizes), sum(sizes)


def test_for_people(capsule: Capsule, asset: Path) -> None:
    """Everything that is known of the asset in the capsule's own data folder, and what is wrong."""
    count, size_bytes = _count(asset)
    assert _run(capsule).stdout.decode().splitlines() == [
        RAW,
        f"  path         {capsule.data}/input",
        "  level        raw",
        "  modalities   ecephys",
        "  subject      699847",
        f"  acquisition  {RAW}",
        "  instrument   NP.2",
        "  schema       2.3.0",
        "  metadata     data_description.json, subject.json, acquisition.json",
        f"  files        {count}, {size_bytes / 1000:.1f} kB",
        "  problem      subject.json: subject_id is the number 699847, which was taken as text.",
    ]


def test_for_programs(capsule: Capsule, asset: Path) -> None:
    """The same as JSON; the folder may be given as an argument or a variable."""
    write_tree(capsule.data, {"other/session.json": "{"})
    by_default = _run(capsule, "--json").stdout
    assert _run(capsule, "--json", str(capsule.data)).stdout == by_default
    cwd = {"CAPSULE_DATA": str(capsule.data)}
    assert _run(capsule, "--json", **cwd).stdout == by_default
    first, second = json.loads(by_default)
    assert first["acquisition_name"] == RAW
    assert first["modalities"] == ["ecephys"]
    assert (first["file_count"], first["size_bytes"]) == _count(asset)
    assert (second["name"], second["size_bytes"], second["subject_id"]) == ("other", 1, None)
    assert second["problems"][-1].startswith("session.json is not JSON")


def test_no_asset(capsule: Capsule) -> None:
    """It says so on stdout, names the folder, and that is no failure."""
    (capsule.data / "notes.txt").touch()
    done = _run(capsule)
    assert done.stdout.decode().startswith(f"There is no data asset in {capsule.data} (")
    assert done.stderr == b""
    assert json.loads(_run(capsule, "--json").stdout) == []


@pytest.mark.parametrize("name", ["nowhere", "notes.txt"])
def test_a_folder_that_cannot_be_used(capsule: Capsule, name: str) -> None:
    """Missing, or a file: exit status 2, with the path and what to do."""
    (capsule.data / "notes.txt").touch()
    done = _run(capsule, str(capsule.data / name), status=2)
    assert done.stdout == b""
    assert f"{capsule.data / name} (DIR) cannot be used".encode() in done.stderr
    assert b"capsule assets DIR" in done.stderr
    assert b"Traceback" not in done.stderr


def test_names_that_would_steer_a_terminal(capsule: Capsule) -> None:
    """A folder's name may hold any byte; what is printed holds text only."""
    folder = os.fsencode(capsule.data) + b"/\xff\x1b[31m\n" + RAW.encode()
    os.makedirs(folder)
    os.mkdir(folder + b"/x")
    with open(folder + b"/subject.json", "wb") as file:
        file.write(b"{}")
    done = _run(capsule, PYTHONIOENCODING="utf-8:strict")
    assert b"\x1b" not in done.stdout
    assert rb"\udcff\x1b[31m\n" in done.stdout
    assert json.loads(_run(capsule, "--json").stdout)[0]["acquisition_name"] is None


def test_the_time_is_up(tmp_path: Path) -> None:
    """A count that was not finished says so; without a limit all files are counted."""
    write_tree(tmp_path, {f"{number}.bin": "x" for number in range(20)})
    assert FileCounter(0.0).count(str(tmp_path)) == FileCount(0, 0, is_whole=False)
    assert FileCounter(None).count(str(tmp_path)) == FileCount(20, 20, is_whole=True)


def test_all_files_are_counted_on_demand(capsule: Capsule, asset: Path) -> None:
    """--count gives the same numbers as the limited count of a small asset."""
    (row,) = json.loads(_run(capsule, "--json", "--count").stdout)
    assert (row["file_count"], row["size_bytes"], row["is_counted"]) == (*_count(asset), True)
