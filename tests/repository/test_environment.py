"""The images follow from one lock, and the lock from `pyproject.toml`."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

spec = importlib.util.spec_from_file_location("lock", ROOT / "environment" / "lock.py")
assert spec is not None
assert spec.loader is not None
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
STAMPED = (
    "environment/Dockerfile",
    "environment/postInstall",
    "capsule_template/environment/Dockerfile",
)


def find_pin(name: str, pins: list[Requirement], python: str) -> str | None:
    """The version that a list of pins has for a package on one Python of Linux."""
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    for pin in pins:
        is_same = canonicalize_name(pin.name) == canonicalize_name(name)
        if is_same and (pin.marker is None or pin.marker.evaluate(here)):
            (version,) = pin.specifier
            return version.version
    return None


def check_satisfies(wanted: list[str], pins: list[Requirement], python: str) -> None:
    """Each requirement that holds for one Python has a pin that it allows."""
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            pinned = find_pin(requirement.name, pins, python)
            assert pinned is not None, f"{text} is not locked; run `make lock`"
            assert requirement.specifier.contains(pinned), f"{text}: {pinned}; run `make lock`"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the stamp reads and writes."""
    for folder in ("environment", "capsule_template/environment"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def stamp(root: Path) -> None:
    """What `make lock` does without a network."""
    subprocess.run([sys.executable, root / "environment" / "lock.py", "--stamp"], check=True)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_the_lock_satisfies_the_project(python: str) -> None:
    """Each dependency of pyproject.toml is locked on each Python, at a version that it allows."""
    pins = [Requirement(pin) for pin in lock.read_pins()]
    check_satisfies(PROJECT["project"]["dependencies"], pins, python)


def test_the_build_lock_satisfies_the_build_system() -> None:
    """What builds the wheel in the image is what pyproject.toml asks for."""
    found = re.findall(r"^([^\s#]+==[^\s;\\]+)", lock.BUILD_LOCK.read_text(), re.MULTILINE)
    check_satisfies(
        PROJECT["build-system"]["requires"], [Requirement(pin) for pin in found], "3.12"
    )


def test_every_pin_of_the_locks_has_hashes() -> None:
    """`pip install --require-hashes` takes the locks: each pin is followed by a hash."""
    for path in (lock.LOCK, lock.BUILD_LOCK):
        blocks = re.split(r"\n(?=\S)", path.read_text().strip())
        assert all("==" in block and "--hash=sha256:" in block for block in blocks), path.name


def test_the_platforms_image_pins_what_the_processing_needs() -> None:
    """environment/Dockerfile pins the packages of the group `demo`, no other, as that allows."""
    wanted = PROJECT["dependency-groups"]["demo"]
    pins = lock.read_processing_pins()
    assert set(pins) == {Requirement(text).name for text in wanted}
    pinned = [Requirement(f"{name}=={version}") for name, version in pins.items()]
    check_satisfies(wanted, pinned, "3.12")


def test_what_is_stamped_agrees_with_the_lock(copy: Path) -> None:
    """Stamping anew changes nothing: pins in postInstall and hash lines are up to date."""
    stamp(copy)
    for name in STAMPED:
        assert (copy / name).read_bytes() == (ROOT / name).read_bytes(), f"{name}: `make lock`"


def test_the_stamp_follows_the_lock(copy: Path) -> None:
    """Another version in the lock, another line in a Dockerfile: pins and hash line follow."""
    locked, dockerfile = copy / "environment/requirements.lock", copy / "environment/Dockerfile"
    locked.write_text(re.sub(r"(?m)^click==\S+", "click==99.1", locked.read_text()))
    dockerfile.write_text(dockerfile.read_text() + "ENV A=B\n")
    stamp(copy)
    assert "\nclick==99.1\n" in (copy / "environment/postInstall").read_text()
    first, _, rest = dockerfile.read_bytes().partition(b"\n")
    assert first == b"# hash:sha256:" + hashlib.sha256(rest).hexdigest().encode()
    assert rest.endswith(b"ENV A=B\n")


def test_the_template_installs_this_version() -> None:
    """The template's postInstall pins the version that it comes with, with every extra for a run."""
    from aind_capsule import __version__

    post_install = (ROOT / "capsule_template/environment/postInstall").read_text()
    assert f'VERSION="{__version__}"' in post_install
    assert f'"aind-capsule[{",".join(lock.EXTRAS)}]==$VERSION"' in post_install
