"""Exceptions that say that a worker process was killed.

Called by `outcome` where the kernel has killed a process for want of memory: most libraries notice
that as an exception of their own in the process that had started the worker.
"""

from __future__ import annotations

import re

from aind_capsule.running.recording.traceback_info import Traceback

#: What pools of processes raise when a worker is gone, by the last part of the type's name.
_TYPES = frozenset(
    {
        "BrokenProcessPool",  # concurrent.futures, loky
        "TerminatedWorkerError",  # loky, joblib
        "KilledWorker",  # dask
        "WorkerLostError",  # billiard, celery
        "WorkerCrashedError", "ActorDiedError", "RayActorError",  # ray
        "DeadKernelError",  # papermill, nbclient
        "ProcessExpired",  # pebble
    }
)  # fmt: skip
_MESSAGE = re.compile(
    r"\bSIGKILL\b"
    r"|\bsignal:? (?:9\b|killed\b)"
    # "died with exit status 137", "exit code: -9", "returncode=137"
    r"|\b(?:exit|return)(?:ed)?(?: with)?[ _-]?(?:status|code|value)?[ :=]*(?:137|-9)\b"
    r"|\bkilled due to\b.{0,80}\bmemory\b"
    r"|\bworkers?\b.{0,80}\b(?:died|killed(?! by signal))\b"
    r"|\bworkers?\b.{0,80}\b(?:exited unexpectedly|unexpectedly terminated)\b",
    re.IGNORECASE,
)
#: An exception's line: not indented but by the bars of a group.
_EXCEPTION = re.compile(r"^(?: *\| )?(?:[\w.]*\.)?([A-Za-z_]\w*)(?:: (.*))?$", re.MULTILINE)
_GROUP = "+ Exception Group Traceback"
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n"


def is_worker_death(exception: Traceback) -> bool:
    """Return whether an exception, one that it was raised from, or one of its group says so.

    >>> is_worker_death(Traceback("RuntimeError", "worker 7 is killed by signal: Killed.", ""))
    True
    >>> is_worker_death(Traceback("ValueError", "no units", ""))
    False
    """
    if _is_told(exception.type, exception.message):
        return True
    # One that was merely being handled need not be the reason: what came next has its own.
    text = exception.text.rpartition(_CONTEXT)[2]
    if not text.lstrip().startswith(_GROUP):
        text = text.rpartition(_CAUSE)[0]
    return any(_is_told(kind, message) for kind, message in _EXCEPTION.findall(text))


def _is_told(kind: str, message: str) -> bool:
    return kind.rpartition(".")[2] in _TYPES or _MESSAGE.search(message) is not None
