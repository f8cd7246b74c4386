"""What is whole of a log that others have written into: a processing may truncate any file.

Called by the writer before the last record. A log that was cut shows holes (NULs) where the writer
went on; one that was overwritten shows lines that are no records, or not in order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from aind_capsule.context.files import read_chunks, write_all
from aind_capsule.records.encode import decode

#: Each line of a log up to this size is decoded; of a longer one only the lines' ends are counted.
_DECODED_BYTES = 4 * 1024 * 1024
_NUL = b"\0"
_BOUNDARY = b"}\n{"


class KeptLine(NamedTuple):
    """One whole line with its end, and its number."""

    raw: bytes
    seq: int


class KeptSize(NamedTuple):
    """What was kept of a log."""

    size_bytes: int
    records: int


def is_whole(fd: int, size_bytes: int, records: int) -> bool:
    """Return whether a log holds all of its records and nothing else.

    Args:
        fd: The log.
        size_bytes: Where its last record ends.
        records: How many records were written.

    Raises:
        OSError: It cannot be read.
    """
    if os.fstat(fd).st_size != size_bytes or not _has_boundaries(fd, size_bytes, records):
        return False
    if size_bytes > _DECODED_BYTES:
        return True
    return sum(1 for _ in find_whole_lines(fd, size_bytes)) == records


def _has_boundaries(fd: int, size_bytes: int, records: int) -> bool:
    """Return whether no NUL is in a log, and as many lines as it should have."""
    if not size_bytes:
        return records == 0
    boundaries, tail = 0, b"}\n"  # what would stand before the first record
    for chunk in read_chunks(fd, size_bytes):
        if _NUL in chunk:
            return False
        boundaries += (tail + chunk).count(_BOUNDARY)
        tail = (tail + chunk)[-2:]
    return boundaries == records and tail == b"}\n"


def find_whole_lines(fd: int, size_bytes: int) -> Iterator[KeptLine]:
    """Find the records that are whole and in order; NULs before one are passed over.

    Raises:
        OSError: The log cannot be read.
    """
    last_seq, rest = -1, b""
    for chunk in read_chunks(fd, size_bytes):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest.lstrip(_NUL)
        for line in lines:
            raw = line.lstrip(_NUL)
            record = decode(raw)
            seq = None if record is None else record.get("seq")
            if record is None or not isinstance(seq, int) or seq <= last_seq:
                continue
            last_seq = seq
            yield KeptLine(raw + b"\n", seq)


def copy_whole_lines(fd: int, size_bytes: int, first_line: bytes, target_fd: int) -> KeptSize:
    """Copy the records that are whole to another file.

    Args:
        fd: The log.
        size_bytes: Where its last record ends.
        first_line: Its first record: readers know a run, and its form, by it.
        target_fd: The other file.

    Raises:
        OSError: The log cannot be read, or the other file not written.
    """
    size, records = 0, 0
    for line in find_whole_lines(fd, size_bytes):
        lines = [line.raw]
        if records == 0 and line.seq:
            lines.insert(0, first_line)
        for raw in filter(None, lines):
            write_all(target_fd, raw)
            size, records = size + len(raw), records + 1
    if records == 0 and first_line:
        write_all(target_fd, first_line)
        size, records = len(first_line), 1
    return KeptSize(size, records)
