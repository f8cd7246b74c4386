"""Bytes as gzip, fast: what is sent is some ten times smaller, and the processing keeps its CPU.

The one owner of isal, which takes about a sixth of zlib's CPU; where it is not installed zlib
serves. Both give the same bytes each time they are given the same data, but not the same as each
other.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

#: The one that costs least CPU.
_LEVEL = 1
#: zlib's way to ask for a gzip header; its time is 0.
_GZIP = 16 + zlib.MAX_WBITS


def _find_compressor() -> Callable[..., Any]:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj
    compressor: Callable[..., Any] = isal_zlib.compressobj
    return compressor


_build_compressor = _find_compressor()


def compress(data: bytes) -> bytes:
    """Data as one gzip member, for `Content-Encoding: gzip`.

    >>> import gzip
    >>> gzip.decompress(compress(b"a line"))
    b'a line'
    """
    compressor = _build_compressor(_LEVEL, zlib.DEFLATED, _GZIP)
    packed: bytes = compressor.compress(data) + compressor.flush()
    return packed
