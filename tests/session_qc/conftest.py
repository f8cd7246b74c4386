"""The capsule's own processing is not part of the package: it is found in the code folder.

Behind everything else on the path, so that an installed `aind_capsule` stays the one under test.
"""

from __future__ import annotations

import sys

from tests.conftest import ROOT

sys.path.append(str(ROOT / "code"))
