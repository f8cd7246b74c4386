"""What every destination of a log is: how the rest of `shipping` sees it.

A destination encodes lines and sends them, once, in bounded time; what happens after its answer is
`delivery`'s business.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from aind_capsule.logs.reader import LogLine


class Piece(NamedTuple):
    """One line of a log, ready to be sent, or not fit for it.

    Attributes:
        start: Byte of the log where the line begins.
        end: Byte behind its newline.
        time_us: Its time, microseconds since 1970.
        data: As the destination sends it; empty where it is not fit.
        fault: Why it is not fit.
    """

    start: int
    end: int
    time_us: int = 0
    data: bytes = b""
    fault: str = ""


class Outcome(enum.Enum):
    """What a destination has said to some pieces."""

    #: All of them are there.
    DELIVERED = "delivered"
    #: Not now: the server is down, overloaded, or did not answer.
    LATER = "later"
    #: Too much at once.
    SMALLER = "smaller"
    #: At least one of them is refused for good; the others may be there.
    REFUSED = "refused"
    #: At least one of them is older than what is taken.
    OLD = "old"
    #: At least one of them is further ahead of the server's clock than what is taken.
    AHEAD = "ahead"
    #: Nothing that we send is taken, until somebody changes something.
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Answer:
    """A destination's answer.

    Attributes:
        outcome: What it means.
        words: The server's own words, or what kept it from answering, for people.
        is_heard: Whether the server has answered at all.
        is_broken: Whether it failed at these pieces, and perhaps because of them.
        may_have_arrived: Whether some of the pieces may be there although they are not all.
        retry_after_s: How long it asks us to wait, if it does.
        late: Pieces that were too late for their stream and went beside it.
        maybe_double: Pieces that may be there twice.
    """

    outcome: Outcome
    words: str = ""
    is_heard: bool = True
    is_broken: bool = False
    may_have_arrived: bool = False
    retry_after_s: float | None = None
    late: int = 0
    maybe_double: int = 0


class Destination(Protocol):
    """One log's way to one server.

    Attributes:
        name: What it is, as in the settings.
        address: Where it is, for people: without credentials.
        key: Tells it from others of its kind, for its saved position.
        max_bytes: Most that is sent at once, encoded.
        max_pieces: Most pieces that are sent at once.
    """

    name: str
    address: str
    key: str
    max_bytes: int
    max_pieces: int

    def encode(self, line: LogLine) -> Piece:
        """A line as it is sent: a pure function of its bytes and of the log's form."""
        ...

    def send(self, pieces: Sequence[Piece], doubt_end: int = 0) -> Answer:
        """Send pieces; those that begin before `doubt_end` may be there already."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """What a destination's check has found, for `capsule doctor`.

    Attributes:
        name: What was checked.
        address: Where it is, without credentials.
        is_good: Whether it works.
        message: What works, or what is wrong.
        hint: What to do about it.
    """

    name: str
    address: str
    is_good: bool
    message: str
    hint: str = ""
