"""Encoded records as lines for people, quickly.

The text is that of `console.format_record`. Of an ordinary record only the time, the message and
the call's own fields are formatted. The rest is the same as in earlier records from its place.
"""

from __future__ import annotations

from aind_capsule.logs.console import (
    HANGING,
    format_extras,
    format_place,
    format_record,
    join_parts,
    shift_clock,
)
from aind_capsule.records.encode import decode
from aind_capsule.records.levels import LEVELS

_BEFORE_MESSAGE = b'","message":"'
_BEFORE_PLACE = b',"lineno":'
# Where these stand in a record that begins as our own do.
_TIME_OF_DAY, _MILLISECOND = slice(25, 33), slice(33, 37)
_LEVEL_START, _LEVEL_END = 41, 80
_LEVELS = {b'","level":"%b' % level.encode(): level for level in LEVELS}
#: They are shown before the message, or below it.
_SHOWN_APART = frozenset({"logger", "lineno", "exception"})
#: Place and further fields are remembered for this number of places, up to this length.
_MAX_TAILS, _MAX_TAIL_BYTES = 1000, 4000


class _Tail:
    """What all records with the same last fields show beside time, message and own fields."""

    __slots__ = ("extras", "place", "templates", "templates_with_own")

    def __init__(self, place: str, extras: str) -> None:
        self.place = place
        self.extras = extras
        #: By level: takes clock, milliseconds, message, and the call's own fields or nothing.
        self.templates: dict[bytes, bytes] = {}
        self.templates_with_own: dict[bytes, bytes] = {}


class LineFormatter:
    """Formats encoded records for one stream.

    Args:
        colours: Colour them for a terminal.
    """

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._columns: int | None = None
        self._utc_offset_s = 0
        #: A time of day of UTC, and the same as it is shown.
        self._clock = (b"", b"")
        self._tails: dict[bytes, _Tail | None] = {}

    def set_view(self, *, columns: int | None, utc_offset_s: int) -> None:
        """Set what may change while records are shown.

        Args:
            columns: No line is longer.
            utc_offset_s: Seconds that the shown clock is ahead of UTC.
        """
        self._columns, self._utc_offset_s, self._clock = columns, utc_offset_s, (b"", b"")

    def format_line(self, record: bytes) -> bytes:
        """Return the text of a record with its line end."""
        line = self._format_quickly(record)
        if line is not None:
            return line
        decoded = decode(record) or {"message": record.decode("utf-8", "replace")}
        text = format_record(
            decoded,
            colours=self._colours,
            utc_offset_s=self._utc_offset_s,
            columns=self._columns,
        )
        return f"{text}\n".encode("utf-8", "replace")

    def _format_quickly(self, record: bytes) -> bytes | None:
        """Return the text of an ordinary record; None where it needs a closer look."""
        level_end = record.find(_BEFORE_MESSAGE, _LEVEL_START, _LEVEL_END)
        start = level_end + len(_BEFORE_MESSAGE)
        end = record.find(b'"', start)
        message = record[start:end]
        text = message.decode("utf-8", "replace")
        # Behind a backslash a quote does not end the message.
        if "\\" in text or not text.isprintable():
            return None
        own = b""
        place_start = end + 1
        if not record.startswith(_BEFORE_PLACE, place_start):
            # The call's own fields stand before the place, which many records have in common.
            place_start = max(record.rfind(_BEFORE_PLACE, end), place_start)
            own = record[end + 2 : place_start]
        rest = record[place_start:]
        tail = self._tails.get(rest) or self._read_tail(rest)
        if tail is None:
            return None
        own_extras = ""
        if own:
            # It is an object only where the split lies between two of the record's own fields.
            fields = decode(b"{%b}" % own)
            if fields is None or not _SHOWN_APART.isdisjoint(fields):
                return None
            own_extras = format_extras(fields)
        if self._columns is not None:
            shown = f"{tail.place}{own_extras}{tail.extras}{text}"
            if not _fits(self._columns, shown):
                return None
        level = record[_LEVEL_START:level_end]  # with the mark before it
        templates = tail.templates_with_own if own_extras else tail.templates
        template = templates.get(level)
        if template is None:
            name = _LEVELS.get(level)
            if name is None:
                return None
            template = self._build_template(name, tail, own=own_extras and "%b")
            templates[level] = template
        time_of_day, clock = self._clock
        if record[_TIME_OF_DAY] != time_of_day:
            time_of_day = record[_TIME_OF_DAY]
            clock = shift_clock(time_of_day.decode(), self._utc_offset_s).encode()
            self._clock = (time_of_day, clock)
        return template % (
            clock, record[_MILLISECOND], message, own_extras.encode()
        )  # fmt: skip

    def _read_tail(self, rest: bytes) -> _Tail | None:
        if rest in self._tails:
            return self._tails[rest]
        fields = decode(b"{%b" % rest.removeprefix(b","))
        tail = None
        if fields is not None and "exception" not in fields:
            tail = _Tail(format_place(fields), format_extras(fields))
        if len(rest) <= _MAX_TAIL_BYTES:
            if len(self._tails) >= _MAX_TAILS:
                self._tails.clear()
            self._tails[rest] = tail
        return tail

    def _build_template(self, level: str, tail: _Tail, own: str) -> bytes:
        place, extras = tail.place.replace("%", "%%"), tail.extras.replace("%", "%%")
        extras = f"{own} {extras}" if own and extras else own or extras
        # What is empty is put directly behind the message.
        message = "%b" if own else "%b%b"
        text = join_parts("%b%b", level, place, message, extras, colours=self._colours)
        return f"{text}\n".encode()


def _fits(columns: int, shown: str) -> bool:
    """Return whether all of a record stands on one line as it is; False where it takes measuring.

    Args:
        columns: The line's width.
        shown: Place, fields and, in the end, the message.
    """
    between = len(" - ") + len("  ") + len(" ")
    is_short = HANGING + between + len(shown) <= columns
    # Spaces at a message's end are left out where lines are folded.
    return is_short and shown.isascii() and not shown.endswith(" ")
