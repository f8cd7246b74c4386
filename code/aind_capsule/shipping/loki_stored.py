"""Ask a Loki which lines of a run it holds already.

Source of the format: Grafana Loki's HTTP API, `GET /loki/api/v1/query_range`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.shipping.destination import Piece
from aind_capsule.shipping.form import Form
from aind_capsule.shipping.http import HttpAnswer, HttpError
from aind_capsule.shipping.loki_server import LokiServer

#: The default of `max_entries_limit_per_query`; where less is allowed less is asked for.
_PAGE_LIMITS = (5000, 1000, 100)
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
#: A gateway may swallow queries and take pushes: after so many delivery goes on without.
_MAX_SILENT = 3
_NS_PER_US = 1000


class CannotReadError(Exception):
    """Reading is not allowed, or not possible in this way."""


class StoredLines:
    """Finds what is stored of one log.

    Args:
        server: The Loki.
        form: The log's labels; the run's id where there is one.

    Attributes:
        is_readable: Whether queries are answered, as far as is known.
    """

    def __init__(self, server: LokiServer, form: Form) -> None:
        self._server = server
        pairs = ",".join(f"{name}={json.dumps(value)}" for name, value in form.labels.items())
        self._query = f"{{{pairs}}}"
        if form.run_id is not None and "run_id" in form.metadata:
            self._query += f" | run_id={json.dumps(form.run_id)}"
        self.is_readable = True
        self._silent = 0

    def find(self, pieces: Sequence[Piece]) -> frozenset[bytes] | None:
        """The data of those pieces that are stored; None where that cannot be known.

        Raises:
            HttpError: The server does not answer now.
        """
        if not self.is_readable or not pieces:
            return None if pieces else frozenset()
        wanted: dict[tuple[str, str], bytes] = {}
        for piece in pieces:
            time_ns, line, _ = json.loads(piece.data)
            wanted[time_ns, line] = piece.data
        first_ns = min(piece.time_us for piece in pieces) * _NS_PER_US
        last_ns = max(piece.time_us for piece in pieces) * _NS_PER_US
        try:
            found = {
                wanted[entry] for entry in self._read(first_ns, last_ns + 1) if entry in wanted
            }
        except CannotReadError:
            self.is_readable = False
            return None
        except HttpError:
            self._silent += 1
            if self._silent >= _MAX_SILENT:
                self._silent = 0
                return None
            raise
        self._silent = 0
        return frozenset(found)

    def _read(self, start_ns: int, end_ns: int) -> Iterator[tuple[str, str]]:
        """All entries from a time to before another, page by page."""
        limits = list(_PAGE_LIMITS)
        while start_ns < end_ns:
            answer = self._ask(start_ns, end_ns, limits[0])
            if answer.status == 400 and len(limits) > 1 and "limit" in answer.text:
                del limits[0]
                continue
            if answer.status == 429 or answer.status >= 500:
                raise HttpError(f"{self._server.address} answers queries with {answer.status}")
            if answer.status != 200:
                raise CannotReadError
            entries = _parse(answer.text)
            yield from entries
            if len(entries) < limits[0]:
                return
            last_ns = max(int(time_ns) for time_ns, _ in entries)
            if last_ns == start_ns:  # a page of one time: what more there is cannot be asked for
                last_ns += 1
            start_ns = last_ns

    def _ask(self, start_ns: int, end_ns: int, limit: int) -> HttpAnswer:
        parameters = {
            "query": self._query,
            "start": str(start_ns),
            "end": str(end_ns),
            "limit": str(limit),
            "direction": "forward",
        }
        return self._server.query(parameters, _MAX_ANSWER_BYTES)


def _parse(text: str) -> list[tuple[str, str]]:
    """Time and line of each entry of an answer."""
    answer: Any = decode(text.encode("utf-8", "surrogatepass")) or {}
    try:
        return [
            (value[0], value[1])
            for stream in answer["data"]["result"]
            for value in stream["values"]
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise CannotReadError(str(encode(answer)[:200])) from error
