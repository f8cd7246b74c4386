"""A small S3 server whose next answers a test writes: what no server can be made to answer."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote_plus, unquote, unquote_plus, urlsplit

BUCKET = "bucket"


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        cut: How many bytes of the body are sent before the connection is closed; None for all.
        is_late: Whether the request is done before.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    is_late: bool = False


#: The connection ends without an answer: before the request is done, or after.
CLOSE, RESET, LATE_CLOSE = "close", "reset", "close after it is done"
Action = Reply | str | Callable[[Seen], Reply]


def error(
    status: int, code: str, headers: Mapping[str, str] | None = None, more: str = ""
) -> Reply:
    """An error as S3 has it."""
    body = (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>so it is</Message>{more}</Error>"
    )
    return Reply(status, body.encode(), headers or {})


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class ScriptedServer:
    """Does what S3 does, but for the requests that `script` has something else for.

    Attributes:
        script: What the next requests are answered with, one each.
        always: Decides about each request once the script is empty; None for what S3 does.
        seen: Requests that came.
        objects: Bytes by key.
        etags: ETags of those that came in parts.
        offset_s: How far its clock is ahead.
    """

    def __init__(self) -> None:
        self.script: deque[Action] = deque()
        self.always: Callable[[Seen], Action | None] = lambda seen: None
        self.seen: list[Seen] = []
        self.objects: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.page_size = 1000
        self.offset_s = 0.0
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the port of before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _make_handler(self))
        self._server.daemon_threads = True
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, method: str) -> int:
        return sum(seen.method == method for seen in self.seen)

    def do(self, seen: Seen) -> Reply:
        """What S3 does."""
        query, key = seen.query, seen.key
        if "uploadId" in query:
            return self._do_upload(seen, query["uploadId"])
        if "uploads" in query:
            if seen.method == "POST":
                upload_id = f"id/{len(self.uploads)} &+"
                self.uploads[upload_id] = {}
                return _xml(
                    "InitiateMultipartUploadResult",
                    f"<UploadId>{upload_id.replace('&', '&amp;')}</UploadId>",
                )
            return _xml("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>")
        if not key:
            return self._list(query) if seen.method == "GET" else Reply(200)
        if seen.method == "PUT":
            if "if-none-match" in seen.headers and key in self.objects:
                return error(412, "PreconditionFailed")
            self.objects[key] = seen.body
            self.etags.pop(key, None)
            return Reply(200, headers={"ETag": f'"{md5(seen.body)}"'})
        if seen.method == "DELETE":
            self.objects.pop(key, None)
            return Reply(204)
        return self._get(seen)

    def _get(self, seen: Seen) -> Reply:
        if seen.key not in self.objects:
            return error(404, "NoSuchKey")
        data = self.objects[seen.key]
        etag = f'"{self.etags.get(seen.key) or md5(data)}"'
        if seen.headers.get("if-match", etag) != etag:
            return error(412, "PreconditionFailed")
        if "range" not in seen.headers:
            return Reply(200, data, {"ETag": etag})
        begin, _, end = seen.headers["range"].removeprefix("bytes=").partition("-")
        piece = data[int(begin) : int(end) + 1 if end else None]
        where = f"bytes {begin}-{int(begin) + len(piece) - 1}/{len(data)}"
        return Reply(206, piece, {"ETag": etag, "Content-Range": where})

    def _do_upload(self, seen: Seen, upload_id: str) -> Reply:
        parts = self.uploads.get(upload_id)
        if parts is None:
            return error(404, "NoSuchUpload")
        if seen.method == "PUT":
            parts[int(seen.query["partNumber"])] = seen.body
            return Reply(200, headers={"ETag": f'"{md5(seen.body)}"'})
        if seen.method == "GET":
            rows = "".join(
                f"<Part><PartNumber>{n}</PartNumber><Size>{len(b)}</Size><ETag>{md5(b)}</ETag></Part>"
                for n, b in parts.items()
            )
            return _xml("ListPartsResult", f"<IsTruncated>false</IsTruncated>{rows}")
        del self.uploads[upload_id]
        if seen.method == "DELETE":
            return Reply(204)
        self.objects[seen.key] = b"".join(parts[n] for n in sorted(parts))
        digests = b"".join(bytes.fromhex(md5(parts[n])) for n in sorted(parts))
        self.etags[seen.key] = f"{md5(digests)}-{len(parts)}"
        return _xml("CompleteMultipartUploadResult", f"<ETag>{self.etags[seen.key]}</ETag>")

    def _list(self, query: dict[str, str]) -> Reply:
        after = unquote_plus(query.get("continuation-token", ""))
        keys = sorted(
            key for key in self.objects if key.startswith(query["prefix"]) and key > after
        )
        page = keys[: self.page_size]
        rows = "".join(
            f"<Contents><Key>{quote_plus(key)}</Key><Size>{len(self.objects[key])}</Size><ETag>{md5(self.objects[key])}</ETag></Contents>"
            for key in page
        )
        more = "<IsTruncated>false</IsTruncated>"
        if len(keys) > len(page):
            more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{quote_plus(page[-1])}</NextContinuationToken>"
        return _xml("ListBucketResult", f"<EncodingType>url</EncodingType>{more}{rows}")


def _xml(name: str, body: str) -> Reply:
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return Reply(200, f'<?xml version="1.0"?>\n<{name} xmlns="{space}">{body}</{name}>'.encode())


def _make_handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() + server.offset_s)

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
            key = unquote(parts.path.removeprefix(f"/{BUCKET}").removeprefix("/"))
            headers = {k.lower(): v for k, v in self.headers.items()}
            seen = Seen(self.command, key, query, headers, body)
            server.seen.append(seen)
            action: Any = server.script.popleft() if server.script else server.always(seen)
            if callable(action):
                action = action(seen)
            if action is None:
                action = server.do(seen)
            elif action == LATE_CLOSE or (isinstance(action, Reply) and action.is_late):
                server.do(seen)
            if action == RESET:
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            if isinstance(action, str):
                self.close_connection = True
                if action != RESET:
                    with contextlib.suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.reply(action)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

        def reply(self, action: Reply) -> None:
            self.send_response(action.status)
            for name, value in action.headers.items():
                self.send_header(name, value)
            if action.status != 204:
                self.send_header("Content-Length", str(len(action.body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            with contextlib.suppress(OSError):  # who reads the beginning alone hangs up
                self.wfile.write(action.body[: action.cut])
            if action.cut is not None:
                self.close_connection = True

    return Handler
