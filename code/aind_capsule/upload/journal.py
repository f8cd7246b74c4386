"""What an upload has done so far, in a small database: it can end at any moment and go on.

All names are in it and not in memory, so that a million files need no more than ten. It is written
by one thread.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from aind_capsule.history.owed import UPLOAD_JOURNAL
from aind_capsule.storage.objects import Held, Part
from aind_capsule.upload.database import Database, JournalError
from aind_capsule.upload.rows import Begun, FileRow, KnownFile, SentRow, Total
from aind_capsule.upload.tree import EmptyFolder, FileIdentity, FoundFile, LeftOut

#: Beside it: what stays of a journal whose upload is done.
HASHES = "hashes.sqlite"
_MAY_BE_HELD = (
    "JOIN known ON known.key = file.key AND known.size = file.size"
    " JOIN held ON held.key = file.key AND held.size = file.size"
)
_TABLES = """
CREATE TABLE IF NOT EXISTS job (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    key TEXT PRIMARY KEY, name BLOB, path BLOB, size INTEGER, identity TEXT,
    sha256 BLOB, is_doubtful INTEGER, seen INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS other (name BLOB, why TEXT, is_failure INTEGER);
CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, size INTEGER, sha256 BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (key TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (
    key TEXT PRIMARY KEY, id TEXT, part_size INTEGER, identity TEXT, checksum TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
    key TEXT, number INTEGER, etag TEXT, sha256 BLOB, checksum TEXT, PRIMARY KEY (key, number)
) WITHOUT ROWID;
"""


class Journal:
    """The journal of one upload.

    Args:
        folder: Where its file is; None for one that is forgotten with the process.

    Raises:
        JournalError: It cannot be opened.
    """

    def __init__(self, folder: str | None) -> None:
        path = ":memory:" if folder is None else os.path.join(folder, UPLOAD_JOURNAL)
        self._db = Database(path, _TABLES)
        self._hashes = path if folder is None else os.path.join(folder, HASHES)

    @property
    def path(self) -> str:
        """Its file."""
        return self._db.path

    def close(self) -> None:
        """Keep what was done, and end."""
        self._db.close()

    def commit(self) -> None:
        """Keep what was done so far.

        Raises:
            JournalError: There is no room, or the disk fails.
        """
        self._db.commit()

    def set_job(self, name: str, value: Any) -> None:
        """Remember something of the job, as JSON has it."""
        self._db.do("INSERT OR REPLACE INTO job VALUES (?, ?)", (name, json.dumps(value)))

    def get_job(self, name: str) -> Any:
        """What was remembered, or None."""
        row = self._db.do("SELECT value FROM job WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def add_found(self, found: Iterable[tuple[FoundFile, str]], walk: int) -> None:
        """Remember files with their keys; one that has changed since is to be sent again.

        Args:
            found: They.
            walk: The number of the walk through the folder.
        """
        self._db.write(
            "INSERT INTO file VALUES (?, ?, ?, ?, ?, NULL, 0, ?) ON CONFLICT (key) DO UPDATE SET"
            " sha256 = CASE WHEN identity = excluded.identity THEN sha256 END,"
            " name = excluded.name, path = excluded.path, size = excluded.size,"
            " identity = excluded.identity, seen = excluded.seen",
            (
                (key, file.name, file.path, file.identity.size, file.identity.encode(), walk)
                for file, key in found
            ),
        )  # fmt: skip

    def add_others(self, others: Iterable[EmptyFolder | LeftOut]) -> None:
        """Remember what is no file."""
        rows = (
            (other.name, other.why, other.is_failure)
            if isinstance(other, LeftOut)
            else (other.name, None, False)
            for other in others
        )
        self._db.write("INSERT INTO other VALUES (?, ?, ?)", rows)

    def begin_walk(self) -> int:
        """Begin to look at the folder; returns the number of this walk."""
        walk = int(self.get_job("walk") or 0) + 1
        self.set_job("walk", walk)
        self._db.do("DELETE FROM other")
        return walk

    def end_walk(self, walk: int) -> None:
        """Forget the files that are not there any more; they stay known, as what may be removed."""
        self._db.do(
            "INSERT OR IGNORE INTO known SELECT key, size, sha256 FROM file"
            " WHERE seen != ? AND sha256 IS NOT NULL",
            (walk,),
        )
        self._db.do("DELETE FROM file WHERE seen != ?", (walk,))
        self.commit()

    def set_known(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """Remember what an earlier manifest tells: keys, sizes, SHA-256."""
        self._db.write("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", rows)

    @property
    def has_known(self) -> bool:
        """Whether an earlier manifest tells of anything."""
        return self._db.do("SELECT 1 FROM known LIMIT 1").fetchone() is not None

    def set_held(self, rows: Iterable[Held], folder: str) -> None:
        """Remember what the server holds below a folder, and nothing else."""
        self._db.do("DELETE FROM held")
        self._db.write(
            "INSERT OR REPLACE INTO held VALUES (?, ?)",
            ((row.key[len(folder) :], row.size) for row in rows),
        )

    def set_sent(self, rows: Iterable[SentRow]) -> None:
        """Remember that the server has files, and which version of each."""
        rows = list(rows)
        self._db.write(
            "UPDATE file SET size = ?, identity = ?, sha256 = ?, is_doubtful = ? WHERE key = ?",
            [
                (row.identity.size, row.identity.encode(), row.sha256, row.is_doubtful, row.key)
                for row in rows
            ],
        )
        keys = [(row.key,) for row in rows if row.has_parts]
        if keys:
            self._db.write("DELETE FROM upload WHERE key = ?", keys)
            self._db.write("DELETE FROM part WHERE key = ?", keys)

    def forget(self, key: str) -> None:
        """Forget a file. It stays known where it was sent, as what may be removed."""
        self._db.do(
            "INSERT OR IGNORE INTO known SELECT key, size, sha256 FROM file"
            " WHERE key = ? AND sha256 IS NOT NULL",
            (key,),
        )
        self._db.do("DELETE FROM file WHERE key = ?", (key,))

    def note_parts(self) -> None:
        """Remember that objects in parts are begun from now on: some may be left over."""
        if not self.has_parts:
            self.set_job("has_parts", value=True)
            self.commit()

    @property
    def has_parts(self) -> bool:
        """Whether objects in parts were begun."""
        return bool(self.get_job("has_parts"))

    def set_begun(self, key: str, begun: Begun) -> None:
        """Remember that an object in parts was begun; it has none yet."""
        self._db.do("DELETE FROM part WHERE key = ?", (key,))
        self._db.do(
            "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?)",
            (key, begun.upload_id, begun.part_size, begun.identity.encode(), begun.checksum),
        )
        self.commit()

    def add_part(self, key: str, part: Part) -> None:
        """Remember a part that the server has."""
        self._db.do(
            "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?)",
            (key, part.number, part.etag, part.sha256, part.checksum),
        )
        self._db.commit_sometimes()

    def find_begun(self, key: str) -> Begun | None:
        """The object in parts that was begun for a file."""
        query = "SELECT id, part_size, identity, checksum FROM upload WHERE key = ?"
        row = self._db.do(query, (key,)).fetchone()
        if row is None:
            return None
        query = "SELECT number, etag, sha256, checksum FROM part WHERE key = ? ORDER BY number"
        parts = tuple(Part(*part) for part in self._db.do(query, (key,)))
        upload_id, part_size, identity, checksum = row
        return Begun(upload_id, part_size, FileIdentity.decode(identity), checksum, parts)

    def find_pending(self) -> Iterator[FileRow]:
        """Files that the server has not, by key; rows may be changed meanwhile."""
        query = (
            "SELECT key, name, path, identity FROM file"
            " WHERE key > ? AND sha256 IS NULL ORDER BY key LIMIT ?"
        )
        for key, name, path, identity in self._db.page(query):
            yield FileRow(key, name, path, FileIdentity.decode(identity))

    def find_known(self) -> Iterator[KnownFile]:
        """Those of them that the server may have as they are, by key."""
        query = (
            f"SELECT file.key, name, path, identity, known.sha256 FROM file {_MAY_BE_HELD}"
            " WHERE file.key > ? AND file.sha256 IS NULL ORDER BY file.key LIMIT ?"
        )
        for key, name, path, identity, sha256 in self._db.page(query):
            yield KnownFile(FileRow(key, name, path, FileIdentity.decode(identity)), sha256)

    def find_doubtful(self) -> Iterator[tuple[FileRow, bytes]]:
        """Yield files that were sent and must be read once more, with their SHA-256, by key."""
        query = (
            "SELECT key, name, path, identity, sha256 FROM file WHERE key > ?"
            " AND is_doubtful AND sha256 IS NOT NULL ORDER BY key LIMIT ?"
        )
        for key, name, path, identity, sha256 in self._db.page(query):
            yield FileRow(key, name, path, FileIdentity.decode(identity)), sha256

    @property
    def has_new(self) -> bool:
        """Whether there are files that the server surely has not."""
        query = f"""SELECT 1 FROM file WHERE sha256 IS NULL AND key NOT IN
                    (SELECT file.key FROM file {_MAY_BE_HELD}) LIMIT 1"""
        return self._db.do(query).fetchone() is not None

    def set_alike(self, files: Iterable[KnownFile]) -> None:
        """Remember that the server has files as they are."""
        rows = ((known.sha256, known.row.key, known.row.identity.encode()) for known in files)
        self._db.write("UPDATE file SET sha256 = ? WHERE key = ? AND identity = ?", rows)

    def find_sent(self) -> Iterator[tuple[str, bytes, int, bytes]]:
        """Files that the server has: key, name, size, SHA-256; by key."""
        yield from self._db.do(
            "SELECT key, name, size, sha256 FROM file WHERE sha256 IS NOT NULL ORDER BY key"
        )

    def find_others(self) -> Iterator[tuple[bytes, str | None, bool]]:
        """What is no file: name, why it is left out (None: an empty folder), whether it fails."""
        for name, why, is_failure in self._db.do("SELECT * FROM other ORDER BY name"):
            yield name, why, bool(is_failure)

    def find_missing(self) -> list[str]:
        """Some of the files that should be there and are not held, or not in their size."""
        rows = self._db.do(
            "SELECT file.key FROM file LEFT JOIN held USING (key)"
            " WHERE held.size IS NOT file.size LIMIT 10"
        )
        return [row[0] for row in rows]

    def find_stale(self) -> Iterator[str]:
        """Held objects that were of the asset and are not any more."""
        for row in self._db.do(
            "SELECT held.key FROM held JOIN known USING (key)"
            " WHERE held.key NOT IN (SELECT key FROM file)"
        ).fetchall():
            yield row[0]

    def unsend(self, keys: Iterable[str]) -> None:
        """Have files sent again."""
        self._db.write("UPDATE file SET sha256 = NULL WHERE key = ?", ((key,) for key in keys))

    def count(self) -> Total:
        """How much there is."""
        row = self._db.do(
            "SELECT count(*), coalesce(sum(size), 0), count(sha256),"
            " coalesce(sum(CASE WHEN sha256 IS NOT NULL THEN size END), 0) FROM file"
        ).fetchone()
        return Total(*row)

    def count_strangers(self) -> int:
        """Held objects that this upload knows nothing of."""
        row = self._db.do(
            "SELECT count(*) FROM held WHERE key NOT IN (SELECT key FROM file)"
            " AND key NOT IN (SELECT key FROM known)"
        ).fetchone()
        return int(row[0])

    def count_changed_names(self) -> int:
        """Files whose key is not their name."""
        row = self._db.do("SELECT count(*) FROM file WHERE CAST(key AS BLOB) != name").fetchone()
        return int(row[0])

    def keep_hashes(self, before_ns: int) -> None:
        """Write the SHA-256 of all files beside the journal, for the folder's next upload.

        Args:
            before_ns: Only of files that were changed before this, ns since 1970: where a file
                system's times are coarse, one that changes again looks as it did.

        Raises:
            JournalError: It cannot be written.
        """
        with self._db.attached(self._hashes):
            self._db.do("DROP TABLE IF EXISTS other.hash")
            self._db.do(
                "CREATE TABLE other.hash (key TEXT PRIMARY KEY, identity TEXT, sha256 BLOB)"
                " WITHOUT ROWID"
            )
            rows = self._db.do("SELECT key, identity, sha256 FROM file WHERE sha256 IS NOT NULL")
            self._db.write(
                "INSERT INTO other.hash VALUES (?, ?, ?)",
                (row for row in rows if FileIdentity.decode(row[1]).ctime_ns < before_ns),
            )

    def take_hashes(self) -> None:
        """Remember that the server has files as they are, by what an earlier upload has kept."""
        if not os.path.exists(self._hashes):
            return
        # What cannot be read is no loss: the files are.
        with contextlib.suppress(JournalError), self._db.attached(self._hashes):
            self._db.do(
                "UPDATE file SET sha256 = (SELECT sha256 FROM other.hash WHERE key = file.key)"
                f" WHERE sha256 IS NULL AND key IN (SELECT file.key FROM file {_MAY_BE_HELD}"
                " JOIN other.hash ON hash.key = file.key AND hash.identity = file.identity"
                " AND hash.sha256 = known.sha256)"
            )
