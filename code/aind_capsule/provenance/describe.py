"""`python -m aind_capsule.provenance.describe DATA NAME LABEL FILE`: an asset's description.

The `data_description.json` of the asset that a run's results become, derived from that of its
input and bearing the asset's name; what it did is printed as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from aind_capsule.context.assets import find_assets
from aind_capsule.context.files import write_file
from aind_capsule.errors import CapsuleError
from aind_capsule.provenance.derived_description import derive
from aind_capsule.provenance.gather import Source
from aind_capsule.provenance.schema import rename_description

_DESCRIPTION = "data_description.json"
_MAX_BYTES = 64 * 1024 * 1024


def describe_asset(data: str, name: str, label: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return an asset's description, derived from what is in a data folder, and its gaps.

    Args:
        data: The folder.
        name: The asset's name.
        label: What was done.

    Raises:
        CapsuleError: There is no description to derive it from, or the schema refuses it.
    """
    sources = []
    for asset in find_assets(data):
        if _DESCRIPTION in asset.files:
            path = os.path.join(asset.path, _DESCRIPTION)
            with open(path, "rb") as file:
                content = json.loads(file.read(_MAX_BYTES))
            sources.append(Source(path, content))
    derived = derive(sources, (), label)
    return rename_description(derived.content, name), derived.gaps


def main(words: list[str]) -> int:
    """Describe the asset of one run."""
    if len(words) != 4:
        print("usage: python -m aind_capsule.provenance.describe DATA NAME LABEL FILE",
              file=sys.stderr)  # fmt: skip
        return 2
    data, name, label, target = words
    try:
        content, gaps = describe_asset(data, name, label)
        write_file(target, json.dumps(content, indent=2).encode())
    except CapsuleError as error:
        print(json.dumps({"problem": f"{error.message}. {error.hint}"}))
        return 1
    except (OSError, ValueError) as error:
        print(json.dumps({"problem": str(error)}))
        return 1
    print(json.dumps({"file": target, "gaps": gaps}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
