"""The file that a command's name stands for, and its first bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping

ELF_MAGIC = b"\x7fELF"
#: What is read of a file: the kernel looks no further for the interpreter.
_HEAD_BYTES = 256


def find_program_file(name: str, environ: Mapping[str, str]) -> str:
    """Return the path that a name stands for: of PATH the first program, else the first file."""
    if "/" in name:
        return name
    paths = [os.path.join(folder, name) for folder in os.get_exec_path(environ)]
    for is_it in (_is_program, os.path.lexists):
        for path in paths:
            if is_it(path):
                return path
    return name


def is_binary(path: str) -> bool:
    """Return whether a file is no text that a shell could run, by the rule of bash."""
    head = read_head(path) or b""
    return head.startswith(ELF_MAGIC) or b"\0" in head[:80].partition(b"\n")[0]


def read_head(path: str) -> bytes | None:
    """Return a regular file's first bytes; None where they cannot be read."""
    try:
        if not os.path.isfile(path):  # to open a pipe would wait for its writer
            return None
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return None


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
