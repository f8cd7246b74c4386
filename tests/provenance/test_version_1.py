"""The older form of a run's record, judged by the library of that time in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from aind_capsule.provenance.data_process_v1 import TYPES, draft_data_process_v1
from tests.conftest import Capsule
from tests.environments import make_environment
from tests.provenance.runs import RUN, damaged_runs

OLD = "aind-data-schema==1.4.0"
JUDGE = """
import sys
from aind_data_schema.core.processing import DataProcess, Processing
for path in sys.argv[1:]:
    process = DataProcess.model_validate_json(open(path, "rb").read())
    pipeline = {"processor_full_name": "A", "data_processes": [process.model_dump()]}
    Processing.model_validate({"processing_pipeline": pipeline})
from aind_data_schema_models.process_names import ProcessName
print("\\n".join(sorted(kind.value for kind in ProcessName)))
"""
ENDINGS = {
    "success": ("true",),
    "fail": ("sh", "-c", "exit 3"),
    "killed": ("sh", "-c", "kill -9 $$"),
    "not found": ("./no-such-program",),
}


@pytest.fixture(scope="module")
def old_python() -> Path:
    """A Python with the older aind-data-schema."""
    return make_environment("venv-data-schema-1", OLD, "aind-data-schema-models==0.8.0")


def _judge(python: Path, paths: list[Path]) -> list[str]:
    done = subprocess.run(
        [python, "-W", "ignore", "-c", JUDGE, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split("\n")[:-1]


@pytest.mark.slow
def test_the_older_library_takes_what_runs_write(tmp_path: Path, old_python: Path) -> None:
    """Records of success, failure, kill and no program are valid under 1.4.0; its types are ours."""
    paths = []
    for how, command in ENDINGS.items():
        capsule = Capsule(tmp_path / how)
        capsule.environ |= {
            "CAPSULE_RUN_FILES": "all",
            "CAPSULE_PROVENANCE__SCHEMA_VERSION": "1",
            "PROCESS_NAME": "spike-sorting",
        }
        capsule.run(*command)
        (path,) = capsule.results.glob("*_data_process.json")
        paths.append(path)
    process = Capsule(tmp_path / "stopped")
    process.environ |= {"CAPSULE_RUN_FILES": "all", "CAPSULE_PROVENANCE__SCHEMA_VERSION": "1"}
    started = process.start("sh", "-c", "echo up; sleep 60")
    assert started.stdout is not None
    started.stdout.readline()
    started.terminate()
    assert process.finish(started).status == 143
    paths += process.results.glob("*_data_process.json")
    assert len(paths) == len(ENDINGS) + 1
    assert sorted(_judge(old_python, paths)) == sorted(TYPES)


@pytest.mark.slow
def test_the_older_library_takes_any_run(tmp_path: Path, old_python: Path) -> None:
    """Two hundred damaged `run.json` files: all their records are valid under 1.4.0."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    paths: list[Path] = []

    @settings(
        max_examples=200,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.one_of(damaged_runs(), st.just(RUN)))
    def write(run: dict[str, object]) -> None:
        path = tmp_path / f"{len(paths)}.json"
        path.write_text(json.dumps(draft_data_process_v1(run).content))
        paths.append(path)

    write()
    assert len(paths) >= 100
    _judge(old_python, paths)
