"""Try a Loki for real: push one line and read it back, for `capsule doctor`."""

from __future__ import annotations

import os
import time

from aind_capsule.http.bounded import HttpError
from aind_capsule.records.encode import encode
from aind_capsule.records.timestamps import format_timestamp, read_clock_us
from aind_capsule.shipping.destination import Answer, Check, Outcome, Piece
from aind_capsule.shipping.form import Form
from aind_capsule.shipping.loki_server import LokiServer
from aind_capsule.shipping.loki_stored import StoredLines

#: A line that was taken is seen at once; a busy cluster may need some seconds.
_SEEN_WITHIN_S = 5.0
_LOOK_S = 0.25
#: Probes are a stream of their own, out of the way of everybody's queries.
_LABELS = {"service_name": "capsule-doctor"}
_HINTS = {
    "401": "Give loki.user and loki.password, or loki.token, and loki.tenant where it is wanted.",
    "403": "These credentials may not write there; ask who runs the server.",
    "404": "Check the path in loki.url: the push path is /loki/api/v1/push.",
    "429": "The server's limits are reached; records wait and are sent later.",
}
_HINT = "Check loki.url, and whether the server runs and can be reached from here."


def probe(server: LokiServer) -> Check:
    """Push a line and read it back."""
    try:
        return _probe(server)
    except HttpError as error:
        return Check("loki", server.address, is_good=False, message=error.message, hint=_HINT)
    finally:
        server.close()


def _probe(server: LokiServer) -> Check:
    probe_id = os.urandom(8).hex()
    piece = _make_piece(probe_id)
    head = b'{"streams":[{"stream":%b,"values":[' % encode(_LABELS)
    answer = server.push(head + piece.data + b"]}]}")
    if answer.outcome is not Outcome.DELIVERED:
        return Check(
            "loki",
            server.address,
            is_good=False,
            message=f"it answered {answer.words}",
            hint=_find_hint(answer),
        )
    stored = StoredLines(server, Form(_LABELS, ("run_id",), 1 << 16, probe_id))
    deadline = time.monotonic() + _SEEN_WITHIN_S
    found: frozenset[bytes] | None = frozenset()
    while time.monotonic() < deadline:
        found = stored.find([piece])
        if found is None or found:
            break
        time.sleep(_LOOK_S)
    if found is None:
        return Check(
            "loki",
            server.address,
            is_good=True,
            message="takes records; they may not be read back with these credentials",
            hint="Lines that come late may be stored twice: what is there cannot be asked for.",
        )
    if not found:
        return Check(
            "loki",
            server.address,
            is_good=False,
            message=f"took a record, and did not show it within {_SEEN_WITHIN_S:g} s",
            hint="Ask who runs the server whether ingestion is blocked.",
        )
    return Check(
        "loki", server.address, is_good=True, message="takes records, and shows them again"
    )


def _make_piece(probe_id: str) -> Piece:
    now_us = read_clock_us()
    line = encode(
        {
            "timestamp": format_timestamp(now_us),
            "level": "DEBUG",
            "message": "A probe of capsule doctor",
            "run_id": probe_id,
        }
    )
    data = encode([f"{now_us}000", line.decode(), {"run_id": probe_id}])
    return Piece(0, len(line) + 1, now_us, data)


def _find_hint(answer: Answer) -> str:
    return _HINTS.get(answer.words[:3], _HINT)
