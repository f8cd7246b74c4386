"""Bring one log to all its destinations at the same time, for as long as there is time.

Each destination has a thread of its own and goes its own way. The thread that made the shipper
only looks, tells, and keeps to the deadline: what hangs is left behind when the process ends.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.errors import CapsuleError
from aind_capsule.logs.positions import PositionInUseError, Progress
from aind_capsule.settings.model import Settings
from aind_capsule.shipping.delivery import Delivery
from aind_capsule.shipping.destination import Destination
from aind_capsule.shipping.form import Form, read_form
from aind_capsule.shipping.places import find_place, make_spare_folder
from aind_capsule.shipping.registry import Kind, find_kinds
from aind_capsule.shipping.report import build_report, count_owed

#: Between two looks at a log that has nothing new.
LOOK_S = 0.2
#: A server that took records once is complained of after so long without success.
_COMPLAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long delivery may go on after the log's end.

    Attributes:
        total_s: In all.
        silent_s: Since the last success, or the log's end if there was none.
    """

    total_s: float
    silent_s: float


class Lane:
    """One destination's thread.

    Attributes:
        name: The destination's.
        trouble: What is wrong, once it is worth telling; empty while it is not.
        is_done: Whether there is nothing left to do.
    """

    def __init__(self, kind: Kind, shipper: Shipper) -> None:
        self.name = kind.name
        self.is_done = False
        self._kind = kind
        self._shipper = shipper
        self._delivery: Delivery | None = None
        self._failure = ""
        self._is_in_use = False
        self._moves = 0
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=kind.name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def delivered_at(self) -> float:
        """When something was delivered last, monotonic seconds; its start at the earliest."""
        return self._began if self._delivery is None else self._delivery.delivered_at

    @property
    def settled(self) -> int:
        """Records that nothing more happens to."""
        return 0 if self._delivery is None else self._delivery.progress.settled

    @property
    def trouble(self) -> str:
        """What is wrong, if that is worth telling now."""
        delivery = self._delivery
        if self._failure or delivery is None:
            return self._failure
        is_new = delivery.progress.delivered == 0 or delivery.has_stopped
        is_long = time.monotonic() - delivery.delivered_at > _COMPLAIN_S
        return f"{delivery.destination.address}: {delivery.problem}" if delivery.problem and (
            is_new or is_long
        ) else ""  # fmt: skip

    @property
    def is_off(self) -> bool:
        """Whether nothing is tried any more."""
        return bool(self._failure)

    def describe(self) -> dict[str, Any]:
        """This destination's part of the push report."""
        delivery = self._delivery
        if delivery is None and self.is_done and not self._failure:  # a log without a record
            return {"delivered": 0, "owed": 0, "set_aside": 0}
        if delivery is None:
            owed = {} if self._is_in_use else {"owed": count_owed(self._shipper.log, Progress())}
            return {**owed, "problem": self._failure or "there was no time to begin"}
        return build_report(
            self._shipper.log,
            delivery.progress,
            delivery.destination.address,
            self._failure or delivery.problem,
            delivery.place.set_aside,
        )

    def _run(self) -> None:
        try:
            form = self._shipper.wait_for_form()
            if form is not None:
                self._deliver(form)
        except CapsuleError as error:
            self._is_in_use = isinstance(error, PositionInUseError)
            self._failure = f"{error.message}. {error.hint}"
        except Exception as error:  # ours; it is told, and other destinations go on
            self._failure = f"{type(error).__name__}: {error}"
        finally:
            if self._delivery is not None:
                self._delivery.close()
            self.is_done = True

    def _open(self, destination: Destination, *, is_resend: bool = False) -> Delivery:
        log, key = self._shipper.log, destination.key
        try:
            place = find_place(log, self._shipper.folder, key)
            return Delivery(place, destination, is_resend=is_resend)
        except OSError:  # the disk is full: remember elsewhere
            spare = make_spare_folder(log, self._shipper.environ)
            return Delivery(find_place(log, spare, key), destination, is_resend=is_resend)

    def _follow_log(self, delivery: Delivery, form: Form) -> Delivery:
        """Read the log where it is now, from where it was read to, or from its start."""
        shipper = self._shipper
        self._moves = shipper.moves
        place = find_place(shipper.log, shipper.folder, delivery.destination.key)
        if shipper.is_whole:
            delivery.follow_log(place)
            return delivery
        delivery.close()
        # Positions were those of another content.
        with contextlib.suppress(OSError):
            os.unlink(place.position)
        destination = self._kind.open(shipper.settings, shipper.environ, form)
        self._delivery = self._open(destination, is_resend=True)
        return self._delivery

    def _deliver(self, form: Form) -> None:
        shipper = self._shipper
        destination = self._kind.open(shipper.settings, shipper.environ, form)
        self._moves = shipper.moves
        self._delivery = delivery = self._open(destination)
        while True:
            is_last = shipper.is_finishing
            if self._moves != shipper.moves:
                delivery = self._follow_log(delivery, form)
            try:
                delay_s = delivery.step(flush=is_last)
            except FileNotFoundError:
                if is_last:
                    raise
                delay_s = None  # the processing has removed it: the run will say where it is
            if delay_s is None and is_last:
                return
            if is_last and delivery.has_stopped:
                return
            if delay_s and is_last:
                time.sleep(delay_s)
            else:
                shipper.wait_for_finish(LOOK_S if delay_s is None else delay_s)
                time.sleep(max(0.0, delivery.not_before - time.monotonic()))


