"""Disk space reserved ahead of a file's end, so that a full disk cannot take the last record.

Linux only (fallocate with FALLOC_FL_KEEP_SIZE); elsewhere nothing can be reserved, and is not.
"""

from __future__ import annotations

import ctypes
import errno
import os

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
