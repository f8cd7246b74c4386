"""Lines that a backslash at their ends carries on, as in a shell's command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from aind_capsule.records.redaction.rules import Span

#: How a line ends that goes on.
CONTINUED = (b"\\\n", b"\\\r\n")
#: Stands between such lines when they are looked at as one. A value that goes to its line's end
#: does not go on, but what stands between two words may.
_JOINT = b"\r "
#: So much of the lines before is looked at.
CONTEXT_BYTES, _CONTEXT_LINES = 1024, 16


def find_context(before: bytes) -> bytes:
    r"""Return the lines that the next line goes on with, as one text.

    >>> find_context(b"ls\ncurl \\\n  -v \\\n")
    b'curl \r -v \r '
    """
    if not before.endswith(CONTINUED):
        return b""
    context: list[bytes] = []
    for previous in reversed(before.split(b"\n")[-_CONTEXT_LINES - 1 : -1]):
        text = previous.rstrip(b"\r")
        if not text.endswith(b"\\"):
            break
        context.append(text[:-1].lstrip())
    return _JOINT.join([*reversed(context), b""])


def find_in_continued(text: bytes, find_spans: Callable[[bytes], Iterable[Span]]) -> Iterator[Span]:
    """Yield where secrets are in the continued lines of a whole text.

    Args:
        text: The text.
        find_spans: Finds secrets in a text.
    """
    start = 0
    for line in text.split(b"\n"):
        context = find_context(text[max(0, start - CONTEXT_BYTES) : start])
        if context:
            yield from find_behind(context, line, find_spans, start)
        start += len(line) + 1


def find_behind(
    context: bytes, line: bytes, find_spans: Callable[[bytes], Iterable[Span]], start: int = 0
) -> Iterator[Span]:
    """Yield where secrets are in a line, given what it goes on with.

    Args:
        context: From `find_context`; may be empty.
        line: The line.
        find_spans: Finds secrets in a text.
        start: Where the line begins.
    """
    indent = len(line) - len(line.lstrip()) if context else 0
    shift = len(context) - indent
    for first, last in find_spans(context + line[indent:]):
        if last - shift > indent:
            yield start + max(indent, first - shift), start + last - shift
