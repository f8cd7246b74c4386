"""What the processing says of its own run: parameters, metrics, artifacts, fields, notes, steps.

It arrives as messages `{"capsule":"add", …}`, from `running.inside` through the socket, and from
other languages as RFC 7464 records; it goes into the canonical record and `run.json`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aind_capsule.records.merge import rename_taken

KIND = "add"
#: More than this of one kind is counted, not kept: a run is no data store.
MAX_ENTRIES = 10_000


class Additions:
    """All that was added to one run.

    Attributes:
        lost: Entries that were not kept, because they were too many or of no use.
        cut: Messages that were too long and were cut where they were made.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.cut = 0
        self._tables: dict[str, dict[str, Any]] = {"metrics": {}, "parameters": {}, "fields": {}}
        self._lists: dict[str, list[Any]] = {"artifacts": [], "notes": [], "steps": []}

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a message; what comes again under a name replaces what was there."""
        for kind, given in message.items():
            if kind in self._tables and isinstance(given, Mapping):
                table = self._tables[kind]
                for name, value in given.items():
                    if name in table or len(table) < MAX_ENTRIES:
                        table[name] = value
                    else:
                        self.lost += 1
            elif kind in self._lists:
                entries = given if isinstance(given, list) else [given]
                room = MAX_ENTRIES - len(self._lists[kind])
                self._lists[kind] += entries[: max(0, room)]
                self.lost += max(0, len(entries) - room)
            elif kind == "truncated":
                self.cut += 1
            elif kind != "capsule":
                self.lost += 1

    def describe(self, parameters: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
        """What goes into the canonical record.

        Args:
            parameters: Those of the command line; the processing's own win.
            taken: Fields that are there already; the processing's get another name.
        """
        own = {"parameters": {**parameters, **self._tables["parameters"]}}
        own["metrics"] = self._tables["metrics"]
        fields = rename_taken(self._tables["fields"], {*taken, *own})
        return {**{name: table for name, table in own.items() if table}, **fields}

    def describe_lists(self) -> dict[str, list[Any]]:
        """What goes into `run.json` alone: artifacts, notes and steps, as far as there are any."""
        return {kind: list(entries) for kind, entries in self._lists.items() if entries}
