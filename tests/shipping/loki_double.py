"""A strict double of Loki's push and query API, for tests of delivery.

It answers as a Loki 3 single binary with default limits was measured to answer, refusals and their
side effects included: a refused line among good ones leaves the good ones stored, a request that cannot
be parsed stores nothing, equal lines are stored once. What a test wants to go wrong is set on the
double while it runs.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import ssl
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NS_PER_S = 10**9
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_]")
_SELECTOR = re.compile(
    r'\s*\{(?P<labels>[^}]*)\}(?P<filters>(?:\s*\|\s*\w+\s*=\s*"(?:[^"\\]|\\.)*")*)\s*'
)
_PAIR = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')
_SERVICE_LABELS = ("service", "app", "application", "name", "component", "job")

Labels = tuple[tuple[str, str], ...]


@dataclass
class Limits:
    """The limits that a Loki has by default."""

    line_bytes: int = 262_144
    labels: int = 15
    label_name_bytes: int = 1024
    label_value_bytes: int = 2048
    metadata_bytes: int = 64 * 1024
    metadata_entries: int = 128
    request_bytes: int = 4 * 1024 * 1024
    refused_request_bytes: int = 6 * 1024 * 1024
    old_s: float = 7 * 86_400
    ahead_s: float = 600
    behind_s: float = 3600
    entries_per_query: int = 5000
    unseen_s: float = 3 * 3600  # what was older is not shown until it is flushed
    query_s: float = 30 * 86_400 + 3600
    shards: int = 1  # into so many is a stream divided; a real one where it gets too much


@dataclass(frozen=True)
class Entry:
    """One stored line."""

    time_ns: int
    line: str
    metadata: Labels


class Refusal(Exception):
    """An answer other than 204."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass
class Request:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at_s: float


@dataclass
class Trouble:
    """What is to go wrong; set on the double while it runs.

    Attributes:
        answer: Called with each request; its status and text are answered, and nothing is stored,
            where it gives some.
        delay_s: Each answer takes so much longer.
        hangs: Requests are read, and never answered.
        drops: The connection is closed in the middle of the answer, after the lines were stored.
        headers: Headers of the answers to pushes.
        reads: Whether queries are answered (else 403).
    """

    answer: Callable[[Request], tuple[int, str] | None] | None = None
    delay_s: float = 0.0
    hangs: bool = False
    drops: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    reads: bool = True


