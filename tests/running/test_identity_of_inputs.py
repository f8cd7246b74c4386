"""What the data assets and the code say of themselves is in the run's records and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import Capsule, wait_until

PY = sys.executable
NAME = "behavior_643280_2023-04-07_14-11-25"


def write_asset(data: Path, name: str, **files: Any) -> Path:
    """A data asset with metadata files of the given contents."""
    folder = data / name
    folder.mkdir()
    for stem, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{stem}.json").write_text(text)
    return folder


def test_one_acquisition_is_in_every_record(capsule: Capsule) -> None:
    """The acquisition, subject and rig of the one input are in each record, captured and from inside too."""
    write_asset(capsule.data, NAME, data_description={"name": NAME, "subject_id": "643280", "data_level": "raw"},
                subject={"subject_id": "643280"}, session={"rig_id": "342_BEHDEV"})  # fmt: skip
    script = "from aind_capsule import configure_logging\nfrom loguru import logger\nconfigure_logging()\nprint('out')\nlogger.info('in')\n"
    capsule.environ["aibs_comp_id"] = "FRG.1-A"
    done = capsule.run(PY, str(capsule.write("p.py", script)))
    for record in done.records:
        assert record["acquisition_name"] == "643280_2023-04-07_14-11-25"
        assert (record["subject_id"], record["rig_id"]) == ("643280", "342_BEHDEV")
    assert {"out", "in"} <= {record["message"] for record in done.records}
    checked = subprocess.run([PY, "-m", "aind_capsule", "check-logs", str(done.log)], env=capsule.environ,
                             capture_output=True, check=True)  # fmt: skip
    assert b"acquisition_name is missing" not in checked.stdout
    assert done.canonical["input_assets"] == [NAME]


def test_inputs_go_by_the_names_of_assets(capsule: Capsule) -> None:
    """A mount's name is none: `run.json` and the record's input_data have the asset's own."""
    disk = capsule.root / "disk"
    disk.mkdir()
    folder = write_asset(disk, f"behavior_{NAME[9:]}", subject={"subject_id": "643280"})
    (capsule.data / "behavior_session").symlink_to(folder)
    (capsule.data / "atlas").mkdir()
    done = capsule.run("true", env={"CAPSULE_RUN_FILES": "log,run,provenance"})
    named = [
        {"name": NAME, "path": str(folder)},
        {"name": "atlas", "path": str(capsule.data / "atlas")},
    ]
    assert sorted(capsule.run_json()["data_assets"], key=lambda row: str(row["name"])) == sorted(
        named, key=lambda row: row["name"]
    )
    assert done.canonical["input_assets"] == ["atlas", "behavior_session"]
    (path,) = capsule.results.glob("*_data_process.json")
    listed = json.loads(path.read_text())["code"]["input_data"]
    assert {row["name"] for row in listed} == {NAME, "atlas"}


def test_what_the_user_says_holds(capsule: Capsule) -> None:
    """A subject that the user gives is kept, beside the acquisition that the metadata tell."""
    write_asset(capsule.data, NAME, subject={"subject_id": "643280"})
    told = capsule.run("true", options=("--field", "subject_id=mine")).canonical
    assert (told["subject_id"], told["acquisition_name"]) == ("mine", "643280_2023-04-07_14-11-25")


def test_several_acquisitions(capsule: Capsule) -> None:
    """With several inputs the canonical record lists them, and no record claims one of them."""
    write_asset(capsule.data, "111111_2024-01-01_01-01-01", subject={"subject_id": "111111"})
    write_asset(capsule.data, "222222_2024-02-02_02-02-02", subject={"subject_id": "222222"})
    done = capsule.run("echo", "x")
    assert not any(
        "acquisition_name" in record or "subject_id" in record for record in done.records
    )
    assert done.canonical["acquisition_names"] == [
        "111111_2024-01-01_01-01-01",
        "222222_2024-02-02_02-02-02",
    ]
    assert done.canonical["subject_ids"] == ["111111", "222222"]
    assert capsule.run_json()["subject_ids"] == ["111111", "222222"]


def test_broken_metadata_are_a_warning(capsule: Capsule) -> None:
    """Broken metadata: a WARNING that names asset and file; the run goes on, and the name tells what it can."""
    write_asset(capsule.data, NAME, data_description="{broken", subject="[1]")
    done = capsule.run("true")
    warnings = [record["message"] for record in done.records if record["level"] == "WARNING"]
    assert any(NAME in message and "data_description.json" in message for message in warnings)
    assert (done.status, done.canonical["acquisition_name"]) == (0, "643280_2023-04-07_14-11-25")


def test_a_stop_while_the_metadata_are_read(capsule: Capsule) -> None:
    """A stop before the processing was started is no loss: the run ends as stopped, with its canonical record."""
    slow = capsule.data / NAME
    slow.mkdir()
    # The helper reads metadata for ever: a git that hangs comes after them, so block the reading itself.
    (capsule.code / "sitecustomize.py").write_text(
        "import os, sys, time\nreal = os.scandir\ndef scandir(path='.'):\n"
        f"    if str(path).startswith({str(capsule.data)!r}): time.sleep(60)\n    return real(path)\nos.scandir = scandir\n"
        f"real_list = os.listdir\ndef listdir(path='.'):\n"
        f"    if str(path).startswith({str(capsule.data)!r}): time.sleep(60)\n    return real_list(path)\nos.listdir = listdir\n"
    )
    env = {
        "PYTHONPATH": os.pathsep.join([str(capsule.code), capsule.environ.get("PYTHONPATH", "")])
    }
    process = capsule.start("sleep", "100", env=env)
    wait_until(capsule.find_log)
    process.terminate()
    done = capsule.finish(process)
    assert (done.status, done.canonical["status"], done.canonical["signal"]) == (
        143,
        "stopped",
        "SIGTERM",
    )
    hung = capsule.run("echo", "goes on", env=env)
    assert (hung.status, hung.messages, "inputs_bytes" in hung.canonical) == (0, ["goes on"], False)


def test_the_code_version(capsule: Capsule) -> None:
    """The stamp of the build, else the commit of the environment, says which code ran, and where it was found."""
    script = capsule.write("p.sh", "#!/bin/sh\n")
    (capsule.code / "capsule.toml").write_text("")
    commit = "0123456789abcdef0123456789abcdef01234567"
    told = capsule.run(str(script), env={"GIT_COMMIT": commit}).canonical["code"]
    assert (told["commit"], "GIT_COMMIT" in told["found_in"]) == (commit, True)
    stamp = {
        "url": "https://me:pw@github.com/lab/capsule",
        "commit": commit[::-1],
        "branch": "main",
        "dirty": True,
    }
    (capsule.code / ".capsule-version.json").write_text(json.dumps(stamp))
    told = capsule.run(str(script), env={"GIT_COMMIT": commit}).canonical["code"]
    assert (told["commit"], told["url"], told["is_dirty"]) == (
        commit[::-1],
        "https://github.com/lab/capsule",
        True,
    )
    assert capsule.run_json()["code"] == told
