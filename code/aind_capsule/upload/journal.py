"""What an upload has done so far, in a small database: it can end at any moment and go on.

All names are in it and not in memory, so that a million files need no more than ten. It is written
by one thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from aind_capsule.history.owed import UPLOAD_JOURNAL
from aind_capsule.storage.objects import Part
from aind_capsule.upload.database import PAGE, Database
from aind_capsule.upload.ledger import TABLES as LEDGER_TABLES
from aind_capsule.upload.ledger import Ledger
from aind_capsule.upload.rows import Begun, FileRow, SentRow, Target, Total
from aind_capsule.upload.source_check import TABLES as SOURCE_TABLES
from aind_capsule.upload.source_check import BegunSource
from aind_capsule.upload.tree import EmptyFolder, FileIdentity, FoundFile, LeftOut
from aind_capsule.upload.writers import WriterProbe

#: Another version's tables cannot be read: only the job is kept, and the files are compared anew.
_VERSION = 2
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS job (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    key TEXT PRIMARY KEY, name BLOB, path BLOB, size INTEGER, identity TEXT,
    sha256 BLOB, etag TEXT, is_doubtful INTEGER, may_replace INTEGER, was_handed INTEGER,
    seen INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS other (name BLOB, why TEXT, is_failure INTEGER);
CREATE TABLE IF NOT EXISTS upload (
    key TEXT PRIMARY KEY, id TEXT, part_size INTEGER, identity TEXT, checksum TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS abandoned (id TEXT PRIMARY KEY, key TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
    key TEXT, number INTEGER, etag TEXT, sha256 BLOB, checksum TEXT, PRIMARY KEY (key, number)
) WITHOUT ROWID;
"""
    + LEDGER_TABLES
    + SOURCE_TABLES
)


