"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import aind_capsule

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(aind_capsule.__path__, "aind_capsule.")
)


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(name: str) -> None:
    """What an example of a module shows is what it gives."""
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
