"""The console script `capsule`, and `python -m aind_capsule`."""

from __future__ import annotations

import sys

_COMMAND = sys.argv[1:2]
_IS_RUN = _COMMAND == ["run"] and sys.platform == "linux"
if _COMMAND != ["guard"]:  # it stands before every script, and opens one file after the other
    from aind_capsule.running.process import start_state

    start_state.fill_descriptors()
    if _IS_RUN:  # before any other import: a signal that comes meanwhile is not lost
        start_state.hold_signals()

import os  # noqa: E402


def start() -> None:
    """Run the command, and leave without taking the interpreter apart.

    Every capsule's run pays for its wrapper's end; what is open is closed by the kernel.
    """
    if _COMMAND == ["guard"]:  # before click and all else: it stands before every script
        from aind_capsule.capsules.guard import guard

        guard(sys.argv[2:])
        os._exit(0)
    import contextlib

    status = 1
    try:
        if _IS_RUN:
            _start_run()
        else:
            _start_command()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads
            stream.flush()
    os._exit(status)


def _start_command() -> None:
    from aind_capsule.cli import main

    main()


def _start_run() -> None:
    """Start `capsule run`; limits that are too small for it are a sentence, not a traceback."""
    from aind_capsule.errors import SettingsError
    from aind_capsule.running.process import limits

    limits.raise_soft_limits()
    if limits.is_file_size_limited():  # bytecode that is cut off breaks every later start
        sys.dont_write_bytecode = True
    try:
        limits.check_limits()
        _start_command()
    except SettingsError as error:
        refusal = error
    except BlockingIOError:
        raise
    except (ImportError, MemoryError, OSError) as error:
        explained = limits.explain(error, "The run cannot go on")
        if explained is None:
            raise
        refusal = explained
    print(f"capsule: {refusal.message}\n         {refusal.hint}", file=sys.stderr)
    sys.exit(refusal.exit_status)


if __name__ == "__main__":
    start()
