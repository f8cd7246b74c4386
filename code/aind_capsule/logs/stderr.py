"""The real stderr of this process, for records and words that people must see.

Written past Python's own `sys.stderr`: what is captured or replaced there does not concern us, and
nothing here ever raises an error or waits for a lock.
"""

from __future__ import annotations

import contextlib
import os
import sys

from aind_capsule.logs.console import format_record, read_utc_offset_s
from aind_capsule.logs.screen import find_screen
from aind_capsule.records.encode import decode, encode


def print_record(record: bytes, *, colours: bool = False) -> None:
    """A record on stderr for people; where that fails too there is nowhere left."""
    decoded = decode(record) or {"message": record.decode("utf-8", "replace")}
    with contextlib.suppress(Exception):  # a broken record must not break the processing
        columns = find_screen(find_stderr(), os.environ).count_columns()
        offset_s = read_utc_offset_s()
        text = format_record(decoded, colours=colours, utc_offset_s=offset_s, columns=columns)
        write_stderr(f"{text}\n".encode("utf-8", "replace"))


def say(message: str) -> None:
    """A sentence of the toolkit's own; its form is one that the wrapper reads as a WARNING."""
    print_record(encode({"level": "WARNING", "message": f"aind-capsule: {message}"}))


def write_stderr(data: bytes) -> None:
    """Write to the process's stderr, if it has one."""
    fd = find_stderr()
    if fd is None:
        return
    try:
        done = os.write(fd, data)
        while done < len(data):  # a pipe or a terminal may take a part
            done += os.write(fd, memoryview(data)[done:])
    except OSError:  # closed, or its reader is gone
        pass


def find_stderr() -> int | None:
    """The descriptor of stderr; None where the process was started without one.

    Descriptor 2 is then some file of the user's.
    """
    try:
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else None
    except (OSError, ValueError):  # closed, or an interpreter without descriptors
        return None
