"""Files of ours in a shared place: folders held by their descriptors, and names below them.

Called by everything that opens a run folder, a journal or a copy in results. A folder that is held
stays the same one when its path leads elsewhere, and no symbolic link is followed at a name of
ours. Where the platform has no `dir_fd` (Windows) paths take the place of descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from aind_capsule.context.descriptors import spare_standard

#: Windows has no O_CLOEXEC, no links to refuse, and would translate line ends without O_BINARY.
OPEN_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_HAS_DIR_FD = {os.open, os.mkdir, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
_FOLDER_FLAGS = os.O_RDONLY | OPEN_FLAGS | getattr(os, "O_DIRECTORY", 0)


class OpenFolder:
    """A folder, held by its descriptor until it is closed.

    Args:
        path: The folder.
        follows_link: Whether the last part of the path may be a link: only for a folder that is
            not ours, such as results.
        dir_fd: Descriptor of the folder above, where that is held open.

    Raises:
        OSError: There is no such folder, it cannot be entered, or a link stands there.

    Attributes:
        path: As given; for messages and for other processes.
    """

    def __init__(self, path: str, *, follows_link: bool = False, dir_fd: int | None = None) -> None:
        self.path = path
        self._fd: int | None = None
        if _HAS_DIR_FD:
            flags = _FOLDER_FLAGS & ~os.O_NOFOLLOW if follows_link else _FOLDER_FLAGS
            name = path if dir_fd is None else os.path.basename(path)
            with spare_standard():
                self._fd = os.open(name, flags, dir_fd=dir_fd)
        elif not os.path.isdir(path) or (not follows_link and os.path.islink(path)):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to this folder."""
        try:
            found = os.stat(self.path)
            return self._fd is None or os.path.samestat(found, os.fstat(self._fd))
        except OSError:
            return False

    def get_path(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return os.path.join(self.path, name)

    def make_folder(self, name: str, mode: int = 0o777) -> None:
        """Make a folder below.

        Raises:
            OSError: Something has the name already, or it cannot be made.
        """
        os.mkdir(self._get_name(name), mode, dir_fd=self._fd)

    def open_folder(self, name: str) -> OpenFolder:
        """Open a folder below; a link is not followed.

        Raises:
            OSError: It cannot be opened.
        """
        return OpenFolder(self.get_path(name), dir_fd=self._fd)

    def open_file(self, name: str, flags: int) -> int:
        """Open a file below; returns its descriptor.

        Args:
            name: Its name; a link that has it is not followed.
            flags: For `os.open`; with O_CREAT the file may be there already.

        Raises:
            OSError: It cannot be opened.
        """
        with spare_standard():  # what is printed may not go into it
            return os.open(self._get_name(name), flags | OPEN_FLAGS, 0o666, dir_fd=self._fd)

    def create_file(self, name: str) -> int:
        """Make a file below that nobody else has made; returns its descriptor.

        Raises:
            OSError: Something has the name already, or it cannot be made.
        """
        return self.open_file(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def find_file(self, name: str) -> os.stat_result | None:
        """Return the status of what has a name, a link's own; None where nothing has it."""
        try:
            return os.stat(self._get_name(name), dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None

    def is_held(self, name: str, fd: int) -> bool:
        """Return whether a name is that of an open file."""
        found = self.find_file(name)
        return found is not None and os.path.samestat(found, os.fstat(fd))

    def replace(self, source: str, target: str) -> None:
        """Rename a file below over another one.

        Raises:
            OSError: It cannot be renamed.
        """
        names = self._get_name(source), self._get_name(target)
        os.replace(*names, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove_file(self, name: str) -> None:
        """Remove a file below, if it is there and can be removed."""
        with contextlib.suppress(OSError):
            os.unlink(self._get_name(name), dir_fd=self._fd)

    def remove_folder(self, name: str) -> None:
        """Remove a folder below, if it is there, is empty and can be removed."""
        with contextlib.suppress(OSError):
            os.rmdir(self._get_name(name), dir_fd=self._fd)

    def list_names(self) -> list[str]:
        """Return the names in the folder.

        Raises:
            OSError: It cannot be listed.
        """
        return os.listdir(self.path if self._fd is None else self._fd)

    def close(self) -> None:
        """Let go of the folder; may be called twice."""
        if self._fd is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1  # what is asked for afterwards fails, and is not looked for by its path

    def _get_name(self, name: str) -> str:
        return name if self._fd is not None else self.get_path(name)


def make_own_folder(path: str, *, follows_link: bool = False) -> OpenFolder:
    """Open a folder of ours; it is made where it is missing, with all above it.

    Args:
        path: The folder.
        follows_link: Whether a link may have its name.

    Raises:
        OSError: It can be neither made nor opened, or a link has its name.
    """
    with contextlib.suppress(FileExistsError):
        os.makedirs(path)
    return OpenFolder(path, follows_link=follows_link)


def refuse_link(path: str) -> None:
    """Refuse a name at which a link stands, for libraries that open files by path alone.

    Raises:
        OSError: There is a link.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
