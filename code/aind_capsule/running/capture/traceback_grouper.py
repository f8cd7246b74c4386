"""Python tracebacks in a stream of lines: one exception, one record.

The form is that of the interpreter's own `traceback` module (frames indented by two, chained
exceptions with a sentence between them, exception groups with bars in front).
"""

from __future__ import annotations

import re

from aind_capsule.running.recording.traceback_info import Traceback

START = b"Traceback (most recent call last):"
#: A longer traceback is cut here; the rest comes as lines, but for the exception's own.
LIMIT_BYTES = 200 * 1024

_STARTS = re.compile(rb"^(  \+ Exception Group )?Traceback \(most recent call last\):\s*$")
_FRAME = re.compile(rb"^([ \t|+]|$)")
_ENDS = re.compile(rb"^(?:[\w.]*\.)?([A-Za-z_]\w*)(?:: (.*)|:)?$")
_CHAIN = (
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
)


class TracebackGrouper:
    """Collects the lines of a traceback.

    `feed` says whether it took the line. While `is_open`, a traceback may still go on; `close`
    gives what has been collected, and the lines that turned out not to belong to one.
    """

    def __init__(self, *, is_cut: bool = False) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._ending: re.Match[bytes] | None = None
        self._ending_index = 0
        self._is_chained = False
        self._is_cut = is_cut  # the exception's own line is still to come

    @property
    def looks_closely(self) -> bool:
        """Whether a plain line may belong to a traceback."""
        return self.is_open or self._is_cut

    @property
    def is_open(self) -> bool:
        """Whether lines have been collected."""
        return bool(self._lines)

    def feed(self, line: bytes) -> bool:
        """Take a line that begins or goes on with a traceback; False where it does neither."""
        if self._is_cut and not self._lines:
            if _FRAME.match(line):
                return False
            self._is_cut = False
            self._ending, self._ending_index = _ENDS.match(line), 1
            if self._ending is not None:
                return self._take(line)
        if not self._lines or self._is_chained:
            takes = bool(_STARTS.match(line)) or (self._is_chained and not line)
            if takes and line:
                self._is_chained, self._ending = False, None
            return takes and self._take(line)
        if self._size + len(line) > LIMIT_BYTES:
            return False
        if self._ending is None:
            if _FRAME.match(line):
                return self._take(line)
            self._ending = _ENDS.match(line)
            if self._ending is None:
                return False
            self._take(line)
            self._ending_index = len(self._lines)
            return True
        if line in _CHAIN and not self._lines[-1]:
            self._is_chained = True
            return self._take(line)
        # Behind the exception's line: indented text is its message's, one empty line may be the
        # start of a chain.
        is_more = line[:1] in (b" ", b"\t") and bool(self._lines[-1])
        if is_more:
            self._ending_index = len(self._lines) + 1
        return (is_more or (not line and bool(self._lines[-1]))) and self._take(line)

    def close(self) -> tuple[Traceback | None, list[bytes]]:
        """The traceback, and lines behind it that were held back; both may be nothing."""
        lines, ending = self._lines, self._ending
        end = self._ending_index if ending is not None or self._is_chained else len(lines)
        self.__init__(is_cut=ending is None and not self._is_chained)  # type: ignore[misc]
        if not lines:
            return None, []
        text = b"\n".join(lines[:end]).decode("utf-8", "backslashreplace")
        if ending is None:
            last = lines[end - 1].decode("utf-8", "backslashreplace").strip(" |+-")
            return Traceback("Exception", last or "traceback without its end", text), lines[end:]
        name, message = ending.group(1), ending.group(2) or b""
        return (
            Traceback(name.decode(), message.decode("utf-8", "backslashreplace"), text),
            lines[end:],
        )

    def _take(self, line: bytes) -> bool:
        self._lines.append(line)
        self._size += len(line) + 1
        return True
