"""The console script `capsule`, and `python -m aind_capsule`."""

from __future__ import annotations

import os
import sys


def start() -> None:
    """Run the command, and leave without taking the interpreter apart.

    Every capsule's run pays for its wrapper's end; what is open is closed by the kernel.
    """
    if sys.argv[1:2] == ["guard"]:  # before click and all else: it stands before every script
        from aind_capsule.capsules.guard import guard

        guard(sys.argv[2:])
        os._exit(0)
    import contextlib

    from aind_capsule.cli import main

    status = 1
    try:
        main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    start()
