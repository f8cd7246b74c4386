"""Open files of a folder that others may change meanwhile: through no link, waiting for nothing.

The walk says where each file really is. On that way no link is allowed, so that what has become one
since leads nowhere: `openat2` checks that in one call (Linux 5.6), else folder after folder is
opened by its descriptor.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
#: Only Windows has none; there the path is opened as it is.
_HAS_DESCRIPTORS = os.open in os.supports_dir_fd
_OPENAT2 = 437
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
#: What openat2 answers where its kernel has none, or a container forbids it.
_LINK_MESSAGE = "a link has taken its place, or that of a folder above it"


class _OpenHow(ctypes.Structure):
    """What openat2 takes (openat2(2), `struct open_how`)."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class FolderOpener:
    """Opens files below a folder, and those elsewhere that the walk has found by allowed links.

    May be used by many threads. To be closed.

    Args:
        folder: The folder, or None where there is none.
        has_openat2: Whether openat2 may be used; found out where it is None.

    Raises:
        OSError: The folder cannot be opened.
    """

    def __init__(self, folder: bytes | None, *, has_openat2: bool | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self._roots: list[tuple[bytes, int]] = []
        if not _HAS_DESCRIPTORS:
            return
        with self._stack:
            if folder is not None:
                root = os.path.realpath(folder)
                self._add_root(root if root.endswith(b"/") else root + b"/")
            self._add_root(b"/")
            self._stack = self._stack.pop_all()
        self._openat2 = _find_openat2(self._roots[0][1]) if has_openat2 is not False else None

    def close(self) -> None:
        """Close the folder."""
        self._stack.close()

    def open_file(self, path: bytes) -> int:
        """Open a file at its real place and return the descriptor.

        Raises:
            FileNotFoundError: It is not there any more.
            OSError: It cannot be opened, or a link has taken its place.
        """
        if not _HAS_DESCRIPTORS:
            return os.open(path, _FLAGS)
        root, folder_fd = next(row for row in self._roots if path.startswith(row[0]))
        below = path[len(root) :]
        try:
            if b"/" not in below:
                return os.open(below, _FLAGS, dir_fd=folder_fd)
            if self._openat2 is not None:
                return self._openat2.open_file(below, folder_fd)
            return _open_by_steps(below, folder_fd)
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(errno.ELOOP, _LINK_MESSAGE, path) from error
            raise

    def _add_root(self, root: bytes) -> None:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        self._roots.append((root, fd))


class _Openat2:
    """The system call, which the standard library does not have."""

    def __init__(self) -> None:
        self._how = _OpenHow(_FLAGS, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH)
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        self._call.argtypes = (
            ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t
        )  # fmt: skip

    def open_file(self, path: bytes, folder_fd: int) -> int:
        """Open a file below a folder."""
        while True:
            fd = self._call(_OPENAT2, folder_fd, path, self._how, ctypes.sizeof(self._how))
            if fd >= 0:
                return int(fd)
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code), path)


def _find_openat2(folder_fd: int) -> _Openat2 | None:
    """Return the system call where it works, which some containers forbid."""
    if sys.platform != "linux":
        return None
    try:
        call = _Openat2()
        os.close(call.open_file(b".", folder_fd))
    except (OSError, AttributeError):
        return None
    return call


def _open_by_steps(path: bytes, folder_fd: int) -> int:
    *folders, name = path.split(b"/")
    at_fd = folder_fd
    try:
        for folder in folders:
            below_fd = _open_folder(folder, at_fd)
            if at_fd != folder_fd:
                os.close(at_fd)
            at_fd = below_fd
        return os.open(name, _FLAGS, dir_fd=at_fd)
    finally:
        if at_fd != folder_fd:
            os.close(at_fd)


def _open_folder(name: bytes, folder_fd: int) -> int:
    try:
        return os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=folder_fd)
    except NotADirectoryError:  # so Linux says of a link too
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, _LINK_MESSAGE, name) from None
        raise
