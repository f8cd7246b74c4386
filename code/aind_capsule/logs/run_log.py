"""The log of a run that this process makes itself (`capsule_run` without a wrapper).

As a target it takes the process's records; the run's own words come from the one who makes it.
Calls come one at a time (`target.SerialTarget` sees to that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aind_capsule.logs.target import Target
from aind_capsule.records.redaction.redactor import Redactor


class RunLog:
    """Hands records to the run while it lasts.

    Args:
        take: Takes an encoded record of the run's.
        fields: What the run puts into every record.
        redactor: Hides secrets in the records before they come here.
        is_echoed: Whether people see the records on stderr.
        open_own: Opens a log of its own, for a forked child.
        take_late: Takes a record that comes after the run's end.
        state_name: Takes the name that the process states.
    """

    def __init__(
        self,
        take: Callable[[bytes], None],
        fields: Mapping[str, Any],
        redactor: Redactor,
        open_own: Callable[[], Target],
        take_late: Callable[[bytes], None],
        *,
        is_echoed: bool,
        state_name: Callable[[str], None],
    ) -> None:
        self.fields = fields
        self.redactor = redactor
        self.is_echoed = is_echoed
        self.state_name = state_name
        self._take: Callable[[bytes], None] | None = take
        self._open_own = open_own
        self._take_late = take_late
        self._own: Target | None = None
        self._is_forked = False

    @property
    def is_open(self) -> bool:
        """Whether the run goes on, in this process."""
        return self._take is not None

    def send(self, record: bytes) -> None:
        """Take a record; a forked child opens its own log."""
        if self._take is not None:
            self._take(record)
            return
        if self._is_forked:
            if self._own is None:
                self._own = self._open_own()
            self._own.send(record)
            return
        self._take_late(record)

    def forget(self) -> None:
        """In a forked child: the run is the parent's."""
        self._take = None
        self._is_forked = True
        if self._own is not None:
            self._own.forget()

    def finish(self) -> None:
        """What was lost stands in the canonical record."""
        if self._own is not None:
            self._own.finish()

    def close(self) -> None:
        """The run has ended."""
        self._take = None
        if self._own is not None:
            self._own.close()