class LokiDouble:
    """A Loki on a port of this machine.

    Args:
        port: 0 for any; a double that is started again takes the port of the one before.
        tenant: Whether `X-Scope-OrgID` is asked for.
        authorization: The `Authorization` header that is asked for, or None.
        tls: Makes it speak https.
        read_clock_s: The server's clock.

    Attributes:
        limits: May be changed.
        trouble: What goes wrong.
        requests: All that have arrived.
        streams: What is stored, by the streams' labels.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        tenant: bool = False,
        authorization: str | None = None,
        tls: ssl.SSLContext | None = None,
        read_clock_s: Callable[[], float] = time.time,
    ) -> None:
        self.limits = Limits()
        self.trouble = Trouble()
        self.requests: list[Request] = []
        self.streams: dict[Labels, dict[Entry, None]] = {}
        self._tenant = tenant
        self._authorization = authorization
        self._read_clock_s = read_clock_s
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on; what is stored stays."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def entries(self) -> list[Entry]:
        """All stored lines, by time."""
        with self._lock:
            found = [entry for stream in self.streams.values() for entry in stream]
        return sorted(found, key=lambda entry: entry.time_ns)

    def find(self, query: str) -> list[Entry]:
        """The stored lines that a query selects: `{label="value"} | key="value"`."""
        with self._lock:
            return sorted(
                (entry for _, entry in self._select(query)), key=lambda entry: entry.time_ns
            )

    def answer(self, request: Request) -> tuple[int, str, dict[str, str]] | None:
        """Status, text and headers of the answer; None where there is none."""
        with self._lock:
            self.requests.append(request)
        if self.trouble.delay_s:
            self._stopping.wait(self.trouble.delay_s)
        if self.trouble.hangs:
            self._stopping.wait()
            return None
        try:
            given = self.trouble.answer(request) if self.trouble.answer else None
            if given is not None:
                return (*given, self.trouble.headers)
            self._check_access(request)
            path = urllib.parse.urlsplit(request.path)
            if path.path == "/ready":
                return 200, "ready\n", {}
            if path.path == "/loki/api/v1/query_range" and request.method == "GET":
                return 200, self._query(dict(urllib.parse.parse_qsl(path.query)), request), {}
            if path.path != "/loki/api/v1/push" or request.method != "POST":
                return 404, "404 page not found\n", {}
            with self._lock:
                self._push(request)
        except Refusal as refusal:
            return refusal.status, f"{refusal.text}\n", self.trouble.headers
        return 204, "", self.trouble.headers

    def _check_access(self, request: Request) -> None:
        if (
            self._authorization is not None
            and request.headers.get("authorization") != self._authorization
        ):
            raise Refusal(401, "unauthorized")
        if self._tenant and not request.headers.get("x-scope-orgid"):
            raise Refusal(401, "no org id")

    def _push(self, request: Request) -> None:
        streams = _parse(request)
        size = len(_unpack(request))
        if size > self.limits.refused_request_bytes:
            raise Refusal(429, "Ingestion rate limit exceeded")
        if size > self.limits.request_bytes:
            raise Refusal(
                500,
                "rpc error: code = ResourceExhausted desc = grpc: received message larger than max",
            )
        refusal: Refusal | None = None
        streams = [shard for stream in streams for shard in self._divide(*stream)]
        for index, stream in enumerate(streams):
            try:
                self._take(stream)
            except Refusal as error:
                # Of several streams the last one's fate is the answer; an earlier one's is lost.
                refusal = error if index == len(streams) - 1 else None
        if refusal is not None:
            raise refusal

    def _divide(
        self, labels: dict[str, str], entries: list[Entry]
    ) -> Iterator[tuple[dict[str, str], list[Entry]]]:
        """The shards of a stream: streams of their own, each with a newest line of its own."""
        if self.limits.shards == 1:
            yield labels, entries
            return
        size = max(1, -(-len(entries) // self.limits.shards))
        for number, first in enumerate(range(0, len(entries), size)):
            yield {**labels, "__stream_shard__": str(number)}, entries[first : first + size]

    def _take(self, stream: tuple[dict[str, str], list[Entry]]) -> None:
        labels, entries = stream
        now_ns = int(self._read_clock_s() * NS_PER_S)
        key = self._check_labels(labels)
        kept = self.streams.get(key, {})
        newest_ns = max((entry.time_ns for entry in kept), default=0)
        refused: list[str] = []
        for given in entries:
            entry = _rename_metadata(given, key)
            reason = self._find_fault(entry, now_ns, newest_ns)
            if reason is None:
                kept[entry] = None
                newest_ns = max(newest_ns, entry.time_ns)
            else:
                refused.append(f"entry with timestamp {entry.time_ns} ignored, reason: '{reason}'")
        if kept:
            self.streams[key] = kept
        if refused:
            raise Refusal(
                400,
                "\n".join([*refused[:10], f"total ignored: {len(refused)} out of {len(entries)}"]),
            )

    def _check_labels(self, labels: dict[str, str]) -> Labels:
        known = {name: value for name, value in labels.items() if value}
        if len(known) > self.limits.labels:
            raise Refusal(
                400, f"stream '{known}' has {len(known)} label names; limit {self.limits.labels}"
            )
        for name, value in known.items():
            if not _LABEL_NAME.fullmatch(name):
                raise Refusal(
                    400,
                    f"error at least one label pair is required per stream: couldn't parse labels: {name!r}",
                )
            if (
                len(name.encode()) > self.limits.label_name_bytes
                or len(value.encode()) > self.limits.label_value_bytes
            ):
                raise Refusal(400, f"stream has a label too long: {name!r:.80}")
        if not known:
            raise Refusal(400, "error at least one label pair is required per stream")
        if "service_name" not in known:
            named = next(
                (known[name] for name in _SERVICE_LABELS if name in known), "unknown_service"
            )
            known["service_name"] = named
        return tuple(sorted(known.items()))

    def _find_fault(self, entry: Entry, now_ns: int, newest_ns: int) -> str | None:
        limits = self.limits
        if len(entry.line.encode("utf-8", "surrogatepass")) > limits.line_bytes:
            return f"max entry size '{limits.line_bytes}' bytes exceeded"
        if entry.time_ns < now_ns - limits.old_s * NS_PER_S:
            return "timestamp too old"
        if entry.time_ns > now_ns + limits.ahead_s * NS_PER_S:
            return "timestamp too new"
        oldest_ns = int(newest_ns - limits.behind_s * NS_PER_S)
        if entry.time_ns < oldest_ns:
            return (
                f"entry too far behind, entry timestamp is: {_format_s(entry.time_ns)},"
                f" oldest acceptable timestamp is: {_format_s(oldest_ns)}"
            )
        size = sum(len(name.encode()) + len(value.encode()) for name, value in entry.metadata)
        if size > limits.metadata_bytes or len(entry.metadata) > limits.metadata_entries:
            return "structured metadata too large"
        return None

    def _query(self, parameters: Mapping[str, str], request: Request) -> str:
        if not self.trouble.reads:
            raise Refusal(403, "forbidden")
        limit = int(parameters.get("limit", "100"))
        if limit > self.limits.entries_per_query:
            raise Refusal(
                400,
                f"max entries limit per query exceeded, limit > max_entries_limit ({limit} > {self.limits.entries_per_query})",
            )
        first, last = int(parameters.get("start", "0")), int(parameters.get("end", str(2**63)))
        if "start" in parameters and last - first > self.limits.query_s * NS_PER_S:
            length, most = (last - first) // NS_PER_S, self.limits.query_s
            raise Refusal(
                400,
                f"the query time range exceeds the limit (query length: {length}s, limit: {most}s)",
            )
        oldest_ns = int((self._read_clock_s() - self.limits.unseen_s) * NS_PER_S)
        is_backward = parameters.get("direction", "backward") == "backward"
        with self._lock:
            found = [
                pair
                for pair in self._select(parameters["query"])
                if max(first, oldest_ns) <= pair[1].time_ns < last
            ]
        found.sort(key=lambda pair: pair[1].time_ns, reverse=is_backward)
        is_apart = request.headers.get("x-loki-response-encoding-flags") == "categorize-labels"
        results: dict[Labels, list[list[Any]]] = {}
        for labels, entry in found[:limit]:
            own: list[Any] = [str(entry.time_ns), entry.line]
            if is_apart:
                results.setdefault(labels, []).append(
                    [*own, {"structuredMetadata": dict(entry.metadata)}]
                )
            else:
                results.setdefault(
                    tuple(sorted({**dict(labels), **dict(entry.metadata)}.items())), []
                ).append(own)
        streams = [{"stream": dict(labels), "values": values} for labels, values in results.items()]
        return json.dumps(
            {"status": "success", "data": {"resultType": "streams", "result": streams}}
        )

    def _select(self, query: str) -> Iterator[tuple[Labels, Entry]]:
        match = _SELECTOR.fullmatch(query)
        if match is None:
            raise Refusal(400, f"parse error: {query}")
        labels = {name: json.loads(f'"{value}"') for name, value in _PAIR.findall(match["labels"])}
        filters = {
            name: json.loads(f'"{value}"') for name, value in _PAIR.findall(match["filters"])
        }
        for stream, entries in self.streams.items():
            if all(dict(stream).get(name, "") == value for name, value in labels.items()):
                for entry in entries:
                    if filters.items() <= {**dict(stream), **dict(entry.metadata)}.items():
                        yield stream, entry


def _format_s(time_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // NS_PER_S))


def _rename_metadata(entry: Entry, labels: Labels) -> Entry:
    """Metadata that are named as a label get another name."""
    taken = dict(labels)
    renamed = (
        (f"{name}_extracted" if name in taken else name, value) for name, value in entry.metadata
    )
    return Entry(entry.time_ns, entry.line, tuple(sorted(renamed)))


def _unpack(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding")
    try:
        if encoding is None:
            return request.body
        if encoding == "gzip":
            return gzip.decompress(request.body)
        if encoding == "deflate":
            return zlib.decompress(request.body, -zlib.MAX_WBITS)
    except (OSError, EOFError, zlib.error) as error:
        raise Refusal(400, str(error)) from error
    raise Refusal(400, f'Content-Encoding "{encoding}" not supported')


def _parse(request: Request) -> list[tuple[dict[str, str], list[Entry]]]:
    """The streams of a request; what cannot be parsed is refused whole, before anything is stored."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(400, "snappy: corrupt input")
    try:
        given = json.loads(_unpack(request).decode("utf-8", "replace"))
        assert isinstance(given, dict)
    except (ValueError, AssertionError) as error:
        raise Refusal(400, f"parse error: {error}") from error
    if not given.get("streams"):
        raise Refusal(422, "error at least one valid stream is required for ingestion")
    return [(_parse_labels(stream.get("stream")), [_parse_entry(value) for value in stream.get("values", ())])
            for stream in given["streams"]]  # fmt: skip


