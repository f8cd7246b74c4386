"""`results_files` and `results_bytes` count what the processing left, each thing as itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aind_capsule.running.inputs import count_results
from tests.conftest import Capsule, parse_strictly

ID = "20260101T000000-0123abcd"


def _link_to_much(folder: Path) -> None:
    much = folder.parent / "much"
    with much.open("wb") as file:
        file.truncate(3_000_000_000)
    (folder / "link").symlink_to("../much")


def _link_names(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "one").write_bytes(b"12345")
    for name in ("two", "sub/three"):
        os.link(folder / "one", folder / name)


def _link_outwards(folder: Path) -> None:
    (folder.parent / "outside").write_bytes(b"12345")
    os.link(folder.parent / "outside", folder / "inside")


def _write_run_files(folder: Path) -> None:
    (folder / "sub").mkdir()
    for name in (
        f"qc-{ID}.log.jsonl", f"{ID}.run.json", f"a-b-{ID}.log.txt", f"qc-{ID}.resources.jsonl",
        f"sub/qc-{ID}_data_process.json", f".qc-{ID}.log.jsonl.part", f".{ID}.run.json.part",
        f".{ID}.run.json.4f2a.part",
    ):  # fmt: skip
        (folder / name).write_text("ours")


def _write_others(folder: Path) -> None:
    for name in (
        "run.json", f"qc-{ID}.nwb", f"{ID}.json", "x.log.jsonl", "data_process.json",
        f"qc-{ID}.log.jsonl.gz", f".x-{ID}.part", ".x.log.jsonl.part", f"{ID}.run.json.part",
        f"qc-{ID}.run.json.part", f".qc-{ID}.run.json.x", f"qc-{ID}",
    ):  # fmt: skip
        (folder / name).write_text("x")


def _write_run_folder(folder: Path) -> None:
    inner = folder / ".capsule" / ID
    inner.mkdir(parents=True)
    (inner / f"x-{ID}.run.json.next").write_text("ours")
    (inner / f"x-{ID}.log.jsonl.loki.position").write_text("ours")
    (folder / ".capsule" / "mine").write_text("12")


def _write_odd_things(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    (folder / "empty").mkdir()


@pytest.mark.parametrize(
    ("make", "files", "size_bytes"),
    [
        (_link_to_much, 1, len("../much")),
        (lambda folder: (folder / "gone").symlink_to("nowhere"), 1, len("nowhere")),
        (lambda folder: (folder / "folder").symlink_to("/usr"), 1, len("/usr")),
        (lambda folder: (folder / "loop").symlink_to("loop"), 1, len("loop")),
        (_link_names, 1, 5),
        (_link_outwards, 1, 5),
        (_write_run_files, 0, 0),
        (_write_others, 12, 12),
        (_write_run_folder, 1, 2),
        (_write_odd_things, 0, 0),
        (lambda folder: folder.rmdir(), 0, 0),
    ],
)
def test_each_thing_as_itself(
    tmp_path: Path, make: Callable[[Path], object], files: int, size_bytes: int
) -> None:
    """Links, names of one file, run files of any run, pipes: each counts as what it is."""
    folder = tmp_path / "results"
    folder.mkdir()
    make(folder)
    assert count_results(str(folder)) == {"results_files": files, "results_bytes": size_bytes}


def test_the_next_run_into_the_same_results(capsule: Capsule) -> None:
    """A second run, wrapped or alone, does not count the files of the first."""
    make = "import os; open('../results/x', 'w').write('12'); os.path.lexists('../results/l') or os.symlink('x', '../results/l')"  # fmt: skip
    for _ in range(2):
        run = capsule.run(sys.executable, "-c", make)
        assert (run.canonical["results_files"], run.canonical["results_bytes"]) == (2, 3)
    assert len(list(capsule.results.iterdir())) == 6
    script = f"from aind_capsule import capsule_run\nwith capsule_run(): {make}\n"
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=capsule.code, env=capsule.environ, capture_output=True, check=True,
    )  # fmt: skip
    log = capsule.find_log()
    assert log is not None
    last = parse_strictly(log.read_bytes().splitlines()[-1])
    assert (last["results_files"], last["results_bytes"]) == (2, 3)


def test_metadata_of_the_input_that_is_carried_into_results(capsule: Capsule) -> None:
    """What the toolkit copies into results is not what the processing left, wrapped or alone."""
    (capsule.data / "asset").mkdir()
    (capsule.data / "asset" / "subject.json").write_text('{"subject_id": "123456"}')
    capsule.environ["CAPSULE_PROVENANCE__CARRY_METADATA"] = "agreed"
    make = "open('../results/x', 'w').write('12')"
    run = capsule.run(sys.executable, "-c", make)
    assert (run.canonical["results_files"], run.canonical["results_bytes"]) == (1, 2)
    carried = capsule.results / "subject.json"
    carried.unlink()
    script = f"from aind_capsule import capsule_run\nwith capsule_run(): {make}\n"
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=capsule.code, env=capsule.environ, capture_output=True, check=True,
    )  # fmt: skip
    log = capsule.find_log()
    assert log is not None
    last = parse_strictly(log.read_bytes().splitlines()[-1])
    assert carried.exists()
    assert (last["results_files"], last["results_bytes"]) == (1, 2)
