"""The processing as a program: its outcomes and exit statuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.session_qc.nwb_files import LEFT, NONE, RIGHT, list_lines, run_qc, write_session

pytest.importorskip("matplotlib")


def read_results(folder: Path) -> list[str]:
    """The names of the results, without the run's own files."""
    results = folder / "results"
    paths = results.iterdir() if results.is_dir() else ()
    return sorted(path.name for path in paths if not path.name.startswith("session-qc-"))


def test_one_session(tmp_path: Path) -> None:
    """Exit 0; the metrics in `qc.json`, a PNG, and the numbers in the log."""
    write_session(tmp_path / "data" / "asset" / "nwb" / "m.nwb", [LEFT, RIGHT], [True, False])
    done = run_qc(tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_results(tmp_path) == ["choices_and_rewards.png", "qc.json"]
    told = json.loads((tmp_path / "results" / "qc.json").read_text())
    assert (told["session"], told["trials"], told["reward_rate"]) == ("m", 2, 0.5)
    assert (tmp_path / "results" / "choices_and_rewards.png").read_bytes().startswith(b"\x89PNG")
    assert "m measured" in done.stderr
    assert done.stdout == ""


def test_the_numbers_are_fields_of_the_record(tmp_path: Path) -> None:
    """In the JSON log every number of the session is a field, so that logs can be searched by it."""
    write_session(tmp_path / "data" / "m.nwb", [LEFT, RIGHT], [True, False])
    run_qc(tmp_path)
    (log,) = (tmp_path / "scratch").rglob("*.log.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    (measured,) = [record for record in records if record["message"] == "m measured"]
    assert (measured["trials"], measured["response_rate"], measured["licks_left"]) == (2, 1.0, 1)
    assert measured["process_name"] == "session-qc"
    # Libraries do not fill the log: matplotlib would tell of every font.
    assert not [record for record in records if record["level"] == "DEBUG"]


@pytest.mark.parametrize(
    ("response", "undefined"),
    [([], 5), ([NONE], 3), ([RIGHT], 1)],
    ids=["no trials", "one trial without a response", "one choice"],
)
def test_few_trials(tmp_path: Path, response: list[int], undefined: int) -> None:
    """Exit 0; what cannot be told is null with a reason, and each is a warning."""
    write_session(tmp_path / "data" / "m.nwb", response, [False] * len(response))
    done = run_qc(tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "results" / "qc.json").read_text())
    assert told["trials"] == len(response)
    assert len(told["reasons"]) == undefined
    for name, reason in told["reasons"].items():
        assert told[name] is None
        assert any(f"m: no {name}: {reason}" in line for line in list_lines(done, "WARNING"))
    assert "choices_and_rewards.png" in read_results(tmp_path)


def test_a_missing_table(tmp_path: Path) -> None:
    """Exit 1; one ERROR that names file and table; no traceback, no results."""
    path = write_session(tmp_path / "data" / "m.nwb", [LEFT], [True], without=["animal_response"])
    done = run_qc(tmp_path)
    assert done.returncode == 1
    (error,) = list_lines(done, "ERROR")
    assert f"{path} lacks intervals/trials/animal_response" in error
    assert "Traceback" not in done.stderr
    assert read_results(tmp_path) == []


def test_a_corrupt_file_among_others(tmp_path: Path) -> None:
    """Exit 1; one ERROR that names it; the other sessions are measured all the same."""
    for name in ("a", "c"):
        write_session(tmp_path / "data" / f"{name}.nwb", [LEFT], [True])
    (tmp_path / "data" / "b.nwb").write_bytes(b"not hdf5" * 100)
    done = run_qc(tmp_path)
    assert done.returncode == 1
    (error,) = list_lines(done, "ERROR")
    assert "b.nwb cannot be read as HDF5" in error
    assert "Traceback" not in done.stderr
    assert read_results(tmp_path) == [
        "a_choices_and_rewards.png", "a_qc.json", "c_choices_and_rewards.png", "c_qc.json",
    ]  # fmt: skip


@pytest.mark.parametrize("folder", ["data", "nowhere"])
def test_no_session(tmp_path: Path, folder: str) -> None:
    """An empty or missing data folder: exit 1, an ERROR with the folder and what to do."""
    done = run_qc(tmp_path, "--data", str(tmp_path / folder))
    assert done.returncode == 1
    last = list_lines(done, "ERROR")[-1]
    assert f"no .nwb file below {tmp_path / folder}; attach a session" in last
    assert "Traceback" not in done.stderr


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    """Exit 1 and an ERROR that names the folder, no traceback."""
    write_session(tmp_path / "data" / "m.nwb", [LEFT], [True])
    (tmp_path / "results").write_text("a file")
    done = run_qc(tmp_path)
    assert done.returncode == 1
    assert f"see to {tmp_path / 'results'}" in list_lines(done, "ERROR")[-1]
    assert "Traceback" not in done.stderr


def test_empty_parameters_are_no_matter(tmp_path: Path) -> None:
    """The platform passes parameters that are not filled in as empty words."""
    write_session(tmp_path / "data" / "m.nwb", [LEFT], [True])
    done = run_qc(tmp_path, "", "--data", "", "--results=", "")
    assert done.returncode == 0, done.stderr
    assert read_results(tmp_path) == ["choices_and_rewards.png", "qc.json"]


def test_flags_win_over_the_environment(tmp_path: Path) -> None:
    """`--data` and `--results` say where, whatever the variables say."""
    write_session(tmp_path / "mine" / "m.nwb", [LEFT], [True])
    data, results = str(tmp_path / "mine"), str(tmp_path / "deep" / "results")
    done = run_qc(tmp_path, "--data", data, "--results", results)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deep" / "results" / "qc.json").exists()


@pytest.mark.parametrize("arguments", [["--no-such"], ["word"], ["", "--no-such", "x"]])
def test_unknown_arguments(tmp_path: Path, arguments: list[str]) -> None:
    """Exit 2, and the message names them."""
    done = run_qc(tmp_path, *arguments)
    assert done.returncode == 2
    assert f"unrecognized arguments: {' '.join(filter(None, arguments))}" in done.stderr


def test_without_the_toolkit(tmp_path: Path) -> None:
    """Where loguru is not installed the same results come out, with plain lines that have a level."""
    write_session(tmp_path / "data" / "m.nwb", [RIGHT], [True])
    code = tmp_path / "code"
    shutil.copytree(ROOT / "code" / "session_qc", code / "session_qc")
    shutil.copy(ROOT / "code" / "run_capsule.py", code)
    (code / "loguru.py").write_text("raise ImportError('not installed')\n")
    done = run_qc(tmp_path, script=code / "run_capsule.py")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "[WARNING] m: no choice_bias: it needs 2 choices, there are 1"
    assert lines[1].startswith("[INFO] m measured  trials=1 ")
    assert "reward_rate=1.0" in lines[1]
    assert read_results(tmp_path) == ["choices_and_rewards.png", "qc.json"]
