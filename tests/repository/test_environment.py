"""The images follow from one lock."""

from __future__ import annotations

import importlib.util
import re

from tests.conftest import ROOT

spec = importlib.util.spec_from_file_location("lock", ROOT / "environment" / "lock.py")
assert spec is not None
assert spec.loader is not None
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)


def test_post_install_has_the_locks_pins() -> None:
    """The pins between the marks of postInstall are the lock's."""
    text = (ROOT / "environment" / "postInstall").read_text()
    pins = re.search(r"# pins: made by environment/lock.py\n(.*?)# end of pins\n", text, re.DOTALL)
    assert pins is not None
    assert pins.group(1).splitlines() == lock.read_pins()


def test_the_lock_holds_every_dependency() -> None:
    """Each dependency of pyproject.toml is in the lock."""
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    wanted = {re.split(r"[>=;]", item)[0].lower().replace("_", "-") for item in re.findall(r'"([^"]+)"', block.group(1))}
    locked = {pin.split("==")[0].lower() for pin in lock.read_pins()}
    assert wanted <= locked


def test_the_template_installs_this_version() -> None:
    """The template's postInstall pins the version that it comes with."""
    from aind_capsule import __version__

    assert f'"aind-capsule=={__version__}"' in (ROOT / "capsule_template/environment/postInstall").read_text()
