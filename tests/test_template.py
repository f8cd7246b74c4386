"""The template: it runs as it is, with the toolkit and without."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, build_environ, check_log_is_sound, parse_strictly

TEMPLATE = ROOT / "capsule_template"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with `capsule` and this Python on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, command in (("capsule", f'exec "{sys.executable}" -m aind_capsule "$@"'),
                          ("python", f'exec "{sys.executable}" "$@"')):  # fmt: skip
        (folder / name).write_text(f"#!/bin/sh\n{command}\n")
        (folder / name).chmod(0o755)
    environ = build_environ(tmp_path)
    return {**environ, "PATH": f"{folder}:/usr/bin:/bin"}


def _copy(tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(TEMPLATE, copy)
    for kind in ("data/asset", "results", "scratch"):
        (copy / kind).mkdir(parents=True)
    return copy


def _run(copy: Path, environ: dict[str, str], *command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command or ("./run",), cwd=copy / "code", env=environ, capture_output=True, check=False
    )


def test_the_template_runs_as_it_is(tmp_path: Path, environ: dict[str, str]) -> None:
    """A copy runs by ./run: a result, a log with a canonical record, its own name."""
    copy = _copy(tmp_path)
    done = _run(copy, environ)
    assert done.returncode == 0, done.stderr
    assert json.loads((copy / "results" / "assets.json").read_text()) == {"asset": 0}
    (log,) = copy.glob("results/my-capsule-*.log.jsonl")
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    check_log_is_sound(records)
    assert records[-1]["status"] == "success"
    assert records[-1]["process_name"] == "my-capsule"
    assert any(r["message"].startswith("Found asset") and r.get("lineno") for r in records)


def test_without_the_toolkit_it_runs_and_says_so(tmp_path: Path, environ: dict[str, str]) -> None:
    """No `capsule` on PATH, or one that does not start: the script goes on, and one line says why."""
    copy = _copy(tmp_path)
    bin_folder = Path(environ["PATH"].split(":")[0])
    toolkits = {
        None: b"capsule: command not found",
        "#!/bin/sh\necho Traceback >&2\nexit 1\n": b"Traceback",
        "#!/no/such/python\n": b"bin/capsule: ",
    }
    for content, told in toolkits.items():
        (bin_folder / "capsule").unlink(missing_ok=True)
        if content is not None:
            (bin_folder / "capsule").write_text(content)
            (bin_folder / "capsule").chmod(0o755)
        done = _run(copy, environ)
        assert done.returncode == 0
        assert told in done.stderr
        assert (copy / "results" / "assets.json").exists()
    # The core in the processing's Python makes the run itself.
    logs = [path.read_bytes().splitlines() for path in copy.glob("results/*.log.jsonl")]
    assert [parse_strictly(lines[-1])["metrics"] for lines in logs] == [{"files": 0}] * 3


@pytest.mark.parametrize(
    "dockerfile", ["capsule_template/environment/Dockerfile", "environment/Dockerfile"]
)
def test_the_hash_line_is_right(dockerfile: str) -> None:
    """Line 1 is the sha256 of every byte after it: the platform's editor goes on working."""
    first, _, rest = (ROOT / dockerfile).read_bytes().partition(b"\n")
    assert first == b"# hash:sha256:" + hashlib.sha256(rest).hexdigest().encode()


def test_files_that_must_be_executable_are() -> None:
    """run and postInstall are executable."""
    for name in (
        "capsule_template/code/run",
        "code/run",
        "capsule_template/environment/postInstall",
        "environment/postInstall",
    ):
        assert os.access(ROOT / name, os.X_OK), name


@pytest.mark.slow
def test_the_template_passes_its_own_test(tmp_path: Path) -> None:
    """The test that comes with the template passes on a copy."""
    copy = _copy(tmp_path)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests", "-p", "no:cacheprovider"], cwd=copy,
                          env=build_environ(tmp_path), capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_wheel_brings_the_template() -> None:
    """Where the package is installed from a wheel, the template is in it."""
    import aind_capsule

    package = Path(aind_capsule.__file__).parent
    if package.is_relative_to(ROOT / "code"):
        pytest.skip("not installed from a wheel")
    assert (package / "capsule_template" / "code" / "run").is_file()
    assert (package / "py.typed").is_file()
