"""Virtual environments of the tests, made once and kept below `build`."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def make_environment(name: str, *packages: str) -> Path:
    """The Python of an environment that holds some packages.

    Whoever comes first makes it while all others wait, whatever process they are in; one whose
    making was interrupted is made anew.
    """
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    venv = build / name
    python, ready = venv / "bin" / "python", venv / "ready"
    with (build / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--no-compile", *packages], check=True
            )
            ready.touch()
    return python
