"""How far a log may grow, and what is said of a record that finds no room.

Used by the writer. A cap that was asked for and the process's own limit (`ulimit -f`) hold in the
same way: the canonical record has its reserve before the end.
"""

from __future__ import annotations

import errno

from aind_capsule.frozen import frozen
from aind_capsule.logs.allocation import read_size_limit

#: The canonical record is cut to this.
CANONICAL_BYTES = 32 * 1024
#: Where there is little room at all, it has at least this: any record can be cut to it.
_LEAST_CANONICAL_BYTES = 8 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@frozen
class Trouble:
    """Why something was not written.

    Attributes:
        cause: What it is counted under.
        message: A sentence for people.
    """

    cause: str
    message: str


@frozen
class Cap:
    """The size that a log may have at most.

    Attributes:
        free_bytes: Ordinary records are written up to here.
        reserve_bytes: What the canonical record has behind that.
        trouble: Why a record that is longer is not written.
    """

    free_bytes: int
    reserve_bytes: int
    trouble: Trouble


def find_cap(max_bytes: int | None, *, reserves: bool) -> Cap | None:
    """Return the smaller one of what was asked for and what the process may write.

    Args:
        max_bytes: What was asked for, if anything.
        reserves: Whether a canonical record needs its reserve before the process's limit.
    """
    limit_bytes = read_size_limit() if reserves else None
    if limit_bytes is not None and (max_bytes is None or limit_bytes < max_bytes):
        cap_bytes = limit_bytes
        message = f"The log has reached the limit on the size of files, {limit_bytes} (ulimit -f)"
    elif max_bytes is not None:
        cap_bytes = max_bytes
        message = f"The log has reached its cap of {max_bytes} bytes (log.max_bytes)"
    else:
        return None
    reserve_bytes = min(CANONICAL_BYTES, max(_LEAST_CANONICAL_BYTES, cap_bytes // 2))
    return Cap(cap_bytes - reserve_bytes, reserve_bytes, Trouble("size_cap", message))


def explain_write_error(path: str, error: OSError) -> Trouble:
    """Return what is said and counted where the system refused a write."""
    cause = "disk_full" if error.errno in _FULL else "write_error"
    return Trouble(cause, f"The log {path} cannot be written: {error.strerror}")
