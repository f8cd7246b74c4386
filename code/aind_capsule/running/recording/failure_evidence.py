"""What the processing has said that may be the reason of its failure: the last of each kind.

The journal and the captured streams fill it while the processing runs. Plain lines cost nothing:
the last ones of stderr are kept as references, and decoded at the run's end. All of it has lost its
secrets before. Memory is bounded: one exception, one error, and some lines.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from aind_capsule.records.encode import decode
from aind_capsule.running.recording.traceback_info import Traceback

#: A record of these levels may be why a run failed; a traceback in another is not, for whoever
#: logged it has said so (a retry, an exception that Python ignored).
_FAILURE_LEVELS = frozenset({"ERROR", "CRITICAL"})
#: What stands behind the reason, and names none. It counts only where nothing else was said.
_CLOSING = r"""
      Error\ in\ [^\s:]{1,200}\ \(line\ \d{1,9}\)$        # MATLAB: a caller of what failed
    | error:\ (?:called\ from$|ignoring\ const\ execution_)  # Octave
    | Execution\ halted$                                  # R
    | Node\.js\ v\d
    | exit\ status\ \d{1,3}$                              # go run
    | \+{1,9}\ (?:exit|return)\b                          # the shell's trace (set -x)
      # What a shell says of a signal, which the exit status has named.
    | (?:Aborted|Bus\ error|Killed|Segmentation\ fault|Terminated)(?:\ \(core\ dumped\))?$
    | [\w.-]{0,20}make(?:\[\d{1,3}\])?:\ \*\*\*\ \[.{1,300}\]\ Error\ \d
    | [\w./+-]{1,200}:\ error:\ ld\ returned\              # gcc, clang
    | npm\ (?:error|ERR!)\ A\ complete\ log
      # Frames of a stack: Lua, Fortran.
    | \s{0,8}(?:stack\ traceback:|\[C\]:\ in\ )
    | \s{0,8}\S{1,200}:\d{1,9}:\ in\ (?:local|function|main|upvalue|method|field)\b
    | \#\d{1,4}\s{1,4}0x[0-9a-f]{1,20}\b
    | \s{1,8}at\ \S{1,200}:\d{1,9}$
    | Error\ termination\.\ Backtrace:$
    | tar:\ (?:Error\ is\ not\ recoverable|Exiting\ with\ failure)
    | .{0,300}\([Ss]ee\ (?:previous|above)                # rsync, conda run
    """
_PARTS = ("type", "message", "traceback")
#: Lines of stderr that are kept: the last ones may be blank, a progress bar's, or the end of a
#: notebook's traceback.
KEPT_LINES = 32
#: The reason stands on the next line: MATLAB's form, and R's for a long call (`Error in f() :`).
_HEADING_START, _HEADING_END = "Error using ", ":"


class FailureEvidence:
    """The last exception, the last error, and the last lines of stderr.

    Attributes:
        exception: Of the last ERROR or CRITICAL record that has one.
        error: The message of the last such record since then that has none.
    """

    def __init__(self) -> None:
        self.exception: Traceback | None = None
        self.error: str | None = None
        self._stderr: deque[bytes] = deque(maxlen=KEPT_LINES)

    def note_record(self, record: Mapping[str, Any]) -> None:
        """Take a record that did not come as a plain line, without its secrets."""
        if record.get("level") not in _FAILURE_LEVELS:
            return
        exception = record.get("exception")
        if isinstance(exception, Mapping) and exception.get("type"):
            kind, message, text = (str(exception.get(part, "")) for part in _PARTS)
            self.exception = Traceback(kind, message, text)
            # Only what comes after it may belong to it.
            self.error = None
            self._stderr.clear()
        else:
            self.error = str(record.get("message", ""))

    def note_lines(self, texts: Sequence[bytes], levels: Mapping[int, str]) -> None:
        """Take captured lines of which some have a level of their own.

        Args:
            texts: Encoded messages, without quotes.
            levels: The levels of some of them, by index.
        """
        failures = sorted(index for index, level in levels.items() if level in _FAILURE_LEVELS)
        for index in reversed(failures):
            text = decode_text(texts[index])
            if is_closing_line(text) and (self.error is not None or index != failures[0]):
                continue
            is_heading = text.startswith(_HEADING_START) or text.rstrip().endswith(_HEADING_END)
            if is_heading and index + 1 < len(texts):
                text = f"{text}\n{decode_text(texts[index + 1])}"
            self.error = text
            return

    def note_stderr(self, texts: Sequence[bytes]) -> None:
        """Take lines of stderr, encoded and without quotes."""
        self._stderr.extend(texts[-KEPT_LINES:])

    def read_stderr(self) -> list[str]:
        """Return the last lines of stderr since the last exception."""
        return [decode_text(text) for text in self._stderr]


def is_closing_line(text: str) -> bool:
    """Return whether a line only says that something failed before it.

    >>> is_closing_line("Execution halted"), is_closing_line("make: *** [Makefile:2: all] Error 2")
    (True, True)
    >>> is_closing_line("make: *** No rule to make target 'nope'.  Stop.")
    False
    """
    return _compile_closing().match(text) is not None


def decode_text(text: bytes) -> str:
    """Return the text of an encoded message without quotes."""
    return str((decode(b'{"text":"%b"}' % text) or {}).get("text", ""))


@functools.cache
def _compile_closing() -> re.Pattern[str]:
    return re.compile(_CLOSING, re.VERBOSE)
