"""Sphinx configuration; pages that follow from tables in the code are written before each build."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "code")]

from generate import write_generated  # noqa: E402

from aind_capsule.version import __version__  # noqa: E402

write_generated(HERE / "reference" / "generated")

project = "aind-capsule"
author = copyright = "The aind-capsule developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "aind-capsule"
autodoc_typehints = "description"
nitpicky = False
