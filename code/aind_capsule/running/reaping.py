"""The processes below the wrapper: have orphans become its children, and reap them.

The wrapper is a subreaper: a process whose parent ends becomes its child. Every child is waited
for by its own pid, never by -1.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection

from aind_capsule.context.procfs import find_children

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Have orphans below us become our children; process 1 has them anyway."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Usage:
    """What the processes that were waited for have used.

    Attributes:
        cpu_s: User and system seconds.
        max_rss_bytes: Largest resident memory of one of them.
        has_killed_orphan: Whether an orphan was ended by SIGKILL.
    """

    def __init__(self) -> None:
        self.has_killed_orphan = False
        self.cpu_s = 0.0
        self.max_rss_bytes = 0

    def add(self, usage: object) -> None:
        """Add one process's, as `os.wait4` gives it (`ru_maxrss` is in KiB on Linux)."""
        self.cpu_s += usage.ru_utime + usage.ru_stime  # type: ignore[attr-defined]
        rss_bytes = usage.ru_maxrss * 1024  # type: ignore[attr-defined]
        self.max_rss_bytes = max(self.max_rss_bytes, rss_bytes)


def reap_orphans(own: Collection[int], usage: Usage) -> None:
    """Wait for the ended children that we did not start ourselves."""
    for pid in find_children(os.getpid()):
        if pid in own:
            continue
        with contextlib.suppress(ChildProcessError):
            done, status, used = os.wait4(pid, os.WNOHANG)
            if done:
                usage.add(used)
                is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                usage.has_killed_orphan = usage.has_killed_orphan or is_killed
