"""Keep standard descriptors (0, 1 and 2) what they are for.

Where one is closed at the start, the next file that is opened gets its number. Whatever is printed
then goes into that file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_STANDARD = (0, 1, 2)


def fill_standard() -> tuple[int, ...]:
    """Open the null device on each standard descriptor that is closed. Return these."""
    filled = _fill()
    for fd in filled:
        os.set_inheritable(fd, True)
    return filled


@contextlib.contextmanager
def spare_standard() -> Iterator[None]:
    """Keep what is opened meanwhile off the standard descriptors, also where these are closed."""
    filled = _fill()
    try:
        yield
    finally:
        for fd in filled:
            os.close(fd)


def _fill() -> tuple[int, ...]:
    filled = []
    for fd in _STANDARD:
        try:
            os.fstat(fd)
        except OSError:
            _open_null()  # gets the lowest number that is free, which is this one
            filled.append(fd)
    return tuple(filled)


def _open_null() -> int:
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:  # a container without devices
        return os.open(os.sep, os.O_RDONLY)
