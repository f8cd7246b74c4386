"""The folder of the wrapper's socket: made short and for this user alone, and removed again.

It is in `XDG_RUNTIME_DIR`, else below `/tmp`: run folders are too deep for a socket's path. The
socket gets its name when it listens already, so that one which nobody answers at that name was left
by a wrapper that was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import time
from collections.abc import Iterator, Mapping

SOCKET_NAME = "records.sock"
#: A socket's path has at most this many bytes.
_MAX_PATH_BYTES = 107
#: Tried in turn: short paths that are usually writable.
_BASES = ("/tmp", "/dev/shm", "/run", "/var/tmp")
_FOLDER_NAME = re.compile(r"capsule-[0-9a-f]{12}")
_UNNAMED = "new"
_BACKLOG = 1024
#: What is older than this and has no socket was left in the middle of its making.
_MAKING_S = 60.0
#: CPU time for looking at what others have left, in all.
_CLEANING_S = 0.02


def find_socket_bases(environ: Mapping[str, str]) -> Iterator[str]:
    """Find folders that may hold the socket's folder, best first."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _is_own_folder(runtime) and _is_safe(runtime):
        path = os.path.join(runtime, f"capsule-{'0' * 12}", SOCKET_NAME)
        if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
            yield runtime
    yield from _BASES


def open_listener(environ: Mapping[str, str]) -> tuple[socket.socket, str]:
    """Make the folder and the socket in it; returns the socket, which listens, and its path.

    Raises:
        OSError: Neither can be made anywhere.
    """
    failure = OSError("no folder for the socket")
    for base in find_socket_bases(environ):
        folder = os.path.join(base, f"capsule-{os.urandom(6).hex()}")
        try:
            os.mkdir(folder, 0o700)
        except OSError as error:
            failure = error
            continue
        try:
            return _listen(folder), os.path.join(folder, SOCKET_NAME)
        except OSError as error:
            failure = error
            remove_socket_folder(folder)
    raise failure


def remove_socket_folder(folder: str) -> None:
    """Remove the socket and its folder; anything else in it keeps the folder."""
    for name in (SOCKET_NAME, _UNNAMED):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def remove_abandoned_folders(environ: Mapping[str, str], limit_s: float = _CLEANING_S) -> None:
    """Remove what wrappers of this user have left that were killed; takes little time."""
    deadline = time.thread_time() + limit_s
    for base in find_socket_bases(environ):
        with contextlib.suppress(OSError), os.scandir(base) as entries:
            for entry in entries:
                if time.thread_time() > deadline:
                    return
                if _FOLDER_NAME.fullmatch(entry.name) and _is_abandoned(entry.path):
                    remove_socket_folder(entry.path)


def _listen(folder: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.path.join(folder, _UNNAMED))
        listener.listen(_BACKLOG)
        os.rename(os.path.join(folder, _UNNAMED), os.path.join(folder, SOCKET_NAME))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _is_own_folder(path: str) -> bool:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _is_safe(folder: str) -> bool:
    """Return whether nobody else can rename or remove what is made in a folder of ours."""
    mode = os.lstat(folder).st_mode
    return not mode & (stat.S_IWGRP | stat.S_IWOTH) or bool(mode & stat.S_ISVTX)


def _is_abandoned(folder: str) -> bool:
    """Return whether a folder holds nothing but a socket of ours at which nobody listens."""
    if not _is_own_folder(folder):
        return False
    names = set(os.listdir(folder))
    if names == {SOCKET_NAME}:
        return _is_refused(os.path.join(folder, SOCKET_NAME))
    return names <= {_UNNAMED} and time.time() - os.lstat(folder).st_mtime > _MAKING_S


def _is_refused(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return stat.S_ISSOCK(os.lstat(path).st_mode)
        except OSError:  # many wait there, or it is another's
            return False
    return False
