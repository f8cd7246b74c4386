"""What `capsule run` does: a run of its own, or part of the one around it."""

from __future__ import annotations

import contextlib
import os
import sys

from aind_capsule.running.loop import Loop
from aind_capsule.running.nesting import build_own_environ, find_outer_run, is_same_run
from aind_capsule.running.prepare import RunRequest, prepare
from aind_capsule.running.process.inherited import Inherited, take_inherited
from aind_capsule.running.run import Run
from aind_capsule.running.signals import SignalInbox


def run_command(request: RunRequest) -> int:
    """Wrap one command; returns the wrapper's exit status.

    Inside another run it does not return: it becomes the command.
    """
    inherited = take_inherited()
    outer = find_outer_run(request.environ)
    if outer is not None and is_same_run(outer):
        return _pass_through(request, inherited)
    is_stale = "CAPSULE_SOCKET" in request.environ and outer is None
    own = build_own_environ(request.environ)
    loop = Loop()
    # Before there is a run folder: from here on a stop has its record.
    inbox = SignalInbox(loop, inherited)
    prepared = prepare(
        RunRequest(request.command, request.flags, own, request.cwd, request.keeps_terminal)
    )
    return Run(request, prepared, own, loop, inbox).run(is_stale=is_stale)


def _pass_through(request: RunRequest, inherited: Inherited) -> int:
    """Become the command: its records and its end belong to the run around us."""
    environ = {**request.environ, "CAPSULE_WRAPPER_PID": str(os.getppid())}
    try:
        inherited.restore()
        os.execvpe(request.command[0], list(request.command), environ)
    except OSError as error:
        from aind_capsule.running.process.start_failure import find_reason  # most commands start

        status, _, message = find_reason(request.command, error, environ)
        with contextlib.suppress(OSError):  # stderr is closed again
            print(f"capsule run: {message}", file=sys.stderr)
        return status
