"""Loki as a destination: lines as entries of one stream, pushed as gzipped JSON.

Source of the format: Grafana Loki's HTTP API, `POST /loki/api/v1/push`. What a Loki 3 with default
limits answers to what was measured; the comments name the measurements that matter. One stream a
request: of several streams only the last one's fate is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aind_capsule.http.bounded import HttpError
from aind_capsule.logs.reader import LogLine
from aind_capsule.records.encode import encode, encode_text
from aind_capsule.records.naming import make_label_name
from aind_capsule.records.shrink import shrink
from aind_capsule.records.timestamps import US_PER_S, parse_timestamp, read_clock_us
from aind_capsule.settings.model import Settings
from aind_capsule.shipping.destination import Answer, Check, Outcome, Piece
from aind_capsule.shipping.form import Form
from aind_capsule.shipping.loki_late import (
    Gate,
    are_some_stored,
    compute_cutoff,
    count_unseen,
    group_by_hour,
    may_be_late,
    name_backfills,
    read_cutoff,
)
from aind_capsule.shipping.loki_server import LokiServer
from aind_capsule.shipping.loki_stored import StoredLines

#: Uncompressed; 3.5 MB pass and 4.2 MB do not, and a stream that gets 1 MB twice may be sharded.
MAX_BATCH_BYTES = 1024 * 1024 - 16 * 1024  # the labels stand before the lines
MAX_BATCH_LINES = 10_000
#: Loki takes 64 KB of metadata a line, and 128 names.
_MAX_VALUE_BYTES = 512
_MAX_KNOWN_METADATA = 256


class Loki:
    """One log's way to a Loki; see `destination.Destination`.

    Args:
        server: The Loki.
        form: How the log is labelled.
    """

    name = "loki"
    max_bytes = MAX_BATCH_BYTES
    max_pieces = MAX_BATCH_LINES

    def __init__(self, server: LokiServer, form: Form) -> None:
        self.address = server.address
        self.key = f"loki-{hashlib.sha256(server.identity.encode()).hexdigest()[:8]}"
        self._server = server
        self._form = form
        self._metadata = [
            (name, legal)
            for name in form.metadata
            if (legal := make_label_name(name)) not in form.labels
        ]
        self._names = [name for name, _ in self._metadata]
        self._known_metadata: dict[tuple[Any, ...], bytes] = {}
        self._stored = StoredLines(server, form)
        self._gate = Gate()
        self._second: tuple[str, int] = ("", 0)
        #: Older lines the stream has refused: from then on they go beside it at once.
        self._cutoff_us = 0

    def encode(self, line: LogLine) -> Piece:
        """One entry: `["<nanoseconds>","<line>",{metadata}]`."""
        record = line.record
        time_us = None if record is None else self._read_time(record.get("timestamp"))
        if record is None or time_us is None:
            fault = "it is no record with a time"
            return Piece(line.start, line.end, fault=fault)
        raw = line.raw
        if len(raw) > self._form.max_line:
            raw = encode(shrink(record, self._form.max_line))
        data = b'["%d000",%b,%b]' % (
            time_us,
            encode_text(raw.decode()),
            self._read_metadata(record),
        )
        return Piece(line.start, line.end, time_us, data)

    def send(self, pieces: Sequence[Piece], doubt_end: int = 0) -> Answer:
        """Push the pieces that are not there yet; what is too late goes beside the stream."""
        try:
            doubtful = [piece for piece in pieces if piece.start < doubt_end]
            stored = self._stored.find(doubtful)
            missing = pieces if not stored else [p for p in pieces if p.data not in stored]
            answer = self._send(missing, doubt_end)
        except HttpError as error:
            return Answer(
                Outcome.LATER,
                error.message,
                is_heard=False,
                may_have_arrived=error.may_have_arrived,
            )
        if stored is None and answer.outcome is Outcome.DELIVERED:
            answer = replace(answer, maybe_double=len(doubtful))
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        self._server.close()

    def _send(self, pieces: Sequence[Piece], doubt_end: int) -> Answer:
        """Push pieces; what is old in portions that are small and apart from one another."""
        late = [piece for piece in pieces if piece.time_us < self._cutoff_us]
        if late:
            pieces = [piece for piece in pieces if piece.time_us >= self._cutoff_us]
        # Nobody can tell whether these are in the stream already: see `loki_late`.
        maybe_double = count_unseen([p for p in late if p.start < doubt_end], read_clock_us())
        for portion in self._gate.divide(pieces):
            rest: Sequence[Piece] = portion
            while rest:
                answer, is_late = self._push(rest, {})
                if not is_late and answer.outcome is not Outcome.DELIVERED:
                    return answer
                cutoff_us = self._find_cutoff(rest, answer.words if is_late else None)
                refused = [piece for piece in rest if piece.time_us < cutoff_us]
                if is_late and not refused:
                    return answer
                # Words about late lines say nothing of the others: without those they are judged.
                asked = rest if is_late else refused
                stored = self._stored.find(asked)
                missing = [p for p in asked if stored is None or p.data not in stored]
                beside = [p for p in missing if p.time_us < cutoff_us]
                may_be_there = not is_late or are_some_stored(answer.words, len(rest), len(refused))
                doubtful = [p for p in beside if may_be_there or p.start < doubt_end]
                maybe_double += (
                    len(beside) if stored is None else count_unseen(doubtful, read_clock_us())
                )
                late += beside
                rest = [p for p in missing if p.time_us >= cutoff_us]
        answer = self._send_late(late)
        if answer.outcome is not Outcome.DELIVERED:
            return answer
        return Answer(Outcome.DELIVERED, late=len(late), maybe_double=maybe_double)

    def _find_cutoff(self, pieces: Sequence[Piece], words: str | None) -> int:
        """Older lines their stream may have refused as too far behind its newest line.

        Args:
            pieces: What was pushed.
            words: The server's, where it has said that it refused some; None after 204, which is
                no proof for old lines where the stream is divided.

        Returns:
            Microseconds since 1970.
        """
        cutoff_us = 0
        if words is not None:
            # Among themselves they may be too far apart as well.
            newest_us = max(piece.time_us for piece in pieces)
            cutoff_us = max(read_cutoff(words), compute_cutoff(newest_us))
            self._cutoff_us = max(self._cutoff_us, cutoff_us)
        if may_be_late(pieces, read_clock_us()):
            newest = self._stored.find_newest(min(piece.time_us for piece in pieces))
            if newest is not None:
                cutoff_us = max(cutoff_us, compute_cutoff(newest))
        return cutoff_us

    def _send_late(self, pieces: Sequence[Piece]) -> Answer:
        """These were too far behind the newest line of their stream: another run's, perhaps.

        They go to streams with one more label, by the hour of their time: no two lines of an hour
        are too far apart, and a resend from anywhere takes the same way.
        """
        for group in group_by_hour(pieces):
            for portion in self._gate.divide(group):
                for backfill in name_backfills(portion[0].time_us):
                    answer, is_late = self._push(portion, {"backfill": backfill})
                    if not is_late:
                        break
                if answer.outcome is not Outcome.DELIVERED:
                    return answer
        return Answer(Outcome.DELIVERED)

    def _push(self, pieces: Sequence[Piece], more_labels: Mapping[str, str]) -> tuple[Answer, bool]:
        """The answer to one push, and whether lines were refused as too late for their stream."""
        head = b'{"streams":[{"stream":%b,"values":[' % encode({**self._form.labels, **more_labels})
        body = b"".join((head, b",".join([piece.data for piece in pieces]), b"]}]}"))
        answer = self._server.push(body)
        is_late = answer.outcome is Outcome.REFUSED and "too far behind" in answer.words
        return answer, is_late

    def _read_metadata(self, record: Mapping[str, Any]) -> bytes:
        """The record's structured metadata as JSON; most records have that of another."""
        values = tuple(map(record.get, self._names))
        try:
            data = self._known_metadata.get(values)
        except TypeError:  # a list among them
            data = None
        if data is None:
            texts = [(legal, _make_metadata_value(value))
                     for (_, legal), value in zip(self._metadata, values, strict=True)]  # fmt: skip
            data = encode({legal: text for legal, text in texts if text})
            # 1, 1.0 and True would be one key, so that only texts are kept.
            is_text = all(value is None or isinstance(value, str) for value in values)
            if is_text and len(self._known_metadata) < _MAX_KNOWN_METADATA:
                self._known_metadata[values] = data
        return data

    def _read_time(self, timestamp: Any) -> int | None:
        """Microseconds since 1970; most lines are of the same second as the one before."""
        if not isinstance(timestamp, str):
            return None
        second, fraction = timestamp[:19], timestamp[19:]
        is_usual = len(fraction) == 8 and fraction[0] == "." and fraction[7] == "Z"
        if is_usual and second == self._second[0] and fraction[1:7].isdecimal():
            return self._second[1] + int(fraction[1:7])
        time_us = parse_timestamp(timestamp)
        if time_us is not None and fraction.endswith("Z"):
            self._second = (second, time_us - time_us % US_PER_S)
        return time_us


def _make_metadata_value(value: Any) -> str:
    """A scalar as text; nothing for anything else."""
    if value is None:
        return ""
    if isinstance(value, str):
        if len(value) * 4 > _MAX_VALUE_BYTES:
            return value.encode("utf-8", "replace")[:_MAX_VALUE_BYTES].decode("utf-8", "ignore")
        return value
    if isinstance(value, float):  # the same text with and without orjson
        return repr(value)
    return encode(value).decode() if isinstance(value, (bool, int)) else ""


def open_destination(settings: Settings, environ: Mapping[str, str], form: Form) -> Loki:
    """The way of a log to the Loki of the settings.

    Raises:
        SettingsError: A certificate cannot be read.
    """
    return Loki(LokiServer.from_settings(settings.loki, environ), form)


def check(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Push one line and read it back.

    Raises:
        SettingsError: A certificate cannot be read.
    """
    from aind_capsule.shipping.loki_probe import probe

    return probe(LokiServer.from_settings(settings.loki, environ))
