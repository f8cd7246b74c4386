"""Ask a Loki which lines of a run it holds already.

Source of the format: Grafana Loki's HTTP API, `GET /loki/api/v1/query_range`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from aind_capsule.http.bounded import HttpError
from aind_capsule.records.encode import decode
from aind_capsule.records.timestamps import US_PER_S, read_clock_us
from aind_capsule.shipping.destination import Piece
from aind_capsule.shipping.form import Form
from aind_capsule.shipping.loki_server import LokiServer

#: The default of `max_entries_limit_per_query`; where less is allowed less is asked for.
_PAGE_LIMITS = (5000, 1000, 100)
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
#: A gateway may swallow queries and take pushes: after so many delivery goes on without.
_MAX_SILENT = 3
_FORBIDDEN = (401, 403, 404, 405, 501)
_Found = TypeVar("_Found")
_NS_PER_US = 1000
#: `max_query_length` is 30 days by default; lines of other programs' logs may be years apart.
_QUERY_US = 24 * 3600 * US_PER_S
#: What is older is refused (`reject_old_samples_max_age`); what is further ahead, too.
_OLDEST_US = 7 * 24 * 3600 * US_PER_S
_AHEAD_US = 3600 * US_PER_S


class CannotReadError(Exception):
    """Reading is not allowed, or not possible in this way.

    Args:
        is_final: Whether asking again is no use.
    """

    def __init__(self, *, is_final: bool = False) -> None:
        super().__init__()
        self.is_final = is_final


class _PageTooLongError(CannotReadError):
    """Fewer lines at once may be asked for."""


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
        self._stream_query = f'{{{pairs},backfill=""}}'
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
        spans: dict[int, list[int]] = {}
        for piece in pieces:
            time_ns, line, _ = json.loads(piece.data)
            wanted[time_ns, line] = piece.data
            spans.setdefault(piece.time_us // _QUERY_US, []).append(piece.time_us * _NS_PER_US)
        return self._try(
            lambda: frozenset(
                wanted[entry]
                for times_ns in spans.values()
                for entry in self._read(min(times_ns), max(times_ns) + 1)
                if entry in wanted
            )
        )

    def find_newest(self, since_us: int) -> int | None:
        """Time of the newest line of the stream that all runs of the capsule share.

        Args:
            since_us: Older lines do not matter; microseconds since 1970.

        Returns:
            Microseconds since 1970; None where there is none, or it cannot be known.

        Raises:
            HttpError: The server does not answer now.
        """
        if not self.is_readable:
            return None
        now_us = read_clock_us()
        start_ns = max(since_us, now_us - _OLDEST_US) * _NS_PER_US
        end_ns = (now_us + _AHEAD_US) * _NS_PER_US
        entries = self._try(
            lambda: self._ask(self._stream_query, start_ns, end_ns, 1, direction="backward")
        )
        return max((int(time_ns) // _NS_PER_US for time_ns, _ in entries or ()), default=None)

    def _try(self, ask: Callable[[], _Found]) -> _Found | None:
        """What the server says; None where it may not be asked, or is silent too often.

        Raises:
            HttpError: The server does not answer now.
        """
        try:
            found = ask()
        except CannotReadError as error:
            self.is_readable = not error.is_final
            return None
        except HttpError:
            self._silent += 1
            if self._silent >= _MAX_SILENT:
                self._silent = 0
                return None
            raise
        self._silent = 0
        return found

    def _read(self, start_ns: int, end_ns: int) -> Iterator[tuple[str, str]]:
        """All entries from a time to before another, page by page."""
        limits = list(_PAGE_LIMITS)
        while start_ns < end_ns:
            try:
                entries = self._ask(self._query, start_ns, end_ns, limits[0])
            except _PageTooLongError:
                del limits[0]
                if not limits:
                    raise
                continue
            yield from entries
            if len(entries) < limits[0]:
                return
            last_ns = max(int(time_ns) for time_ns, _ in entries)
            if last_ns == start_ns:  # a page of one time: what more there is cannot be asked for
                last_ns += 1
            start_ns = last_ns

    def _ask(
        self, query: str, start_ns: int, end_ns: int, limit: int, direction: str = "forward"
    ) -> list[tuple[str, str]]:
        """One page.

        Raises:
            CannotReadError: The server refuses to answer.
            HttpError: It does not answer now.
        """
        parameters = {
            "query": query,
            "start": str(start_ns),
            "end": str(end_ns),
            "limit": str(limit),
            "direction": direction,
        }
        answer = self._server.query(parameters, _MAX_ANSWER_BYTES)
        if answer.status == 400 and "limit" in answer.text:
            raise _PageTooLongError
        if answer.status == 429 or answer.status >= 500:
            raise HttpError(f"{self._server.address} answers queries with {answer.status}")
        if answer.status != 200:
            raise CannotReadError(is_final=answer.status in _FORBIDDEN)
        return _parse(answer.text)


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
        raise CannotReadError from error
