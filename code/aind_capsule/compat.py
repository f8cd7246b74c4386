"""For those who come from aind-log-utils: its `setup_logging`, by the same name and arguments."""

from __future__ import annotations

import logging

from aind_capsule.logs.configure import add_fields


def setup_logging(
    process_name: str,
    subject_id: str | None = None,
    asset_name: str | None = None,
    send_start_log: bool = True,
    disable_existing_loggers: bool = False,
    *,
    mouse_id: str | None = None,
    session_name: str | None = None,
) -> None:
    """Configure logging as `aind_log_utils.log.setup_logging` does, into the AIND log.

    Nothing is sent to CloudWatch and no credentials are asked for; the log goes where
    `configure_logging` has it go.

    Args:
        process_name: Name of the process.
        subject_id: Subject of the acquisition.
        asset_name: Name of the data asset.
        send_start_log: Whether a first record says that the process has started.
        disable_existing_loggers: Whether loggers that are there already fall silent.
        mouse_id: The older name of `subject_id`.
        session_name: The older name of `asset_name`.

    Raises:
        ImportError: loguru is not installed.
    """
    known = {"subject_id": subject_id or mouse_id, "asset_name": asset_name or session_name}
    if disable_existing_loggers:
        for logger in list(logging.Logger.manager.loggerDict.values()):
            if isinstance(logger, logging.Logger):
                logger.disabled = True
    add_fields(process_name, {name: value for name, value in known.items() if value})
    if send_start_log:
        logging.getLogger("aind_capsule").info("Starting %s", process_name)