def _parse_labels(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise Refusal(400, "Value looks like object, but can't find closing '}' symbol")
    return given


def _parse_entry(value: Any) -> Entry:
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise Refusal(400, "unexpected number of values")
    stamp, line, *more = value
    if not isinstance(stamp, str) or not re.fullmatch(r"-?\d+", stamp):
        raise Refusal(400, f"strconv.ParseInt: parsing {stamp!r}: invalid syntax")
    if not isinstance(line, str):
        raise Refusal(400, "Value is not a string")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in line):
        raise Refusal(400, "invalid UTF-8 in line")
    metadata: dict[str, str] = {}
    for name, text in (more[0] if more else {}).items():
        if not isinstance(text, str):
            raise Refusal(400, "Value looks like Number/Boolean/None, but can't find its end")
        if not name:
            raise Refusal(500, "label name is empty")
        if text:
            legal = _NOT_NAME.sub("_", name)
            metadata[f"key_{legal}" if legal[0].isdigit() else legal] = text
    return Entry(int(stamp), line, tuple(sorted(metadata.items())))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], double: LokiDouble) -> None:
        self.double = double
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_args: Any) -> None:
        """Be quiet."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, time.monotonic())
        answer = self.server.double.answer(request)
        if answer is None:
            self.close_connection = True
            return
        status, text, more = answer
        data = text.encode()
        if self.server.double.trouble.drops:
            self.wfile.write(b"HTTP/1.1 20")
            self.wfile.flush()
            self.close_connection = True
            return
        self.send_response_only(status)
        kind = "application/json" if text.startswith("{") else "text/plain; charset=utf-8"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        if status != 204:
            self.wfile.write(data)


def make_basic(user: str, password: str) -> str:
    """The `Authorization` header of a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
