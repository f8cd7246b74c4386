"""Start the processing: fork, a group of its own, signals as they were, exec.

By hand rather than by `subprocess`: the child must tell the watcher its pid before it can do
anything, take the terminal's foreground before it reads, and keep ignored signals ignored.
The caller has one thread.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence

from aind_capsule.frozen import frozen
from aind_capsule.running.helper import NoProcessError
from aind_capsule.running.process.inherited import Inherited
from aind_capsule.running.process.program_file import find_program_file, is_binary
from aind_capsule.running.terminal import set_foreground_group

#: A bigger pipe than the default lets the processing run ahead of us; the kernel may refuse.
_PIPE_BYTES = 256 * 1024
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)


class CannotStartError(OSError):
    """The command could not be executed; `errno` says why."""


@frozen
class Spawned:
    """A started command: its pid (and its group's id), and our ends of its pipes (-1: none)."""

    pid: int
    stdout_fd: int
    stderr_fd: int


def make_pipe() -> tuple[int, int]:
    """A pipe (read end, write end) as large as the kernel allows us."""
    read_fd, write_fd = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(write_fd, _F_SETPIPE_SZ, _PIPE_BYTES)
    return read_fd, write_fd


def spawn(
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    inherited: Inherited,
    announce_fd: int,
    merge_streams: bool = False,
    keeps_terminal: bool = False,
    foreground_fd: int | None = None,
) -> Spawned:
    """Run a command without a shell.

    Args:
        command: Program and arguments; a name without a slash is looked up in PATH.
        environ: The whole environment.
        inherited: What the command is to find as we found it. A standard stream that was closed is
            closed again, and not captured.
        announce_fd: The watcher's pipe: the child writes its pid there before it execs.
        merge_streams: One pipe for stdout and stderr.
        keeps_terminal: Leave stdout and stderr as they are, uncaptured.
        foreground_fd: The terminal whose foreground group the command becomes.

    Raises:
        CannotStartError: Not found, or not executable.
        NoProcessError: No process or no pipe is to be had.
    """
    # What was closed at our start is closed in the command too: nothing comes from there.
    captured = [] if keeps_terminal else [fd for fd in (1, 2) if fd not in inherited.closed_fds]
    read_ends, write_ends = {1: -1, 2: -1}, dict[int, int]()
    opened: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        for fd in captured:
            if not (merge_streams and write_ends):
                read_ends[fd], write_ends[fd] = make_pipe()
                opened += (read_ends[fd], write_ends[fd])
            else:
                write_ends[fd] = write_ends[1]
        fail_r, fail_w = os.pipe()
        opened += (fail_r, fail_w)
        pid = os.fork()
    except OSError as error:
        for fd in opened:
            os.close(fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise NoProcessError(error.errno, error.strerror) from error
    if pid == 0:
        try:
            os.setpgid(0, 0)
            os.write(announce_fd, b"%d\n" % os.getpid())
            if foreground_fd is not None:
                set_foreground_group(foreground_fd, os.getpgrp())
            for fd, write_end in write_ends.items():
                os.dup2(write_end, fd)
            inherited.restore()
            _execute(command, environ)
        except OSError as error:
            os.write(fail_w, b"%d" % (error.errno or errno.EINVAL))
        except BaseException:  # the fork must never return into the wrapper's code
            os.write(fail_w, b"%d" % errno.EINVAL)
        finally:
            os._exit(127)
    with contextlib.suppress(OSError):  # the child does it as well; whoever is first
        os.setpgid(pid, pid)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for fd in {*write_ends.values(), fail_w}:
        os.close(fd)
    failure = os.read(fail_r, 16)
    os.close(fail_r)
    if failure:
        os.waitpid(pid, 0)
        for fd in set(read_ends.values()) - {-1}:
            os.close(fd)
        raise CannotStartError(int(failure), os.strerror(int(failure)))
    return Spawned(pid, read_ends[1], read_ends[2])


def _execute(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Exec; a file that is no program format is a shell script, as for every other launcher."""
    try:
        os.execvpe(command[0], list(command), environ)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        path = find_program_file(command[0], environ)
        if is_binary(path):
            raise
    os.execve("/bin/sh", ["sh", path, *command[1:]], environ)
