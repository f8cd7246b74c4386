"""The watcher: a small process that ends the processing when the wrapper dies.

It is forked before the processing, in a session of its own, and holds the read end of a pipe. The
processing writes its pid there before it execs; the wrapper writes a word when all is over. When
the pipe ends without that word, the wrapper was killed: the watcher ends all processes of the run,
as the wrapper would, and removes the folder of its socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from aind_capsule.context.procfs import find_by_variable
from aind_capsule.running.helper import Helper, fork_helper
from aind_capsule.running.process.process_group import ProcessGroup
from aind_capsule.running.process.socket_folder import remove_socket_folder

_DONE = b"done\n"
_POLL_S = 0.05
#: A process may fork while it is being killed.
_KILLS = 10


def start_watcher(grace_s: float, mark: str, socket_path: str | None) -> Helper:
    """Fork the watcher; `pipe_fd` is where the processing announces itself.

    Args:
        grace_s: Seconds between SIGTERM and SIGKILL.
        mark: A variable (`NAME=value`) that only processes of this run have: orphans are known by
            it, for they have hung on the wrapper.
        socket_path: The wrapper's socket, in a folder of its own.
    """
    return fork_helper(lambda read_fd: _watch(read_fd, grace_s, mark, socket_path), is_reader=True)


def dismiss_watcher(watcher: Helper) -> None:
    """Tell the watcher that there is nothing left to end, and take its leave."""
    with contextlib.suppress(OSError):
        os.write(watcher.pipe_fd, _DONE)
    os.close(watcher.pipe_fd)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(watcher.pid, 0)


def _watch(read_fd: int, grace_s: float, mark: str, socket_path: str | None) -> None:
    words = b""
    while chunk := os.read(read_fd, 64):
        words += chunk
    if words.endswith(_DONE):
        return
    if socket_path is not None:
        remove_socket_folder(os.path.dirname(socket_path))
    if words.endswith(b"\n"):
        _end_all(int(words.split()[-1]), grace_s, mark)


def _end_all(leader: int, grace_s: float, mark: str) -> None:
    processes = ProcessGroup(lambda _: find_by_variable(mark), leader=leader)
    processes.ask(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while (is_any_left := processes.ask_newcomers()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for _ in range(_KILLS):
        if not is_any_left:
            return
        processes.kill()
        time.sleep(_POLL_S)
        is_any_left = bool(processes.find())
