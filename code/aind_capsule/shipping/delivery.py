"""Bring one log to one destination, batch by batch, whatever the destination answers.

What was sent and not answered is remembered before it is sent, in the position file; what is
refused is isolated by halving the batch until the culprit stands alone. Nothing is skipped that is
not either delivered or set aside in a file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from aind_capsule.http import backoff
from aind_capsule.logs.positions import PositionFile, PositionInUseError, Progress
from aind_capsule.shipping.destination import Answer, Destination, Outcome, Piece
from aind_capsule.shipping.set_aside import write_set_aside
from aind_capsule.shipping.source import Source

#: After so many answers that say "later" to the same lines, fewer are sent: one of them may be why.
_PATIENCE = 3
#: A line at which alone the server fails so often, and then each time when another is taken between
#: two failures, is itself the reason.
_POISON_ATTEMPTS = 6
_POISON_PROOFS = 5
#: What is to be changed by somebody is looked at again after so long, for somebody may have.
_STOPPED_S = 60.0
_GROWTH = 4
_SHRINKAGE = 8
#: A clock that is ahead of the server's by less than this is the server's fault, not the line's.
_CLOCK_TOLERANCE_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Files of one log's way to one destination.

    Attributes:
        log: The log.
        position: The position file.
        set_aside: Where refused lines go.
    """

    log: str
    position: str
    set_aside: str


