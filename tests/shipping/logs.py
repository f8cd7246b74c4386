"""Logs as a run writes them, and a way to bring them to a double, for the tests of delivery."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.encode import encode_open
from aind_capsule.records.naming import build_shipping
from aind_capsule.records.timestamps import US_PER_S, format_timestamp
from aind_capsule.settings.load import load_settings
from aind_capsule.settings.model import Settings
from aind_capsule.shipping.delivery import Delivery
from aind_capsule.shipping.form import read_form
from aind_capsule.shipping.places import find_place
from aind_capsule.shipping.registry import find_kinds

RUN_ID = "20260101T000000-0123abcd"
HOUR_S = 3600.0


def make_settings(url: str, **more: str) -> Settings:
    """The settings of a Loki, read from an environment as a user gives them."""
    environ = {"CAPSULE_LOKI__URL": url, **more}
    loaded = load_settings({}, environ, None)
    assert not loaded.problems
    return loaded.settings


class Log:
    """A log that a test writes.

    Args:
        folder: Where.
        run_id: The run.
        process_name: The capsule.
    """

    def __init__(
        self, folder: Path, run_id: str = RUN_ID, process_name: str = "spike-sorting"
    ) -> None:
        self.fields = {"process_name": process_name, "run_id": run_id, "subject_id": "123456"}
        self.folder = folder / run_id
        self.folder.mkdir(parents=True)
        self.path = self.folder / f"{process_name}-{run_id}.log.jsonl"
        self.writer = LogWriter(self.path)
        self._last_us = 0

    def write(self, *messages: str, at_s: float | None = None, **fields: Any) -> None:
        """Append records, a microsecond apart; the first of a log bears its form."""
        now_us = int((time.time() if at_s is None else at_s) * US_PER_S)
        if at_s is None:
            now_us = max(now_us, self._last_us + 1)
        for n, message in enumerate(messages):
            self._last_us = now_us + n
            first = {"shipping": build_shipping(self.fields)} if self.writer.next_seq == 0 else {}
            record = {
                "timestamp": format_timestamp(now_us + n),
                "level": "INFO",
                "message": message,
                **self.fields,
                **first,
                **fields,
            }
            assert self.writer.append_one(encode_open(record))

    def append_raw(self, data: bytes) -> None:
        """Append bytes as they are."""
        with self.path.open("ab") as file:
            file.write(data)

    @property
    def lines(self) -> list[str]:
        """Its whole lines."""
        return self.path.read_text().split("\n")[:-1]


class Way:
    """One log's way to a server, on a clock that does not wait.

    Attributes:
        delivery: What is tested.
        waits: How long it wanted to wait, each time.
    """

    def __init__(
        self,
        log: Log | Path,
        settings: Settings,
        folder: Path | None = None,
        read_clock_us: Callable[[], int] | None = None,
        *,
        is_resend: bool = False,
    ) -> None:
        path = log.path if isinstance(log, Log) else log
        form = read_form(str(path))
        assert form is not None
        kind = find_kinds(settings)[0]
        destination = kind.open(settings, os.environ, form)
        place = find_place(str(path), str(folder or path.parent), destination.key)
        clock: Mapping[str, Any] = {} if read_clock_us is None else {"read_clock_us": read_clock_us}
        self.delivery = Delivery(place, destination, is_resend=is_resend, **clock)
        self.waits: list[float] = []

    def go(self, steps: int = 1000) -> None:
        """Step until nothing is left, it has stopped, or so many steps were done."""
        for _ in range(steps):
            delay_s = self.delivery.step(flush=True)
            if delay_s is None or self.delivery.has_stopped:
                return
            if delay_s:
                self.waits.append(delay_s)

    def close(self) -> None:
        """Let go of it."""
        self.delivery.close()


def deliver(log: Log | Path, settings: Settings, steps: int = 1000, **more: Any) -> Way:
    """Bring a log to a server, as far as it goes."""
    way = Way(log, settings, **more)
    try:
        way.go(steps)
    finally:
        way.close()
    return way
