"""Lines of one stream in groups: one exception, one warning, one record.

A group goes on until a line begins something else, its limits, a pause, or the end of the stream.
Where the reads of the stream ended has no part in it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from aind_capsule.running.capture.groups.line_group import GroupedLines, LineGroup
from aind_capsule.running.capture.groups.openings import open_group
from aind_capsule.running.capture.groups.python_traceback import PythonTraceback


class LineGrouper:
    """Takes lines, and gives lines and groups in their order."""

    def __init__(self) -> None:
        self._group: LineGroup | None = None
        self._is_cut = False  # a traceback's frames were cut; its last line is still to come

    @property
    def is_open(self) -> bool:
        """Whether lines are held back for more."""
        return self._group is not None

    @property
    def looks_closely(self) -> bool:
        """Whether a plain line may belong to a group."""
        return self._group is not None or self._is_cut

    def feed(self, line: str) -> Iterator[str | GroupedLines]:
        """Take a line; yield what it ends, and the line itself where it belongs to no group."""
        waiting = [line]
        while waiting:
            line = waiting.pop(0)
            if self._group is None:
                self._group = self._open(line)
                if self._group is None:
                    yield line
            elif not self._group.take(line):
                held = yield from self._end(is_cut=self._group.is_full)
                waiting[:0] = [*held, line]
            if self._group is not None and self._group.is_done:
                waiting[:0] = yield from self._end(is_cut=False)

    def flush(self) -> Iterator[str | GroupedLines]:
        """Yield what has been held back: nothing has come for a while, or ever will."""
        while self._group is not None:
            for line in (yield from self._end(is_cut=True)):
                yield from self.feed(line)

    def _open(self, line: str) -> LineGroup | None:
        group = open_group(line)
        if not self._is_cut:
            return group
        if group is None and (not line or line[0] in " \t|+>"):
            return None
        self._is_cut = False
        return group if isinstance(group, PythonTraceback) else PythonTraceback.from_ending(line)

    def _end(self, *, is_cut: bool) -> Generator[str | GroupedLines, None, list[str]]:
        """Yield the group, or its first line where it was none; return the lines behind it."""
        group, self._group = self._group, None
        if group is None:
            return []
        if not group.kept:
            yield group.lines[0]
            return group.lines[1:]
        self._is_cut = is_cut and group.is_unfinished
        yield group.build()
        return group.lines[group.kept :]
