"""What the server holds of an asset's folder, and what proves who wrote it.

An object is ours where a manifest of this toolkit names its key (`known`), or where this journal
remembers to have written it and the server still names it as it did then (`written`). Nothing else
proves it: neither its name nor its size, nor that it lies in a folder that was claimed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from aind_capsule.storage.objects import Held
from aind_capsule.upload.database import Database
from aind_capsule.upload.rows import FileRow, KnownFile
from aind_capsule.upload.tree import FileIdentity

TABLES = """
CREATE TABLE IF NOT EXISTS known (
    key TEXT PRIMARY KEY, size INTEGER, sha256 BLOB, etag TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS written (
    key TEXT PRIMARY KEY, size INTEGER, sha256 BLOB, etag TEXT, identity TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempted (
    key TEXT, size INTEGER, etag TEXT, PRIMARY KEY (key, etag)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (key TEXT PRIMARY KEY, size INTEGER, etag TEXT) WITHOUT ROWID;
"""
#: A held object that a table has as it is: by its ETag. Where one of the two knows none, or the
#: server lists times in their place (`~`), the size has to do.
_IS_SAME = (
    "({0}.size = held.size AND ({0}.etag IN (held.etag, '') OR held.etag = ''"
    " OR (held.etag LIKE '~%' AND {0}.etag NOT LIKE '~%')))"
)
_IS_WRITTEN = _IS_SAME.format("written")
_IS_OURS = (
    "(held.key IN (SELECT key FROM known) OR EXISTS (SELECT 1 FROM written"
    f" WHERE written.key = held.key AND {_IS_WRITTEN})"
    " OR EXISTS (SELECT 1 FROM attempted WHERE attempted.key = held.key"
    " AND attempted.size = held.size AND attempted.etag = held.etag)"
    " OR EXISTS (SELECT 1 FROM file WHERE file.key = held.key AND file.sha256 IS NOT NULL"
    f" AND {_IS_SAME.format('file')}))"
)


class Ledger:
    """Tables of a journal.

    Args:
        database: The journal's.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def clear(self) -> None:
        """Forget everything: it was of another place."""
        for table in ("known", "written", "attempted", "held"):
            self._db.do(f"DELETE FROM {table}")

    def keep_written(self, key: str | None = None) -> None:
        """Remember which objects were sent, before the files' rows forget it.

        Args:
            key: Only this one's.
        """
        self._db.do(
            "INSERT OR REPLACE INTO written SELECT key, size, sha256, etag, identity FROM file"
            " WHERE sha256 IS NOT NULL" + (" AND key = ?" if key is not None else ""),
            () if key is None else (key,),
        )

    def keep_known(self) -> None:
        """Remember what the manifest proves, before it is removed."""
        rows = "SELECT known.key, known.size, known.sha256, known.etag, '' FROM known"
        # What the server still names so is newer than what was written before.
        self._db.do(
            f"INSERT OR REPLACE INTO written {rows} JOIN held ON held.key = known.key"
            " AND held.size = known.size AND held.etag = known.etag"
        )
        self._db.do(f"INSERT OR IGNORE INTO written {rows}")

    def add_attempted(self, key: str, data: bytes) -> None:
        """Remember what is sent now: without an answer it may be there, and the file another one.

        Args:
            key: Where to.
            data: All of it, sent at once: servers name it by its MD5.
        """
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self._db.do("INSERT OR IGNORE INTO attempted VALUES (?, ?, ?)", (key, len(data), etag))

    def set_known(self, rows: Iterable[tuple[str, int, bytes, str]]) -> None:
        """Remember the rows of the manifest that is there: key, size, SHA-256, ETag."""
        self._db.do("DELETE FROM known")
        self._db.write("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", rows)

    def set_held(self, rows: Iterable[Held], folder: str) -> None:
        """Remember what the server holds below a folder, and nothing else."""
        self._db.do("DELETE FROM held")
        self._db.write(
            "INSERT OR REPLACE INTO held VALUES (?, ?, ?)",
            ((row.key[len(folder) :], row.size, row.etag) for row in rows),
        )

    def take_written(self) -> None:
        """Count files as sent that the server holds as this journal has written them.

        The file must be the one that was read: nothing of its identity has changed.
        """
        self._db.do(
            "UPDATE file SET (sha256, etag) = (SELECT sha256, held.etag FROM written"
            " JOIN held USING (key) WHERE written.key = file.key)"
            " WHERE sha256 IS NULL AND key IN (SELECT file.key FROM file JOIN written USING (key)"
            " JOIN held USING (key) WHERE file.identity = written.identity"
            " AND written.etag = held.etag AND held.etag != '' AND file.size = held.size)"
        )

    def allow_replacing(self, *, is_listed: bool, all_of_them: bool = False) -> None:
        """Note which pending files may replace what has their key now.

        Args:
            is_listed: Whether it is known what the server holds. Where it is not, what this
                journal has written and what the manifest names may be replaced.
            all_of_them: Whether somebody said that objects of others may be replaced.
        """
        proof = f"EXISTS (SELECT 1 FROM held WHERE held.key = file.key AND {_IS_OURS})"
        if all_of_them:
            proof = "1"
        elif not is_listed:
            proof = " OR ".join(
                f"key IN (SELECT key FROM {table})" for table in ("known", "written", "attempted")
            )
        self._db.do(f"UPDATE file SET may_replace = ({proof}) WHERE sha256 IS NULL")

    def find_known(self) -> Iterator[KnownFile]:
        """Yield pending files of which the server holds something of that size, by key."""
        query = (
            "SELECT file.key, name, path, file.identity, may_replace, was_handed, held.etag,"
            " written.sha256, written.etag, known.sha256, known.etag FROM file"
            " JOIN held ON held.key = file.key AND held.size = file.size"
            f" LEFT JOIN written ON written.key = file.key AND {_IS_WRITTEN}"
            " LEFT JOIN known ON known.key = file.key AND known.size = file.size"
            " WHERE file.key > ? AND file.sha256 IS NULL ORDER BY file.key LIMIT ?"
        )
        for row in self._db.page(query):
            key, name, path, identity, may_replace, was_handed, etag, *proofs = row
            found = FileIdentity.decode(identity)
            file = FileRow(key, name, path, found, bool(may_replace), bool(was_handed))
            for sha256, its_etag in (proofs[:2], proofs[2:]):
                if sha256 is not None and its_etag and its_etag == etag:
                    yield KnownFile(file, sha256, etag, is_certain=True)
                    break
            else:
                yield KnownFile(file, proofs[0] or proofs[2], etag, is_certain=False)

    def set_alike(self, files: Iterable[tuple[KnownFile, bytes, bool]]) -> None:
        """Remember that the server has files as they are.

        Args:
            files: Each with the SHA-256 that was computed, and whether it must be read once more.
        """
        rows = (
            (sha256, known.etag, is_doubtful, known.row.key, known.row.identity.encode())
            for known, sha256, is_doubtful in files
        )
        self._db.write(
            "UPDATE file SET sha256 = ?, etag = ?, is_doubtful = ? WHERE key = ? AND identity = ?",
            rows,
        )

    def find_conflicts(self) -> list[str]:
        """Return some keys of pending files that an object has which nothing proves to be ours."""
        rows = self._db.do(
            "SELECT file.key FROM file JOIN held USING (key)"
            f" WHERE file.sha256 IS NULL AND NOT {_IS_OURS} ORDER BY key LIMIT 10"
        )
        return [row[0] for row in rows]

    def find_strangers(self) -> list[str]:
        """Return some keys of objects that nothing proves to be ours."""
        rows = self._db.do(f"SELECT key FROM held WHERE NOT {_IS_OURS} ORDER BY key LIMIT 10")
        return [row[0] for row in rows]

    def count_strangers(self) -> int:
        """Return how many objects there are that nothing proves to be ours."""
        return int(self._db.do(f"SELECT count(*) FROM held WHERE NOT {_IS_OURS}").fetchone()[0])

    def find_sha256(self, key: str) -> bytes | None:
        """Return the SHA-256 that the manifest names for a key."""
        row = self._db.do("SELECT sha256 FROM known WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def find_unlike_manifest(self) -> list[str]:
        """Return some keys that the manifest and the folder do not have alike.

        A file that the manifest does not name, or names with other bytes, and what it names that is
        no file any more. Files that are still to be compared with the server are left out.
        """
        rows = self._db.do(
            "SELECT file.key FROM file LEFT JOIN known USING (key)"
            " WHERE file.sha256 IS NOT NULL AND file.sha256 IS NOT known.sha256"
            " UNION SELECT key FROM known WHERE key NOT IN (SELECT key FROM file) LIMIT 10"
        )
        return [row[0] for row in rows]

    def count_known(self) -> int:
        """Return how many files the manifest that is there names."""
        return int(self._db.do("SELECT count(*) FROM known").fetchone()[0])

    def find_stale(self) -> list[str]:
        """Return keys of objects of ours that no file has any more."""
        rows = self._db.do(
            f"SELECT key FROM held WHERE key NOT IN (SELECT key FROM file) AND {_IS_OURS}"
        )
        return [row[0] for row in rows]

    def forget_held(self, key: str) -> None:
        """Forget an object that was removed."""
        for table in ("held", "known", "written"):
            self._db.do(f"DELETE FROM {table} WHERE key = ?", (key,))

    def find_missing(self) -> list[tuple[str, int]]:
        """Return key and size of all files that were sent and are not held in that size."""
        return self._db.do(
            "SELECT file.key, file.size FROM file LEFT JOIN held USING (key)"
            " WHERE file.sha256 IS NOT NULL AND held.size IS NOT file.size"
        ).fetchall()

    def find_renamed(self) -> list[tuple[str, int, bytes, str]]:
        """Return files that the server names otherwise than when they were sent.

        Where a server lists no ETags there are none.

        Returns:
            Key, size, SHA-256, and the ETag that is listed now.
        """
        return self._db.do(
            "SELECT file.key, file.size, file.sha256, held.etag FROM file JOIN held USING (key)"
            " WHERE file.sha256 IS NOT NULL AND held.size = file.size"
            " AND held.etag NOT IN (file.etag, '')"
            " AND NOT (held.etag LIKE '~%' AND file.etag NOT LIKE '~%')"
        ).fetchall()

    def take_listed_times(self) -> None:
        """Remember when the server says that it changed what it lists without an ETag."""
        self._db.do(
            "UPDATE file SET etag = (SELECT etag FROM held WHERE held.key = file.key)"
            " WHERE sha256 IS NOT NULL AND key IN (SELECT key FROM held WHERE etag LIKE '~%')"
        )