class Shipper:
    """Delivers one log while it grows.

    Args:
        log: The log.
        folder: For what is remembered.
        settings: Which destinations, and how they are reached.
        environ: For proxies.

    Attributes:
        lanes: The destinations.
        moves: How often the log has gone elsewhere.
        is_whole: Whether what was read of it is still its beginning.
    """

    def __init__(
        self, log: str, folder: str, settings: Settings, environ: Mapping[str, str]
    ) -> None:
        self.log = log
        self.folder = folder
        self.settings = settings
        self.environ = environ
        self.moves = 0
        self.is_whole = True
        self._finishing = threading.Event()
        self.lanes = [Lane(kind, self) for kind in find_kinds(settings)]

    def start(self) -> None:
        """Begin to deliver."""
        for lane in self.lanes:
            lane.start()

    def follow_log(self, log: str, *, is_whole: bool) -> None:
        """Have the log read from another file.

        Args:
            log: The file.
            is_whole: Whether it holds all that the one before did, in the same places.
        """
        self.log, self.folder = log, os.path.dirname(log)
        self.is_whole = self.is_whole and is_whole
        self.moves += 1

    @property
    def is_finishing(self) -> bool:
        """Whether the log has ended."""
        return self._finishing.is_set()

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return all(lane.is_done for lane in self.lanes)

    def finish(self, read_deadline: Callable[[], Deadline], look: Callable[[], None]) -> None:
        """The log has ended: deliver what is left, within the deadline.

        Args:
            read_deadline: How long; it may get shorter.
            look: Called some times a second meanwhile.
        """
        self._finishing.set()
        began = time.monotonic()
        while not self.is_done:
            now, deadline = time.monotonic(), read_deadline()
            last_success = max(began, *(lane.delivered_at for lane in self.lanes))
            if now >= began + deadline.total_s or now >= last_success + deadline.silent_s:
                return
            look()
            time.sleep(min(0.02, deadline.total_s))

    def wait_for_finish(self, limit_s: float | None) -> None:
        """Wait until the log has ended, for so long at most."""
        self._finishing.wait(limit_s)

    def wait_for_form(self) -> Form | None:
        """The log's form as soon as it has a line; None where it ends without one."""
        while True:
            is_last = self.is_finishing
            form = None
            try:
                form = read_form(self.log)
            except FileNotFoundError:
                if is_last:
                    raise
            if form is not None or is_last:
                return form
            self.wait_for_finish(LOOK_S)

    def describe(self) -> dict[str, Any]:
        """The push report."""
        return {lane.name: lane.describe() for lane in self.lanes}
