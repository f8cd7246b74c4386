"""What the processing has said that may be the reason of its failure: the last of each kind.

The journal and the captured streams fill it while the processing runs, at no cost for plain lines:
what is kept is a reference, and it is decoded once, at the run's end. Everything here has lost its
secrets before. Memory is bounded: one exception, one error, and the last lines of stderr.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from aind_capsule.records.encode import decode
from aind_capsule.running.recording.traceback_info import Traceback

#: A record of these levels may be why a run failed; a traceback in another is not, for whoever
#: logged it has said so (a retry, an exception that Python ignored).
_FAILURE_LEVELS = frozenset({"ERROR", "CRITICAL"})
_PARTS = ("type", "message", "traceback")
#: Lines of stderr that are kept: the last ones may be blank, a progress bar's, or the end of a
#: notebook's traceback.
KEPT_LINES = 32
#: The reason stands on the next line: MATLAB's form, and R's for a long call (`Error in f() :`).
_HEADING_START, _HEADING_END = b"Error using ", b":"


class FailureEvidence:
    """The last exception, the last error, and the last lines of stderr.

    Attributes:
        exception: Of the last ERROR or CRITICAL record that has one.
    """

    def __init__(self) -> None:
        self.exception: Traceback | None = None
        self._error: str | Sequence[bytes] | None = None
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
            self._error = None
            self._stderr.clear()
        else:
            self._error = str(record.get("message", ""))

    def note_lines(self, texts: Sequence[bytes], levels: Mapping[int, str]) -> None:
        """Take captured lines of which some have a level of their own.

        Args:
            texts: Encoded messages, without quotes.
            levels: The levels of some of them, by index.
        """
        failures = [index for index, level in levels.items() if level in _FAILURE_LEVELS]
        for index in sorted(failures, reverse=True):
            text = texts[index]
            if _names_caller(text) and (self._error is not None or index != min(failures)):
                continue
            is_heading = text.startswith(_HEADING_START) or text.rstrip().endswith(_HEADING_END)
            self._error = texts[index : index + 2] if is_heading else (text,)
            return

    def note_stderr(self, texts: Sequence[bytes]) -> None:
        """Take lines of stderr, encoded and without quotes."""
        self._stderr.extend(texts[-KEPT_LINES:])

    def read_error(self) -> str | None:
        """Return the message of the last error since the last exception."""
        if self._error is None or isinstance(self._error, str):
            return self._error
        return "\n".join(map(_decode, self._error))

    def read_stderr(self) -> list[str]:
        """Return the last lines of stderr since the last exception."""
        return [_decode(text) for text in self._stderr]


def _names_caller(text: bytes) -> bool:
    """Return whether a line is MATLAB's for a caller of what failed, after the reason itself."""
    return text.startswith(b"Error in ") and b" (line " in text and b" : " not in text


def _decode(text: bytes) -> str:
    return str((decode(b'{"text":"%b"}' % text) or {}).get("text", ""))
