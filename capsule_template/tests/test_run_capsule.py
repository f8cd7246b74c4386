"""The processing, as a plain program: it needs neither the platform nor the toolkit."""

import json
import subprocess
import sys
from pathlib import Path

CODE = Path(__file__).resolve().parent.parent / "code"


def run(data: Path, results: Path) -> subprocess.CompletedProcess:
    """Run the processing on some folders."""
    folders = {"DATA": data, "RESULTS": results, "SCRATCH": results}
    environ = {f"CAPSULE_{name}": str(folder) for name, folder in folders.items()}
    environ["PATH"] = "/usr/bin:/bin"
    return subprocess.run([sys.executable, CODE / "run_capsule.py"], env=environ, check=False)


def test_it_lists_the_assets(tmp_path: Path) -> None:
    """Each input data asset is in the result with its number of files."""
    data, results = tmp_path / "data", tmp_path / "results"
    (data / "asset").mkdir(parents=True)
    (data / "asset" / "file.txt").write_text("x")
    results.mkdir()
    assert run(data, results).returncode == 0
    assert json.loads((results / "assets.json").read_text()) == {"asset": 1}


def test_without_data_it_fails(tmp_path: Path) -> None:
    """No data folder: exit status 1, no result."""
    assert run(tmp_path / "none", tmp_path).returncode == 1
