"""Python environments of others' releases, made once below `build` and kept."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def make_environment(name: str, *pins: str) -> Path:
    """The interpreter of a virtual environment with these packages.

    Several test processes may ask at once, and one before them may have been killed at it.
    """
    venv = ROOT / "build" / name
    venv.parent.mkdir(exist_ok=True)
    with venv.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, *pins], check=True)
            (venv / "ready").touch()
    return venv / "bin" / "python"
