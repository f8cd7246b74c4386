"""Several destinations at the same time: each goes its own way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from aind_capsule.settings.model import Settings
from aind_capsule.shipping import registry
from aind_capsule.shipping.destination import Destination
from aind_capsule.shipping.form import Form
from aind_capsule.shipping.registry import Kind
from aind_capsule.shipping.shipper import Deadline, Shipper
from tests.conftest import wait_until
from tests.shipping.logs import Log, make_settings
from tests.shipping.loki_double import LokiDouble


class Second(Kind):
    """Another Loki, as a kind of its own."""

    def __init__(self, url: str) -> None:
        super().__init__("second", lambda settings: True)
        self.url = url

    def open(self, settings: Settings, environ: Mapping[str, str], form: Form) -> Destination:
        """The same way to another server."""
        return registry.KINDS[0].open(make_settings(self.url), environ, form)


def test_one_that_is_dead_does_not_hold_up_another(
    loki: LokiDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server refuses from the start: the other gets all, while the log grows and at its end."""
    dead = LokiDouble()
    dead.stop()
    second = Second(dead.url)
    monkeypatch.setattr(registry, "KINDS", (*registry.KINDS, second))
    log = Log(tmp_path)
    log.write(*[f"line {n}" for n in range(100)])
    shipper = Shipper(str(log.path), str(log.folder), make_settings(loki.url), os.environ)
    shipper.start()
    wait_until(lambda: len(loki.entries) == 100)
    log.write("the last")
    shipper.finish(Deadline(1.0, 1.0), lambda: None)
    report = shipper.describe()
    assert (report["loki"]["delivered"], report["loki"]["owed"]) == (101, 0)
    assert (report["second"]["delivered"], report["second"]["owed"]) == (0, 101)
    assert "refuses" in report["second"]["problem"]
    assert [entry.line for entry in loki.entries] == log.lines
    again = LokiDouble(dead.port)  # so that its thread ends
    wait_until(lambda: shipper.is_done)
    again.stop()


def test_the_late_one_catches_up(
    loki: LokiDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that comes later gets all from the first record on; nobody gets anything twice."""
    other = LokiDouble()
    other.stop()
    second = Second(other.url)
    monkeypatch.setattr(registry, "KINDS", (*registry.KINDS, second))
    log = Log(tmp_path)
    log.write(*[f"line {n}" for n in range(100)])
    shipper = Shipper(str(log.path), str(log.folder), make_settings(loki.url), os.environ)
    shipper.start()
    wait_until(lambda: len(loki.entries) == 100 and shipper.lanes[1].trouble)
    other = LokiDouble(other.port)
    try:
        log.write("the last")
        shipper.finish(Deadline(20.0, 20.0), lambda: None)
        assert [entry.line for entry in other.entries] == log.lines
        assert [entry.line for entry in loki.entries] == log.lines
    finally:
        other.stop()
