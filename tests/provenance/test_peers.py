"""Real peers, in an environment of their own: they take what we write, and we take what they write."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.core.processing import DataProcess

from aind_capsule.provenance.collect import collect
from aind_capsule.provenance.gather import gather
from aind_capsule.provenance.pipelines import Pipeline
from tests.conftest import Capsule
from tests.environments import make_environment
from tests.provenance.test_collect_any import check

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the peers need Python 3.11"),
]
PEERS = ["aind-metadata-manager==0.3.2", "aind-code-ocean-pipeline-utils[metadata]==0.9.0"]
ENDINGS = {
    "success": ("true",),
    "fail": ("sh", "-c", "exit 3"),
    "killed": ("sh", "-c", "kill -9 $$"),
    "not found": ("./no-such-program",),
    "stopped": ("sh", "-c", "echo up; sleep 60"),
}
STEPS = """
import sys
from aind_code_ocean_pipeline_utils import record_step
node, incoming, output = sys.argv[1:4]
pipeline = {"name": "ephys", "code": {"url": "https://example.org"}} if node == "split" else None
people = ["Ada Lovelace"] if node == "split" else None
with record_step(node, process_type="Spike sorting", incoming_dir=incoming, output_dir=output,
                 code_url="https://example.org/x", pipeline=pipeline, run_experimenters=people) as step:
    step.parameters["threshold"] = 5
    if node == "broken":
        raise SystemExit(3)
"""


@pytest.fixture(scope="module")
def peers() -> Path:
    """A Python with the peers."""
    return make_environment("venv-provenance-peers", *PEERS)


def test_the_collector_takes_every_record(tmp_path: Path, peers: Path) -> None:
    """aind-metadata-manager collects the records of success, failure, kill and stop: none is dropped."""
    data, output = tmp_path / "data", tmp_path / "output"
    data.mkdir()
    output.mkdir()
    environ = {"CAPSULE_RUN_FILES": "all", "PROCESS_NAME": "sort", "PIPELINE_NAME": "ephys"}
    for how, command in ENDINGS.items():
        capsule = Capsule(tmp_path / how)
        capsule.environ |= environ
        started = capsule.start(*command)
        if how == "stopped":
            assert started.stdout is not None
            started.stdout.readline()
            started.terminate()
        capsule.finish(started)
        capsule.results.rename(data / how)
    command = [
        peers, "-c", "from aind_metadata_manager.metadata_manager import run; run()",
        "--processor_full_name", "Ada", "--pipeline_url", "https://example.org",
        "--pipeline_name", "ephys", "--aggregate_quality_control", "false",
        "--input_dir", data, "--output_dir", output,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Failed" not in done.stderr
    theirs = json.loads((output / "processing.json").read_text())
    assert len(theirs["data_processes"]) == len(ENDINGS)
    ours = collect(gather([str(data)]), Pipeline()).processing
    check(ours)
    assert _read(ours) == _read(theirs)
    both = collect(gather([str(data), str(output)]), Pipeline()).processing
    check(both)
    assert len(both["data_processes"]) == len(ENDINGS)


def _read(processing: dict[str, Any]) -> list[DataProcess]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        processes = map(DataProcess.model_validate, processing["data_processes"])
        return sorted(processes, key=lambda process: process.name)


def _step(python: Path, node: str, incoming: Path, output: Path) -> None:
    subprocess.run([python, "-c", STEPS, node, incoming, output], capture_output=True, check=False)


def test_their_records_are_collected(tmp_path: Path, peers: Path) -> None:
    """A diamond of `record_step`, one step of which fails and leaves no record."""
    places: dict[str, Path] = {}

    def step(node: str, *inputs: str) -> None:
        places[node] = tmp_path / node / "results"
        data = tmp_path / node / "data"
        data.mkdir(parents=True)
        places[node].mkdir()
        for name in inputs:
            (data / name).symlink_to(places[name])
        _step(peers, node, data, places[node])

    step("split")
    step("left", "split")
    step("right", "split")
    step("broken", "split")
    step("join", "left", "right", "broken")
    collected = collect(gather([str(places["join"])]), Pipeline())
    check(collected.processing)
    assert collected.rejected == []
    assert collected.processing["dependency_graph"] == {
        "split": [], "left": ["split"], "right": ["split"], "join": ["left", "right"],
    }  # fmt: skip
    processes: dict[str, Any] = {p["name"]: p for p in collected.processing["data_processes"]}
    assert processes["left"]["code"]["parameters"] == {"threshold": 5}
    assert processes["left"]["experimenters"] == ["Ada Lovelace"]
    assert [p["name"] for p in collected.processing["pipelines"]] == ["ephys"]
    words = "import sys; from aind_code_ocean_pipeline_utils.metadata import write_assembled_processing as f; f(*sys.argv[1:])"
    data = places["join"].parent / "data"
    subprocess.run([peers, "-c", words, data, places["join"]], capture_output=True, check=True)
    assert (places["join"] / "processing.json").is_file()
    beside = collect(gather([str(places["join"])]), Pipeline()).processing
    assert beside["dependency_graph"] == collected.processing["dependency_graph"]
    (places["join"] / "processing.json").unlink()
    (places["join"] / "provenance" / "left.json").unlink()
    missing = collect(gather([str(places["join"])]), Pipeline()).processing
    check(missing)
    notes = {p["name"]: p.get("notes", "") for p in missing["data_processes"]}
    assert "no record of this step" in notes["left"]
    assert missing["dependency_graph"]["join"] == ["left", "right"]
