"""Is there a wrapper around us already? A run inside a run is one run.

The variables that a wrapper exports may be stale (it has ended), or reach into a pipeline task,
which is a run of its own; so the wrapper is asked, and the processes between are looked at.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from aind_capsule.context.pipeline_task import find_task_between
from aind_capsule.frozen import frozen
from aind_capsule.records.encode import decode, encode
from aind_capsule.running.intake import VERSION

#: The wrapper answers within 1 s; a machine that is overloaded may take longer.
HELLO_WAIT_S = 5.0
FOLDER_VARIABLES = ("CAPSULE_DATA", "CAPSULE_RESULTS", "CAPSULE_SCRATCH")
RUN_VARIABLES = ("CAPSULE_SOCKET", "CAPSULE_RUN_ID", "CAPSULE_WRAPPER_PID", "CAPSULE_RUN_FOLDERS")


@frozen
class OuterRun:
    """A living wrapper around us."""

    run_id: str
    pid: int


def find_outer_run(environ: Mapping[str, str], wait_s: float = HELLO_WAIT_S) -> OuterRun | None:
    """The wrapper that answers at `CAPSULE_SOCKET`, or None."""
    path = environ.get("CAPSULE_SOCKET")
    if not path:
        return None
    hello = {"capsule": "hello", "version": VERSION, "purpose": "nested", "pid": os.getpid()}
    answer = b""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(wait_s)
        client.connect(path)
        client.sendall(encode(hello) + b"\n")
        while b"\n" not in answer and (data := client.recv(65536)):
            answer += data
    welcome = decode(answer)
    if welcome is None or not isinstance(welcome.get("pid"), int):
        return None
    return OuterRun(str(welcome.get("run_id")), welcome["pid"])


def is_same_run(outer: OuterRun) -> bool:
    """Whether no pipeline task lies between the outer wrapper and us."""
    return find_task_between(os.getpid(), outer.pid) is None


def build_own_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a wrapper of another run exported."""
    kept = {name: value for name, value in environ.items() if name not in RUN_VARIABLES}
    exported = decode(os.fsencode(environ.get("CAPSULE_RUN_FOLDERS", "{}"))) or {}
    for name in FOLDER_VARIABLES:
        if name in kept and kept[name] == exported.get(name):
            del kept[name]
    return kept


def build_child_environ(
    environ: Mapping[str, str], *, run_id: str, socket_path: str | None, folders: Mapping[str, str]
) -> dict[str, str]:
    """The processing's environment: ours, and the documented `CAPSULE_*` variables.

    Args:
        environ: Our environment.
        run_id: The run.
        socket_path: Where records from inside are taken, or None.
        folders: `CAPSULE_DATA` and its kin.
    """
    exported = {name: folders[name] for name in FOLDER_VARIABLES}
    child = {
        **environ,
        **exported,
        "CAPSULE_RUN_ID": run_id,
        "CAPSULE_WRAPPER_PID": str(os.getpid()),
        "CAPSULE_RUN_FOLDERS": encode(exported).decode(),
    }
    if socket_path is not None:
        child["CAPSULE_SOCKET"] = socket_path
    return child
