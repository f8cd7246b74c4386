"""What the program of this Python process is given, for a run that the process makes itself.

The command line of the process says it, unless something else runs the program: IPython's `%run`, a
notebook's kernel, a worker of multiprocessing. These set `sys.argv` as the program shall see it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from aind_capsule.running.preparing.command_line import Kind, Program, find_program


def find_own_arguments(command: Sequence[str]) -> Sequence[str]:
    """Return the arguments of the program that this process runs.

    Args:
        command: The command line that this process was started with.
    """
    argv = [*getattr(sys, "argv", ())] or [""]
    program = find_program(command)
    if _is_worker() or not _is_program(argv[0], program):
        return argv[1:]
    if _is_in_notebook():
        # The words are the kernel's or IPython's own, up to `--`.
        return argv[argv.index("--") + 1 :] if "--" in argv else []
    # Not `sys.argv`, from which the program may have taken words already.
    return program.arguments


def _is_worker() -> bool:
    """Return whether multiprocessing has started this process."""
    multiprocessing: Any = sys.modules.get("multiprocessing")
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def _is_program(path: str, program: Program) -> bool:
    """Return whether `sys.argv[0]` is the program that the command line names."""
    if program.kind is Kind.CODE:
        return path in ("", "-c", "-")
    if program.kind is Kind.MODULE:
        stem = os.path.splitext(os.path.abspath(path))[0].removesuffix(f"{os.sep}__main__")
        return path == "-m" or stem.endswith(os.sep + program.word.replace(".", os.sep))
    return os.path.basename(path.rstrip(os.sep)) == os.path.basename(program.word.rstrip(os.sep))


def _is_in_notebook() -> bool:
    """Return whether this is a cell of a notebook, or a line of IPython's, and no script."""
    find_shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", None)
    has_script = getattr(sys.modules.get("__main__"), "__file__", None) is not None
    return find_shell is not None and find_shell() is not None and not has_script
