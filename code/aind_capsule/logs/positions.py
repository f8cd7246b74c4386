"""How far a reader has brought a log: saved so that neither a kill nor a full disk loses it.

One small file for each log and destination. It holds two slots that are written in turn, each with
a checksum, in place: a kill in the middle of a write leaves the other slot, and a disk that is full
takes the write all the same, for the space is there already. The file's lock says that somebody is
at work. Written by `shipping`; `history` asks whether something is still owed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import stat
import zlib
from dataclasses import dataclass

from aind_capsule.context.own_files import OPEN_FLAGS
from aind_capsule.errors import LogFileError
from aind_capsule.records.encode import decode, encode

try:
    import fcntl
except ImportError:  # Windows: nothing tells two processes apart there
    fcntl = None  # type: ignore[assignment]

#: How the names of these files end.
POSITION_SUFFIX = ".position"
_SLOT_BYTES = 512
_CHUNK_BYTES = 1 << 20
_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)


class PositionInUseError(LogFileError):
    """Another process brings this log to this destination."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a log has been brought to a destination.

    Attributes:
        position: Byte of the log where the first line stands that is not settled.
        pending_end: Lines that begin before this byte may have arrived: they were sent, and no
            answer came, or none that was saved.
        delivered: Records that the destination has taken.
        set_aside: Records that it refuses for good; they are in a file of their own.
        maybe_double: Records that it may hold twice, for it could not be asked.
        late: Records that went beside the others because they were too late for their stream.
    """

    position: int = 0
    pending_end: int = 0
    delivered: int = 0
    set_aside: int = 0
    maybe_double: int = 0
    late: int = 0

    @property
    def settled(self) -> int:
        """Records that nothing more happens to."""
        return self.delivered + self.set_aside


class PositionFile:
    """The saved progress of one log at one destination; held locked while it is open.

    Args:
        path: The file; made where it is missing.

    Raises:
        PositionInUseError: Another process holds it.
        OSError: It cannot be made.

    Attributes:
        progress: What was saved last; from the start where nothing (whole) was saved.
        was_damaged: Whether there was a file that held nothing whole.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | OPEN_FLAGS, 0o666)
        try:
            self._check_is_file()
            self._lock()
            slots = _read_slots(os.read(self._fd, 2 * _SLOT_BYTES))
            self.was_damaged = not slots and os.fstat(self._fd).st_size > 0
            newest = max(slots, key=lambda slot: slot[0], default=(0, Progress()))
            self._turn, self.progress = newest
            if not slots:
                self._write(0, self.progress)
                self._write(1, self.progress)
        except BaseException:  # Ctrl-C too: the lock goes with the descriptor
            os.close(self._fd)
            raise

    def save(self, progress: Progress) -> None:
        """Have this found after a crash.

        Raises:
            OSError: It cannot be written; what was saved before stays.
        """
        self.progress = progress
        self._turn += 1
        self._write(self._turn, progress)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _write(self, turn: int, progress: Progress) -> None:
        data = encode({"turn": turn, **dataclasses.asdict(progress)})
        line = b"%08x %b" % (zlib.crc32(data), data)
        os.lseek(self._fd, turn % 2 * _SLOT_BYTES, os.SEEK_SET)
        os.write(self._fd, line.ljust(_SLOT_BYTES - 1) + b"\n")

    def _check_is_file(self) -> None:
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):  # a pipe would be waited for
            raise OSError(errno.EINVAL, "is no file", self.path)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PositionInUseError(
                f"Another process holds {self.path}: it is delivering this log",
                hint="Wait for its end.",
            ) from error
        except OSError:  # a file system without locks
            return


def read_progress(path: str) -> Progress:
    """What was saved last, without a lock; from the start where nothing whole was.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        slots = _read_slots(file.read(2 * _SLOT_BYTES))
    return max(slots, key=lambda slot: slot[0], default=(0, Progress()))[1]


def is_owed(path: str) -> bool:
    """Whether a position file's log has lines that are not settled; the log stands beside it.

    >>> is_owed("there is no such folder/x.log.jsonl.loki-0123abcd.position")
    False
    """
    log = path[: -len(POSITION_SUFFIX)].rpartition(".")[0]
    with contextlib.suppress(OSError):
        position = read_progress(path).position
        with open(log, "rb", opener=_open_at_once) as file:
            file.seek(position)
            while chunk := file.read(_CHUNK_BYTES):
                if b"\n" in chunk:
                    return True
    return False


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | _NON_BLOCKING)  # where somebody has put a pipe


def _read_slots(data: bytes) -> list[tuple[int, Progress]]:
    names = {field.name for field in dataclasses.fields(Progress)}
    slots = []
    # By their places: a slot of zeros has no line end to find the other by.
    for start in (0, _SLOT_BYTES):
        checksum, _, content = data[start : start + _SLOT_BYTES].strip().partition(b" ")
        if checksum != b"%08x" % zlib.crc32(content):
            continue
        values = decode(content) or {}
        turn = values.pop("turn", None)
        if isinstance(turn, int) and values.keys() == names:
            slots.append((turn, Progress(**values)))
    return slots
