"""Where this process's records go: found out from its environment and settings.

Called by `configure` and `running.alone`; nothing here knows of loguru.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aind_capsule.context.folders import get_cwd
from aind_capsule.context.identity import build_environment_fields
from aind_capsule.errors import SettingsError
from aind_capsule.logs.client import WrapperConnection
from aind_capsule.logs.own_log import OwnLog
from aind_capsule.logs.python.output import Output
from aind_capsule.logs.python.output_target import OutputTarget
from aind_capsule.logs.stderr import print_record, say
from aind_capsule.logs.target import Target
from aind_capsule.records.encode import encode
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.run_fields import build_run_fields
from aind_capsule.settings.load import Problem, find_code_folder, load_settings
from aind_capsule.settings.model import Settings


def open_target(
    process_name: str | None, socket_path: str | None, *, has_console: bool = True
) -> Target:
    """The wrapper where one answers, else a log file of our own.

    Args:
        process_name: Name of the process.
        socket_path: The wrapper's socket, if there may be one.
        has_console: Whether a log of our own has its records on stderr too, as the settings ask.
    """
    cwd = get_cwd()
    settings = _load_settings(cwd)
    redactor = Redactor.from_settings(settings, os.environ)
    if socket_path:
        connection = connect(socket_path, redactor)
        if connection is not None:
            return connection
    name = process_name or settings.process_name or find_script_name()
    if not has_console:
        settings = replace(settings, console=replace(settings.console, mode="off"))
    log = OwnLog(name, settings, os.environ, cwd, redactor)
    if not has_console and log.path is not None:
        print_record(encode({"level": "INFO", "message": f"{name} logs to {log.path}"}))
    return log


def open_output(
    output: Output, process_name: str | None, run_fields: Mapping[str, Any]
) -> OutputTarget:
    """A file or stream of the user's own, with the fields of the run, or of this process.

    Args:
        output: Takes the lines.
        process_name: Name of the process; by default the run's, the setting's, or the script's.
        run_fields: What the run around this process puts into every record.
    """
    settings = _load_settings(get_cwd())
    fields = dict(run_fields)
    if process_name or not fields:
        name = process_name or settings.process_name or find_script_name()
        surroundings = build_environment_fields(os.environ)
        fields = {**build_run_fields("", name, settings, surroundings), **fields}
        fields["process_name"] = name
    return OutputTarget(output, fields, Redactor.from_settings(settings, os.environ))


def connect(path: str, redactor: Redactor) -> WrapperConnection | None:
    """The connection to the wrapper; None, and said, where nobody answers."""
    try:
        return WrapperConnection(path, redactor)
    except (OSError, AttributeError) as error:  # nobody is there; no such sockets (Windows)
        say(f"CAPSULE_SOCKET names a wrapper that does not answer ({error})")
        return None


def load_redactor() -> Redactor:
    """What the settings and the environment of this process say of secrets."""
    return Redactor.from_settings(_load_settings(get_cwd()), os.environ)


def _load_settings(cwd: str) -> Settings:
    """The settings; what is wrong with them is said, and never stops a processing."""
    folder = find_code_folder(getattr(sys, "argv", [])[:1], cwd)
    faults: list[SettingsError | Problem] = []
    try:
        loaded = load_settings({}, os.environ, folder)
    except SettingsError as error:
        faults.append(error)
        loaded = load_settings({}, os.environ, None)
    faults += [problem for problem in loaded.problems if problem.is_error]
    if faults:
        redactor = Redactor.from_settings(loaded.settings, os.environ)
        for fault in faults:
            say(redactor.redact_text(f"{fault.message}. {fault.hint}"))
    return loaded.settings


def find_script_name() -> str:
    """The name of the program that runs, for a process that was given none."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None) or next(iter(getattr(sys, "argv", [])), "")
    with contextlib.suppress(TypeError):
        script = Path(path)
        stem = script.parent.name if script.stem == "__main__" else script.stem
        if stem not in ("", "-c"):
            return stem
    return "python"
