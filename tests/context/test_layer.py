"""What holds for the layer as a whole: light to import, and quiet where it knows nothing."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import aind_capsule.context
from tests.conftest import build_environ

MODULES = [module.name for module in pkgutil.iter_modules(aind_capsule.context.__path__)]


def test_imports_are_light(tmp_path: Path) -> None:
    """The whole layer imports nothing slow, and nothing of ours but itself, `errors` and `frozen`."""
    script = (
        "import sys, json, importlib\n"
        "before = set(sys.modules)\n"
        f"for name in {MODULES!r}: importlib.import_module('aind_capsule.context.' + name)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    told = subprocess.check_output([sys.executable, "-c", script], env=build_environ(tmp_path))
    imported = set(json.loads(told))
    assert len([name for name in imported if name.startswith("aind_capsule.context.")]) == len(
        MODULES
    )
    slow = {"subprocess", "platform", "socket", "asyncio", "typing_extensions", "uuid", "logging"}
    assert not imported & slow
    top = {name.partition(".")[0] for name in imported}
    assert top - {"aind_capsule"} <= set(sys.stdlib_module_names)
    ours = {".".join(name.split(".")[:2]) for name in imported if name.startswith("aind_capsule")}
    allowed = {"context", "errors", "frozen", "version"}
    assert ours <= {"aind_capsule"} | {f"aind_capsule.{name}" for name in allowed}
