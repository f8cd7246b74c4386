"""What this capsule does: replace `process` by your own processing."""

import json
import os
import sys
from pathlib import Path

try:
    from aind_capsule import configure_logging
    from loguru import logger

    configure_logging("my-capsule")
except ImportError:  # the core is not installed here: plain lines, which `capsule run` captures
    import logging

    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s")
    logger = logging.getLogger("my-capsule")


def find_folder(kind: str) -> Path:
    """The platform's folder (/data, /results), or the one beside the code folder."""
    platform = Path("/", kind)
    beside = Path(__file__).resolve().parent.parent / kind
    return Path(
        os.environ.get(f"CAPSULE_{kind.upper()}") or (platform if platform.is_dir() else beside)
    )


def process(data: Path, results: Path) -> None:
    """List the input data assets."""
    assets = {path.name: sum(1 for _ in path.rglob("*")) for path in sorted(data.iterdir())}
    for name, files in assets.items():
        logger.info(f"Found {name} with {files} files")
    (results / "assets.json").write_text(json.dumps(assets, indent=2) + "\n")


if __name__ == "__main__":
    data, results = find_folder("data"), find_folder("results")
    if not data.is_dir():
        logger.error(f"There is no data folder {data}")
        sys.exit(1)
    process(data, results)
    logger.info("Done")
