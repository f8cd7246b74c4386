"""Secrets that go over several lines: private keys, and base64 under the name of one.

A stream is looked at line by line. A line of a key is known by what it ends with, so that a log's
prefix, quotes and indentation do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from aind_capsule.records.redaction.rules import KEY_BEGINS, KEY_ENDS, Span, compile_once

#: One of these stands in every line that begins a block.
OPENINGS = (b"PRIVATE KEY", b"Private-Lines:", b"client-key-data")
#: PuTTY says how many lines there are.
_COUNTED = r"Private-Lines:[ \t]{0,8}(\d{1,4})$"
#: A kubeconfig's key stands behind its name or below it, and may be wrapped.
_NAMED = r"""client-key-data["']?:[ \t]{0,8}["']?(?:[|>][+-]?)?[A-Za-z0-9+/=]*["']?\s{0,8}$"""
_HEADER = r"(?:Proc-Type|DEK-Info|Comment|Version|Charset|MessageID|Hash): "
#: No key has more lines. One without its end is over after so many lines that are none of its own.
_MAX_LINES, _MAX_STRANGE_LINES = 1000, 3
#: A line of a key is at least so long, but for the last one.
_LEAST_BYTES = 16
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#: A word of so many letters is a key's, whatever is behind it.
_LONG_WORD = r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40,1048576}={0,2}"
#: What may stand behind the text of a key's line, and directly before it.
_CLOSERS = b" \t\r\"'`,;)]}\\"
_OPENERS = b" \t\"'`([{<>|#*:,=m"
_COLOUR_BEGINS, _COLOUR_ENDS, _MAX_COLOUR_BYTES = b"\x1b[", b"m", 24
#: So many of these are looked for behind a line's text.
_MAX_ENDS = 4


class SecretBlocks:
    """Finds the lines of one stream that belong to a block."""

    def __init__(self) -> None:
        self._lines_left = 0
        self._strange_left = 0
        self._is_strict = False  # ends before the first line that is not base64

    @property
    def is_open(self) -> bool:
        """Whether the next line may belong to a block."""
        return self._lines_left > 0

    def take(self, line: bytes) -> Span | None:
        """Return what of the next line belongs to a block that began before it."""
        span = self._take_body(line) if self._lines_left > 0 else None
        if any(opening in line for opening in OPENINGS):
            self._open(line)
        return span

    def _take_body(self, line: bytes) -> Span | None:
        self._lines_left -= 1
        body, end = find_key_text(line), compile_once(KEY_ENDS).search(line)
        if body is None and end is None:
            body = _find_long_word(line)
        if body is not None:
            self._strange_left = _MAX_STRANGE_LINES
            return body
        if self._is_strict:
            self._lines_left = 0
            return None
        if end is not None:
            self._lines_left = 0
            before = find_key_text(line[: end.start()])
            return (end.start() if before is None else before[0], end.end())
        if not line.strip():
            return None
        if compile_once(_HEADER).search(line) is None:
            self._strange_left -= 1
            if not self._strange_left:
                self._lines_left = 0
        return 0, len(line)

    def _open(self, line: bytes) -> None:
        begins = [match.end() for match in compile_once(KEY_BEGINS).finditer(line)]
        if begins:
            rest = line[begins[-1] :]
            # Behind it is nothing, or the key. A sentence about such a line opens no block.
            if not _strip_end(rest) or find_key_text(rest) is not None:
                self._begin(_MAX_LINES)
            return
        counted = compile_once(_COUNTED).search(_strip_end(line))
        if counted is not None:
            self._begin(min(int(counted[1]), _MAX_LINES))
        elif compile_once(_NAMED).search(line) is not None:
            self._begin(_MAX_LINES, is_strict=True)

    def _begin(self, lines: int, *, is_strict: bool = False) -> None:
        self._lines_left, self._strange_left = lines, _MAX_STRANGE_LINES
        self._is_strict = is_strict


def find_block_spans(text: bytes) -> Iterator[Span]:
    """Yield where lines of blocks are in a whole text."""
    if not any(opening in text for opening in OPENINGS):
        return
    blocks, start = SecretBlocks(), 0
    for line in text.split(b"\n"):
        span = blocks.take(line)
        if span is not None:
            yield start + span[0], start + span[1]
        start += len(line) + 1


def find_key_text(line: bytes) -> Span | None:
    r"""Return where the base64 is that a line ends with, if it is long and varied enough.

    >>> find_key_text(b"> MHcCAQEEIOmQ8gQF5ZOWVh3z"), find_key_text(b"in /usr/lib/python3/lists")
    ((2, 26), None)
    """
    text = _strip_end(line)
    start = len(text.rstrip(_BASE64))
    if _COLOUR_BEGINS in text[max(0, start - _MAX_COLOUR_BYTES) : start]:
        end = text.find(_COLOUR_ENDS, start) + 1  # a colour's code is of base64's letters
        start = end if _find_colour(text[:end]) is not None else start
    word = text[start:]
    is_apart = start == 0 or text[start - 1] in _OPENERS
    is_varied = word.lower() != word and word.upper() != word
    return (start, len(text)) if len(word) >= _LEAST_BYTES and is_apart and is_varied else None


def _find_long_word(line: bytes) -> Span | None:
    """Return where a key's text is that something else stands behind."""
    for match in compile_once(_LONG_WORD).finditer(line):
        word = match[0]
        if word.lower() != word and word.upper() != word and not word.isalpha():
            return match.span()
    return None


def _strip_end(text: bytes) -> bytes:
    """Return a text without quotes, brackets, escaped line ends and colours behind it."""
    for _ in range(_MAX_ENDS):
        text = text.rstrip(_CLOSERS)
        if text.endswith((b"\\n", b"\\r")):
            text = text[:-2]
        elif text.endswith(_COLOUR_ENDS) and (code := _find_colour(text)) is not None:
            text = text[:code]
        else:
            break
    return text


def _find_colour(text: bytes) -> int | None:
    """Return where the colour's code begins that a text ends with."""
    start = text.rfind(_COLOUR_BEGINS, max(0, len(text) - _MAX_COLOUR_BYTES))
    is_code = start >= 0 and not text[start + 2 : -1].strip(b"0123456789;")
    return start if is_code else None
