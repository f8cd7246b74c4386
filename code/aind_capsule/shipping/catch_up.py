"""Deliver what is owed of a log that nobody delivers any more; what `capsule push` does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from aind_capsule.context.files import write_file
from aind_capsule.logs.positions import PositionInUseError
from aind_capsule.logs.reader import is_being_written
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.naming import LOG_SUFFIX
from aind_capsule.settings.model import Settings
from aind_capsule.shipping.delivery import Delivery
from aind_capsule.shipping.form import read_form
from aind_capsule.shipping.places import find_place, find_run_id
from aind_capsule.shipping.registry import Kind
from aind_capsule.shipping.report import build_report


def catch_up(
    log: str,
    folder: str,
    kind: Kind,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    give_up_s: float,
    tell: Callable[[Delivery], None],
) -> tuple[dict[str, Any], bool]:
    """Deliver a log to one destination, as far as it goes now.

    Args:
        log: The log.
        folder: For what is remembered.
        kind: Where it goes.
        settings: How that is reached.
        environ: For proxies.
        give_up_s: Seconds after which a server that takes nothing is given up.
        tell: Called after each step.

    Returns:
        The destination's part of the push report; with `in_use` where another process is at it. And
        whether the destination takes nothing of any log now.

    Raises:
        CapsuleError: The log holds no record, or the settings cannot work.
        OSError: The log cannot be read.
    """
    form = read_form(log)
    if form is None:
        return {"delivered": 0, "owed": 0, "set_aside": 0}, False
    destination = kind.open(settings, environ, form)
    place = find_place(log, folder, destination.key)
    try:
        delivery = Delivery(place, destination, is_resend=True)
    except PositionInUseError:
        destination.close()
        return {"address": destination.address, "in_use": True}, False
    try:
        _deliver(delivery, give_up_s, tell)
        row = build_report(
            log, delivery.progress, destination.address, delivery.problem, place.set_aside
        )
        return row, bool(row["owed"] and delivery.problem and not delivery.is_refused)
    finally:
        delivery.close()


def _deliver(delivery: Delivery, give_up_s: float, tell: Callable[[Delivery], None]) -> None:
    while (delay_s := delivery.step(flush=True)) is not None and not delivery.has_stopped:
        tell(delivery)
        if time.monotonic() + delay_s - delivery.delivered_at > give_up_s:
            return
        time.sleep(delay_s)


def update_run_json(log: str, rows: Mapping[str, Any]) -> None:
    """Put a push report into the `run.json` beside a log in its run folder.

    Copies in results stay as they are, and so does the file of a run that goes on.

    Raises:
        OSError: It cannot be written.
    """
    path = f"{log[: -len(LOG_SUFFIX)]}.run.json"
    is_own = os.path.basename(os.path.dirname(log)) == find_run_id(log)
    if not is_own or not os.path.isfile(path) or is_being_written(log):
        return
    with open(path, "rb") as file:
        content = decode(file.read())
    if content is None:
        return
    content["delivery"] = {**(content.get("delivery") or {}), **rows}
    write_file(path, encode(content) + b"\n")
