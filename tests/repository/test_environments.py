"""The tests' own environments: one is made once, whoever asks for it at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ASK = """
import sys
from pathlib import Path
from tests import environments
environments.ROOT = Path(sys.argv[1])
print(environments.make_environment("venv", "pip"))
"""


@pytest.mark.slow
def test_an_environment_is_made_once(tmp_path: Path) -> None:
    """Three processes ask at once, after one that was interrupted: all get the same, whole one."""
    (tmp_path / "build" / "venv" / "lib").mkdir(parents=True)
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, tmp_path],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=120) for process in asking]
    assert [process.returncode for process in asking] == [0, 0, 0], answers
    paths = {said.decode().split("\n")[-2] for said, _ in answers}
    assert paths == {str(tmp_path / "build" / "venv" / "bin" / "python")}
    assert (tmp_path / "build" / "venv" / "ready").exists()
