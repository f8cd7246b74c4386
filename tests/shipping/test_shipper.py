"""Several destinations at the same time: each goes its own way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from aind_capsule.settings.model import Settings
from aind_capsule.shipping import delivery, registry
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
    shipper.finish(lambda: Deadline(1.0, 1.0), lambda: None)
    report = shipper.describe()
    assert (report["loki"]["delivered"], report["loki"]["owed"]) == (101, 0)
    assert (report["second"]["delivered"], report["second"]["owed"]) == (0, 101)
    assert "refuses" in report["second"]["problem"]
    assert [entry.line for entry in loki.entries] == log.lines
    again = LokiDouble(dead.port)  # so that its thread ends
    wait_until(lambda: shipper.is_done)
    again.stop()


def test_a_gateway_that_is_being_set_up(
    loki: LokiDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """404, as of a server that somebody is to change: it is looked at again while the log grows."""
    monkeypatch.setattr(delivery, "_STOPPED_S", 0.1)
    loki.trouble.answer = lambda request: (404, "no page") if request.method == "POST" else None
    log = Log(tmp_path)
    log.write("early")
    shipper = Shipper(str(log.path), str(log.folder), make_settings(loki.url), os.environ)
    shipper.start()
    wait_until(lambda: len(loki.requests) >= 3)
    assert "404 no page" in shipper.lanes[0].trouble
    loki.trouble.answer = None
    wait_until(lambda: [entry.line for entry in loki.entries] == log.lines)
    assert not shipper.is_done
    shipper.finish(lambda: Deadline(10.0, 10.0), lambda: None)


def test_the_server_asks_to_be_left_alone(loki: LokiDouble, tmp_path: Path) -> None:
    """`Retry-After` is kept to also when the log ends meanwhile: no request comes before."""
    loki.trouble.headers = {"Retry-After": "2"}
    loki.trouble.answer = lambda request: (503, "busy") if len(loki.requests) == 1 else None
    log = Log(tmp_path)
    log.write("early")
    shipper = Shipper(str(log.path), str(log.folder), make_settings(loki.url), os.environ)
    shipper.start()
    wait_until(lambda: shipper.lanes[0].trouble)
    shipper.finish(lambda: Deadline(10.0, 10.0), lambda: None)
    assert [entry.line for entry in loki.entries] == log.lines
    pushes = [request for request in loki.requests if request.method == "POST"]
    assert pushes[1].at_s - pushes[0].at_s >= 2.0


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
        shipper.finish(lambda: Deadline(20.0, 20.0), lambda: None)
        assert [entry.line for entry in other.entries] == log.lines
        assert [entry.line for entry in loki.entries] == log.lines
    finally:
        other.stop()
