"""What this capsule does: replace `process` by your own processing."""

import json
import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path

try:
    from aind_capsule import capsule_run
    from loguru import logger
except ImportError:  # the core is not installed here: plain lines, which `capsule run` captures
    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s")
    capsule_run, logger = None, logging.getLogger("my-capsule")


def find_folder(kind: str) -> Path:
    """The platform's folder (/data, /results), or the one beside the code folder."""
    platform = Path("/", kind)
    beside = Path(__file__).resolve().parent.parent / kind
    return Path(
        os.environ.get(f"CAPSULE_{kind.upper()}") or (platform if platform.is_dir() else beside)
    )


def process(data: Path, results: Path) -> dict[str, int]:
    """Count the files of the input data assets."""
    assets = {path.name: sum(1 for _ in path.rglob("*")) for path in sorted(data.iterdir())}
    for name, files in assets.items():
        logger.info(f"Found {name} with {files} files")
    (results / "assets.json").write_text(json.dumps(assets, indent=2) + "\n")
    return assets


def main() -> None:
    """Process; what this run worked with and measured goes into its canonical record."""
    data, results = find_folder("data"), find_folder("results")
    with capsule_run("my-capsule") if capsule_run else nullcontext() as run:
        if not data.is_dir():
            sys.exit(f"There is no data folder {data}")
        with run.step("count files") if run else nullcontext():
            assets = process(data, results)
        if run:
            run.log_parameters(data=data)
            run.log_metric("files", sum(assets.values()))
            run.log_artifact(results / "assets.json")


if __name__ == "__main__":
    main()
