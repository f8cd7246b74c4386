"""A double of Loki's API for each test that wants one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.shipping.loki_double import LokiDouble


@pytest.fixture
def loki() -> Iterator[LokiDouble]:
    double = LokiDouble()
    yield double
    double.stop()
