"""Blocks the compiled dependencies in every Python that the tests start (plain mode only)."""

import sys

for _name in ("orjson", "ahocorasick_rs"):
    sys.modules[_name] = None
