"""Room for a file: space reserved ahead of its end, and the size that it may have at most.

A full disk cannot take the last record then. Linux only (fallocate with FALLOC_FL_KEEP_SIZE);
elsewhere nothing can be reserved, and is not.
"""

from __future__ import annotations

import ctypes
import errno
import os

try:
    import resource
except ImportError:  # Windows: no such limit
    resource = None  # type: ignore[assignment]

_KEEP_SIZE = 0x01
_CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class AllocationUnsupportedError(OSError):
    """The file system or the platform cannot reserve space."""


def allocate(fd: int, offset: int, length: int) -> None:
    """Reserve `length` bytes from `offset` on, without changing the file's size.

    Raises:
        AllocationUnsupportedError: The file system cannot reserve space.
        OSError: It could, and there is none (ENOSPC, EDQUOT, EFBIG).
    """
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (AttributeError, OSError, TypeError):
        raise AllocationUnsupportedError(errno.ENOSYS, "no fallocate on this platform") from None
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while fallocate(fd, _KEEP_SIZE, offset, length) != 0:
        number = ctypes.get_errno()
        if number == errno.EINTR:
            continue
        kind = AllocationUnsupportedError if number in _CANNOT else OSError
        raise kind(number, os.strerror(number))


def read_size_limit() -> int | None:
    """Return the bytes that any file of this process may have (`ulimit -f`); None without a limit.

    Space beyond it can be allocated all the same: only a write tells, and fails.
    """
    if resource is None:
        return None
    # The soft limit is what the kernel goes by; `capsule run` has raised it to the hard one.
    limit_bytes = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit_bytes == resource.RLIM_INFINITY else limit_bytes
