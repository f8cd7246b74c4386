"""The compression of what is sent."""

from __future__ import annotations

import gzip
import importlib
import sys
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from hypothesis import strategies

from aind_capsule.shipping import compress as compress_module


@pytest.fixture(params=[True, False], ids=["isal", "zlib"])
def compress(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes], bytes]]:
    """The function, with the fast library and without."""
    if request.param:
        pytest.importorskip("isal")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
    yield importlib.reload(compress_module).compress
    monkeypatch.undo()
    importlib.reload(compress_module)


@hypothesis.given(data=strategies.binary(max_size=2000))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_gzip_round_trip(compress: Callable[[bytes], bytes], data: bytes) -> None:
    """What is compressed is gzip of the same data."""
    assert gzip.decompress(compress(data)) == data


def test_equal_data_give_equal_bytes(compress: Callable[[bytes], bytes]) -> None:
    """No time and no name is in it, and text becomes much smaller."""
    data = b"".join(b'{"level":"INFO","message":"trial %d"}\n' % number for number in range(20_000))
    packed = compress(data)
    assert packed == compress(data)
    assert packed[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert len(packed) < len(data) / 4
