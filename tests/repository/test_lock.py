"""What the lock pins is all that `capsule run` needs, whatever its options."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from aind_capsule.cli.run import command
from tests.conftest import ROOT, build_environ
from tests.environments import make_environment
from tests.storage.conftest import credentials, s3, servers  # noqa: F401
from tests.storage.servers import Server

LOCK = ROOT / "environment" / "requirements.lock"
OPTIONS = {
    "process_name": ("qc",), "pipeline_name": ("sorting",), "data": ("data",), "results": ("results",),
    "scratch": ("scratch",), "run_files": ("all",), "fields": ("animal=7",), "timeout": ("1m",), "resources": ("1s",),
    "grace": ("2s",), "merge_streams": (), "tty": (), "console": ("json",), "session": (), "strict": (),
    "upload": ("s3://{bucket}/assets",), "asset_name": ("name",), "redact_output": (),
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def locked_python() -> Path:
    """The Python of an environment with what the lock pins, and nothing else."""
    lock = LOCK.read_bytes()
    return make_environment(
        f"venv-lock-{hashlib.sha256(lock).hexdigest()[:8]}", "--require-hashes", "-r", str(LOCK)
    )


def test_each_option_has_a_row() -> None:
    """No option of `capsule run` is left out below."""
    assert {param.name for param in command.params if param.name != "cmd"} == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_needs_no_more_than_the_lock(
    option: str,
    locked_python: Path,
    s3: Server,  # noqa: F811
    tmp_path: Path,
) -> None:
    """A run with the option ends well, asks for no package, and leaves all of its files."""
    bucket = s3.make_bucket()
    for name in ("data", "results", "scratch"):
        (tmp_path / name).mkdir()
    words: list[str] = []
    for name in (option, "upload") if option == "asset_name" else (option,):
        words.append("--field" if name == "fields" else f"--{name.replace('_', '-')}")
        words += [value.format(bucket=bucket) for value in OPTIONS[name]]
    if option == "upload":
        words += ["--asset-name", "name"]
    environ = build_environ(tmp_path) | {
        "CAPSULE_RUN_FILES": "all", "CAPSULE_S3__ENDPOINT_URL": s3.url, "PYTHONPATH": str(ROOT / "code"),
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
    }  # fmt: skip
    done = subprocess.run(
        [locked_python, "-m", "aind_capsule", "run", *words, "--", "sh", "-c", "echo 1 > results/a"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (log,) = (tmp_path / "results").glob("*.log.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [r["message"] for r in records if "install" in r["message"]] == []
    assert records[-1]["status"] == "success"
    assert len(list((tmp_path / "results").glob("*_data_process.json"))) == 1
    if "--upload" in words:
        keys = [row["Key"] for row in s3.make_client().list_objects_v2(Bucket=bucket)["Contents"]]
        assert "assets/name/manifest.json" in keys
