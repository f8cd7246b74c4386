"""The run folder, held open, and what becomes of its files when the processing removes it.

A processing may empty, remove, rename or mount over its scratch folder. The files are held by their
descriptors, and copied from these into the next folder that can be written. Used by the wrapper, by
`capsule_run` and by `configure_logging` without either; never touches results.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping

from aind_capsule.context.files import read_chunks, write_all
from aind_capsule.context.folders import find_write_error
from aind_capsule.context.own_files import OpenFolder
from aind_capsule.frozen import frozen
from aind_capsule.logs.place import make_other_run_folders
from aind_capsule.logs.writer import LogWriter

_APPENDED = os.O_RDWR | os.O_CREAT | os.O_APPEND


@frozen
class Finding:
    """What was found out about the run's files, and done.

    Attributes:
        is_moved: Whether the run has another folder now.
        is_restored: Whether the log had to be written anew.
        is_lost: Whether it has none any more, for no other one could be written.
        is_damaged: Whether somebody has cut the log or written into it.
        gone_records: Records of it that are lost.
    """

    is_moved: bool = False
    is_restored: bool = False
    is_lost: bool = False
    is_damaged: bool = False
    gone_records: int = 0

    @property
    def is_changed(self) -> bool:
        """Whether anything had to be done."""
        return self != Finding()


class KeptFolder:
    """The run folder, and the files in it that are appended to.

    Args:
        path: The folder, or None where there is none.
        names: The files' names, by kind; the log is `log`.
        scratch: The scratch folder.
        environ: The environment, which names other places.

    Attributes:
        path: Where the files are now; None where nowhere.
        opened: That folder, held open.
    """

    def __init__(
        self,
        path: str | None,
        names: Mapping[str, str],
        scratch: str | None,
        environ: Mapping[str, str],
    ) -> None:
        self.path = path
        self._last_path = path
        self._names = names
        self.opened: OpenFolder | None = None
        self._scratch = scratch
        self._environ = environ
        self._held: dict[str, int] = {}
        self._left: list[OpenFolder] = []  # others may still have a file of theirs to remove there
        if path is not None:
            with contextlib.suppress(OSError):
                self.opened = OpenFolder(path)

    def open_file(self, kind: str) -> int:
        """Open one kind of run file to append to it; it is held until `close`.

        Raises:
            OSError: It cannot be opened.
        """
        if self.opened is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._held[kind] = self.opened.open_file(self._names[kind], _APPENDED)
        return self._held[kind]

    def get_held(self, kind: str) -> int | None:
        """Return the descriptor of a file that is held."""
        return self._held.get(kind)

    def look(self, writer: LogWriter, *, is_over: bool) -> Finding:
        """Find out whether all is where it was, and have it in another place where it is not.

        Args:
            writer: The log, which goes on in its new place.
            is_over: Whether the processing has ended. The log is then looked through, and files
                that others write are copied too.
        """
        if self._last_path is None:
            return Finding()
        held = self._held if is_over else {k: v for k, v in self._held.items() if k != "resources"}
        is_damaged = is_over and writer.is_damaged()
        is_in_place = self.opened is not None and self.opened.is_in_place
        is_named = is_in_place and self._has_all({"log": writer.fd})
        # Other files of the run, and the log's next copy, are made in it when all is over.
        is_usable = is_in_place and not (is_over and _is_forbidden(self._last_path))
        if is_named and is_usable and not is_damaged and self._has_all(held):
            return Finding()
        for target in self._find_targets(is_usable=is_usable):
            try:
                self._move_into(target, writer, held, is_damaged=is_damaged)
            except OSError:
                self._give_up(target)
                continue
            is_moved = target is not self.opened
            if is_moved and self.opened is not None:
                self._left.append(self.opened)
            self.opened, self.path = target, target.path
            self._last_path = target.path
            gone = writer.lost.get("damaged_log", 0)
            return Finding(
                is_moved=is_moved,
                is_restored=not is_named,
                is_damaged=is_damaged,
                gone_records=gone,
            )
        if is_named:
            return Finding()
        self.path = None
        return Finding(is_lost=True)

    def close(self) -> None:
        """Let go of the folder and of the files that were opened here; may be called twice."""
        for fd in self._held.values():
            with contextlib.suppress(OSError):
                os.close(fd)
        self._held.clear()
        for folder in (*self._left, self.opened):
            if folder is not None:
                folder.close()

    def _has_all(self, held: Mapping[str, int]) -> bool:
        assert self.opened is not None
        return all(self.opened.is_held(self._names[kind], fd) for kind, fd in held.items())

    def _find_targets(self, *, is_usable: bool) -> Iterator[OpenFolder]:
        """Find folders to go on in, best first: its own, where only files are gone."""
        assert self._last_path is not None
        if is_usable and self.opened is not None:
            yield self.opened
        yield from make_other_run_folders(self._last_path, self._scratch, self._environ)

    def _move_into(
        self, target: OpenFolder, writer: LogWriter, held: Mapping[str, int], *, is_damaged: bool
    ) -> None:
        """Have the log and the files that are held in a folder, as far as they are not there."""
        name = self._names["log"]
        is_there = target.is_held(name, writer.fd)
        if not is_there and target.find_file(name) is not None:  # another's stays
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if is_damaged or not is_there:
            hidden = f".{name}.part"
            target.remove_file(hidden)
            fd = target.create_file(hidden)
            try:
                writer.move(fd, target.get_path(name))
            except OSError:
                os.close(fd)
                target.remove_file(hidden)
                raise
            target.replace(hidden, name)
        if is_damaged:
            _forget_positions(target, name)
        for kind, fd in held.items():
            if not target.is_held(self._names[kind], fd):
                with contextlib.suppress(OSError):  # the log says the same, and is whole
                    self._move_file(target, self._names[kind], fd)

    def _move_file(self, target: OpenFolder, name: str, held_fd: int) -> None:
        """Copy a file that is held, and have its descriptor lead to the copy."""
        fd = target.open_file(name, _APPENDED | os.O_EXCL)
        try:
            for chunk in read_chunks(held_fd, os.fstat(held_fd).st_size):
                write_all(fd, chunk)
            os.dup2(fd, held_fd, inheritable=False)
        except OSError:
            target.remove_file(name)
            raise
        finally:
            os.close(fd)

    def _give_up(self, target: OpenFolder) -> None:
        """Leave nothing in a folder that cannot hold the log."""
        if target is self.opened:
            return
        target.close()
        with contextlib.suppress(OSError):
            os.rmdir(target.path)


def _is_forbidden(folder: str) -> bool:
    """Return whether no file may be made in a folder; a full one is none."""
    error = find_write_error(folder)
    return error is not None and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def _forget_positions(folder: OpenFolder, log: str) -> None:
    """Remove what says how far a log was delivered: it had another content."""
    from aind_capsule.logs.positions import POSITION_SUFFIX  # few runs come here

    for name in folder.list_names():
        if name.startswith(log) and name.endswith(POSITION_SUFFIX):
            folder.remove_file(name)
