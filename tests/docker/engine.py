"""The docker engine as the tests in this folder use it: commands, containers, what a build needs.

Called by the fixtures and tests of this folder; it decides nothing about what is tested.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import check_log_is_sound, parse_strictly

BASE = os.environ.get("AIND_CAPSULE_TEST_BASE_IMAGE", "aind-capsule-base:bookworm")
#: docker itself hands these to every RUN of a build when they are named.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def docker(
    *arguments: str, check: bool = True, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """One docker command."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=timeout_s
    )
    assert done.returncode == 0 or not check, (arguments, done.stdout, done.stderr)
    return done


def get_proxy_arguments() -> list[str]:
    """`--build-arg NAME` for each proxy of this machine; docker takes the value from here."""
    return [word for name in _PROXIES if os.environ.get(name) for word in ("--build-arg", name)]


def find_ca_bundle() -> Path | None:
    """The certificates that this machine trusts; a build behind a proxy has to trust them too."""
    named = [os.environ.get(name, "") for name in ("PIP_CERT", "SSL_CERT_FILE")]
    paths = [Path(name) for name in (*named, "/etc/ssl/certs/ca-certificates.crt") if name]
    return next((path for path in paths if path.is_file()), None)


def read_size_bytes(image: str) -> int:
    """The size of an image with all its layers."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image).stdout)


@contextmanager
def started(image: str, *command: str, options: tuple[str, ...] = ()) -> Iterator[str]:
    """A container in the background; it is removed in any case."""
    name = f"aind-capsule-{uuid.uuid4().hex[:8]}"
    docker("run", "-d", "--name", name, *options, image, *command)
    try:
        yield name
    finally:
        docker("rm", "-f", name)


def read_exit_code(container: str) -> int:
    """The exit status of a container that has ended."""
    return int(json.loads(docker("inspect", container).stdout)[0]["State"]["ExitCode"])


def read_canonical(results: Path) -> dict[str, Any]:
    """The canonical record of the one log in results."""
    (log,) = results.glob("*.log.jsonl")
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    check_log_is_sound(records)
    return records[-1]
