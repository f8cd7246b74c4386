"""Which handlers of others print on this process's stdout or stderr, where our records are shown.

Used for the standard library's handlers and for loguru's sinks. Nothing is changed here.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

_STANDARD_NAMES = frozenset({"<stdout>", "<stderr>"})
#: Handlers, with the stream that they had when they were looked at, and what it was.
_known: WeakKeyDictionary[logging.Handler, tuple[Any, bool]] = WeakKeyDictionary()


def find_console_handlers(handler: logging.Handler) -> list[logging.Handler]:
    """Return those of a handler, and of the handlers behind it, that print on the console."""
    return [inner for inner in _unwrap(handler) if prints_on_console(inner)]


def prints_on_console(handler: logging.Handler) -> bool:
    """Return whether a handler itself prints on stdout or stderr."""
    stream = _find_stream(handler)
    if stream is None:
        return False
    known = _known.get(handler)
    if known is None or known[0] is not stream:
        known = _known[handler] = stream, is_console(stream)
    return known[1]


def is_console(stream: object) -> bool:
    """Return whether a stream ends on stdout or stderr of this process.

    A standard stream that was redirected to a file or to memory is none. A notebook's is one.
    """
    if stream is None:  # as `sys.stderr` is where the process was started without one
        return False
    if getattr(stream, "name", None) in _STANDARD_NAMES:
        return True
    fd = _find_descriptor(stream)
    if fd is not None and _is_same_file(fd):
        return True
    is_standard = any(
        stream is getattr(sys, name, None)
        for name in ("stdout", "stderr", "__stdout__", "__stderr__")
    )
    return is_standard and not _is_in_memory(stream) and not _is_in_file(stream)


def _unwrap(handler: logging.Handler) -> Iterator[logging.Handler]:
    yield handler
    # absl, the standard library's MemoryHandler, and its QueueHandler since Python 3.12.
    listener = getattr(handler, "listener", None)
    inner = [getattr(handler, "_current_handler", None), getattr(handler, "target", None)]
    for one in (*inner, *getattr(listener, "handlers", ())):
        if isinstance(one, logging.Handler) and one is not handler:
            yield one


def _find_stream(handler: logging.Handler) -> Any:
    """Return what a handler writes to; rich's handlers hold a console with a file."""
    stream = getattr(handler, "stream", None)
    console = getattr(handler, "console", None)
    return stream if stream is not None else getattr(console, "file", None)


def _find_descriptor(stream: object) -> int | None:
    try:
        fd = stream.fileno()  # type: ignore[attr-defined]
    except Exception:  # no file, a closed one, or a class of the user's
        return None
    return fd if type(fd) is int and fd >= 0 else None


def _is_same_file(fd: int) -> bool:
    try:
        return fd in (1, 2) or any(os.path.sameopenfile(fd, known) for known in (1, 2))
    except OSError:  # one of them is closed
        return False


def _is_in_memory(stream: object) -> bool:
    return isinstance(stream, io.StringIO) or isinstance(
        getattr(stream, "buffer", None), io.BytesIO
    )


def _is_in_file(stream: object) -> bool:
    """Return whether a stream is a file of the user's, which has a name and is no terminal."""
    name = getattr(stream, "name", None)
    return isinstance(stream, io.TextIOWrapper) and isinstance(name, str) and os.path.isfile(name)
