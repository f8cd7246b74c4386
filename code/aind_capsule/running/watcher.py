"""The watcher: a small process that ends the processing when the wrapper dies.

It is forked before the processing, in a session of its own, and holds the read end of a pipe. The
processing writes its pid there before it execs; the wrapper writes a word when all is over. When
the pipe ends without that word, the wrapper was killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator

from aind_capsule.context.procfs import find_descendants, find_group_members
from aind_capsule.running.helper import Helper, fork_helper

_DONE = b"done\n"
_POLL_S = 0.05


def start_watcher(grace_s: float) -> Helper:
    """Fork the watcher; `pipe_fd` is where the processing announces itself."""
    return fork_helper(lambda read_fd: _watch(read_fd, grace_s), is_reader=True)


def dismiss_watcher(watcher: Helper) -> None:
    """Tell the watcher that there is nothing left to end, and take its leave."""
    with contextlib.suppress(OSError):
        os.write(watcher.pipe_fd, _DONE)
    os.close(watcher.pipe_fd)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(watcher.pid, 0)


def _watch(read_fd: int, grace_s: float) -> None:
    words = b""
    while chunk := os.read(read_fd, 64):
        words += chunk
    if words.endswith(_DONE) or not words.endswith(b"\n"):
        return
    child = int(words.split()[-1])
    # By pidfd, so that no stranger is ended who has got the number of one that ended meanwhile.
    targets = dict(_open_processes({*find_descendants(child, ()), *find_group_members(child)}))
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and (find_group_members(child) or _is_any_alive(targets)):
        time.sleep(_POLL_S)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    for pidfd in targets.values():
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _open_processes(pids: set[int]) -> Iterator[tuple[int, int]]:
    for pid in pids:
        with contextlib.suppress(OSError):
            yield pid, os.pidfd_open(pid)


def _is_any_alive(targets: dict[int, int]) -> bool:
    # A pidfd is readable once its process has ended.
    return len(select.select(list(targets.values()), [], [], 0)[0]) < len(targets)
