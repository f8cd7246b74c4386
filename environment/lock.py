"""Make the one lock, and stamp what follows from it: `make lock`, which needs `uv` on PATH.

`requirements.lock` pins the toolkit's own dependencies with hashes, from `pyproject.toml`, and
those of each extra that an option of `capsule run` needs (`--upload`, `--resources`, provenance).
`build.lock` pins what builds its wheel. The platform's form of an image has no file but
`Dockerfile` and `postInstall`, so the toolkit's pins stand in `postInstall` as well, between two
marks, the processing's in the `Dockerfile`; and a `Dockerfile` there begins with the hash of what
follows. The processing's pins are resolved apart: the two environments never meet.

With `--stamp` only pins of `postInstall` and hash lines are written, which needs no network.
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
POST_INSTALL = ENVIRONMENT / "postInstall"
PROCESSING = ENVIRONMENT / "Dockerfile"
DOCKERFILES = (PROCESSING, ROOT / "capsule_template" / "environment" / "Dockerfile")
#: What an option of `capsule run` needs; the template installs them too.
EXTRAS = ("metadata", "resources", "s3")
#: The oldest Python whose packages the processing's pins must have, and the platform's system.
PROCESSING_FOR = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28")
_PINS = re.compile(r"(?<=# pins: made by environment/lock.py\n).*?(?=# end of pins\n)", re.DOTALL)
_PINNED = re.compile(r"^([A-Za-z0-9._-]+==[^\s;\\]+)(?:\s*;\s*([^\\\n]+?))?\s*\\?$", re.MULTILINE)
_PROCESSING_PIN = re.compile(r"(?<=^    )([A-Za-z0-9._-]+)==[^\s\\]+", re.MULTILINE)


def resolve(*arguments: str, given: str = "") -> str:
    """What `uv pip compile` answers; `given` is its standard input."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, input=given, stdout=subprocess.PIPE, text=True, check=True
        )
    except FileNotFoundError:
        sys.exit("lock: uv is not on PATH; `python -m pip install uv` in a virtual environment")
    except subprocess.CalledProcessError as error:
        sys.exit(f"lock: uv ended with exit status {error.returncode}; what it said stands above")
    return done.stdout


def make_locks() -> None:
    """Resolve the dependencies for every supported Python, with hashes; the processing's too."""
    everywhere = ("--universal", "--python-version", "3.10", "--generate-hashes")
    project = (ROOT / "pyproject.toml").read_text()
    (needed,) = re.findall(r"^requires = \[(.*)\]$", project, re.MULTILINE)
    locks = {
        LOCK: resolve(*everywhere, *(f"--extra={name}" for name in EXTRAS), "pyproject.toml"),
        BUILD_LOCK: resolve(*everywhere, "-", given="\n".join(re.findall(r'"([^"]+)"', needed))),
    }
    newest = dict(
        pin.split("==") for pin, _ in _PINNED.findall(resolve(*PROCESSING_FOR, "--group", "demo"))
    )
    text = PROCESSING.read_text()
    # Nothing is written before everything is resolved.
    for path, content in locks.items():
        path.write_text(content)
    PROCESSING.write_text(
        _PROCESSING_PIN.sub(lambda match: f"{match[1]}=={newest[match[1]]}", text)
    )


def read_pins() -> list[str]:
    """The lock's requirements without their hashes, with their markers; Linux's only."""
    found = _PINNED.findall(LOCK.read_text())
    pins = [(pin, marker) for pin, marker in found if "sys_platform == 'win32'" not in marker]
    return [f"{pin} ; {marker}" if marker else pin for pin, marker in pins]


def read_processing_pins() -> dict[str, str]:
    """The processing's packages in the platform's Dockerfile, each with its version."""
    text = PROCESSING.read_text()
    return dict(match[0].split("==") for match in _PROCESSING_PIN.finditer(text))


def stamp() -> None:
    """Write the pins into postInstall, and the hash lines into the Dockerfiles."""
    pins = "".join(f"{pin}\n" for pin in read_pins())
    POST_INSTALL.write_text(_PINS.sub(lambda _: pins, POST_INSTALL.read_text()))
    for dockerfile in DOCKERFILES:
        _, _, rest = dockerfile.read_bytes().partition(b"\n")
        digest = hashlib.sha256(rest).hexdigest().encode()
        dockerfile.write_bytes(b"# hash:sha256:" + digest + b"\n" + rest)


if __name__ == "__main__":
    if "--stamp" not in sys.argv:
        make_locks()
    stamp()
