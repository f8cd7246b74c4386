"""Quality control of dynamic-foraging sessions: this repository's own capsule.

Reads every session's NWB file below the data folder, writes `qc.json` and a picture for each.
Exit status 0: every session was measured; 1: there is no session, or one could not be read.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

try:
    from aind_capsule import configure_logging
    from loguru import logger

    configure_logging("session-qc")
except ImportError:  # the processing also runs without the toolkit
    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s")
    logger = logging.getLogger("session-qc")  # type: ignore[assignment]

from session_qc.figure import draw_session
from session_qc.metrics import measure
from session_qc.session import SessionError, find_sessions, read_session


def find_folder(kind: str) -> Path:
    """The platform's folder, or the one beside the code folder."""
    given, platform = os.environ.get(f"CAPSULE_{kind.upper()}"), Path("/", kind)
    beside = Path(__file__).resolve().parents[1] / kind
    return Path(given) if given else platform if platform.is_dir() else beside


def main() -> int:
    """Measure all sessions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=find_folder("data"))
    parser.add_argument("--results", type=Path, default=find_folder("results"))
    arguments = parser.parse_args([word for word in sys.argv[1:] if word])
    paths = find_sessions(arguments.data)
    if not paths:
        logger.error(f"There is no .nwb file below {arguments.data}; attach a session")
        return 1
    failures = 0
    for path in paths:
        prefix = f"{path.stem}_" if len(paths) > 1 else ""
        try:
            session = read_session(path)
        except SessionError as error:
            logger.error(str(error))
            failures += 1
            continue
        metrics = measure(session)
        told = metrics.describe()
        results = arguments.results
        (results / f"{prefix}qc.json").write_text(json.dumps(told, indent=2) + "\n")
        draw_session(session, metrics, results / f"{prefix}choices_and_rewards.png")
        for name, reason in metrics.reasons.items():
            logger.warning(f"{session.name}: no {name}: {reason}")
        numbers = {k: v for k, v in told.items() if k not in ("session", "reasons")}
        logger.info(f"{session.name}: " + ", ".join(f"{k} {v}" for k, v in numbers.items()))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
