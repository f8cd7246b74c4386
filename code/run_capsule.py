"""Quality control of dynamic-foraging sessions: this repository's own capsule.

Reads every session's NWB file below the data folder; writes `qc.json` and a picture of each. Exit
status 0: every session was measured; 1: there is none, or one could not be read or written.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from session_qc.figure import draw_session
from session_qc.inputs import find_folder, find_sessions
from session_qc.metrics import measure_session
from session_qc.session import SessionError, read_session

try:
    from loguru import logger

    from aind_capsule import capsule_run, current_run

    has_toolkit = True
except ImportError:  # the processing also runs without the toolkit
    has_toolkit, logger = False, logging.getLogger("session-qc")  # type: ignore[assignment]


def check_session(name: str, path: Path, results: Path, prefix: str) -> None:
    """Read, measure and draw one session."""
    session = read_session(path, name)
    metrics = measure_session(session)
    told = metrics.describe()
    written, drawn = results / f"{prefix}qc.json", results / f"{prefix}choices_and_rewards.png"
    written.write_text(json.dumps(told, indent=2) + "\n")
    with current_run().step(f"draw {name}") if has_toolkit else nullcontext():
        draw_session(session, metrics, drawn)
    for value, reason in metrics.reasons.items():
        logger.warning(f"{name}: no {value}: {reason}")
    numbers = {key: value for key, value in told.items() if isinstance(value, (int, float))}
    if has_toolkit:  # numbers as fields of the record, and as the run's metrics
        logger.bind(**numbers).info(f"{name} measured")
        for key, value in numbers.items():
            current_run().log_metric(f"{prefix}{key}", value)
        current_run().log_artifact(written)
        current_run().log_artifact(drawn, "choices and rewards over the session")
    else:
        logger.info(f"{name} measured  {' '.join(f'{k}={v}' for k, v in numbers.items())}")


def main() -> None:
    """Check all sessions, as one run."""
    if not has_toolkit:
        logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s")
    with capsule_run("session-qc") if has_toolkit else nullcontext():
        sys.exit(check_sessions(sys.argv[1:]))


def check_sessions(arguments: Sequence[str]) -> int:
    """Check the sessions that the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(description="Quality control of dynamic-foraging sessions.")
    parser.add_argument("--data", metavar="DIR", help="where the sessions are")
    parser.add_argument("--results", metavar="DIR", help="where to write")
    given, others = parser.parse_known_args(arguments)
    if any(others):  # the platform passes empty parameters as empty words
        parser.error(f"unrecognized arguments: {' '.join(filter(None, others))}")
    data = Path(given.data or find_folder("data", os.environ))
    results = Path(given.results or find_folder("results", os.environ))
    if has_toolkit:
        current_run().log_parameters(data=data, results=results)
    errors: list[str] = []
    sessions = find_sessions(data, lambda error: errors.append(f"Cannot list a folder: {error}"))
    if not sessions:
        errors.append(f"There is no .nwb file below {data}; attach a session")
    for name, path in sessions.items():
        try:
            results.mkdir(parents=True, exist_ok=True)
            check_session(name, path, results, f"{name}_" if len(sessions) > 1 else "")
        except SessionError as error:
            errors.append(str(error))
        except OSError as error:
            errors.append(f"Cannot write the results of {name}: {error}; see to {results}")
    for message in errors:
        logger.error(message)
    return 1 if errors else 0


if __name__ == "__main__":
    main()