class Journal:
    """The journal of one upload.

    Args:
        folder: Where its file is; None for one that is forgotten with the process.

    Raises:
        JournalError: It cannot be opened.
    """

    def __init__(self, folder: str | None) -> None:
        path = ":memory:" if folder is None else os.path.join(folder, UPLOAD_JOURNAL)
        self._db = Database(path, _TABLES, _VERSION)
        #: What the server holds, and what proves who wrote it.
        self.ledger = Ledger(self._db)
        #: The folder as it was when the upload began.
        self.begun_source = BegunSource(self._db)

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

    @property
    def target(self) -> Target | None:
        """Where the rows belong, and the claim that they were sent under."""
        told = self.get_job("target")
        return None if told is None else Target(**told)

    def count_nothing(self) -> None:
        """Count nothing as sent any more: what was sent proves who wrote it, and is compared."""
        self.ledger.keep_written()
        self._db.do("INSERT OR IGNORE INTO abandoned SELECT id, key FROM upload")
        self._forget_what_was_sent()

    def set_target(self, target: Target) -> None:
        """Remember a new claim. What was sent under an earlier one does not count any more."""
        self.count_nothing()
        self.set_job("target", {name: getattr(target, name) for name in target.__slots__})
        self.commit()

    def leave_place(self) -> None:
        """Forget what was done at another endpoint, bucket or folder."""
        self.ledger.clear()
        self._db.do("DELETE FROM abandoned")
        self._forget_what_was_sent()
        self._db.do("DELETE FROM job WHERE name IN ('target', 'may_have_manifest')")
        self.commit()

    def _forget_what_was_sent(self) -> None:
        self._db.do("DELETE FROM upload")
        self._db.do("DELETE FROM part")
        self._db.do("UPDATE file SET sha256 = NULL, etag = '', may_replace = 0, was_handed = 0")

    def set_claim_etag(self, etag: str) -> None:
        """Remember the server's name for our claim."""
        told = self.get_job("target")
        self.set_job("target", {**told, "claim_etag": etag})
        self.commit()

    def add_found(self, found: Iterable[tuple[FoundFile, str]], walk: int) -> None:
        """Remember files with their keys; one that has changed since is to be sent again.

        Args:
            found: They.
            walk: The number of the walk through the folder.
        """
        # Where times do not show each change, an earlier reading must be confirmed by another one.
        probe = WriterProbe()
        self._db.write(
            "INSERT INTO file VALUES (?, ?, ?, ?, ?, NULL, '', ?, 0, 0, ?)"
            " ON CONFLICT (key) DO UPDATE SET"
            " sha256 = CASE WHEN identity = excluded.identity THEN sha256 END,"
            " name = excluded.name, path = excluded.path, size = excluded.size,"
            " identity = excluded.identity, seen = excluded.seen,"
            " is_doubtful = is_doubtful OR excluded.is_doubtful",
            (
                (
                    key, file.name, file.path, file.identity.size, file.identity.encode(),
                    not probe.has_true_times(file.path, file.identity.device), walk,
                )
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
        self.ledger.keep_written()
        walk = int(self.get_job("walk") or 0) + 1
        self.set_job("walk", walk)
        self._db.do("DELETE FROM other")
        return walk

    def end_walk(self, walk: int) -> None:
        """Forget the files that are not there any more; what was written of them stays known."""
        self._db.do("DELETE FROM file WHERE seen != ?", (walk,))
        self.commit()

    def set_sent(self, rows: Iterable[SentRow]) -> None:
        """Remember that the server has files, and which version of each."""
        rows = list(rows)
        self._db.write(
            "UPDATE file SET size = ?, identity = ?, sha256 = ?, etag = coalesce(?, etag),"
            " is_doubtful = ? WHERE key = ?",
            [
                (
                    row.identity.size,
                    row.identity.encode(),
                    row.sha256,
                    row.etag,
                    row.is_doubtful,
                    row.key,
                )
                for row in rows
            ],
        )
        keys = [(row.key,) for row in rows if row.has_parts]
        if keys:
            self._db.write("DELETE FROM upload WHERE key = ?", keys)
            self._db.write("DELETE FROM part WHERE key = ?", keys)
        self.commit()  # a process that is killed now forgets nothing that the server has

    def forget(self, key: str) -> None:
        """Forget a file; what was written of it stays known."""
        self.ledger.keep_written(key)
        self._db.do("DELETE FROM file WHERE key = ?", (key,))

    def find_abandoned(self) -> list[tuple[str, str]]:
        """Return keys and ids of objects in parts that were begun here and came to no end."""
        return self._db.do(
            "SELECT key, id FROM abandoned UNION SELECT key, id FROM upload ORDER BY key"
        ).fetchall()

    def forget_abandoned(self, upload_id: str) -> None:
        """Forget an object in parts that the server has forgotten too."""
        self._db.do("DELETE FROM abandoned WHERE id = ?", (upload_id,))
        self._db.do("DELETE FROM upload WHERE id = ?", (upload_id,))

    def set_begun(self, key: str, begun: Begun) -> None:
        """Remember that an object in parts was begun; it has none yet."""
        self._db.do("DELETE FROM part WHERE key = ?", (key,))
        self._db.do(
            "INSERT OR IGNORE INTO abandoned SELECT id, key FROM upload WHERE key = ?", (key,)
        )
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
        """Yield files that the server has not, by key; rows may be changed meanwhile.

        Each is remembered as handed out before: an object that turns up may then be ours.
        """
        query = (
            "SELECT key, name, path, identity, may_replace, was_handed FROM file"
            " WHERE key > ? AND sha256 IS NULL ORDER BY key LIMIT ?"
        )
        last = ""
        while rows := self._db.do(query, (last, PAGE)).fetchall():
            self._db.do(
                "UPDATE file SET was_handed = 1 WHERE key > ? AND key <= ? AND sha256 IS NULL",
                (last, rows[-1][0]),
            )
            self.commit()
            for key, name, path, identity, may_replace, was_handed in rows:
                found = FileIdentity.decode(identity)
                yield FileRow(key, name, path, found, bool(may_replace), bool(was_handed))
            last = rows[-1][0]

    def forget_handing(self, key: str) -> None:
        """Remember that a file was not sent: something else has its key."""
        self._db.do("UPDATE file SET was_handed = 0 WHERE key = ?", (key,))

    def find_doubtful(self) -> Iterator[tuple[FileRow, bytes]]:
        """Yield files that were sent and must be read once more, with their SHA-256, by key."""
        query = (
            "SELECT key, name, path, identity, sha256 FROM file WHERE key > ?"
            " AND is_doubtful AND sha256 IS NOT NULL ORDER BY key LIMIT ?"
        )
        for key, name, path, identity, sha256 in self._db.page(query):
            # What is there was written by this upload: it may be replaced.
            row = FileRow(key, name, path, FileIdentity.decode(identity), may_replace=True)
            yield row, sha256

    @property
    def has_pending(self) -> bool:
        """Return whether there are files that the server has not."""
        return self._db.do("SELECT 1 FROM file WHERE sha256 IS NULL LIMIT 1").fetchone() is not None

    def find_sent(self) -> Iterator[tuple[str, bytes, int, bytes, str]]:
        """Yield files that the server has: key, name, size, SHA-256, ETag; by key."""
        yield from self._db.do(
            "SELECT key, name, size, sha256, etag FROM file WHERE sha256 IS NOT NULL ORDER BY key"
        )

    def find_others(self) -> Iterator[tuple[bytes, str | None, bool]]:
        """What is no file: name, why it is left out (None: an empty folder), whether it fails."""
        for name, why, is_failure in self._db.do("SELECT * FROM other ORDER BY name"):
            yield name, why, bool(is_failure)

    def unsend(self, keys: Iterable[str]) -> None:
        """Have files sent again; what was written of them stays known."""
        keys = list(keys)
        for key in keys:
            self.ledger.keep_written(key)
        self._db.write(
            "UPDATE file SET sha256 = NULL, etag = '' WHERE key = ?", ((key,) for key in keys)
        )

    def get_etag(self, key: str) -> str:
        """Return the server's name for what was sent, as its answer had it."""
        row = self._db.do("SELECT etag FROM file WHERE key = ?", (key,)).fetchone()
        return "" if row is None else str(row[0] or "")

    def set_etag(self, key: str, etag: str) -> None:
        """Remember by which name the server lists what was sent."""
        self._db.do("UPDATE file SET etag = ? WHERE key = ?", (etag, key))

    def count(self) -> Total:
        """How much there is."""
        row = self._db.do(
            "SELECT count(*), coalesce(sum(size), 0), count(sha256),"
            " coalesce(sum(CASE WHEN sha256 IS NOT NULL THEN size END), 0) FROM file"
        ).fetchone()
        return Total(*row)

    def count_changed_names(self) -> int:
        """Files whose key is not their name."""
        row = self._db.do("SELECT count(*) FROM file WHERE CAST(key AS BLOB) != name").fetchone()
        return int(row[0])