class Delivery:
    """One log's way to one destination; call `step` again and again.

    Args:
        place: Its files.
        destination: Where the log goes.
        is_resend: Whether others may have delivered the log, of which nothing is remembered here.
        read_clock_us: The wall clock, microseconds since 1970.

    Raises:
        PositionInUseError: Another process is at it.
        OSError: The log cannot be read, or its position file not made.

    Attributes:
        problem: What is wrong now, in words for people; empty while all is well.
        has_stopped: Whether the destination takes nothing until somebody changes something.
        is_refused: Whether that is for this log's lines, as far as is known.
        delivered_at: When something was delivered last, monotonic seconds.
        not_before: When the server wants to be asked again, monotonic seconds.
    """

    def __init__(
        self,
        place: Place,
        destination: Destination,
        *,
        is_resend: bool = False,
        read_clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.place = place
        self.destination = destination
        self.problem = ""
        self.has_stopped = False
        self.is_refused = False
        self.delivered_at = time.monotonic()
        self.not_before = 0.0
        self._read_clock_us = read_clock_us
        self._file = PositionFile(place.position)
        try:
            if not _is_line_start(place.log, self._file.progress.position):
                self._file.save(Progress())
                is_resend = True
            is_new = self._file.progress == Progress()
            if is_new and (is_resend or self._file.was_damaged):
                self._file.save(Progress(pending_end=os.path.getsize(place.log)))
            self._source = Source(
                place.log,
                self.progress.position,
                destination.encode,
                max_bytes=destination.max_bytes,
            )
        except BaseException:  # raised again
            self._file.close()
            raise
        self._limit = destination.max_pieces
        self._attempts = 0
        self._proofs = 0
        #: A line that was taken: where others are refused it tells whether it is for what they are.
        self._witness: Piece | None = None

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return self._file.progress

    def step(self, *, flush: bool) -> float | None:
        """Send one batch.

        Args:
            flush: Whether lines are sent that are not due yet, and waits are short.

        Returns:
            Seconds to wait before the next step; None where there is nothing to send now.

        Raises:
            OSError: The log cannot be read.
        """
        pieces = self._source.take(self._limit, flush=flush)
        if not pieces:
            return None
        unfit = [piece for piece in pieces if piece.fault]
        fit = [piece for piece in pieces if not piece.fault] if unfit else pieces
        if not fit:
            self._settle(pieces, set_aside=unfit)
            return 0.0
        answer = self._send(fit)
        self.has_stopped = answer.outcome is Outcome.STOP
        if answer.outcome is Outcome.DELIVERED:
            self._settle(pieces, set_aside=unfit, answer=answer)
            self._limit = min(self._limit * _GROWTH, self.destination.max_pieces)
            return 0.0
        if answer.outcome in (Outcome.LATER, Outcome.STOP):
            return self._wait(fit, answer, flush=flush)
        if answer.outcome is Outcome.AHEAD and len(fit) == 1 and not self._is_early(fit[0]):
            return self._wait(fit, answer, flush=flush)  # the server's clock is behind ours
        if len(fit) > 1 and not self._are_all_old(fit, answer):
            if self._witness is None and not self._is_another_taken(fit, answer):
                return self._stop(answer)
            self._limit = max(1, len(pieces) // 2)
            return 0.0
        if answer.outcome is not Outcome.OLD and not self._is_another_taken(fit, answer):
            return self._stop(answer)
        self._settle(pieces, set_aside=pieces, answer=answer)
        return 0.0

    def follow_log(self, place: Place) -> None:
        """Go on with the same log in another file.

        Args:
            place: The new files of its way; the log is the same up to where it was read.
        """
        self.place = place
        self._source.follow_log(place.log)
        try:
            file = PositionFile(place.position)
            file.save(self.progress)
        except (OSError, PositionInUseError) as error:  # a later push sends all again, and equal
            self.problem = f"{place.position} cannot be written: {error}"
            return
        self._file.close()
        self._file = file

    def count_torn_bytes(self) -> int:
        """Bytes of a last line without its end."""
        return self._source.count_torn_bytes()

    def close(self) -> None:
        """Let go of files and connection."""
        self.destination.close()
        self._source.close()
        self._file.close()

    def _send(self, pieces: list[Piece]) -> Answer:
        """Send pieces, having saved that they may arrive."""
        doubt_end = self.progress.pending_end
        if pieces[-1].end > doubt_end:
            self._save(replace(self.progress, pending_end=pieces[-1].end))
        answer = self.destination.send(pieces, doubt_end)
        is_gone = answer.outcome is not Outcome.DELIVERED and not answer.may_have_arrived
        if is_gone and doubt_end < pieces[-1].end:
            self._save(replace(self.progress, pending_end=doubt_end))
        return answer

    def _are_all_old(self, pieces: list[Piece], answer: Answer) -> bool:
        """Whether a refusal as too old holds for all of many: for the newest of them."""
        if answer.outcome is not Outcome.OLD:
            return False
        newest = max(pieces, key=lambda piece: piece.time_us)
        return self._send([newest]).outcome is Outcome.OLD

    def _is_another_taken(self, refused: list[Piece], answer: Answer) -> bool:
        """Whether a refusal is for the lines' own sake: another, sent (again, and equal), is taken.

        Else it is not the lines: a server may refuse everything, as a gateway does that speaks TLS.
        """
        if answer.outcome is Outcome.OLD or (
            len(refused) > 1 and answer.outcome is Outcome.SMALLER
        ):
            return True
        if self._witness is not None:  # without doubt, so that it is sent and not asked for
            return self.destination.send([self._witness]).outcome is Outcome.DELIVERED
        another = self._source.find_shortest(None if len(refused) > 1 else refused[0])
        if another is None or self._send([another]).outcome is not Outcome.DELIVERED:
            return False
        self._witness = another
        return True

    def _stop(self, answer: Answer) -> float:
        """Nothing of ours is taken, until somebody changes something."""
        self.has_stopped = True
        self.is_refused = answer.outcome is not Outcome.STOP
        self.problem = answer.words
        return _STOPPED_S

    def _wait(self, pieces: list[Piece], answer: Answer, *, flush: bool) -> float:
        """How long to wait; a batch that is answered with "later" again and again gets smaller."""
        if answer.outcome is Outcome.STOP:
            return self._stop(answer)
        self._attempts += 1
        self.problem = answer.words or answer.outcome.value
        if answer.is_heard and self._attempts >= _PATIENCE:
            if len(pieces) > 1:
                self._limit = max(1, len(pieces) // _SHRINKAGE)
            elif answer.is_broken and self._attempts >= _POISON_ATTEMPTS:
                self._proofs = self._proofs + 1 if self._is_another_taken(pieces, answer) else 0
                if self._proofs >= _POISON_PROOFS:
                    self._settle(pieces, set_aside=pieces, answer=answer)
                    return 0.0
        cap_s = backoff.HEARD_CAP_S if answer.is_heard else backoff.SILENT_CAP_S
        if flush:
            cap_s = backoff.HURRIED_CAP_S
        if answer.retry_after_s is not None:
            self.not_before = time.monotonic() + answer.retry_after_s
        return backoff.choose_delay(self._attempts, cap_s, answer.retry_after_s)

    def _is_early(self, piece: Piece) -> bool:
        """Whether a line's time is in the future here too."""
        return piece.time_us > self._read_clock_us() + _CLOCK_TOLERANCE_US

    def _settle(
        self, pieces: list[Piece], *, set_aside: list[Piece], answer: Answer | None = None
    ) -> None:
        """Nothing more happens to these: they are delivered, or set aside."""
        words = answer.words if answer is not None else ""
        delivered = len(pieces) - len(set_aside)
        if delivered:
            self.problem = ""
            left_out = set(set_aside)
            self._witness = next(piece for piece in reversed(pieces) if piece not in left_out)
            self.delivered_at = time.monotonic()
        if set_aside:
            try:
                write_set_aside(self.place.set_aside, self.place.log, set_aside, words)
            except OSError as error:  # the lines are still in the log, and they are counted
                self.problem = f"{self.place.set_aside} cannot be written: {error.strerror}"
        before = self.progress
        self._save(
            Progress(
                position=pieces[-1].end,
                pending_end=max(before.pending_end, pieces[-1].end),
                delivered=before.delivered + delivered,
                set_aside=before.set_aside + len(set_aside),
                maybe_double=before.maybe_double + (answer.maybe_double if answer else 0),
                late=before.late + (answer.late if answer else 0),
            )
        )
        self._source.settle(pieces)
        self._attempts = self._proofs = 0

    def _save(self, progress: Progress) -> None:
        try:
            self._file.save(progress)
        except OSError as error:  # a crash now means that something is sent twice, and equal
            self.problem = f"{self.place.position} cannot be written: {error.strerror}"


def _is_line_start(log: str, position: int) -> bool:
    """Whether a line begins at a byte of the log; a position that is no such was another log's."""
    if position == 0:
        return True
    with open(log, "rb") as file:
        if position > os.fstat(file.fileno()).st_size:
            return False
        file.seek(position - 1)
        return file.read(1) == b"\n"
