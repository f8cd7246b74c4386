"""The small database that a journal is kept in, and what is said where it fails."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Any

from aind_capsule.context.own_files import refuse_link
from aind_capsule.storage.errors import StorageError

_COMMIT_EVERY_S = 1.0
#: Rows at a time.
PAGE = 500
#: One process has it at a time. Killed at any moment it holds what was committed; a machine that
#: dies may lose it, and then the upload begins anew.
_PRAGMAS = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=OFF", "cache_size=-4096")


class JournalError(StorageError):
    """The journal cannot be written or read."""


class Database:
    """A database of one process and one thread.

    Args:
        path: Its file; `:memory:` for one that is forgotten with the process.
        tables: What makes its tables.
        version: Of these tables. Those of another one are dropped, but for `job`.

    Raises:
        JournalError: It cannot be opened.
    """

    def __init__(self, path: str, tables: str, version: int) -> None:
        self.path = path
        try:
            for name in (path, f"{path}-wal", f"{path}-shm"):
                refuse_link(name)
        except OSError as error:
            raise self._explain_opening(error) from error
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0)
        except sqlite3.Error as error:
            raise self._explain_opening(error) from error
        try:
            for pragma in _PRAGMAS:
                self._db.execute(f"PRAGMA {pragma}")
            self._drop_old_tables(version)
            self._db.executescript(tables)
        except sqlite3.Error as error:
            self._db.close()
            raise self._explain_opening(error) from error
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Keep what was done."""
        try:
            self.commit()
        finally:
            self._db.close()

    def commit(self) -> None:
        """Keep what was done so far.

        Raises:
            JournalError: There is no room, or the disk fails.
        """
        if self._db.in_transaction:
            self.do("COMMIT")
        self._committed_at = time.monotonic()

    def page(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Rows by key, some at a time: they may be changed meanwhile."""
        last = ""
        while rows := self.do(query, (last, PAGE)).fetchall():
            yield from rows
            last = rows[-1][0]

    def write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement for each row; it is kept soon.

        Raises:
            JournalError: It cannot be run.
        """
        self._begin()
        try:
            self._db.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._explain(error) from error
        self.commit_sometimes()

    def do(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run a statement; what it changes is kept by `commit`.

        Raises:
            JournalError: It cannot be run.
        """
        if statement[0] in "UDI":
            self._begin()
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _drop_old_tables(self, version: int) -> None:
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found != version:
            names = self._db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            for (name,) in names:
                if name != "job":
                    self._db.execute(f'DROP TABLE "{name}"')
            if names:
                self._db.execute("DELETE FROM job WHERE name != 'job'")
            self._db.execute(f"PRAGMA user_version = {version}")

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")

    def commit_sometimes(self) -> None:
        """Keep what was done, if that is a while ago."""
        if time.monotonic() - self._committed_at > _COMMIT_EVERY_S:
            self.commit()

    def _explain_opening(self, error: Exception) -> JournalError:
        if "locked" in str(error):
            message = "This upload is being done by another process"
            return JournalError(message, hint="Wait for its end.")
        return JournalError(
            f"The journal {self.path} cannot be used: {error}",
            hint="Make room there, or remove it: the upload then begins anew.",
        )

    def _explain(self, error: Exception) -> JournalError:
        return JournalError(
            f"The journal {self.path} cannot be written: {error}",
            hint="Make room there; then capsule upload --resume.",
        )
