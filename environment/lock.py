"""Make the one lock, and stamp what follows from it: `make lock`.

`requirements.lock` pins the toolkit's own dependencies with hashes, from `pyproject.toml`. The
platform's form of an image has no file but `Dockerfile` and `postInstall`, so the pins stand in
those as well, between two marks; and a `Dockerfile` there begins with the hash of what follows.

With `--stamp` only the second half is done, which needs no network.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parent
ROOT = ENVIRONMENT.parent
LOCK = ENVIRONMENT / "requirements.lock"
BUILD_LOCK = ENVIRONMENT / "build.lock"
DOCKERFILES = (ENVIRONMENT / "Dockerfile", ROOT / "capsule_template" / "environment" / "Dockerfile")
_PINS = re.compile(r"(?<=# pins: made by environment/lock.py\n).*?(?=# end of pins\n)", re.DOTALL)
_PINNED = re.compile(r"^([A-Za-z0-9._-]+==[^\s;\\]+)(?:\s*;\s*([^\\\n]+?))?\s*\\?$", re.MULTILINE)


def make_locks() -> None:
    """Resolve the toolkit's dependencies and its build backend for every Python, with hashes."""
    _resolve("pyproject.toml", LOCK)
    _resolve("-", BUILD_LOCK, b"hatchling\n")


def _resolve(source: str, lock: Path, text: bytes | None = None) -> None:
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--python-version", "3.10", "--upgrade", source]
    subprocess.run([*command, "--output-file", str(lock)], cwd=ROOT, input=text, check=True)


def read_pins() -> list[str]:
    """The lock's requirements without their hashes, with their markers."""
    found = _PINNED.findall(LOCK.read_text())
    return [f"{pin} ; {marker}" if marker else pin for pin, marker in found]


def stamp() -> None:
    """Write the pins into postInstall, and the hash lines into the Dockerfiles."""
    script = ENVIRONMENT / "postInstall"
    pins = "".join(f"{pin}\n" for pin in read_pins())
    script.write_text(_PINS.sub(lambda _: pins, script.read_text()))
    for dockerfile in DOCKERFILES:
        _, _, rest = dockerfile.read_bytes().partition(b"\n")
        digest = hashlib.sha256(rest).hexdigest().encode()
        dockerfile.write_bytes(b"# hash:sha256:" + digest + b"\n" + rest)


if __name__ == "__main__":
    if "--stamp" not in sys.argv:
        make_locks()
    stamp()
