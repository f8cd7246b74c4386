"""What a server lists below an asset, in a temporary file: however many objects there are.

Not every server lists in the order of S3 (by bytes), so that a listing cannot be followed row by
row beside a manifest.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import final

from aind_capsule.storage.objects import Held
from aind_capsule.upload.database import Database

_TABLES = """
CREATE TABLE held (key TEXT PRIMARY KEY, size INTEGER, is_known INTEGER) WITHOUT ROWID;
"""


@final
class ListedObjects:
    """The objects that a server lists. To be used by one thread, and closed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="capsule-verify-")
        try:
            self._db = Database(os.path.join(self._folder.name, "listed.sqlite"), _TABLES, 1)
        except BaseException:  # raised again
            self._folder.cleanup()
            raise

    def __enter__(self) -> ListedObjects:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def add(self, objects: Iterable[Held]) -> None:
        """Take what is listed, in any order; a server may list an object twice."""
        self._db.write(
            "INSERT OR REPLACE INTO held VALUES (?, ?, 0)", ((row.key, row.size) for row in objects)
        )

    def find_sizes(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the sizes of those of some objects that are listed, and count these as known."""
        marks = ",".join("?" * len(keys))
        rows = self._db.do(f"SELECT key, size FROM held WHERE key IN ({marks})", tuple(keys))
        sizes = {str(key): int(size) for key, size in rows}
        self._db.write("UPDATE held SET is_known = 1 WHERE key = ?", ((key,) for key in sizes))
        return sizes

    def count_others(self) -> int:
        """Return the number of objects that nobody has asked for."""
        return int(self._db.do("SELECT count(*) FROM held WHERE NOT is_known").fetchone()[0])
