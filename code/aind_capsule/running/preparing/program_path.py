"""Where the processing's own program lies. Read by `identity` and `prepare`; opens no file."""

from __future__ import annotations

import os
from collections.abc import Mapping

from aind_capsule.running.preparing.command_line import Kind, Program

#: What a module is, as a file or folder in the working directory.
_MODULE_ENDINGS = ("", ".py", ".m")


def find_program_path(program: Program, cwd: str, environ: Mapping[str, str]) -> str | None:
    """Return the program's file, or None for code, for what is installed, and where there is none.

    Args:
        program: The processing's own program.
        cwd: The working directory.
        environ: The environment, for PATH.
    """
    if program.kind is Kind.CODE or not program.word:
        return None
    cwd = os.path.join(cwd, program.folder)
    if program.kind is Kind.MODULE and os.sep not in program.word:
        path = os.path.join(cwd, program.word.replace(".", os.sep))
        return next((path + end for end in _MODULE_ENDINGS if os.path.exists(path + end)), None)
    path = os.path.normpath(os.path.join(cwd, program.word))
    if os.sep in program.word or (program.kind is Kind.SCRIPT and os.path.exists(path)):
        return path
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        candidate = os.path.join(cwd, folder, program.word)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return os.path.normpath(candidate)
    return path if program.kind is Kind.SCRIPT else None


def resolve_links(path: str) -> str:
    """Return a path without symbolic links, or as it is where that cannot be found out."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a NUL, or a circle
        return path
